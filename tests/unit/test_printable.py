"""What comes from the API or a table can neither steer a terminal nor begin a line of its own."""

import io
import logging
import signal
import subprocess
import sys

from rich.table import Table

from boast_source.commands.terminal import SafeConsole, cell
from boast_source.errors import BoastError, one_line
from boast_source.logs import OneLine
from boast_source.push.plan import Plan
from boast_source.push.requests import Request

FORGED = "x\x1b[2J\x1b]0;title\x07\r\nboast: all is well\x0b\x85\u2028\u202e"


def test_every_cell_is_printable_and_one_line():
    out = io.StringIO()
    console = SafeConsole(file=out, width=200, force_terminal=True)
    table = Table(box=None, show_header=False)
    table.add_row(cell(FORGED), "[green]ok[/]")
    console.print(table)
    (row,) = out.getvalue().splitlines()
    assert "boast: all is well" in row
    assert not row.startswith("boast:")
    console.print(FORGED, markup=False)
    written = out.getvalue()
    assert "\x1b[2J" not in written
    assert "\x1b]" not in written
    assert "\x1b[32mok" in written  # the console's own colours stay
    assert "\u202e" not in written


def test_every_error_and_log_line_is_printable_and_one_line():
    assert str(BoastError(FORGED, hint=FORGED)).isprintable()
    assert one_line(FORGED).isprintable()
    record = logging.LogRecord("dlt", logging.WARNING, __file__, 1, "it says %s", (FORGED,), None)
    assert OneLine("%(levelname)s %(message)s").format(record).isprintable()


def test_a_page_for_people_shows_what_is_approved_and_nothing_turns_it_around():
    request = Request(FORGED, "c", "a", "enroll", "p", "s", None)
    page = Plan([request], {"s": FORGED}).as_html({"p": FORGED})
    assert "boast: all is well" in page
    assert "".join(page.split("\n")).isprintable()


def test_a_hangup_is_ignored_where_nohup_asked_for_it():
    code = (
        "import signal; from boast_source import signals\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN); signals.install()\n"
        "print(signal.getsignal(signal.SIGHUP) == signal.SIG_IGN)\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL); signals.install()\n"
        "print(signal.getsignal(signal.SIGHUP) == signal.getsignal(signal.SIGTERM))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]
    assert signal.SIGHUP
