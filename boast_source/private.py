"""Folders and files that no other user can read, plant or replace: scratch space, and files being written."""

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
_WAIT = 10.0  # seconds to wait while another run cleans up


def scratch_folder() -> tuple[Path, Callable[[], None]]:
    """Create a folder for one run; return it and a function that removes it.

    It is inside a per-user folder, mode 0700, in the temporary folder (TMPDIR). Each run holds a lock on its folder,
    visible to runs in other containers. A folder whose lock is free was left by a killed run and is removed.
    """
    base = _own_folder()
    held: FileLock | None = None
    with suppress(Timeout), FileLock(base / "lock", timeout=_WAIT, mode=0o600):
        _remove_orphans(base)
        folder = Path(tempfile.mkdtemp(prefix="run-", dir=base))
        held = _lock_of(folder)
        held.acquire(timeout=0)
    if held is None:  # another run is stuck while cleaning up: a separate folder, without the lock's protection
        folder = Path(tempfile.mkdtemp(prefix="boast-"))

    def remove() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        if held:
            held.release()
            with suppress(OSError):
                Path(held.lock_file).unlink(missing_ok=True)
        if base.name != _own_name():  # used by this run alone
            shutil.rmtree(base, ignore_errors=True)

    return folder, remove


def new_file(path: Path, mode: int = 0o600) -> int:
    """Open a new file for writing, in place of any file or link of that name; no link is followed. Raises OSError."""
    path.unlink(missing_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), mode)


def replace_file(path: Path, text: str, mode: int = 0o600) -> None:
    """Write text (UTF-8) to a file, replacing any old one atomically. Raises OSError and then keeps the old one.

    `mode`: permissions of the new file, before the umask.
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


def no_pipe(path: Path) -> Path:
    """Return the path. Raises OSError if a device or pipe is there: reading one may take for ever, and replacing one,
    as root can, breaks the machine.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "a device or pipe is there, not a file", str(path))
    return path


def put_in_place(partial: Path, final: Path) -> None:
    """Move a finished file into place atomically, within one file system; on POSIX it is durable on return.

    Raises OSError, as `no_pipe` does.
    """
    _sync(partial)
    partial.replace(no_pipe(final))
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
    for folder in {path.with_suffix("") for path in base.glob("run-*")}:  # or only its lock, if killed at the end
        lock = _lock_of(folder)
        with suppress(Timeout, OSError):
            lock.acquire(timeout=0)
            shutil.rmtree(folder, ignore_errors=True)
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)
