"""What is decided per destination: how rows travel, how they merge, what a run over given accounts has of its own."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dlt
from dlt.common.destination import Destination

from boast_source.warehouse.duckdb import duckdb

if TYPE_CHECKING:
    from collections.abc import Sequence

PIPELINE = "boast"
MANY = 50_000  # rows replaced in one run


def pipeline_name(accounts: Sequence[str] | None) -> str:
    """`boast`, or for a run over given accounts a name that only runs over the same accounts share."""
    return f"{PIPELINE}_{_short_hash(accounts)}" if accounts else PIPELINE


def destination_for(name: str, accounts: Sequence[str] | None = None) -> Any:
    """Dlt's destination of that name; for a run over given accounts with a staging dataset of its own.

    dlt stages every run into the same dataset, and runs side by side would then lose and double each other's rows.
    """
    own: dict[str, Any] = {}
    if accounts:
        layout: str | None = dlt.config.get(f"destination.{name}.staging_dataset_name_layout")
        own["staging_dataset_name_layout"] = f"{layout or '%s_staging'}_{_short_hash(accounts)}"
    found: Any = Destination.from_reference(name)
    own = {key: value for key, value in own.items() if key in found.spec.get_resolvable_fields()}
    kind = found.destination_type
    if kind == "dlt.destinations.postgres":
        from boast_source.warehouse.postgres import postgres  # noqa: PLC0415 -- needs the extra

        return postgres(**found.config_params, **found.caps_params, **own)
    if kind == "dlt.destinations.duckdb":
        made = duckdb(**found.config_params, **found.caps_params, **own)
        # the file that dlt names by itself: one for all runs, and here; dlt remembers where the first run was for ever
        made.config_params |= {
            "pipeline_name": PIPELINE,
            "local_dir": str(Path(dlt.current.run_context().local_dir).resolve()),
        }
        return made
    return type(found)(**found.config_params, **found.caps_params, **own) if own else found


def place(pipeline: dlt.Pipeline) -> str:
    """Where the data goes, in a person's words."""
    name = pipeline.destination.destination_name
    if pipeline.destination.destination_type != "dlt.destinations.duckdb":
        return name
    config: Any = pipeline.destination_client().config
    return f"{name} ({config.credentials.database})"


def merging(preferred: str, destination: Any, *, replaced: int = 0) -> dict[str, Any]:
    """The write disposition that merges by key: as preferred where the destination can, else `delete-insert`.

    `replaced`: how many whole rows it may replace; DuckDB keeps what an update replaces in memory until the end, which
    no bound can spill.
    """
    strategies = destination.capabilities().supported_merge_strategies if destination else None
    if replaced > MANY and destination and destination.destination_type == "dlt.destinations.duckdb":
        return {"disposition": "merge", "strategy": "delete-insert", "deduplicated": True}  # each id comes once
    strategy = preferred if strategies is None or preferred in strategies else "delete-insert"
    return {"disposition": "merge", "strategy": strategy}


def _short_hash(accounts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(sorted(set(accounts))).encode()).hexdigest()[:10]
