"""Run by Airflow's Python, in the folder with `boast_nightly.py`: the DAG through `dag.test()`.

Prints the states of the run and of each task, and the events of the asset, as one line of JSON. The database lies under
AIRFLOW_HOME.
"""

from __future__ import annotations

import json
import sys

from airflow.models.asset import AssetEvent
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from sqlalchemy import select

sys.path.insert(0, ".")


def main() -> None:
    initdb()
    import boast_nightly  # noqa: PLC0415 -- parsed once the database is there

    run = boast_nightly.nightly.test()
    with create_session() as session:
        events = [event.extra for event in session.scalars(select(AssetEvent).order_by(AssetEvent.id))]
    tasks = sorted((one.task_id, one.map_index, one.state, one.try_number) for one in run.get_task_instances())
    names = sorted(one.rendered_map_index for one in run.get_task_instances() if one.rendered_map_index)
    print(json.dumps({"state": run.state, "tasks": tasks, "names": names, "events": events}))


if __name__ == "__main__":
    main()
