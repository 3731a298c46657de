"""Dagster: one asset per table, one partition per Boast account, a check for the verification and one for freshness.

Start it with `dagster dev -f boast_assets.py` and switch the schedules on. Each run executes the `boast` command.
Secrets come from the environment, as for every dlt pipeline: SOURCES__BOAST__CREDENTIALS__ACCESS_TOKEN,
DESTINATION__POSTGRES__CREDENTIALS. All runs may be retried and killed: a load compares everything again, a push sends
each request at most once.
"""

import json
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg

# What you may want to change:
# The command, best installed in a virtual environment of its own: then give its path here. The README explains how:
# pip install "boast-source[all] @ git+REPOSITORY@v0.2.0"
BOAST = "boast"
INTO = ["--destination", "postgres", "--dataset", "boast_data"]  # not DuckDB: its file has one writer
SCHEDULE = "0 2 * * *"
MAX_AGE = timedelta(hours=26)  # older data is stale
RETRY_AFTER = 300  # seconds, doubled with each of three retries
POOL = "boast"  # `dagster instance concurrency set boast 4`: accounts that load side by side

LISTS = ["accounts", "contacts", "forms", "responses", "sequences"]
TABLES = ["sequence_enrollments", "sequence_enrollments_history", *LISTS]
ENROLLMENTS = dg.AssetKey(["boast_data", "sequence_enrollments"])
ACCOUNTS = dg.DynamicPartitionsDefinition(name="boast_accounts")
AGAIN = dg.RetryPolicy(max_retries=3, delay=RETRY_AFTER, backoff=dg.Backoff.EXPONENTIAL)

STALE, WRONG_USAGE, NEEDS_ATTENTION = 1, 2, 3  # exit codes


def boast(*arguments: str, final: tuple[int, ...] = (WRONG_USAGE,), also: tuple[int, ...] = ()) -> Any:
    """Run a command and return its JSON. Exit codes in `final` are not worth a retry, those in `also` are no error."""
    with subprocess.Popen([BOAST, *arguments, *INTO, "--json"], stdout=subprocess.PIPE, text=True) as command:
        try:
            printed, _ = command.communicate()
        finally:
            command.terminate()  # a run that is stopped stops its command
    if command.returncode not in (0, *also):
        raise dg.Failure(
            f"boast {arguments[0]} ended with {command.returncode}, see its output",
            allow_retries=command.returncode not in final,
        )
    return json.loads(printed)


@dg.multi_asset(
    specs=[
        dg.AssetSpec(
            ["boast_data", table],
            group_name="boast",
            freshness_policy=dg.FreshnessPolicy.time_window(fail_window=MAX_AGE),
        )
        for table in TABLES
    ],
    check_specs=[dg.AssetCheckSpec("verified", asset=ENROLLMENTS)],
    partitions_def=ACCOUNTS,
    retry_policy=AGAIN,
    pool=POOL,
)
def boast_tables(context: dg.AssetExecutionContext) -> Iterator[Any]:
    """Load one account and verify it."""
    report = boast("load", "--account", context.partition_key, also=(NEEDS_ATTENTION,))["accounts"][0]
    told = {name: report[name] for name in ("listed", "loaded", "missing", "pages", "requests", "verified")}
    if report["error"] is None:
        for table in TABLES:
            key = dg.AssetKey(["boast_data", table])
            yield dg.MaterializeResult(asset_key=key, metadata=told if key == ENROLLMENTS else {})
    yield dg.AssetCheckResult(
        check_name="verified",
        asset_key=ENROLLMENTS,
        passed=report["verified"] != "failed",
        metadata={"account": context.partition_key, "verified": report["verified"], "error": str(report["error"])},
    )
    if report["error"] is not None:
        raise dg.Failure(f"boast load: {report['error']}")


@dg.asset_check(asset=ENROLLMENTS)
def fresh() -> dg.AssetCheckResult:
    """Whether the last good load is young enough."""
    hours = int(MAX_AGE.total_seconds() // 3600)
    told = boast("status", "--max-age", f"{hours} h", also=(STALE,))
    since = (told.get("health") or {}).get("last_success_at")
    return dg.AssetCheckResult(passed=told["status"] != "stale", metadata={"last_success_at": str(since)})


fresh_job = dg.define_asset_job("boast_fresh", selection=dg.AssetSelection.checks(fresh))


@dg.asset(key=["boast_data", "push_ledger"], group_name="boast", deps=[ENROLLMENTS], retry_policy=AGAIN)
def push_ledger() -> dg.MaterializeResult:
    """Send what is asked for. Run `boast push --new-ledger` once by hand before."""
    told = boast("push", final=(WRONG_USAGE, NEEDS_ATTENTION))
    return dg.MaterializeResult(metadata={name: told[name] for name in ("queried", "enrolled", "removed", "deferred")})


@dg.asset(key=["boast_data", "boast_accounts"], group_name="boast", retry_policy=AGAIN)
def boast_accounts(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Make and migrate the tables, and add a partition per account."""
    accounts = boast("prepare")["accounts"]
    context.instance.add_dynamic_partitions(str(ACCOUNTS.name), accounts)
    return dg.MaterializeResult(metadata={"accounts": accounts})


@dg.asset_sensor(
    asset_key=boast_accounts.key,
    job=dg.define_asset_job("boast_load", selection=[boast_tables]),
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def boast_loads(_: dg.SensorEvaluationContext, event: dg.EventLogEntry) -> list[dg.RunRequest]:
    """Ask for one run per account once they are known."""
    known = event.asset_materialization.metadata["accounts"].value if event.asset_materialization else []
    return [dg.RunRequest(run_key=f"{event.run_id} {account}", partition_key=account) for account in known]


defs = dg.Definitions(
    assets=[boast_accounts, boast_tables, push_ledger],
    asset_checks=[fresh],
    sensors=[boast_loads],
    schedules=[
        dg.ScheduleDefinition(name="boast_nightly", target=boast_accounts, cron_schedule=SCHEDULE),
        dg.ScheduleDefinition(job=fresh_job, cron_schedule="0 8 * * *"),
        dg.ScheduleDefinition(name="boast_push", target=push_ledger, cron_schedule="0 4 * * *"),
    ],
)
