"""`make base` pins the image's base by digest; here against a registry on loopback that answers as Docker Hub does."""

from __future__ import annotations

import hashlib
import re

import pytest

from tests.support.http_server import reply, serving
from tools.base import DOCKERFILE, FROM, main

MANIFEST = b'{"schemaVersion": 2, "manifests": []}'
DIGEST = f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}"


def registry(digest=DIGEST):
    """The script of a server that wants a token, which it gives to everybody."""

    def answer(request):
        if request.target.startswith("/token?"):
            assert "scope=repository%3Alibrary%2Fpython%3Apull" in request.target
            return reply(200, {"token": "anonymous"})
        assert request.target == "/v2/library/python/manifests/3.12-slim"
        if request.token != "anonymous":
            scope = 'service="registry",scope="repository:library/python:pull"'
            challenge = f'Bearer realm="http://{request.headers["host"]}/token",{scope}'
            return reply(401, b"", {"WWW-Authenticate": challenge})
        assert "index" in request.headers["accept"]
        return reply(200, MANIFEST, {"Docker-Content-Digest": digest})

    return answer


@pytest.fixture
def dockerfile(tmp_path):
    path = tmp_path / "Dockerfile"
    path.write_text("# a comment\nFROM python:3.12-slim\nUSER 10001\n")
    return path


def test_the_base_is_pinned_once_and_an_older_digest_is_noticed(dockerfile):
    with serving(registry()) as server:
        with pytest.raises(SystemExit, match="make base"):
            main(dockerfile, check=True, registry=server.url)
        assert main(dockerfile, registry=server.url) == f"pinned python:3.12-slim@{DIGEST}"
        assert dockerfile.read_text() == f"# a comment\nFROM python:3.12-slim@{DIGEST}\nUSER 10001\n"
        assert "is what the tag points to" in main(dockerfile, check=True, registry=server.url)
        dockerfile.write_text(dockerfile.read_text().replace(DIGEST, f"sha256:{'0' * 64}"))
        with pytest.raises(SystemExit, match="make base"):
            main(dockerfile, check=True, registry=server.url)


def test_a_manifest_that_is_not_its_digests_is_refused(dockerfile):
    with serving(registry(f"sha256:{'1' * 64}")) as server, pytest.raises(OSError, match="not what its digest says"):
        main(dockerfile, registry=server.url)
    assert "@" not in dockerfile.read_text()


def test_the_dockerfile_has_one_base_by_digest_and_the_workflow_takes_todays_before_it_builds():
    text = DOCKERFILE.read_text(encoding="utf-8")
    assert FROM.search(text)["digest"]
    assert len(FROM.findall(text)) == len(re.findall("^FROM ", text, re.MULTILINE)) == 1
    workflow = DOCKERFILE.parents[2] / ".github" / "workflows" / "tests.yml"
    runs = re.findall(r"- run: (make .*)", workflow.read_text(encoding="utf-8"))
    assert runs.index("make base") < runs.index("make test-docker")
