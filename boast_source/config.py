"""Settings from dlt's own providers (environment, `.dlt/config.toml`, `.dlt/secrets.toml`)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dlt.common.configuration import configspec
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.common.configuration.resolve import resolve_configuration

from boast_source.api.settings import ClientSettings
from boast_source.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence


@configspec
class Settings(ClientSettings):
    """`sources.boast.*` without the credentials; README.md says what each key means."""

    account_ids: Any | None = None
    lock_timeout: float = 60.0


def settings() -> Settings:
    """The settings as configured.

    Raises ConfigurationError for a file that cannot be read or a value that cannot work.
    """
    try:
        return resolve_configuration(Settings(), sections=("sources", "boast"))
    except ConfigurationException as error:
        raise ConfigurationError(
            f"A setting under sources.boast cannot be used: {_gist(error)}",
            hint="Correct it in .dlt/config.toml or in the environment; README.md lists every key.",
        ) from None


def account_ids_from(given: Sequence[str] | str | None) -> tuple[str, ...] | None:
    """Account ids from a list, a JSON list or a comma-separated text; None: all accounts."""
    if given is None or given in ("", [], ()):
        return None
    if isinstance(given, str):
        try:
            given = json.loads(given) if given.lstrip().startswith("[") else given.split(",")
        except json.JSONDecodeError:
            given = None
    ids = tuple(str(one).strip() for one in given or () if str(one).strip())
    if not ids or any("/" in one or "?" in one or " " in one for one in ids):
        raise ConfigurationError(
            "sources.boast.account_ids is not a list of account ids",
            hint='Give it as ["id", "id"] or as id,id; leave it out for all accounts. `boast check` lists them.',
        )
    return ids


def _gist(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
