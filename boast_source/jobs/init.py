"""The configuration of a folder: `.dlt/config.toml`, `.dlt/secrets.toml`, and a `.gitignore` that keeps secrets out."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from boast_source.config import flat
from boast_source.errors import ConfigurationError
from boast_source.private import no_pipe, replace_file

CONFIG, SECRETS = Path(".dlt", "config.toml"), Path(".dlt", "secrets.toml")
# for the user's own dlt scripts; the commands set these themselves (logs.py)
DEFAULTS = {"runtime.dlthub_telemetry": False, "load.delete_completed_jobs": True}
IGNORED = (".dlt/secrets.toml", "*.duckdb", "*.duckdb.wal")


def current(folder: Path, path: Path) -> Mapping[str, Any]:
    """Return a file's settings by dotted key. Raises ConfigurationError when it cannot be read."""
    return flat(_document(folder / path).unwrap())


def write(folder: Path, settings: Mapping[str, Any], secrets: Mapping[str, Any]) -> list[Path]:
    """Set dotted keys in the folder's files and leave their other lines unchanged. Return the files that changed.

    The secrets file is created with mode 0600.

    Raises ConfigurationError when a file cannot be read or written.
    """
    defaults = {key: value for key, value in DEFAULTS.items() if key not in current(folder, CONFIG)}
    try:
        (folder / CONFIG).parent.mkdir(exist_ok=True)
        ignored = _ignore(folder / ".gitignore")  # before there are secrets
        changed = [
            *_set(folder / CONFIG, {**defaults, **settings}, 0o644),
            *_set(folder / SECRETS, secrets, 0o600),
            *ignored,
        ]
    except OSError as error:
        raise ConfigurationError(
            f"{error.filename} cannot be written: {error.strerror}", hint="Free the folder, or choose another."
        ) from error
    return changed


def _document(path: Path) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(no_pipe(path).read_text()) if path.exists() else tomlkit.document()
    except (OSError, UnicodeDecodeError, TOMLKitError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ConfigurationError(
            f"{path} cannot be read: {reason}", hint="Correct it or move it away, then run init again."
        ) from error


def _set(path: Path, values: Mapping[str, Any], mode: int) -> list[Path]:
    document = _document(path)
    if all(flat(document.unwrap()).get(key) == value for key, value in values.items()):
        if path.exists() and mode == 0o600:
            path.chmod(mode)
        return []
    for key, value in values.items():
        *sections, name = key.split(".")
        table: Any = document
        for section in sections:
            table = table.setdefault(section, tomlkit.table(is_super_table=section != sections[-1]))
            if not isinstance(table, MutableMapping):
                raise ConfigurationError(
                    f"{path} cannot be changed: it has a value where a section belongs ({section})",
                    hint="Correct it or move it away, then run init again.",
                )
        table[name] = value
    replace_file(Path(os.path.realpath(path)), tomlkit.dumps(document), mode)
    return [path]


def _ignore(path: Path) -> list[Path]:
    there = no_pipe(path).read_text(errors="surrogateescape").splitlines() if path.exists() else []
    lacking = [line for line in IGNORED if line not in there]
    if lacking:
        path.write_text("\n".join([*there, *lacking, ""]), errors="surrogateescape")
    return [path] if lacking else []
