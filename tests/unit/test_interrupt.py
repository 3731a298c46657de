"""A stop ends a statement of the database that would go on for hours."""

import signal
import subprocess
import sys
import time

import pytest

BOUND, TRIES = 2.0, 4  # seconds, at least once: a machine may be too busy the first time
LONG = """
import sys
from boast_source import signals
from boast_source.listing.scratch import Scratch

signals.install()
scratch = Scratch()
try:
    print("begun", flush=True)
    scratch.rows("select count(*) from range(10000000) a, range(10000000) b where a.range + b.range = 3")
except BaseException as error:
    scratch.close()
    sys.exit(3 if signals.caused(error) else 1)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_interrupts_a_native_statement_at_once(number):
    took = []
    while not took or (took[-1] > BOUND and len(took) < TRIES):
        took.append(stopped(number))
    assert took[-1] < BOUND, took


def stopped(number):
    """Stop a statement; return after how many seconds its process has ended."""
    with subprocess.Popen([sys.executable, "-c", LONG], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "begun\n"
        began = time.monotonic()
        process.send_signal(number)
        assert process.wait(timeout=60) == 3
        return time.monotonic() - began
