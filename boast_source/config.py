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
    from collections.abc import Mapping, Sequence

NEVER = "never"
DEFAULT_BASE_URL = "https://api.boast.io/v1"

# the API returns ids in lower case and accepts either case
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
    """The settings under `sources.boast` except credentials. The comments are their descriptions in the docs."""

    base_url: str = DEFAULT_BASE_URL  # plain `http://` is accepted for loopback addresses only
    destination: str = "duckdb"  # a dlt destination, for every command without `--destination`
    dataset: str = "boast_data"  # the dataset (schema), for every command without `--dataset`
    account_ids: Any | None = None  # accounts to load: a list, or `id,id`; by default every account the token can see
    max_concurrency: int = 8  # parallel requests
    max_requests_per_second: float | None = None  # rate limit for requests to the API
    request_timeout: float = 60.0  # seconds per request
    lock_timeout: float = 60.0  # seconds to wait for a DuckDB file that another program has open
    time_zone: str = "UTC"  # an IANA name; decides which day an event belongs to in `enrollment_daily`
    # where `nightly` writes the report: a path or an `fsspec` URL; empty: no report
    report_path: str | None = "boast_report.html"
    publish_path: str | None = None  # DuckDB only: where the read-only [copy for dashboards](dashboards.md) goes
    # tables that the published copy omits (of these two, ids, statuses and times stay; if both are listed, the
    # pending table is omitted too); `[]`: it has everything, and only its owner can read it
    publish_without: Any = "contacts,responses"
    table_format: str = "delta"  # table format on a filesystem: `delta` or `iceberg`
    log_format: str = "text"  # `json`: one JSON object per line on stderr
    # columns per table for fields that Boast does not document; each takes 4 MB of memory during a load. Further
    # fields go into one JSON column, `other_fields`
    max_extra_columns: int = 200
    keep_runs_for: Any = "400 days"  # retention of rows in `runs`
    keep_packages: int = 30  # retention of finished load packages
    # a list is read in full if its last full listing is older, otherwise [incrementally](#incremental-listings)
    full_every: Any = "20 h"
    # how far before the last run's newest `updated_at` an incremental listing reads, for records that become visible
    # late
    incremental_overlap: Any = "1 h"

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
    """The settings under `sources.boast.push`. Durations are seconds or text with a unit: `30 days`, `12 h`, `90 s`.
    The comments are their descriptions in the docs.
    """

    enabled: bool = True  # `false`: nothing is pushed
    # `schema.name` for another schema. `--pending` overrides it for one push; open requests of that table wait for
    # the next push with it, or until that table is gone
    pending_table: str = "pending_enrollments"
    max_sends: int = 1000  # more requests than this need approval
    max_attempts: int = 3  # a request that was sent this often without showing up is `held`
    settle_after: Any = "600 s"  # time that the server may take to act on a request; `never`: an operator decides
    reenroll_after: Any = "30 days"  # a new `request_id` for the same contact and sequence within this time is `held`
    single_sender: bool = False  # for warehouses that cannot prevent a second sender
    max_refusals_in_a_row: int = 25  # this many stop the sending
    max_unknowns_in_a_row: int = 10  # this many stop the sending

    @property
    def settle_seconds(self) -> float | None:
        """`settle_after` in seconds; None: never, so an operator decides on each repetition."""
        if str(self.settle_after).strip().lower() == NEVER:
            return None
        return seconds("sources.boast.push.settle_after", self.settle_after)

    @property
    def reenroll_seconds(self) -> float:
        return seconds("sources.boast.push.reenroll_after", self.reenroll_after)


def push_settings() -> PushSettings:
    """Return the configured push settings. Raises ConfigurationError for an invalid value."""
    found = _read(PushSettings, "sources.boast.push")
    if not found.pending_table.strip():
        raise ConfigurationError(
            "sources.boast.push.pending_table is empty", hint="Name a table or view, or leave the setting out."
        )
    for key in ("max_sends", "max_attempts", "max_refusals_in_a_row", "max_unknowns_in_a_row"):
        if getattr(found, key) < 1:
            raise ConfigurationError(f"sources.boast.push.{key} is {getattr(found, key)}", hint="Set it to 1 or more.")
    _ = found.reenroll_seconds, found.settle_seconds  # each raises
    return found


def names_a_pending_table() -> bool:
    """Whether `sources.boast.push.pending_table` is set explicitly, even to its default."""
    return _value("sources.boast.push.pending_table", str) is not None


