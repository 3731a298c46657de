"""Pin the image's base by what its tag points to now: `make base`; `make base CHECK=--check` only says whether it is.

Asks the registry as docker does (OCI Distribution Specification), and compares the manifest with its digest.
"""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

import requests

DOCKERFILE = Path(__file__).parent.parent / "pipelines" / "kubernetes" / "Dockerfile"
HUB = "https://registry-1.docker.io"
FROM = re.compile(r"^FROM (?P<name>[\w./-]+):(?P<tag>[\w.-]+)(?:@(?P<digest>sha256:[0-9a-f]{64}))?$", re.MULTILINE)
INDEXES = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json"


def digest_of(name: str, tag: str, registry: str = HUB) -> str:
    """Return the digest of the index of all platforms. Raises OSError, also for a manifest that is not its digest's."""
    repository = name if "/" in name else f"library/{name}"
    url, headers = f"{registry}/v2/{repository}/manifests/{tag}", {"Accept": INDEXES}
    answer = requests.get(url, headers=headers, timeout=60)
    if answer.status_code == 401:
        headers["Authorization"] = f"Bearer {_token(answer.headers['WWW-Authenticate'])}"
        answer = requests.get(url, headers=headers, timeout=60)
    answer.raise_for_status()
    found = f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
    if answer.headers["Docker-Content-Digest"] != found:
        raise OSError(f"the manifest of {name}:{tag} is not what its digest says")
    return found


def _token(challenge: str) -> str:
    """Return what the realm of a challenge gives to everybody."""
    asked = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    answer = requests.get(asked.pop("realm"), params=asked, timeout=60)
    answer.raise_for_status()
    return str(answer.json()["token"])


def main(path: Path = DOCKERFILE, *, check: bool = False, registry: str = HUB) -> str:
    """Return what to say; with `check` the file stays as it is, and SystemExit says that it is not pinned so."""
    text = path.read_text(encoding="utf-8")
    base = FROM.search(text)
    if not base:
        raise SystemExit("The Dockerfile has no FROM name:tag")
    digest = digest_of(base["name"], base["tag"], registry)
    pinned = f"{base['name']}:{base['tag']}@{digest}"
    if base["digest"] == digest:
        return f"{pinned} is what the tag points to"
    if check:
        raise SystemExit(f"The Dockerfile's base is not {pinned}: run `make base`, and build and test the image")
    path.write_text(text[: base.start()] + f"FROM {pinned}" + text[base.end() :], encoding="utf-8")
    return f"pinned {pinned}"


if __name__ == "__main__":
    sys.stdout.write(main(check="--check" in sys.argv) + "\n")
