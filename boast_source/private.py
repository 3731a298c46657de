"""Folders and files that nobody else can read, plant or replace: scratch space, and files that are being written."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

if TYPE_CHECKING:
    from collections.abc import Callable

PERSONAL = frozenset({"contacts", "responses"})  # tables with personal data
_WAIT = 10.0  # seconds for another run that tidies up


def scratch_folder() -> tuple[Path, Callable[[], None]]:
    """Make a folder for one run; returns it, and how to remove it.

    It is in a folder of the user's own, mode 0700, in the temporary folder (TMPDIR). A lock that is held as long as
    the run lives tells it from what killed runs left, which is removed; so runs in other containers are told alive.
    """
    base = _own_folder()
    held: FileLock | None = None
    with suppress(Timeout), FileLock(base / "lock", timeout=_WAIT, mode=0o600):
        _remove_orphans(base)
        folder = Path(tempfile.mkdtemp(prefix="run-", dir=base))
        held = _lock_of(folder)
        held.acquire(timeout=0)
    if held is None:  # somebody has stopped in the middle: an own folder without the lock's protection
        folder = Path(tempfile.mkdtemp(prefix="boast-"))

    def remove() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        if held:
            held.release()
            with suppress(OSError):
                Path(held.lock_file).unlink(missing_ok=True)
        if base.name != _own_name():  # of this run alone
            shutil.rmtree(base, ignore_errors=True)

    return folder, remove


def new_file(path: Path, mode: int = 0o600) -> int:
    """Create a file that was not there, to write to; a link of that name is removed, never followed. Raises OSError."""
    path.unlink(missing_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), mode)


def replace_file(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a text, as UTF-8, in place of whatever file was there, in one step. Raises OSError; the old one then stays.

    `mode`: of the new file, less the umask.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with os.fdopen(new_file(partial, mode), "w", encoding="utf-8") as file:
            file.write(text)
        put_in_place(partial, path)
    except OSError:
        with suppress(OSError):
            partial.unlink()
        raise


def put_in_place(partial: Path, final: Path) -> None:
    """Let a finished file on the same file system take a place in one step; on POSIX durable when it returns.

    Raises OSError, also where a device or a pipe stands there: whoever may replace it, as root may, breaks the machine.
    """
    if final.exists() and not final.is_file() and not final.is_dir():
        raise OSError(errno.EINVAL, "a device or pipe is there, not a file", str(final))
    _sync(partial)
    partial.replace(final)
    _sync(final.parent)


def _sync(path: Path) -> None:
    if os.name != "posix":
        return
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _own_name() -> str:
    return f"boast-{os.getuid() if hasattr(os, 'getuid') else 'user'}"


def _own_folder() -> Path:
    """Return the user's folder in the temporary folder; a new one if somebody else has taken its name."""
    folder = Path(tempfile.gettempdir()) / _own_name()
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != (os.getuid() if os.name == "posix" else 0):
        return Path(tempfile.mkdtemp(prefix="boast-"))
    if stat.S_IMODE(found.st_mode) != 0o700:
        folder.chmod(0o700)
    return folder


def _lock_of(folder: Path) -> FileLock:
    return FileLock(folder.with_name(f"{folder.name}.lock"), mode=0o600)


def _remove_orphans(base: Path) -> None:
    for folder in {path.with_suffix("") for path in base.glob("run-*")}:  # or a lock alone, of a run killed at its end
        lock = _lock_of(folder)
        with suppress(Timeout, OSError):
            lock.acquire(timeout=0)
            shutil.rmtree(folder, ignore_errors=True)
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)
