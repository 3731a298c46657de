"""Run by Dagster's Python, in the folder with `boast_assets.py`: a night, in this process.

`run_dagster.py FOLDER` does what the nightly schedule does and all runs that follow, then the freshness check;
`run_dagster.py FOLDER fresh` does that check alone; `run_dagster.py FOLDER ASSET [PARTITION]` materializes one. Prints
what was materialized and what the checks said, as one line of JSON. Events of several calls add up in FOLDER.
"""

from __future__ import annotations

import json
import sys

import dagster as dg

sys.path.insert(0, ".")
import boast_assets as boast  # the copy in the working folder


def main() -> None:
    folder, *chosen = sys.argv[1:]
    dg.Definitions.validate_loadable(boast.defs)
    with dg.DagsterInstance.local_temp(folder) as instance:
        if chosen == ["fresh"]:
            print(json.dumps(fresh(instance)))
        else:
            print(json.dumps(one(instance, *chosen) if chosen else night(instance)))


def one(instance: dg.DagsterInstance, name: str, partition: str | None = None) -> dict:
    return told(
        dg.materialize([getattr(boast, name)], instance=instance, partition_key=partition, raise_on_error=False)
    )


def night(instance: dg.DagsterInstance) -> dict:
    schedule = boast.defs.resolve_schedule_def("boast_nightly")
    prepared = boast.defs.resolve_job_def(schedule.job_name).execute_in_process(instance=instance)
    context = dg.build_sensor_context(instance_ref=instance.get_ref(), definitions=boast.defs)
    asked = boast.boast_loads.evaluate_tick(context)
    runs = [one(instance, "boast_tables", run.partition_key) for run in asked.run_requests]
    keys = [run.run_key.removeprefix(prepared.run_id) for run in asked.run_requests]
    return {"keys": keys, "runs": runs, "fresh": fresh(instance)}


def fresh(instance: dg.DagsterInstance) -> list:
    job = boast.defs.resolve_job_def("boast_fresh")
    return told(job.execute_in_process(instance=instance, raise_on_error=False))["checks"]["fresh"]


def told(run: dg.ExecuteInProcessResult) -> dict:
    return {
        "success": run.success,
        "retries": sum(event.is_step_up_for_retry for event in run.all_events),
        "materialized": {
            event.asset_key.path[-1]: {name: value.value for name, value in event.materialization.metadata.items()}
            for event in run.get_asset_materialization_events()
        },
        "checks": {
            check.check_name: [check.passed, {name: value.value for name, value in check.metadata.items()}]
            for check in run.get_asset_check_evaluations()
        },
    }


if __name__ == "__main__":
    main()
