"""Airflow 3: every night load each Boast account in a task of its own, then push. Copy it into your DAGs folder.

    prepare -> load (one mapped task per account) -> loaded (one asset event) -> push (if PUSH)

Each task runs the `boast` command. Secrets come from the environment of the workers, as for every dlt pipeline:
SOURCES__BOAST__CREDENTIALS__ACCESS_TOKEN, DESTINATION__POSTGRES__CREDENTIALS. All tasks may be retried, cleared and
killed: a load compares everything again, a push sends each request at most once.
"""

from __future__ import annotations

import json
import subprocess
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.sdk import Asset, dag, task
from airflow.sdk.exceptions import AirflowFailException  # before Airflow 3.2: from airflow.exceptions

# What you may want to change:
# The command, best installed in a virtual environment of its own: then give its path here. The README explains how:
# pip install "boast-source[all] @ git+REPOSITORY@v0.2.0"
BOAST = "boast"
INTO = ["--destination", "postgres", "--dataset", "boast_data"]  # not DuckDB: its file has one writer
SCHEDULE = "0 2 * * *"
RETRY_AFTER = timedelta(minutes=5)  # longer with each of three retries
AT_ONCE = 4  # accounts that load side by side
PUSH = False  # True once you have run `boast push --new-ledger` by hand
ENROLLMENTS = Asset("boast_sequence_enrollments")  # schedule other DAGs on it: @dag(schedule=[Asset("...")])

WRONG_USAGE, NEEDS_ATTENTION = 2, 3  # exit codes


def boast(*arguments: str, final: tuple[int, ...] = (WRONG_USAGE,)) -> Any:
    """Run a command and return its JSON. Exit codes in `final` are not worth a retry, all others but 0 are."""
    with subprocess.Popen([BOAST, *arguments, *INTO, "--json"], stdout=subprocess.PIPE, text=True) as command:
        try:
            printed, _ = command.communicate()
        finally:
            command.terminate()  # a task that is stopped stops its command
    if command.returncode in final:
        raise AirflowFailException(f"boast {arguments[0]} ended with {command.returncode}, see above")
    if command.returncode:
        raise RuntimeError(f"boast {arguments[0]} ended with {command.returncode}, see above")
    return json.loads(printed)


@dag(
    schedule=SCHEDULE,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,  # a load brings all that was missed
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": RETRY_AFTER, "retry_exponential_backoff": True},
    tags=["boast"],
)
def boast_nightly() -> None:
    @task
    def prepare() -> list[str]:
        """Make and migrate tables and views, before many tasks would do it at once; tell the account ids."""
        accounts: list[str] = boast("prepare")["accounts"]
        return accounts

    @task(max_active_tis_per_dagrun=AT_ONCE, map_index_template="{{ task.op_kwargs['account'] }}")
    def load(account: str) -> dict[str, Any]:
        report: dict[str, Any] = boast("load", "--account", account)["accounts"][0]
        return report

    @task(outlets=[ENROLLMENTS])
    def loaded(reports: list[dict[str, Any]], *, outlet_events: Any) -> None:
        """Tell whoever waits for the asset that all accounts are loaded and verified."""
        totals = {name: sum(report[name] for report in reports) for name in ("listed", "loaded", "missing")}
        outlet_events[ENROLLMENTS].extra = {"accounts": len(reports), **totals}

    @task(trigger_rule="all_done")
    def push() -> None:
        """Send what is asked for, also when an account could not be loaded: a push lists what it needs itself."""
        boast("push", final=(WRONG_USAGE, NEEDS_ATTENTION))

    told = loaded(load.expand(account=prepare()))
    if PUSH:
        told >> push()


nightly = boast_nightly()
