"""Pipelines' working folders: each dataset of each warehouse has its own. One that dlt cannot read is set aside, and
its state is restored from the warehouse.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.common.schema import Schema
from dlt.common.schema.typing import SCHEMA_ENGINE_VERSION
from dlt.common.storages import LoadStorage, NormalizeStorage
from dlt.pipeline.state_sync import PIPELINE_STATE_ENGINE_VERSION

from boast_source.logs import log

if TYPE_CHECKING:
    from collections.abc import Iterable

_WHERE = ("host", "port", "database", "catalog", "account", "project_id", "server_hostname")  # of credentials
STAMP = "%Y%m%dT%H%M%S.%f"


def address_of(destination: Any) -> str:
    """Return what identifies a warehouse, independent of the path to its file and of the login.

    Raises what dlt raises when the destination's settings are missing.
    """
    return " ".join([destination.destination_type, *map(_resolved, parts_of(destination))])


def parts_of(destination: Any) -> list[str]:
    """Return a warehouse's location from the settings: host, port, database, bucket, ... without the login.

    Raises what dlt raises when the destination's settings are missing.
    """
    spec = destination.spec()
    spec.dataset_name, spec.local_dir = "any", str(Path.cwd())
    config = destination.configuration(spec)
    parts = [getattr(config.credentials, name, None) for name in _WHERE] + [getattr(config, "bucket_url", None)]
    return [str(part) for part in parts if part]


def shown(destination: Any) -> str:
    """Return a warehouse's location for people, without the login; empty if the settings do not say."""
    with contextlib.suppress(ConfigurationException):
        return " ".join(re.sub(r"//[^/]*@", "//", part.partition("?")[0]) for part in parts_of(destination))
    return ""


def _resolved(part: str) -> str:
    scheme, sign, path = part.rpartition("://")
    if path.startswith("/"):
        return f"{scheme}{sign}{Path('/' + path.lstrip('/')).resolve()}"
    return part.lower() if "/" not in part else part


def folder_for(folder: Path, pipeline: str, address: str, dataset: str) -> Path:
    """Return where the pipelines into a dataset keep their state: the first dataset in the shared folder itself, others
    below it. Raises OSError.
    """
    mine = f"{address}\n{dataset}"
    own = folder / f"of_{_short_hash(mine)}"
    before = folder / f"of_{_short_hash(address)}"  # where it was when all datasets of a warehouse shared one
    for place in (folder, before, own):
        note = place / f"{pipeline}.warehouse"
        known = note.read_text() if note.exists() else None
        if known == mine:
            return place
        if known == address or (known is None and place == folder):
            if _is_of_another(place / pipeline / "state.json", address, dataset):
                continue
            note.write_text(mine)
            return place
    own.mkdir(exist_ok=True)
    (own / f"{pipeline}.warehouse").write_text(mine)
    return own


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def dataset_of(folder: Path, pipeline: str) -> str | None:
    """Return the dataset that a folder belongs to; None if that is not known."""
    note = folder / f"{pipeline}.warehouse"
    return note.read_text().partition("\n")[2] or None if note.exists() else None


def _is_of_another(state: Path, address: str, dataset: str) -> bool:
    """Whether an older version's state is of another warehouse or dataset, judged by kind, dataset and folder."""
    try:
        known = orjson.loads(state.read_bytes())
        kind, began = known["destination_type"], Path(known["_local"]["initial_cwd"])
        is_other = not _is_called(known, dataset)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    elsewhere = "://" not in address and "/" in address and began.is_dir() and not began.samefile(Path.cwd())
    return elsewhere or is_other or (kind is not None and kind != address.split(maxsplit=1)[0])


def is_of(package: Path, dataset: str, kind: str) -> bool:
    """Whether a load package belongs to this dataset on this kind of destination, as far as dlt noted it."""
    try:
        known = orjson.loads((package / ".restore" / "state.json").read_bytes())
        return _is_called(known, dataset) and known.get("destination_type") in {None, kind}
    except (OSError, ValueError, AttributeError):
        return True  # an older dlt, or damaged: the folder's owner finishes it, or sets it aside


def _is_called(state: dict[str, Any], dataset: str) -> bool:
    """Whether dlt's state is of this dataset, as far as it says; version 0.1.0 did not normalize the name."""
    name = state.get("dataset_name")
    return name in {None, dataset} or Schema("any").naming.normalize_table_identifier(str(name)) == dataset


def aside(folder: Path) -> Path:
    """Return the folder for what is set aside from a working folder."""
    return folder.parent / f"{folder.name}_set_aside"


def set_aside(folder: Path, parts: Iterable[str] = ("",)) -> Path:
    """Move a working folder, or parts of it, out of dlt's way; return the new place. Raises OSError."""
    place = aside(folder) / f"{datetime.now(timezone.utc):{STAMP}}"
    for part in parts:
        if (folder / part).is_dir():
            (place / part).parent.mkdir(parents=True, exist_ok=True)
            (folder / part).replace(place / part)
    return place


def set_aside_unreadable(folder: Path) -> None:
    """Set the folder aside, with a warning, if its state, a schema or a storage's version is damaged or of a newer dlt.
    Raises OSError.
    """
    files = dict.fromkeys(folder.glob("schemas/*.json"), ("engine_version", SCHEMA_ENGINE_VERSION))
    if (folder / "state.json").exists():
        files[folder / "state.json"] = ("_state_engine_version", PIPELINE_STATE_ENGINE_VERSION)
    unreadable = [file for file, (key, newest) in files.items() if not _is_readable(file, key, newest)]
    storages = {"normalize": NormalizeStorage.STORAGE_VERSION, "load": LoadStorage.STORAGE_VERSION}
    unreadable += [folder / name / ".version" for name, newest in storages.items() if _is_newer(folder / name, newest)]
    if unreadable:
        place = set_aside(folder)
        log.warning("%s cannot be read: the pipeline's working folder is set aside in %s", unreadable[0].name, place)


def _is_readable(file: Path, key: str, newest: int) -> bool:
    try:
        version = orjson.loads(file.read_bytes())[key]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return False
    return isinstance(version, int) and version <= newest


def _is_newer(storage: Path, newest: str) -> bool:
    """Whether a storage is of a newer dlt, or its version is unreadable."""
    file = storage / ".version"
    try:
        return file.exists() and _parsed(file.read_text()) > _parsed(newest)
    except ValueError:
        return True


def _parsed(version: str) -> list[int]:
    """Parse a version. Raises ValueError."""
    return [int(part) for part in version.split(".")]
