"""The set-up of nightly tests: a sandbox, a workplace that points to it, and contacts that can be enrolled."""

from __future__ import annotations

import duckdb

from tests.support.sandbox_client import client_of
from tests.support.workplace import NO_REPORT

PENDING = "create table boast_data.pending_enrollments (contact_id text, sequence_id text)"
OUTAGE = {"kind": "status", "status": 401, "body": "none"}


def with_pairs(sandbox, workplace):
    """Return a sandbox, a workplace, and (contact, sequence) pairs without an enrollment."""
    server = sandbox(enrollments=60)
    workplace.use(server, **NO_REPORT)
    return server, workplace, pairs(server)


def with_webhook(sandbox, workplace, hook):
    """Return a sandbox, a nightly pipeline with a webhook and a ledger, and `ask(n)`, which adds n valid requests."""
    server = sandbox(enrollments=40)
    workplace.use(server, SOURCES__BOAST__WEBHOOK_URL=hook.url, SOURCES__BOAST__LOCK_TIMEOUT="0.2", **NO_REPORT)
    free = iter(pairs(server))

    def ask(count):
        with duckdb.connect(str(workplace.folder / "boast.duckdb")) as connection:
            for _ in range(count):
                connection.execute("insert into boast_data.pending_enrollments values (?, ?)", next(free))

    with duckdb.connect(str(workplace.folder / "boast.duckdb")) as connection:
        connection.execute("create schema boast_data")
        connection.execute(PENDING)
    assert workplace.boast("nightly", "--new-ledger").code == 0
    assert hook.news() == []
    return server, workplace, ask


def pairs(server):
    with client_of(server) as client:
        contacts = [record["id"] for record in client.every("contacts")]
        sequences = [record["id"] for record in client.every("sequences")]
    there = {(e["contact_id"], e["sequence_id"]) for e in server.truth().values()}
    return [(c, s) for s in sequences for c in contacts if (c, s) not in there]


def ask(workplace, some):
    with duckdb.connect(str(workplace.folder / "boast.duckdb")) as connection:
        connection.execute("create schema if not exists boast_data")
        connection.execute(PENDING.replace("create table", "create table if not exists"))
        connection.executemany("insert into boast_data.pending_enrollments values (?, ?)", some)
