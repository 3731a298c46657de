"""`python -m tests.support.fork_server FD` forks children that run Python programs: see `python.py`.

It reads one request per datagram on the socket FD: a command line with its folder, environment and three open files,
answered with the child's process id; or a process id to wait for, answered with the exit code.
"""

from __future__ import annotations

import atexit
import faulthandler
import functools
import gc
import importlib
import json
import logging
import os
import pkgutil
import runpy
import signal
import socket
import sys
import threading
import types
import warnings
from importlib.metadata import version
from pathlib import Path

from dlt.common.configuration.container import Container

LARGEST = 1 << 20  # bytes of a request
# What others import for a command. It stays until the child is gone: to clear it away is what takes Python longest.
FROZEN = (
    *("dlt", "dlt.destinations.impl.duckdb.factory", "dlt.destinations.job_client_impl", "dlt.load.load"),
    *("dlt.extract.extract", "dlt.normalize", "dlt.pipeline.pipeline", "dlt.sources.helpers.requests"),
    *("pyarrow.compute", "pyarrow.dataset", "pyarrow.parquet", "sqlglot.dialects", "sqlglot.optimizer"),
    *("dlt._workspace.cli._plugins", "dlt.common.libs.pyarrow", "dlt.common.libs.sql_alchemy_compat"),
    *("pendulum.locales.en.locale", "pytz", "rich._emoji_codes"),
    *("click", "email.utils", "fsspec", "jinja2", "orjson", "rich.progress", "rich.table", "tenacity"),
)
LIVING = ("duckdb", "dlt.destinations.impl.duckdb.duck")


def _preload() -> None:
    """Import what commands import, and make sure that a child finds what a new interpreter has."""
    for name in FROZEN:
        importlib.import_module(name)
    assert "duckdb" not in sys.modules
    gc.collect()
    gc.freeze()
    for name in LIVING:
        importlib.import_module(name)
    package = importlib.import_module("boast_source")
    for module in pkgutil.walk_packages(package.__path__, "boast_source."):
        if not module.name.startswith(("boast_source.sandbox", "boast_source.__main__")):
            importlib.import_module(module.name)
    assert Container().thread_contexts[threading.get_ident()][0] == {}, "an import made a context of dlt's"
    assert not logging.getLogger().handlers, "an import set up logging"
    assert threading.active_count() == 1, "an import started a thread"


def _serve(connection: socket.socket) -> list[str] | None:
    """Answer requests until the other side goes; return the arguments in a child, None in the server."""
    while True:
        data, files, _, _ = socket.recv_fds(connection, LARGEST, 3)
        if not data:
            return None
        request = json.loads(data)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            connection.send(str(os.waitstatus_to_exitcode(status)).encode())
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # newer Pythons see the thread of Arrow's allocator, which knows of forks
            pid = os.fork()
        if pid == 0:
            connection.close()
            for target, file in enumerate(files):
                os.dup2(file, target)
                os.close(file)
            os.chdir(request["cwd"])
            os.environ.clear()
            os.environ.update(request["env"])
            faulthandler.enable()
            return request["arguments"]
        for file in files:
            os.close(file)
        connection.send(str(pid).encode())


class _Quiet:
    """Ends after all modules. What is frozen still holds parts of DuckDB, whose bindings would say so as the last."""

    def __init__(self) -> None:
        self.say_nothing = functools.partial(os.dup2, os.open(os.devnull, os.O_WRONLY), 2)

    def __del__(self) -> None:
        self.say_nothing()


def _run(arguments: list[str]) -> None:
    """Do what `python ARGUMENTS` does; the interpreter then ends by itself."""
    kind, *rest = arguments
    if kind == "-m":
        sys.path[0], sys.argv = str(Path.cwd()), rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.path[0], sys.argv = "", ["-c", *rest[1:]]
        sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(rest[0], "<string>", "exec"), vars(sys.modules["__main__"]))
    else:
        sys.path[0], sys.argv = str(Path(kind).parent), arguments
        runpy.run_path(kind, run_name="__main__")


def _run_and_end(arguments: list[str]) -> None:
    """The same, but it is the process that ends: DuckDB 1 in a forked child aborts while Python ends."""
    code: object = 0
    try:
        _run(arguments)
    except SystemExit as end:
        code = end.code
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup the tests inherit that it is ignored
    with socket.socket(fileno=int(sys.argv[1])) as _connection:
        _preload()
        _connection.send(b"ready")
        _arguments = _serve(_connection)
    if _arguments is None:
        os._exit(0)
    atexit.register(Container.reset_main_thread)  # what dlt holds ends before Python does
    sys.quiet = _Quiet()
    (_run_and_end if version("duckdb").startswith("1.") else _run)(_arguments)
