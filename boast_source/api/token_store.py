"""Where rotated tokens are kept: one JSON document, in a private local file or behind any fsspec URL.

Losing a refresh token locks the nightly job out, so writes are atomic and durable, and a refresh holds the
cross-process lock. An explicit store is never overwritten with another OAuth client's tokens by accident.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import click
import fsspec
import orjson
from filelock import FileLock, Timeout

from boast_source.errors import ConfigurationError, LockedError
from boast_source.private import new_file, no_pipe, put_in_place

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCK_TIMEOUT = 600.0  # seconds: longer than any refresh in another process
MARGIN = 60.0  # seconds before its expiry that a token is renewed; a fifth of the lifetime if that is less

# A PUT is atomic there, while a move is a copy that leaves tokens behind if it is interrupted.
_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss", "r2", "hf"})


def fingerprint(*parts: str) -> str:
    """Return a short hash that identifies a secret without revealing it."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


@dataclass(frozen=True, repr=False)
class Tokens:
    """A pair of tokens. `expires_at`: seconds since the epoch on this machine's clock, None if the server did not say;
    `expires_in`: the lifetime in seconds. `seed`: fingerprint of the configured refresh token that they stem from;
    `client`: fingerprint of the OAuth client.
    """

    access_token: str
    refresh_token: str | None
    expires_at: float | None
    expires_in: float | None
    seed: str | None
    client: str

    def lives(self, *, with_margin: bool = False) -> bool:
        if self.expires_at is None:
            return True
        margin = min(MARGIN, 0.2 * (self.expires_in or 0.0)) if with_margin else 0.0
        return time.time() < self.expires_at - margin


class TokenStore:
    """One document at `location`: a path, an fsspec URL, or None for a file in the user's configuration folder.

    `client` names the default file, so that two clients on one machine do not overwrite each other's tokens.
    All methods raise ConfigurationError if the place cannot be used.
    """

    def __init__(self, location: str | None, client: str) -> None:
        folder = Path(click.get_app_dir("boast"))
        location = location or str(folder / f"tokens-{client[:8]}.json")
        scheme = location.partition("://")[0].lower() if "://" in location else "file"
        if "cache::" in location:
            raise self._error("is a cache, which may answer with old tokens", "Name the file system itself")
        self._path: Path | None = None
        if scheme in {"file", "local"}:
            plain = url2pathname(urlsplit(location).path) if "://" in location else location
            named = Path(plain).expanduser().absolute()
            self._path = Path(os.path.realpath(named)) if named.is_symlink() else named  # the link's target is replaced
            self.where = str(self._path)
            self._lock_path = self._path.with_name(self._path.name + ".lock")
        else:
            parts = urlsplit(location)
            self.where = f"{scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
            self._lock_path = folder / f"tokens-{fingerprint(location)[:16]}.lock"
        self._url = location
        self._by_move = scheme not in _OBJECT_STORES

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes (and other clients in this one) from refreshing; a kill -9 releases the lock.

        Raises LockedError after LOCK_TIMEOUT.
        """
        held = FileLock(self._lock_path, timeout=LOCK_TIMEOUT, mode=0o600)
        try:
            with self._told("locked"), suppress(Timeout):
                _make_private(self._lock_path.parent)
                held.acquire()
            if not held.is_locked:
                raise LockedError(
                    f"Another process has held {self._lock_path} for {LOCK_TIMEOUT:.0f} s",
                    hint="See what hangs there and end it; the lock ends with its process",
                )
            yield
        finally:
            held.release()

    def read(self) -> Tokens | None:
        """Return the stored tokens; None if nothing is stored yet."""
        body: bytes | None = None
        with self._told("read"), suppress(FileNotFoundError):
            body = no_pipe(self._path).read_bytes() if self._path else self._read_remote()
        if body is None:
            return None
        try:
            return _tokens(orjson.loads(body))
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            raise self._error(
                "is damaged", "Move it away, then run `boast login` (or put a new refresh_token in)"
            ) from None

    def probe(self) -> None:
        """Check that a local file can be written, to fail before a refresh token is spent, not after."""
        if self._path:
            with self._told("written"):
                _write_aside(self._path, b" " * 4096).unlink()

    def write(self, tokens: Tokens) -> None:
        """Replace the document, atomically and durably. Call it with `lock` held."""
        body = orjson.dumps({"version": 1, **asdict(tokens)}, option=orjson.OPT_INDENT_2)
        with self._told("written"):
            if self._path:
                put_in_place(_write_aside(self._path, body), self._path)
            else:
                self._write_remote(body)

    def _read_remote(self) -> bytes:
        system, path = fsspec.core.url_to_fs(self._url)
        system.invalidate_cache()
        return bytes(system.cat_file(path))

    def _write_remote(self, body: bytes) -> None:
        system, path = fsspec.core.url_to_fs(self._url)
        with suppress(Exception):  # object stores have no folders
            system.makedirs(path.rpartition("/")[0], exist_ok=True)
        moved = False
        if self._by_move:
            system.pipe_file(path + ".new", body)
            with suppress(Exception):  # some cannot move onto an existing file
                system.mv(path + ".new", path)
                moved = True
        if not moved:
            system.pipe_file(path, body)
            if self._by_move:
                system.rm_file(path + ".new")
        system.invalidate_cache()
        if bytes(system.cat_file(path)) != body:
            raise OSError("it does not hold what was written")

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Raise ConfigurationError for whatever a file system raises.

        It names the kind of error only: the text may hold the URL's own credentials.
        """
        try:
            yield
        except ImportError:
            raise self._error(
                "needs a package that is not installed", "Install the fsspec driver, for example s3fs"
            ) from None
        except Exception as error:  # noqa: BLE001 (file systems raise what they like)
            reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
            raise self._error(
                f"cannot be {what} ({reason})",
                "Check its permissions and free space, or set sources.boast.credentials.token_store",
            ) from None

    def _error(self, what: str, hint: str) -> ConfigurationError:
        return ConfigurationError(f"The token store {getattr(self, 'where', '')} {what}", hint=hint)


def _tokens(document: Any) -> Tokens:
    """Parse a stored document. Raises KeyError, TypeError or ValueError if it is not one."""
    access, client = document["access_token"], document["client"]
    refresh, seed = document["refresh_token"], document.get("seed")
    times = [document.get(name) for name in ("expires_at", "expires_in")]
    if not all(isinstance(value, str) and value for value in (access, client)):
        raise ValueError
    if not all(value is None or isinstance(value, str) for value in (refresh, seed)):
        raise ValueError
    if not all(value is None or isinstance(value, (int, float)) for value in times):
        raise ValueError
    return Tokens(access, refresh or None, times[0], times[1], seed, client)


def _make_private(folder: Path) -> None:
    for missing in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)


def _write_aside(path: Path, body: bytes) -> Path:
    """Write a file beside `path`, always of the same name: the next write overwrites what a kill left there."""
    _make_private(no_pipe(path).parent)
    aside = path.with_name(f".{path.name}.new")
    with os.fdopen(new_file(aside), "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())  # a full disk shows here
    return aside
