"""Settings from dlt's own providers (environment, `.dlt/config.toml`, `.dlt/secrets.toml`), each with its default."""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import re
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import dlt
import tomlkit

from boast_source.errors import ConfigurationError
from boast_source.shapes import SHAPES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NEVER = "never"
DEFAULT_BASE_URL = "https://api.boast.io/v1"

# the API lists its ids in lower case, and takes them in any
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

_CREDENTIALS = ("access_token", "client_id", "client_secret", "refresh_token", "token_url", "token_store")

T = TypeVar("T")

_UNITS = {
    **dict.fromkeys(("", "s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
}


@dataclass(frozen=True)
class Settings:
    """`sources.boast.*` without the credentials. `request_timeout`, `lock_timeout` in seconds."""

    base_url: str = DEFAULT_BASE_URL
    destination: str = "duckdb"
    dataset: str = "boast_data"
    account_ids: Any | None = None
    max_concurrency: int = 8
    max_requests_per_second: float | None = None
    request_timeout: float = 60.0
    lock_timeout: float = 60.0
    time_zone: str = "UTC"
    report_path: str | None = "boast_report.html"
    publish_path: str | None = None
    publish_without: Any = "contacts,responses"
    table_format: str = "delta"
    log_format: str = "text"
    max_extra_columns: int = 200
    keep_runs_for: Any = "400 days"
    keep_packages: int = 30
    full_every: Any = "20 h"
    incremental_overlap: Any = "1 h"

    @property
    def published_without(self) -> tuple[str, ...]:
        """Tables that the published copy does not have."""
        return listed(self.publish_without)

    @property
    def keep_runs_seconds(self) -> float:
        return seconds("sources.boast.keep_runs_for", self.keep_runs_for)

    @property
    def full_every_seconds(self) -> float:
        return seconds("sources.boast.full_every", self.full_every)

    @property
    def overlap_seconds(self) -> float:
        return seconds("sources.boast.incremental_overlap", self.incremental_overlap)


@dataclass(frozen=True)
class PushSettings:
    """`sources.boast.push.*`. Durations are seconds, or text with a unit: `30 days`, `12 h`, `600 s`."""

    enabled: bool = True
    pending_table: str = "pending_enrollments"
    max_sends: int = 1000
    max_attempts: int = 3
    settle_after: Any = 600.0
    reenroll_after: Any = "30 days"
    single_sender: bool = False
    max_refusals_in_a_row: int = 25
    max_unknowns_in_a_row: int = 10

    @property
    def settle_seconds(self) -> float | None:
        """None: never, every repetition is a person's decision."""
        if str(self.settle_after).strip().lower() == NEVER:
            return None
        return seconds("sources.boast.push.settle_after", self.settle_after)

    @property
    def reenroll_seconds(self) -> float:
        return seconds("sources.boast.push.reenroll_after", self.reenroll_after)


def push_settings() -> PushSettings:
    """The settings of push as configured. Raises ConfigurationError for a value that cannot work."""
    found = _read(PushSettings, "sources.boast.push")
    if not found.pending_table.strip():
        raise ConfigurationError(
            "sources.boast.push.pending_table is empty", hint="Name a table or view, or leave the setting out."
        )
    for key in ("max_sends", "max_attempts", "max_refusals_in_a_row", "max_unknowns_in_a_row"):
        if getattr(found, key) < 1:
            raise ConfigurationError(f"sources.boast.push.{key} is {getattr(found, key)}", hint="Set it to 1 or more.")
    seconds("sources.boast.push.reenroll_after", found.reenroll_after)
    if str(found.settle_after).strip().lower() != NEVER:
        seconds("sources.boast.push.settle_after", found.settle_after)
    return found


def names_a_pending_table() -> bool:
    """Whether `sources.boast.push.pending_table` is set, be it to its default."""
    return _value("sources.boast.push.pending_table", str) is not None


def seconds(key: str, value: object) -> float:
    """A duration as seconds. Raises ConfigurationError."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", str(value).lower())
    unit = _UNITS.get(match[2]) if match else None
    if match is None or unit is None:
        raise ConfigurationError(f"{key} is no duration", hint="Give seconds, or a unit: 600, 10 min, 12 h, 30 days.")
    return float(match[1]) * unit


def settings() -> Settings:
    """The settings as configured.

    Raises ConfigurationError for a file that cannot be read or a value that cannot work.
    """
    found = _read(Settings, "sources.boast")
    try:
        ZoneInfo(found.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise ConfigurationError(
            "sources.boast.time_zone is no time zone", hint="Give an IANA name, for example Europe/Berlin."
        ) from None
    if found.log_format not in {"text", "json"}:
        raise ConfigurationError("sources.boast.log_format is no log format", hint="Set it to text or json.")
    table_format()
    if found.keep_packages < 1:
        raise ConfigurationError("sources.boast.keep_packages is too small", hint="Set it to 1 or more.")
    for key in ("lock_timeout", "max_extra_columns"):
        if getattr(found, key) < 0:
            raise ConfigurationError(f"sources.boast.{key} is negative", hint="Set it to 0 or more.")
    for key in ("keep_runs_for", "full_every", "incremental_overlap"):
        seconds(f"sources.boast.{key}", getattr(found, key))
    return found


def configured(name: str) -> Any:
    """Return one of the Settings without the others. Raises ConfigurationError."""
    found = _value(f"sources.boast.{name}", _types(Settings)[name])
    return getattr(Settings(), name) if found is None else found


def table_format() -> str:
    """Of the tables on a file system: delta or iceberg. Raises ConfigurationError."""
    found = str(configured("table_format"))
    if found not in {"delta", "iceberg"}:
        raise ConfigurationError("sources.boast.table_format is no table format", hint="Set it to delta or iceberg.")
    return found


def wants_json_logs() -> bool:
    """Whether `sources.boast.log_format` is json. A configuration that cannot be read is left to the command."""
    with contextlib.suppress(Exception):
        return bool(dlt.config.get("sources.boast.log_format") == "json")
    return False


def unknown_keys() -> list[str]:
    """Return a sentence for each key under `sources.boast` that nothing reads: a typo would stay unnoticed."""
    prefix = "SOURCES__BOAST__"
    given = {name[len(prefix) :].lower().replace("__", ".") for name in os.environ if name.startswith(prefix)}
    providers: Any = ()
    with contextlib.suppress(Exception):  # a file that cannot be read is left to the command
        providers = dlt.config.config_providers
    for provider in providers:
        with contextlib.suppress(Exception):  # only files know all their keys
            given |= set(_dotted(tomlkit.parse(provider.to_toml()).unwrap()["sources"]["boast"]))
    known = {field.name for field in fields(Settings)} | {"webhook_url", "max_table_nesting", "schema_contract"}
    known |= {f"push.{field.name}" for field in fields(PushSettings)} | {f"credentials.{key}" for key in _CREDENTIALS}
    said = []
    for key in sorted(given):
        if key not in known and key.partition(".")[0] not in SHAPES:  # dlt has settings of a resource, too
            near = difflib.get_close_matches(key, known, 1)
            meant = f"; did you mean {near[0]}?" if near else ""
            said.append(f"sources.boast.{key} is no setting, and nothing reads it{meant}")
    return said


def _dotted(nested: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in nested.items():
        yield from _dotted(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}"]


def webhook_url() -> str | None:
    """Return `sources.boast.webhook_url`: a secret, so that no file of settings holds it and no error shows it.

    Raises ConfigurationError.
    """
    url: str | None = _value("sources.boast.webhook_url", str)
    return url


def _read(kind: type[T], section: str) -> T:
    """Read a dataclass from the configuration, field by field. Raises ConfigurationError."""
    found = {field.name: _value(f"{section}.{field.name}", _types(kind)[field.name]) for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in found.items() if value is not None})


def _value(key: str, kind: Any) -> Any:
    """Return one setting as `kind`, None where no provider has it. Raises ConfigurationError without the value."""
    try:
        return dlt.config.get(key, kind)
    except Exception as error:
        for path in getattr(error, "full_paths", ()):  # dlt's word that a file is no TOML
            _parsed(Path(path))
        raise ConfigurationError(
            f"The setting {key} cannot be used: {type(error).__name__}",
            hint="Correct it in .dlt/config.toml or in the environment; docs/reference.md lists every key.",
        ) from error


def _parsed(path: Path) -> None:
    """Raise ConfigurationError with the place where a file of settings is no TOML."""
    try:
        tomlkit.parse(path.read_text(encoding="utf-8"))
    except (tomlkit.exceptions.TOMLKitError, ValueError) as error:
        raise ConfigurationError(f"{path} is no valid TOML: {error}", hint="Correct it there.") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}", hint="Change its permissions.") from None


@cache
def _types(kind: type) -> dict[str, Any]:
    """Map each field of a dataclass to its type, without None."""
    hints = get_type_hints(kind)
    return {name: next((t for t in get_args(hint) if t is not type(None)), hint) for name, hint in hints.items()}


def account_ids_from(given: Sequence[str] | str | None) -> tuple[str, ...] | None:
    """Account ids from a list, a JSON list or a comma-separated text; None: all accounts."""
    if given is None or given in ("", [], ()):
        return None
    ids = listed(given)
    if not ids or any("/" in one or "?" in one or " " in one for one in ids):
        raise ConfigurationError(
            "sources.boast.account_ids is not a list of account ids",
            hint='Give it as ["id", "id"] or as id,id; leave it out for all accounts. `boast check` lists them.',
        )
    return tuple(dict.fromkeys(one.lower() if _UUID.fullmatch(one) else one for one in ids))


def listed(given: Sequence[str] | str | None) -> tuple[str, ...]:
    """Texts from a list, a JSON list or a comma-separated text."""
    if isinstance(given, str):
        try:
            given = json.loads(given) if given.lstrip().startswith("[") else given.split(",")
        except json.JSONDecodeError:
            given = None
    return tuple(str(one).strip() for one in given or () if str(one).strip())
