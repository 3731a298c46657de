"""Write outputs to a local path (atomically) or to any fsspec URL."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import fsspec

from boast_source.errors import ConfigurationError, DestinationError
from boast_source.private import replace_file


def local_path(place: str) -> Path | None:
    """Return the path of a place, with `file:` URLs decoded; None for any other URL."""
    if place.startswith("file:"):
        place = url2pathname(urlsplit(place).path)
    return None if "://" in place else Path(os.path.realpath(Path(place).expanduser()))


def write(text: str, place: str) -> str:
    """Write the text as UTF-8; return the full path or URL.

    Raises ConfigurationError for an unusable place, DestinationError when it cannot be written.
    """
    path = local_path(place)
    if path is None:
        return _upload(text, place)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, text, 0o666)  # no personal data: the umask decides
    except OSError as error:
        raise DestinationError(
            f"The report cannot be written to {path}: {error.strerror}",
            hint="Free space or permissions there, or choose another place with --output or sources.boast.report_path.",
        ) from None
    return str(path)


def _upload(text: str, url: str) -> str:
    try:
        with fsspec.open(url, "wb") as file:
            file.write(text.encode())
    except (ImportError, ValueError) as error:
        raise ConfigurationError(
            f"The place of the report cannot be used: {type(error).__name__}",
            hint="Give a path, or a URL that fsspec knows and whose package is installed, for example s3fs for s3://.",
        ) from None
    except Exception as error:  # noqa: BLE001 -- each file system has its own
        raise DestinationError(
            f"The report cannot be written to {urlsplit(url).scheme}://: {type(error).__name__}",
            hint="Check the URL, and the rights of the credentials that fsspec finds in the environment.",
        ) from None
    return url
