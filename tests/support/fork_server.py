"""`python -m tests.support.fork_server FD` forks children that run Python programs: see `python.py`.

It reads one request per datagram from the socket FD. A command line with its folder, environment and three open files
is answered with the child's process id; a process id to wait for, with the exit code.
"""

from __future__ import annotations

import atexit
import faulthandler
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
from pathlib import Path

from dlt.common.configuration.container import Container

from tests.support.quicker import remember_types

LARGEST = 1 << 20  # bytes of a request
# the libraries that a command loads
LIBRARIES = (
    *("dlt", "dlt.destinations.impl.duckdb.factory", "dlt.destinations.job_client_impl", "dlt.load.load"),
    *("dlt.extract.extract", "dlt.normalize", "dlt.pipeline.pipeline", "dlt.sources.helpers.requests"),
    *("pyarrow.compute", "pyarrow.dataset", "pyarrow.parquet", "sqlglot.dialects", "sqlglot.optimizer"),
    *("dlt._workspace.cli._plugins", "dlt.common.libs.pyarrow", "dlt.common.libs.sql_alchemy_compat"),
    *("pendulum.locales.en.locale", "pytz", "rich._emoji_codes"),
    *("click", "email.utils", "fsspec", "jinja2", "orjson", "rich.progress", "rich.table", "tenacity"),
    *("duckdb", "dlt.destinations.impl.duckdb.duck"),
)


def _preload() -> None:
    """Import what commands import, and check that a child starts in the state of a new interpreter."""
    for name in LIBRARIES:
        importlib.import_module(name)
    package = importlib.import_module("boast_source")
    for module in pkgutil.walk_packages(package.__path__, "boast_source."):
        # leave out what commands do not import, or only with an extra
        if not module.name.startswith(
            ("boast_source.sandbox", "boast_source.__main__", "boast_source.warehouse.mysql")
        ):
            importlib.import_module(module.name)
    assert Container().thread_contexts[threading.get_ident()][0] == {}, "an import made a context of dlt's"
    assert not logging.getLogger().handlers, "an import set up logging"
    assert threading.active_count() == 1, "an import started a thread"
    remember_types()
    gc.collect()
    gc.freeze()


def _serve(connection: socket.socket) -> list[str] | None:
    """Answer requests until the other side closes; return the arguments in a child, None in the server."""
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
            warnings.simplefilter("ignore")  # newer Pythons warn of a thread of Arrow's allocator; it handles forks
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
            if "DIE_AT" in os.environ:
                importlib.import_module("tests.support.dying.sitecustomize")
            return request["arguments"]
        for file in files:
            os.close(file)
        connection.send(str(pid).encode())


def _run(arguments: list[str]) -> None:
    """Do what `python ARGUMENTS` does, without the interpreter's exit."""
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
    """Do what `python ARGUMENTS` does, with an exit that looks the same to a program. Modules are not torn down: that
    takes longer than most commands, and makes DuckDB 1 abort in a forked child.
    """
    code: object = 0
    try:
        _run(arguments)
    except SystemExit as end:
        code = end.code
    except Exception:  # noqa: BLE001 -- told as Python tells what nobody caught
        sys.excepthook(*sys.exc_info())
        code = 1
    if not isinstance(code, int | None):
        sys.stderr.write(f"{code}\n")
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


if __name__ == "__main__":
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup the tests inherit an ignored SIGHUP
    with socket.socket(fileno=int(sys.argv[1])) as _connection:
        _preload()
        _connection.send(b"ready")
        _arguments = _serve(_connection)
    if _arguments is None:
        os._exit(0)
    _run_and_end(_arguments)
