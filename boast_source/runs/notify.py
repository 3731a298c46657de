"""Notifications of failures, pending actions and recovery, to a webhook (Slack's format) or a service of Apprise.

Each is sent once, not every night. What was sent is stored in `runs.told`, so it survives on a machine without a disk.
An unreachable webhook never changes how a run ends; the next run tries again.
"""

from __future__ import annotations

import hashlib
import logging
import re
import socket
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from boast_source import runs
from boast_source.api.address import is_loopback
from boast_source.api.reader import TransportFailure
from boast_source.api.transport import Transport
from boast_source.config import webhook_url
from boast_source.errors import BoastError, ConfigurationError
from boast_source.install import INSTALL_ALL

if TYPE_CHECKING:
    from collections.abc import Callable

    from boast_source.runs.health import Waiting
    from boast_source.runs.record import Run
    from boast_source.warehouse import Warehouse

TIMEOUT = 10.0  # seconds
LONGEST = 1_500  # characters of an error; whole messages: Discord 2,000, ntfy 4,096
FAILING = (runs.FAILED, runs.USAGE)
_FAILED = "!"  # precedes the hash of an error that failed the run


@dataclass(frozen=True)
class Known:
    """What was notified so far. `exit_code`: of the last run; `about`: hashes of the errors since the last success;
    `newest`: when the newest known request began to need attention (ISO 8601); `waits`: whether any request does.
    """

    exit_code: int = runs.DONE
    about: tuple[str, ...] = ()
    newest: str = ""
    waits: bool = False


def tell(warehouse: Warehouse | None, run: Run, waiting: Waiting | None, on_note: Callable[[str], None]) -> None:
    """Notify of a finished run's news before it is recorded, and store in `run.told` what was sent.

    `waiting`: the requests that need attention; None: they could not be read.
    """
    try:
        url = address()
        if not url:
            return
        if run.exit_code == runs.LOCKED:
            text = _stuck(runs.kept(warehouse), run)
        else:
            before = _known(warehouse, run)
            now, text = news(before, run, waiting)
        if text:
            send(url, f"{_head(warehouse, run.command)}: {text}")
        if run.exit_code != runs.LOCKED:
            run.told = orjson.dumps(asdict(now)).decode()
    except BoastError as error:
        on_note(f"the webhook could not be notified: {error.message}")
    except Exception as error:  # noqa: BLE001 -- news are news; the night is what matters
        on_note(f"the webhook could not be notified: {type(error).__name__}")


def tell_death(warehouse: Warehouse, left: dict[str, str], on_note: Callable[[str], None]) -> None:
    """Notify of a run that died (see lock.py) when the next one begins."""
    try:
        if url := address():
            when = f"{left['since'][:16].replace('T', ' ')} UTC"
            text = f"the run of {when} died: the process was killed, or the machine went down. The next one has begun."
            send(url, f"{_head(warehouse, left.get('command', 'nightly'))}: {text}")
    except BoastError as error:
        on_note(f"the webhook could not be notified: {error.message}")


def news(before: Known, run: Run, waiting: Waiting | None) -> tuple[Known, str | None]:
    """Return what will have been notified after this run, and the text to send; None: nothing is new."""
    code = run.exit_code or runs.DONE
    newest = max(before.newest, waiting.newest if waiting else "")
    waits = bool(waiting.total) if waiting else before.waits
    fails = code in FAILING
    recovered = before.exit_code in FAILING and not fails
    cleared = code == runs.DONE and not waits and (before.waits or before.exit_code == runs.ATTENTION)
    # an error that failed the run is reported again if it returns after a recovery; a lesser one only after a success
    about = () if code == runs.DONE else tuple(one for one in before.about if fails or not one.startswith(_FAILED))
    lines = []
    if recovered or cleared:
        again = "well again" if code == runs.DONE else "runs again"
        still = f" As before, {waiting} need attention." if waits and newest == before.newest else ""
        lines.append(f"{again}, {run.listed or 0:,} enrollments listed, verified: {run.verified}.{still}")
    trouble = _gist(run.error or run.status) if code != runs.DONE and (run.error or fails) else None
    trouble = _FAILED + trouble if trouble and fails else trouble
    if trouble and trouble not in about:
        about = (*about, trouble)
        lines.append(f"{'failed' if fails else 'needs attention'}: {_short(run.error or 'see its log')}")
    if waits and newest > before.newest:
        lines.append(f"requests need attention: {waiting}; see `boast requests list`.")
    return Known(code, about, newest, waits), "\n".join(lines) or None


