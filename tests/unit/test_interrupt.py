"""A stop ends a statement of the database that would go on for hours."""

import signal
import subprocess
import sys
import time

import pytest

from tests.support.waiting import seconds_at_work, until

BOUND, TRIES = 2.0, 4  # seconds, at least once: a machine may be too busy the first time
MANY_ROWS = "select count(*) from range(10000000) a, range(10000000) b where a.range + b.range = 3"
# DuckDB itself looks for signals every hundred thousand rows, which is minutes here
SLOW_ROWS = "select count(*) from range(9000000) where length(repeat('x', 100000 + (range % 7)::int)) = 3"
LONG = """
import sys
from boast_source import signals
from boast_source.listing.scratch import Scratch

signals.install()
scratch = Scratch()
try:
    print("begun", flush=True)
    scratch.rows(sys.argv[1])
except BaseException as error:
    scratch.close()
    sys.exit(3 if signals.caused(error) else 1)
"""


@pytest.mark.parametrize("statement", [MANY_ROWS, SLOW_ROWS], ids=["many rows", "slow rows"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_interrupts_a_native_statement_at_once(number, statement):
    took = []
    while not took or (took[-1] > BOUND and len(took) < TRIES):
        took.append(stopped(number, statement))
    assert took[-1] < BOUND, took


def stopped(number, statement):
    """Stop a statement; return after how many seconds its process has ended."""
    with subprocess.Popen([sys.executable, "-c", LONG, statement], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "begun\n"
        before = seconds_at_work(process)
        until(lambda: seconds_at_work(process) > before + 0.5)  # in the middle of the statement
        began = time.monotonic()
        process.send_signal(number)
        assert process.wait(timeout=60) == 3
        return time.monotonic() - began
