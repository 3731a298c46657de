"""Start client processes quickly: one process imports the client, then forks a child per command.

`python forker.py SETTINGS`: for each line "N SECONDS" on stdin, a child reads the API at least N times and at least for
SECONDS; stdout gets the child's pid at once. "wait PID" gets its exit code (negative: the signal).
"""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager

from boast_source.api import BoastClient, OAuthCredentials, RetryPolicy


class Forker:
    def __init__(self, settings):
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", __file__, settings],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout.readline() == "ready\n"

    def _ask(self, line):
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def spawn(self, reads=1, seconds=0.0):
        return self._ask(f"{reads} {seconds}")

    def wait(self, pid):
        return self._ask(f"wait {pid}")

    def close(self):
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()


@contextmanager
def forking(settings):
    forker = Forker(settings)
    try:
        yield forker
    finally:
        forker.close()


def _child(settings, reads, seconds):
    until = time.monotonic() + seconds
    retries = RetryPolicy(attempts=3, first_wait=0.01)
    with BoastClient(OAuthCredentials(**settings["credentials"]), base_url=settings["url"], retries=retries) as boast:
        while reads > 0 or time.monotonic() < until:
            boast.page("/accounts")
            reads -= 1


def _say(what):
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def main():
    settings = json.loads(sys.argv[1])
    _say("ready")
    for line in sys.stdin:
        first, second = line.split()
        if first == "wait":
            _, status = os.waitpid(int(second), 0)
            _say(os.waitstatus_to_exitcode(status))
            continue
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                _child(settings, int(first), float(second))
                code = 0
            except Exception as error:  # noqa: BLE001 (the exit code tells)
                sys.stderr.write(f"{type(error).__name__}: {error}\n")
                sys.stderr.flush()
            finally:
                os._exit(code)
        _say(pid)


if __name__ == "__main__":
    main()
