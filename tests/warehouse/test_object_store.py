"""Nights on a machine that forgets: their tokens and their report are in an object store."""

from __future__ import annotations

import shutil

import pytest

from tests.support import object_store
from tests.support.warehouses import HERE

pytestmark = pytest.mark.skipif(not HERE, reason="moto is in the environment of `make test-warehouses`")


def test_nights_keep_their_tokens_and_their_report_in_s3(sandbox, workplace):
    server = sandbox(enrollments=10, revoke="at_once")
    workplace.use_oauth(server)
    tokens = []
    with object_store.serving() as bucket:
        workplace.env |= bucket.env | {"SOURCES__BOAST__REPORT_PATH": f"{bucket.url}/night.html"}
        workplace.env["SOURCES__BOAST__CREDENTIALS__TOKEN_STORE"] = f"{bucket.url}/secrets/tokens.json"
        for _ in range(2):
            server.control("POST", "tokens", {"expire": True})
            done = workplace.boast("nightly")
            assert done.code == 0, done.err
            assert "Sequence" in bucket.read("night.html")
            tokens.append(bucket.read("secrets/tokens.json"))
            bucket.client.delete_object(Bucket=bucket.name, Key="night.html")
            for folder in ("home", "state"):
                shutil.rmtree(workplace.folder / folder)
    assert tokens[0] != tokens[1]
