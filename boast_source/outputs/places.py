"""Places that users name: a path, or a URL."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname


def local_path(place: str) -> Path | None:
    """The path that a place names, `file:` URLs decoded; None for any other URL."""
    if place.startswith("file:"):
        return Path(url2pathname(urlsplit(place).path)).resolve()
    return None if "://" in place else Path(place).expanduser().resolve()
