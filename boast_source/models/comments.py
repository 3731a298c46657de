"""What each table, view and column means, and its comments in destinations that have them (DuckDB, Postgres).

docs/model.md tells how they hang together; a test says that nothing here is absent there, nor in the warehouse.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from boast_source import warehouse
from boast_source.errors import DestinationError
from boast_source.shapes import VIEWS

if TYPE_CHECKING:
    from dlt.destinations.sql_client import SqlClientBase

log = logging.getLogger("boast_source")

TABLES = {
    "sequence_enrollments": "One row per enrollment, in its newest version.",
    "sequence_enrollments_history": "One row per version of an enrollment that was ever seen; nothing is deleted.",
    "accounts": "One row per account that the token sees.",
    "contacts": "One row per contact: people's data.",
    "forms": "One row per form.",
    "responses": "One row per response, a testimonial; holds people's data.",
    "sequences": "One row per sequence of messages.",
    "push_ledger": "One row per event of a pushed request, append-only: what was claimed, sent, found out, decided.",
    "runs": "One row per run of a command.",
    "enrollment_history": "Each version of an enrollment with the time in which it was the newest one seen.",
    "enrollment_daily": "Per day, account and sequence: enrolled, completed, removed, active at the end of the day.",
    "enrollment_milestones": "One row per enrollment: when it was enrolled, completed, responded, how long it took.",
    "enrollment_cohorts": "Per month of enrollment, account and sequence: what became of those enrolled in it.",
    "sequence_performance": "Per account and sequence: counts, rates, median times.",
    "push_requests": "One row per pushed request: its latest state and why.",
    "pipeline_health": "One row: is all well?",
}

# By column name, wherever it stands, unless SPECIAL says otherwise.
COLUMNS = {
    "id": "The API's id of the record.",
    "account_id": "The account that it belongs to.",
    "contact_id": "The person: contacts.id.",
    "sequence_id": "The sequence: sequences.id.",
    "response_id": "The response that came of it: responses.id; null if none did.",
    "form_id": "The form: forms.id.",
    "status": "As the API says it: for enrollments active, completed or removed; it may bring others.",
    "created_at": "When it was made, as the API says.",
    "updated_at": "When it last changed, as the API says.",
    "missing_since": "Since when the API no longer has it; null: it is there.",
    "observed_at": "When this version was first seen.",
    "version": "1 for the first version that was seen, and so on.",
    "version_key": "Hash of id, content and the version before: the key.",
    "content_hash": "Hash of the content.",
    "valid_from": "When this version was first seen.",
    "valid_to": "When the next version was seen; null: it is the newest.",
    "is_current": "Whether it is the newest version.",
    "day": "The day, in sources.boast.time_zone (UTC by default).",
    "month": "First day of the month of enrollment, in sources.boast.time_zone (UTC by default).",
    "sequence_name": "The sequence's name; null where sequences are not loaded.",
    "enrolled": "How many were enrolled.",
    "active": "How many of them are active now.",
    "completed": "How many of them have completed.",
    "removed": "How many of them were removed.",
    "other": "How many of them have another status.",
    "responded": "How many of them have a response.",
    "missing": "How many the API no longer has; they count nowhere else.",
    "completion_rate": "completed / enrolled.",
    "removal_rate": "removed / enrolled.",
    "response_rate": "responded / enrolled.",
    "completed_in_30_days": "How many completed within 30 days of their enrollment.",
    "responded_in_30_days": "How many responded within 30 days of their enrollment.",
    "completion_rate_30_days": "completed_in_30_days / enrolled.",
    "response_rate_30_days": "responded_in_30_days / enrolled.",
    "had_30_days": "Whether all of that month have had their 30 days.",
    "enrolled_at": "created_at, else the first updated_at.",
    "completed_at": "The updated_at with which completed was first seen; null if it is not completed now.",
    "responded_at": "The response's created, else the updated_at with which the response was first seen.",
    "hours_to_complete": "Hours from created_at to completed_at.",
    "hours_to_respond": "Hours from created_at to responded_at.",
    "median_hours_to_complete": "Median hours from created_at to completed_at, of those completed.",
    "median_hours_to_respond": "Median hours from created_at to responded_at, of those that responded.",
    "first_enrolled_at": "When the first was enrolled.",
    "last_enrolled_at": "When the last was enrolled.",
    "request_key": "The request: its request_id, else a hash of what it asks for.",
    "content_key": "Hash of account, contact, sequence, action and enrollment id.",
    "action": "enroll or remove.",
    "enrollment_id": "The enrollment that came of it, or that was removed: sequence_enrollments.id.",
    "known_enrollment_ids": "Enrollments of that contact and sequence known at the claim, as JSON.",
    "state": "See the push states in docs/push.md.",
    "http_status": "The API's answer; null where none came.",
    "error_code": "The API's error code, or ours.",
    "error_detail": "What the API said, without people's data.",
    "reason": "Why it is in this state.",
    "event": "Number of the event, ascending over the whole ledger.",
    "attempt": "How often it had been sent.",
    "attempts": "How often it was sent.",
    "recorded_at": "When, by the warehouse's clock.",
    "first_seen": "When it first came into the ledger, by the warehouse's clock.",
    "since": "When it came into this state, by the warehouse's clock.",
    "run_id": "The run: runs.run_id.",
}
SPECIAL = {
    ("enrollment_daily", "enrolled"): "How many were enrolled on that day.",
    ("enrollment_daily", "completed"): "How many completed on that day.",
    ("enrollment_daily", "removed"): "How many were removed on that day.",
    ("enrollment_daily", "active"): "How many were active at the end of that day.",
    ("enrollment_daily", "other_changes"): "What else moved active on that day: vanished, came back, other statuses.",
    ("accounts", "account_id"): "The same as id.",
    ("runs", "command"): "load, push or nightly.",
    ("runs", "started_at"): "When it began.",
    ("runs", "finished_at"): "When it ended.",
    ("runs", "status"): "ok, attention (something waits for a person), failed or locked.",
    ("runs", "exit_code"): "0 done, 1 failed, 2 wrong configuration, 3 something waits for a person, 4 locked.",
    ("runs", "verified"): "How sure it is that warehouse and API are equal: exact, covered, moving or failed.",
    ("runs", "listed"): "Enrollments that the API listed.",
    ("runs", "loaded"): "Enrollments that were new or changed.",
    ("runs", "missing"): "Enrollments found missing from the API.",
    ("runs", "sent"): "Requests that were sent.",
    ("runs", "refused"): "Requests that the API refused.",
    ("runs", "unknown"): "Requests whose fate was unknown at the end.",
    ("runs", "held"): "Requests that wait for a person's decision.",
    ("runs", "version"): "Version of the connector.",
    ("runs", "told"): "What people know of the pipeline's state since this run told them (webhook).",
    ("runs", "account_ids"): "The accounts that the run was given (--account); null: all.",
    ("runs", "error"): "What went wrong, without people's data.",
    (
        "pipeline_health",
        "last_success_at",
    ): "End of the last run that listed the enrollments and did not fail; of the account that waits longest for one.",
    ("pipeline_health", "hours_since_success"): "Hours since then.",
    ("pipeline_health", "verified"): "How sure that run was: exact, covered, moving or failed.",
    ("pipeline_health", "listed"): "Enrollments that the API listed in it.",
    ("pipeline_health", "stored"): "Enrollments that are here now and not missing.",
    ("pipeline_health", "missing"): "Enrollments that the API no longer has.",
    ("pipeline_health", "waiting"): "held + refused + unknown.",
    ("pipeline_health", "held"): "Requests that wait for a person's decision.",
    ("pipeline_health", "refused"): "Requests that the API refused.",
    ("pipeline_health", "unknown"): "Requests whose fate is unknown.",
    **{
        ("pipeline_health", f"last_{column}"): f"Of the last run: runs.{column}."
        for column in ("run_id", "command", "status", "exit_code", "finished_at", "error")
    },
}

_CATALOG = {
    "duckdb": "select table_name, null, comment from duckdb_tables()"
    " where schema_name = %s and database_name = current_database()"
    " union all select view_name, null, comment from duckdb_views()"
    " where schema_name = %s and database_name = current_database()"
    " union all select table_name, column_name, comment from duckdb_columns()"
    " where schema_name = %s and database_name = current_database()",
    "postgres": "select c.relname, null, obj_description(c.oid, 'pg_class') from pg_class c"
    " join pg_namespace n on n.oid = c.relnamespace where n.nspname = %s and c.relkind in ('r', 'v')"
    " union all select c.relname, a.attname, col_description(c.oid, a.attnum) from pg_attribute a"
    " join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace"
    " where n.nspname = %s and n.nspname = %s and c.relkind in ('r', 'v') and a.attnum > 0 and not a.attisdropped",
}


def meaning(table: str, column: str) -> str | None:
    """What a column means; None where nobody said."""
    return SPECIAL.get((table, column)) or (COLUMNS.get(column) if table in TABLES else None)


def comment(client: SqlClientBase[Any]) -> None:
    """Give tables, views and columns their comments, those that differ; what the destination refuses is left alone."""
    catalog = _CATALOG.get(str(client.capabilities.sqlglot_dialect))
    if catalog is None:
        return
    try:
        with warehouse.explained():
            found = client.execute_sql(catalog, *[client.dataset_name] * 3) or ()
            statements = [
                statement for table, column, said in found if (statement := _statement(client, table, column, said))
            ]
            if statements:
                client.execute_sql(";\n".join(statements))
    except DestinationError as error:
        log.info("tables and views have no comments: %s", error.message)


def _statement(client: SqlClientBase[Any], table: str, column: str | None, said: str | None) -> str | None:
    wanted = meaning(table, column) if column else TABLES.get(table)
    if wanted is None or wanted == said or table not in TABLES:
        return None
    name = client.make_qualified_table_name(table)
    text = wanted.replace("'", "''")
    if column:
        return f"comment on column {name}.{client.escape_column_name(column)} is '{text}'"
    return f"comment on {'view' if table in VIEWS else 'table'} {name} is '{text}'"
