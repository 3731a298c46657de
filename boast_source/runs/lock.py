"""The pipeline's lock: one run at a time, even if two machines share the pipeline's folder."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from boast_source.errors import BoastError, LockedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import dlt

HEARTBEAT, SILENCE = 20.0, 300.0  # seconds between heartbeats; silence after which another machine's run is dead
MISSED = 3  # missed heartbeats after which `status` considers a run dead


@contextlib.contextmanager
def lock(
    pipeline: dlt.Pipeline, *, run_id: str = "", command: str = "", beat: float = HEARTBEAT
) -> Iterator[dict[str, Any]]:
    """Hold the pipeline's lock inside the block.

    The operating system frees the lock of a process that dies. Not every shared folder shows such locks to other
    machines, so a run also touches a file every `beat` seconds; another machine's run is taken over after SILENCE.

    Yields the traces of a run that died while it held the lock: `run_id`, `command`, `since` and `until` (its first
    and last heartbeat, ISO 8601); an empty dictionary if there is none.

    Raises LockedError, which names the holder, and BoastError when the lock cannot be written.
    """
    folder = Path(pipeline.pipelines_dir)
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{pipeline.pipeline_name}.lock"
    note = folder / f"{pipeline.pipeline_name}.lock.json"
    guard = FileLock(path, timeout=0)
    try:
        with _writing(path):
            guard.acquire()
    except Timeout:
        raise LockedError(
            f"Another run of the pipeline {pipeline.pipeline_name} is alive ({_holder(_known(note))})",
            hint="Wait until it ends; a scheduler may simply skip this run.",
        ) from None
    try:
        _check_elsewhere(path, note)
        left = _traces(note)
        mine = {"pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now(timezone.utc).isoformat()}
        with _writing(note):
            note.write_text(json.dumps(mine | {"run_id": run_id, "command": command}))
        try:
            with _showing_life(note, beat):
                yield left
        finally:
            note.unlink(missing_ok=True)
    finally:
        guard.release()


def traces(pipeline: dlt.Pipeline) -> dict[str, Any]:
    """Return what `lock` would yield to the next run, if the last run missed its heartbeats. Only reads."""
    note = Path(pipeline.pipelines_dir) / f"{pipeline.pipeline_name}.lock.json"
    with contextlib.suppress(OSError):
        if time.time() - note.stat().st_mtime > MISSED * HEARTBEAT:
            return _traces(note)
    return {}


def _traces(note: Path) -> dict[str, Any]:
    left = _known(note)
    if left:
        left["until"] = datetime.fromtimestamp(note.stat().st_mtime, timezone.utc).isoformat()
    return left


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # the lock's Timeout is an OSError without errno
        if error.errno is None:
            raise
        raise BoastError(
            f"The pipeline's lock cannot be written: {error.strerror} ({path})",
            hint="Free space or permissions there, or choose another folder with DLT_DATA_DIR. Nothing was done.",
        ) from None


def _check_elsewhere(path: Path, note: Path) -> None:
    """Raise LockedError while a run on another machine sends heartbeats. Only the file system's clock is used."""
    known = _known(note)
    if not known or known.get("host") == socket.gethostname():
        return
    os.utime(path)
    if abs(path.stat().st_mtime - note.stat().st_mtime) < SILENCE:
        raise LockedError(
            f"A run on another machine holds the lock ({_holder(known)})",
            hint=f"Wait until it ends; if it is dead, any run after {SILENCE / 60:.0f} minutes takes over.",
        )


@contextlib.contextmanager
def _showing_life(note: Path, beat: float) -> Iterator[None]:
    ended = threading.Event()

    def show() -> None:
        while not ended.wait(beat):
            with contextlib.suppress(OSError):
                os.utime(note)

    thread = threading.Thread(target=show, name="boast-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _known(note: Path) -> dict[str, Any]:
    try:
        known = json.loads(note.read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _holder(known: dict[str, Any]) -> str:
    if not known:
        return "it has just begun"
    return f"process {known.get('pid')} on {known.get('host')}, since {known.get('since')}"
