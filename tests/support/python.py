"""`start` runs `python …` in a child forked from a process that has already imported everything a command imports.

Each process that runs tests has one such server. Its children are real processes, with their own process id, folder,
environment, pipes, signals and exit code, and they end as Python ends. Only the imports (a second of CPU time) are
shared. If the environment has a variable that Python or a library reads at start, a new process is spawned instead.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
AS_A_USER = str(Path(__file__).parent / "as_a_user")
DIES = str(Path(__file__).parent / "dying")  # with it in PYTHONPATH, the process kills itself at DIE_AT
INHERITED = {key: os.environ[key] for key in ("PATH", "LANG", "SYSTEMROOT") if key in os.environ}
STANDARD = INHERITED | {"PYTHONPATH": AS_A_USER}
# variables that the interpreter, the C library or an import reads at start
EARLY = ("PYTHON", "LD_", "LC_", "LANG", "TZ", "MALLOC_", "ARROW_", "DLT_", "FSSPEC_", "OPENSSL_")
LATE = ("DLT_DATA_DIR", "PYTHONPATH")
FORKED_WITH = (AS_A_USER, "")  # values of PYTHONPATH: without SQLAlchemy, with it
# set by every command before its imports
FOR_IMPORTS = {"RUNTIME__DLTHUB_TELEMETRY": "false", "ARROW_DEFAULT_MEMORY_POOL": "system"}
# with older pyarrow, a forked child dies with `terminate called without an active exception`
FORKS = sys.platform == "linux" and int(version("pyarrow").split(".")[0]) >= 24
LARGEST = 1 << 20  # bytes of a request


def start(arguments: list[str], *, cwd: Path, env: dict[str, str]) -> Process:
    """Start `python ARGUMENTS` (`-m MODULE …`, `-c CODE …` or `SCRIPT …`) with its output in pipes and no input."""
    path = os.pathsep.join(part for part in env.get("PYTHONPATH", "").split(os.pathsep) if part != DIES)
    if not FORKS or path not in FORKED_WITH or _early(env) != _early(STANDARD):
        return subprocess.Popen(
            [sys.executable, "-X", "faulthandler", *arguments],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    return Forked(arguments, cwd, env, path)


def _early(env: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in env.items() if key.startswith(EARLY) and key not in LATE}


class Forked:
    """A child that the server forked, with the interface of `subprocess.Popen`."""

    def __init__(self, arguments: list[str], cwd: Path, env: dict[str, str], path: str) -> None:
        self.args = [sys.executable, *arguments]
        self.returncode: int | None = None
        out, err = os.pipe(), os.pipe()
        theirs = [os.open(os.devnull, os.O_RDONLY), out[1], err[1]]
        self._server = _server(path)
        self.pid = self._server.ask({"arguments": arguments, "cwd": str(cwd), "env": env}, theirs)
        for file in theirs:
            os.close(file)
        self._end = os.pidfd_open(self.pid)  # the server keeps the process id until it is asked for the exit code
        self.stdin = None
        self.stdout, self.stderr = (os.fdopen(pipe[0], encoding="locale") for pipe in (out, err))
        self._texts: list[list[str]] = []
        self._readers: list[threading.Thread] = []

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        deadline = None if timeout is None else time.monotonic() + timeout
        if not self._readers:
            for pipe in (self.stdout, self.stderr):
                text: list[str] = []
                self._texts.append(text)
                self._readers.append(threading.Thread(target=self._read, args=(pipe, text), daemon=True))
                self._readers[-1].start()
        for reader in self._readers:
            reader.join(None if deadline is None else max(0, deadline - time.monotonic()))
            if reader.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout)
        self.wait(None if deadline is None else max(0, deadline - time.monotonic()))
        return "".join(self._texts[0]), "".join(self._texts[1])

    @staticmethod
    def _read(pipe: Any, text: list[str]) -> None:
        with pipe:
            text.append(pipe.read())

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            ended = select.poll()
            ended.register(self._end, select.POLLIN)
            if not ended.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired(self.args, timeout)
            self.returncode = self._server.ask({"wait": self.pid}, [])
            os.close(self._end)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self.stdout, self.stderr):
            if not self._readers:
                pipe.close()
        self.wait()


Process = subprocess.Popen | Forked


class Server:
    """The process that forks."""

    def __init__(self, path: str) -> None:
        self._lock = threading.Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._home = tempfile.TemporaryDirectory(prefix="boast-fork-")
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.fork_server", str(theirs.fileno())],
                cwd=ROOT,
                env=STANDARD | FOR_IMPORTS | {"HOME": self._home.name, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,  # stays empty: children have their own pipes
                pass_fds=[theirs.fileno()],
            )
        assert self._socket.recv(LARGEST) == b"ready", "the fork server did not start"

    def ask(self, request: dict[str, Any], files: list[int]) -> int:
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(request).encode()], files)
            return int(self._socket.recv(LARGEST))

    def close(self) -> None:
        self._socket.close()
        self._process.wait(60)
        self._process.stdout.close()
        self._home.cleanup()


@functools.cache
def _server(path: str) -> Server:
    """Return the server for a value of PYTHONPATH; start it if needed."""
    server = Server(path)
    atexit.register(server.close)
    return server
