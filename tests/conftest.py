"""What the tests share: a sandbox over real HTTP, a folder of their own, a Postgres, the built wheel."""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter
from pathlib import Path

import hypothesis
import pytest

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"

from dlt.common.configuration.container import Container
from dlt.common.pipeline import PipelineContext

from boast_source.sandbox import SandboxOptions
from boast_source.sandbox.server import running
from tests.support.quicker import remember_types
from tests.support.wheel import built
from tests.support.workplace import Workplace

pytest_plugins = ["tests.support.postgres", "tests.support.warehouses", "tests.support.datasets"]

hypothesis.settings.register_profile("unhurried", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("unhurried")
remember_types()


@pytest.fixture
def sandbox():
    """A factory: `sandbox(enrollments=50, order="updated_desc")` is a running server (see sandbox/server.py)."""
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(running(SandboxOptions(**options)))


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    return built(tmp_path_factory.mktemp("dist"))


@pytest.fixture(autouse=True)
def no_pipeline_outlives_its_test():
    """The newest pipeline is active until there is another, and lends its destination to what is read without one."""
    yield
    Container()[PipelineContext].deactivate()


@pytest.fixture
def workplace(tmp_path) -> Workplace:
    (tmp_path / "home").mkdir()
    return Workplace(tmp_path)


def pytest_collection_modifyitems(items):
    """Begin with what has a timeout of its own: it takes minutes, and at the end a processor would wait for it."""
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)


def pytest_terminal_summary(terminalreporter):
    """Say how long each tier took, all workers together."""
    seconds = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if path := re.match(r"tests/(\w+)/", getattr(report, "nodeid", "")):
                seconds[path[1]] += getattr(report, "duration", 0)
    if len(seconds) > 1:
        terminalreporter.write_line(
            "seconds of all workers: " + ", ".join(f"{tier} {spent:.0f}" for tier, spent in seconds.items())
        )
