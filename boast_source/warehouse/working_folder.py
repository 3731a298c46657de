"""A pipeline's working folder: one that dlt cannot read is set aside, and the warehouse tells what it told."""

from __future__ import annotations

import logging
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import orjson
from dlt.common.schema.typing import SCHEMA_ENGINE_VERSION
from dlt.pipeline.state_sync import PIPELINE_STATE_ENGINE_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

STAMP = "%Y%m%dT%H%M%S.%f"
log = logging.getLogger("boast_source")


def aside(folder: Path) -> Path:
    """Return where what is set aside of a working folder is kept."""
    return folder.parent / f"{folder.name}_set_aside"


def set_aside(folder: Path, parts: Iterable[str] = ("",)) -> Path:
    """Move a working folder, or parts of it, out of dlt's way; return where they are. Raises OSError."""
    place = aside(folder) / f"{datetime.now(timezone.utc):{STAMP}}"
    for part in parts:
        if (folder / part).is_dir():
            (place / part).parent.mkdir(parents=True, exist_ok=True)
            (folder / part).replace(place / part)
    return place


def set_aside_unreadable(folder: Path) -> None:
    """Set the folder aside when its state or a schema is damaged, or of a newer dlt; say so. Raises OSError."""
    files = dict.fromkeys(folder.glob("schemas/*.json"), ("engine_version", SCHEMA_ENGINE_VERSION))
    if (folder / "state.json").exists():
        files[folder / "state.json"] = ("_state_engine_version", PIPELINE_STATE_ENGINE_VERSION)
    for file, (key, newest) in files.items():
        if not _is_readable(file, key, newest):
            place = set_aside(folder)
            log.warning("%s cannot be read: the pipeline's working folder is set aside in %s", file.name, place)
            return


def _is_readable(file: Path, key: str, newest: int) -> bool:
    try:
        version = orjson.loads(file.read_bytes())[key]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return False
    return isinstance(version, int) and version <= newest
