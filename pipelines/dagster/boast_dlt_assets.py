"""Dagster with dagster-dlt: the source as assets, all accounts in one run, the views, the verification.

Start it with `dagster dev -f boast_dlt_assets.py` where dagster-dlt and the connector are installed:

    pip install dagster-dlt
    pip install "boast-source[all] @ git+REPOSITORY@v0.2.0"

The README explains the second line. Secrets come from the environment, as in boast_assets.py, which has a run and
retries per account, a freshness check and the push.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import dlt
from dagster_dlt import DagsterDltResource, DagsterDltTranslator, dlt_assets
from dagster_dlt.translator import DltResourceTranslatorData

from boast_source import boast_source, create_views, verify

# What you may want to change:
PIPELINE = dlt.pipeline("boast_dagster", destination="postgres", dataset_name="boast_data")
SCHEDULE = "0 2 * * *"


class Keys(DagsterDltTranslator):
    """Name each asset like its table."""

    def get_asset_spec(self, data: DltResourceTranslatorData) -> dg.AssetSpec:
        key = dg.AssetKey([PIPELINE.dataset_name, data.resource.name])
        return super().get_asset_spec(data).replace_attributes(key=key, deps=[])


@dlt_assets(
    dlt_source=boast_source(),
    dlt_pipeline=PIPELINE,
    name="boast",
    group_name="boast",
    dagster_dlt_translator=Keys(),
)
def boast_tables(context: dg.AssetExecutionContext, boast: DagsterDltResource) -> Iterator[Any]:
    """Load all tables, create the views, and fail unless the warehouse holds what Boast listed."""
    yield from boast.run(context=context)
    create_views(PIPELINE)
    checked = verify(PIPELINE)  # of this process's load, so it cannot be an asset check of its own
    context.log.info("verified %s", checked.verified)
    if checked.exit_code:
        reasons = "; ".join(report.error for report in checked.reports if report.error)
        raise dg.Failure(f"boast: verified {checked.verified}. {reasons}", allow_retries=False)


defs = dg.Definitions(
    assets=[boast_tables],
    schedules=[dg.ScheduleDefinition(name="boast_nightly", target=boast_tables, cron_schedule=SCHEDULE)],
    resources={"boast": DagsterDltResource()},
)
