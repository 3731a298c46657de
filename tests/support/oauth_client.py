"""A client of `oauth_server`, the content of its token store, and the server's two modes of revoking tokens."""

import json

import pytest

from boast_source.api import BoastClient, OAuthCredentials, RetryPolicy
from tests.support.oauth_server import settings

QUICK = RetryPolicy(attempts=3, first_wait=0.01, longest_wait=0.02)
MODES = pytest.mark.parametrize("at_once", [False, True], ids=["on use", "at once"])


def client(oauth, store, **how):
    return BoastClient(OAuthCredentials(**settings(oauth, store, **how)), base_url=oauth.url, retries=QUICK)


def stored(store):
    return json.loads(store.read_bytes())
