"""kill -9 and a lying network at once: the server outlives the killed client, and counts who was enrolled how often."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter

import duckdb

from boast_source.push.result import STATES
from tests.support.sandbox_client import client_of
from tests.support.waiting import until
from tests.support.workplace import finish

KILLS = int(os.environ.get("BOAST_KILLS", "4"))  # `make soak` asks for many more
REQUESTS = int(os.environ.get("BOAST_REQUESTS", "150"))
SETTLE_AFTER, HELD = 4.0, 1.5  # seconds; the server acts within HELD of a request's last byte, so within SETTLE_AFTER
FINAL = {"enrolled", "removed", "refused", "skipped_active", "skipped_duplicate", "withdrawn", "dropped"}
# together 20 % of the writes
FAULTS = [
    {"kind": "error_before_write"},
    {"kind": "error_after_write"},
    {"kind": "drop_after_write", "seconds": 0},
    {"kind": "hold_then_act", "seconds": HELD},
    {"kind": "status", "status": 429, "retry_after": 0},
    {"kind": "status", "status": 503, "body": "none"},
    {"kind": "cut_body"},
    {"kind": "not_json"},
]


def test_each_request_is_carried_out_once_whatever_the_network_does_and_whenever_the_client_is_killed(
    sandbox, workplace
):
    server = sandbox(enrollments=max(150, REQUESTS // 4), page_size=100, latency=0.01)
    workplace.use(
        server,
        SOURCES__BOAST__REQUEST_TIMEOUT="1",
        SOURCES__BOAST__PUSH__SETTLE_AFTER=str(SETTLE_AFTER),
        SOURCES__BOAST__PUSH__MAX_SENDS=str(REQUESTS),
        SOURCES__BOAST__PUSH__MAX_UNKNOWNS_IN_A_ROW="1000",
        SOURCES__BOAST__PUSH__MAX_ATTEMPTS="1000",
    )
    pairs = ask(server, workplace, REQUESTS)
    rules = [{"method": "POST", "path": "sequence_enrollments", "probability": 0.2 / len(FAULTS)} | f for f in FAULTS]
    server.control("POST", "faults", rules)
    assert workplace.boast("push", "--new-ledger", "--limit", "0").code == 0
    push = ("push", "--json")
    rng = random.Random(KILLS)
    killed = 0
    while killed < KILLS:
        process = workplace.start(*push)
        time.sleep(rng.uniform(0.8, 6))
        killed += process.poll() is None
        process.kill()
        finish(process)
        if killed % 10 == 9:
            time.sleep(SETTLE_AFTER)  # else most of what was claimed only waits
    for _ in range(60):
        done = workplace.boast(*push)
        assert done.code in {0, 3}, done.err
        assert done.json["queried"] == sum(done.json[state] for state in STATES)
        if not done.json["queried"]:
            break
        time.sleep(SETTLE_AFTER)
    assert done.json["queried"] == 0, done.json
    enrolled = Counter((e["contact_id"], e["sequence_id"]) for e in server.truth().values())
    assert [pair for pair in pairs if enrolled[pair] != 1] == []
    assert server.control("GET", "counters")["duplicates"] == []
    states = dict(workplace.sql("select request_key, state from boast_data.push_requests"))
    assert len(states) == REQUESTS
    assert set(states.values()) <= FINAL


def ask(server, workplace, count: int) -> list[tuple[str, str]]:
    """Fill the pending table with pairs that have no enrollment."""
    there = {(e["contact_id"], e["sequence_id"]) for e in server.truth().values()}
    with client_of(server) as client:
        contacts = [record["id"] for record in client.every("contacts")]
        sequences = [record["id"] for record in client.every("sequences")]
    free = [(c, s) for s in sequences for c in contacts if (c, s) not in there][:count]
    assert len(free) == count
    with duckdb.connect(str(workplace.folder / "boast.duckdb")) as connection:
        connection.execute("create schema boast_data")
        connection.execute("create table boast_data.pending_enrollments (contact_id text, sequence_id text)")
        columns = [[pair[0] for pair in free], [pair[1] for pair in free]]
        connection.execute(
            "insert into boast_data.pending_enrollments select unnest(?::varchar[]), unnest(?::varchar[])", columns
        )
    return free


def test_sigterm_lets_what_is_in_flight_end_and_leaves_nothing_unknown(sandbox, workplace):
    server = sandbox(enrollments=150, page_size=100)
    workplace.use(server)
    pairs = ask(server, workplace, 150)
    rule = {"kind": "latency", "seconds": 0.2, "method": "POST", "path": "sequence_enrollments"}
    server.control("POST", "faults", rule)
    process = workplace.start("push", "--json", "--new-ledger")
    until(lambda: server.control("GET", "counters")["writes"], process=process)
    process.send_signal(signal.SIGTERM)
    done = finish(process)
    assert done.code == 3, done.err
    assert (done.json["unknown"], done.json["enrolled"] + done.json["deferred"]) == (0, len(pairs))
    assert done.json["enrolled"] == server.control("GET", "counters")["writes"]["POST sequence_enrollments"]
    assert 0 < done.json["enrolled"] < len(pairs)
    server.control("DELETE", "faults")
    again = workplace.boast("push", "--json")
    assert (again.code, again.json["enrolled"]) == (0, done.json["deferred"])
    assert server.control("GET", "counters")["duplicates"] == []
