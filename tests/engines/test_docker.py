"""The image itself, built by a Docker engine: `make test-docker`. Without one, test_kubernetes.py has the next best."""

from __future__ import annotations

import subprocess
import uuid

import pytest

from tests.engines.conftest import ROOT
from tests.support.stored_in_postgres import listed, stored

DOCKERFILE = "pipelines/kubernetes/Dockerfile"
NETWORK = ["--network", "host"]  # where the servers of the tests are, and the index of packages for who has his own


def docker(*arguments):
    return subprocess.run(["docker", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=1200)


@pytest.fixture(scope="module")
def image():
    name = f"boast-test-{uuid.uuid4().hex}"
    done = docker("build", *NETWORK, "--file", DOCKERFILE, "--tag", name, ".")
    assert done.returncode == 0, done.stdout + done.stderr
    yield name
    docker("rmi", "--force", name)


@pytest.mark.timeout(1500)
def test_the_image_does_a_night_into_postgres_and_forgets_everything(image, sandbox, postgres):
    server = sandbox(enrollments=40)
    given = [word for pair in (server.info["env"] | postgres.env).items() for word in ("--env", "=".join(pair))]
    for _ in range(2):  # each in a container of its own: only Postgres remembers
        done = docker("run", "--rm", *NETWORK, *given, image)
        assert done.returncode == 0, done.stdout + done.stderr
        assert stored(postgres) == listed(server)
    assert "0 loaded" in done.stdout + done.stderr
    assert server.access_token not in done.stdout + done.stderr


def test_the_image_shows_the_demo_without_an_account_and_as_no_root(image):
    done = docker("run", "--rm", image, "demo")
    assert done.returncode == 0, done.stdout + done.stderr
    who = docker("run", "--rm", "--entrypoint", "id", image, "--user")
    assert who.stdout.strip() == "10001"