def address() -> str | None:
    """Return the webhook's address, a secret; None: not set. Raises ConfigurationError, which does not contain it."""
    url = (webhook_url() or "").strip()
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    if not url or (parts.scheme == "https" and host) or (parts.scheme == "http" and is_loopback(host)):
        return url or None
    if parts.scheme and parts.scheme != "http":
        _apprise(url)  # slack://, mailto://, ...
        return url
    raise ConfigurationError(
        "sources.boast.webhook_url is no https:// address", hint="Copy it from the chat's own settings."
    )


def send(url: str, text: str) -> None:
    """Send the text once, by POST or through Apprise. Raises BoastError, which does not contain the address."""
    if urlsplit(url).scheme not in {"http", "https"}:
        if not _apprise(url).notify(body=text):
            raise BoastError("Apprise could not deliver it", hint="The next run notifies it again.")
        return
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")  # required by Slack
    headers, body = {"Content-Type": "application/json"}, orjson.dumps({"text": escaped})
    try:
        with closing(Transport(url, timeout=TIMEOUT)) as transport:
            answer = transport.send("POST", url, headers=headers, body=body)
    except TransportFailure as failure:
        raise BoastError(f"It did not answer ({failure.kind})", hint="The next run notifies it again.") from None
    if not 200 <= answer.status < 300:
        raise BoastError(f"It answered with HTTP {answer.status}", hint="The next run notifies it again.")


def _apprise(url: str) -> Any:
    """Return an Apprise with only this address. Raises ConfigurationError, which does not contain it."""
    try:
        import apprise  # noqa: PLC0415 -- an extra
    except ImportError:
        raise ConfigurationError(
            "sources.boast.webhook_url is no https:// address, and Apprise, which knows others, is not installed",
            hint=INSTALL_ALL,
        ) from None
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # its logs may contain the address
    notifier = apprise.Apprise()
    if not notifier.add(url):
        raise ConfigurationError(
            "sources.boast.webhook_url is no https:// address, nor one that Apprise knows",
            hint="Compare it with Apprise's list of services.",
        )
    return notifier


def _known(warehouse: Warehouse | None, run: Run) -> Known:
    """Return what was notified before; an empty Known if that cannot be read."""
    try:
        told = runs.told_before(warehouse, run.started_at)
        known = orjson.loads(told or "{}")
        about, newest = tuple(known.get("about", ())), known.get("newest", "")
        return Known(known.get("exit_code", runs.DONE), about, newest, known.get("waits", False))
    except Exception:  # noqa: BLE001 -- rather told twice than not at all
        return Known()


def _stuck(kept: list[dict[str, object]], run: Run) -> str | None:
    """Return a text if this is the second run in a row that was locked out; None: the first, or a later one."""
    ended = [row.get("exit_code") for row in kept if row.get("command") == run.command]
    in_a_row = next((n for n, code in enumerate(reversed(ended)) if code != runs.LOCKED), len(ended))
    return f"did not run, the second time in a row: {run.error}" if in_a_row == 1 else None


def _short(text: str) -> str:
    """Shorten an error to a length that every chat accepts; with many accounts it can be very long."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST].rstrip()} ...; `boast status` shows all of it."


def _gist(text: str) -> str:
    """Return a hash of an error that ignores its ids and numbers."""
    plain = re.sub(r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\d+", "#", text.lower())
    return hashlib.sha256(plain.encode()).hexdigest()[:12]


def _head(warehouse: Warehouse | None, command: str) -> str:
    where = f" ({warehouse.name}, {warehouse.dataset})" if warehouse else ""
    return f"boast {command} on {socket.gethostname()}{where}"
