"""What nights begin with: a sandbox that a workplace points at, and people who can be enrolled."""

from __future__ import annotations

import duckdb

from tests.support.sandbox_client import client_of
from tests.support.workplace import NO_REPORT

PENDING = "create table boast_data.pending_enrollments (contact_id text, sequence_id text)"


def with_pairs(sandbox, workplace):
    """A sandbox, a workplace, and pairs that are free."""
    server = sandbox(enrollments=60)
    workplace.use(server, **NO_REPORT)
    return server, workplace, pairs(server)


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
