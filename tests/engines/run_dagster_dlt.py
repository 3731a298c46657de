"""Run by Dagster's Python, in the folder with `boast_dlt_assets.py`: one run of its assets, in this process.

Prints whether it succeeded, the rows loaded by asset and the log, as one line of JSON.
"""

from __future__ import annotations

import json
import sys

import dagster as dg

sys.path.insert(0, ".")
import boast_dlt_assets as boast  # the copy in the working folder


def main() -> None:
    dg.Definitions.validate_loadable(boast.defs)
    with dg.DagsterInstance.local_temp(sys.argv[1]) as instance:
        job = boast.defs.resolve_implicit_global_asset_job_def()
        done = job.execute_in_process(instance=instance, raise_on_error=False)
        loaded = {
            "/".join(event.asset_key.path): event.materialization.metadata.get(
                "rows_loaded", dg.MetadataValue.int(0)
            ).value
            for event in done.get_asset_materialization_events()
        }
        failed = [
            str(event.event_specific_data.error_display_string) for event in done.all_events if event.is_step_failure
        ]
    print(json.dumps({"success": done.success, "loaded": loaded, "failed": failed}))


if __name__ == "__main__":
    main()
