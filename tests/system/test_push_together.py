"""Two pushes at once, each on a machine of its own (no lock file in common): the warehouse lets one of them send."""

from __future__ import annotations

import pytest

from tests.support.workplace import finish
from tests.system.test_push_kill import ask

REQUESTS = 150


@pytest.fixture
def slow(sandbox, workplace):
    """A sandbox whose POSTs take a while, so that the two overlap."""
    server = sandbox(enrollments=150, page_size=100)
    server.control("POST", "faults", {"kind": "latency", "seconds": 0.1, "method": "POST"})
    workplace.use(server)
    return server


def machine(workplace, number):
    return {"DLT_DATA_DIR": str(workplace.folder / f"state{number}"), "HOME": str(workplace.folder / f"home{number}")}


def test_on_duckdb_the_second_waits_for_the_file_and_finds_all_done(slow, workplace):
    ask(slow, workplace, REQUESTS)
    workplace.boast("push", "--new-ledger", "--limit", "0", **machine(workplace, 0))
    both = [workplace.start("push", "--json", **machine(workplace, number)) for number in (1, 2)]
    done = [finish(process) for process in both]
    assert [d.code for d in done] == [0, 0], [d.err for d in done]
    assert sorted(d.json["enrolled"] for d in done) == [0, REQUESTS]
    assert slow.control("GET", "counters")["duplicates"] == []


def test_on_postgres_the_second_ends_with_4_and_sends_nothing(slow, workplace, postgres):
    pairs = ask(slow, workplace, REQUESTS)
    workplace.env |= postgres.env
    values = ", ".join(f"('{contact}', '{sequence}')" for contact, sequence in pairs)
    postgres.sql(
        "create schema boast_data; create table boast_data.pending_enrollments (contact_id uuid, sequence_id uuid);"
        f" insert into boast_data.pending_enrollments values {values}"
    )
    push = ("push", "--destination", "postgres", "--json")
    workplace.boast(*push, "--new-ledger", "--limit", "0", **machine(workplace, 0))
    both = [workplace.start(*push, **machine(workplace, number)) for number in (1, 2)]
    done = sorted((finish(process) for process in both), key=lambda d: d.code)
    assert [d.code for d in done] == [0, 4], [d.err for d in done]
    assert done[0].json["enrolled"] == REQUESTS
    assert slow.control("GET", "counters")["duplicates"] == []
    assert slow.control("GET", "counters")["writes"] == {"POST sequence_enrollments": REQUESTS}
