"""The command of a load into Postgres, the rows it stored (as the API spells them), and the sandbox's records."""

from __future__ import annotations

INTO = ("load", "--destination", "postgres")
FIELDS = ("id", "contact_id", "sequence_id", "response_id", "status", "account_id")


def loaded(done):
    assert done.code == 0, done.err
    return sum(account["loaded"] for account in done.json["accounts"])


def stored(postgres):
    stamp = "to_char({0} at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
    times = f"{stamp.format('created_at')}, {stamp.format('updated_at')}"
    table = "boast_data.sequence_enrollments where missing_since is null"
    rows = postgres.sql(f"select {', '.join(FIELDS)}, {times} from {table}")
    return {row[0]: dict(zip((*FIELDS, "created_at", "updated_at"), row, strict=True)) for row in rows}


def listed(server):
    """Return the API's enrollments by id, with their documented fields."""
    names = (*FIELDS, "created_at", "updated_at")
    return {key: {name: record[name] for name in names} for key, record in server.truth().items()}


def counts(postgres, table, key):
    return postgres.sql(f"select count(*), count(distinct {key}) from boast_data.{table}")[0]
