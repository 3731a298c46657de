"""Pushes into datasets whose names look like anything: a name is never read as a part of a query."""

from __future__ import annotations

import pytest

from tests.support.sandbox_client import POST

pytest_plugins = ["tests.support.postgres", "tests.support.push_fixtures"]

NAMES = ["enrollments_prod", "runs_x", "ledger_x", 'push_ledger. "odd" {final} name']


@pytest.fixture(params=["duckdb", "postgres"])
def database(request):
    return request.getfixturevalue("postgres") if request.param == "postgres" else None


@pytest.mark.parametrize("dataset", NAMES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_dataset_may_have_any_name(pushing, database, dataset, monkeypatch):
    monkeypatch.setenv("DESTINATION__ENABLE_DATASET_NAME_NORMALIZATION", "false")
    desk = pushing(database, dataset)
    one, two = desk.free_pairs(2)
    desk.ask({"request_id": "1", **one}, {"request_id": "2", **two})
    desk.fault("error_after_write", times=1)
    first = desk.push()
    assert first.counts == {"enrolled": 2}, first.error
    desk.ask({"request_id": "out", **one, "action": "remove"})
    assert desk.push().counts == {"removed": 1}
    assert desk.states() == {"1": "enrolled", "2": "enrolled", "out": "removed"}
    assert desk.writes[POST] == 2