def seconds(key: str, value: object) -> float:
    """Parse a duration into seconds. Raises ConfigurationError."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", str(value).lower())
    unit = _UNITS.get(match[2]) if match else None
    if match is None or unit is None:
        raise ConfigurationError(f"{key} is no duration", hint="Give seconds, or a unit: 600, 10 min, 12 h, 30 days.")
    return float(match[1]) * unit


def settings() -> Settings:
    """Return the configured settings.

    Raises ConfigurationError for an unreadable file or an invalid value.
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
    _ = found.keep_runs_seconds, found.full_every_seconds, found.overlap_seconds  # each raises
    return found


def configured(name: str) -> Any:
    """Return one of the Settings without reading the others. Raises ConfigurationError."""
    found = _value(f"sources.boast.{name}", _types(Settings)[name])
    return getattr(Settings(), name) if found is None else found


def table_format() -> str:
    """Return the format of tables on a file system: delta or iceberg. Raises ConfigurationError."""
    found = str(configured("table_format"))
    if found not in {"delta", "iceberg"}:
        raise ConfigurationError("sources.boast.table_format is no table format", hint="Set it to delta or iceberg.")
    return found


def wants_json_logs() -> bool:
    """Whether `sources.boast.log_format` is json. An unreadable configuration counts as no: the command reports it."""
    with contextlib.suppress(Exception):
        return bool(dlt.config.get("sources.boast.log_format") == "json")
    return False


def unknown_keys() -> list[str]:
    """Return a sentence for each unknown key under `sources.boast`, which is most likely a typo."""
    prefix = "SOURCES__BOAST__"
    given = {name[len(prefix) :].lower().replace("__", ".") for name in os.environ if name.startswith(prefix)}
    providers: Any = ()
    with contextlib.suppress(Exception):  # the command reports an unreadable file
        providers = dlt.config.config_providers
    for provider in providers:
        with contextlib.suppress(Exception):  # only files can list their keys
            given |= flat(tomlkit.parse(provider.to_toml()).unwrap()["sources"]["boast"]).keys()
    known = {field.name for field in fields(Settings)} | {"webhook_url", "max_table_nesting", "schema_contract"}
    known |= {f"push.{field.name}" for field in fields(PushSettings)} | {f"credentials.{key}" for key in _CREDENTIALS}
    said = []
    for key in sorted(given):
        if key not in known and key.partition(".")[0] not in SHAPES:  # dlt also has settings per resource
            near = difflib.get_close_matches(key, known, 1)
            meant = f"; did you mean {near[0]}?" if near else ""
            said.append(f"sources.boast.{key} is no setting, and nothing reads it{meant}")
    return said


def flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of nested tables by dotted key."""
    found: dict[str, Any] = {}
    for key, value in nested.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def webhook_url() -> str | None:
    """Return `sources.boast.webhook_url`, a secret: it belongs in secrets.toml or the environment; no error shows it.

    Raises ConfigurationError.
    """
    url: str | None = _value("sources.boast.webhook_url", str)
    return url


def _read(kind: type[T], section: str) -> T:
    """Read a dataclass from the configuration, field by field. Raises ConfigurationError."""
    found = {field.name: _value(f"{section}.{field.name}", _types(kind)[field.name]) for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in found.items() if value is not None})


def _value(key: str, kind: Any) -> Any:
    """Return one setting as `kind`; None if it is not set. Raises ConfigurationError, which never shows the value."""
    try:
        return dlt.config.get(key, kind)
    except Exception as error:
        for path in getattr(error, "full_paths", ()):  # dlt's error for a file that is not valid TOML
            _parsed(Path(path))
        raise ConfigurationError(
            f"The setting {key} cannot be used: {type(error).__name__}",
            hint="Correct it in .dlt/config.toml or in the environment; docs/reference.md lists every key.",
        ) from error


def _parsed(path: Path) -> None:
    """Raise ConfigurationError that says where a settings file is not valid TOML."""
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
    """Return account ids from a list, JSON list or comma-separated text; None: all. Raises ConfigurationError."""
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
    """Return the strings in a list, a JSON list or comma-separated text."""
    if isinstance(given, str):
        try:
            given = json.loads(given) if given.lstrip().startswith("[") else given.split(",")
        except json.JSONDecodeError:
            given = None
    return tuple(str(one).strip() for one in given or () if str(one).strip())
