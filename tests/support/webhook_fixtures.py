"""Fixtures of a nightly pipeline with a webhook."""

from __future__ import annotations

import pytest

from tests.support.nights import with_webhook
from tests.support.webhook import webhook


@pytest.fixture
def hook():
    with webhook() as found:
        yield found


@pytest.fixture
def night(sandbox, workplace, hook):
    return with_webhook(sandbox, workplace, hook)
