"""Decisions per destination: its kind of warehouse (the one place that knows products by name), how rows travel, how
they merge, and what a run over given accounts keeps to itself.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dlt
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.common.destination import Destination
from dlt.common.pipeline import get_dlt_pipelines_dir
from filelock import FileLock

from boast_source.config import configured, table_format
from boast_source.driver_text import one_line, stripping
from boast_source.errors import ConfigurationError
from boast_source.logs import hush
from boast_source.warehouse import working_folder
from boast_source.warehouse.base import Warehouse
from boast_source.warehouse.delta import Delta
from boast_source.warehouse.duckdb import DuckDB, DuckDBFile, duckdb
from boast_source.warehouse.iceberg import Iceberg

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PIPELINE = "boast"
_KINDS: dict[str, type[Warehouse]] = {
    "duckdb": DuckDBFile,
    "ducklake": DuckDB,
    "motherduck": DuckDB,
}
_LAKES: dict[str, type[Warehouse]] = {"delta": Delta, "iceberg": Iceberg}


def warehouse_for(destination: str | None, dataset: str | None, accounts: Sequence[str] = ()) -> Warehouse:
    """Return the warehouse of the pipeline `boast`; for given accounts, of one that can run in parallel with others.

    None: use `sources.boast.destination` and `.dataset`.

    Raises ConfigurationError for a destination that does not exist, is not installed, or cannot merge.
    """
    destination, dataset = destination or configured("destination"), dataset or configured("dataset")
    try:
        found = destination_for(destination, accounts)
        dataset = _normalized(destination, dataset)
        with _making_folders(found, dataset) as folder:
            working_folder.set_aside_unreadable(folder / pipeline_name(accounts))
            hush("_state_to_props")  # warns that another destination was chosen before, which is intended
            hush("_normalize_identifier")  # warns per statement that a long dataset name is shortened
            pipeline = dlt.pipeline(
                pipeline_name(accounts),
                destination=found,
                dataset_name=dataset,
                pipelines_dir=str(folder),
                dev_mode=False,  # whatever is configured: it gives each run another dataset and another ledger
            )
    except ConfigurationError:
        raise
    except OSError as error:
        raise ConfigurationError(
            f"The pipeline's working folder cannot be written: {error.strerror} ({error.filename})",
            hint="Free the folder or choose another with DLT_DATA_DIR.",
        ) from error
    except Exception as error:
        check_name(destination)
        raise ConfigurationError(
            f"The destination {destination} cannot be used: {one_line(str(error).strip().splitlines()[0])}",
            hint=f'Is it a dlt destination, and its extra installed? For example: pip install "dlt[{destination}]".',
        ) from error
    warehouse = warehouse_of(pipeline)
    warehouse.check()
    # otherwise dlt catches signals while it normalizes and loads, and then forgets them: a push would still begin
    pipeline.runtime_config.intercept_signals = False
    return warehouse


def warehouse_of(pipeline: dlt.Pipeline) -> Warehouse:
    """Return the warehouse of a run of the pipeline, not yet opened."""
    kind = pipeline.destination.destination_type.removeprefix("dlt.destinations.") if pipeline.destination else ""
    if kind == "postgres":
        from boast_source.warehouse.postgres import Postgres  # needs the extra

        return Postgres(pipeline)
    if kind == "filesystem":
        return _LAKES[table_format()](pipeline)
    return _KINDS.get(kind, Warehouse)(pipeline)


def check_name(destination: str) -> None:
    """Raise ConfigurationError for a destination that dlt does not have."""
    if not hasattr(dlt.destinations, destination):
        near = difflib.get_close_matches(destination, dlt.destinations.__all__, 1)
        raise ConfigurationError(
            f"dlt has no destination {destination}" + (f"; did you mean {near[0]}?" if near else ""),
            hint="docs/warehouses.md lists those that work; choose by --destination or sources.boast.destination.",
        )


@contextlib.contextmanager
def _making_folders(destination: Any, dataset: str) -> Iterator[Path]:
    """Let one process at a time create or open a pipeline's working folder, as dlt needs it; yield its parent."""
    folder = state_folder()
    folder.mkdir(parents=True, exist_ok=True)
    address = None
    with contextlib.suppress(ConfigurationException):  # said where the destination is used
        address = working_folder.address_of(destination)
    with FileLock(folder / f"{PIPELINE}.opening.lock", timeout=60):
        yield working_folder.folder_for(folder, PIPELINE, address, dataset) if address else folder


def _normalized(destination: str, dataset: str) -> str:
    """Return the name under which dlt creates the dataset; given another one, it would warn a hundred times."""
    setting = "enable_dataset_name_normalization"
    keys = (f"destination.{destination}.{setting}", f"destination.{setting}")
    if any(dlt.config.get(key, bool) is False for key in keys):
        if "%" in dataset:
            raise ConfigurationError(
                f"The dataset cannot be called {dataset}: dlt writes the name into statements in which % marks a value",
                hint="Choose another, for example --dataset boast_data, or let dlt normalize its name.",
            )
        return dataset
    name = dlt.Schema(PIPELINE).naming.normalize_table_identifier(dataset)  # by the configured convention
    if not any(letter.isalnum() and letter in name.lower() for letter in dataset.lower()):
        raise ConfigurationError(
            f"The dataset cannot be called {dataset}: nothing of that is left in its name in the warehouse, {name}",
            hint="Choose another, for example --dataset boast_data: two such names would be one dataset.",
        )
    return name


def pipeline_name(accounts: Sequence[str] | None) -> str:
    """Return `boast`, or for given accounts a name that only runs over the same accounts share."""
    return f"{PIPELINE}_{_short_hash(accounts)}" if accounts else PIPELINE


def destination_for(name: str, accounts: Sequence[str] | None = None) -> Any:
    """Return dlt's destination of that name; for given accounts, with its own staging dataset.

    dlt stages every run in the same dataset, so parallel runs would lose and double each other's rows.
    """
    own: dict[str, Any] = {}
    if accounts:
        layout: str | None = dlt.config.get(f"destination.{name}.staging_dataset_name_layout")
        own["staging_dataset_name_layout"] = f"{layout or '%s_staging'}_{_short_hash(accounts)}"
    found: Any = Destination.from_reference(name)
    own = {key: value for key, value in own.items() if key in found.spec.get_resolvable_fields()}
    kind = found.destination_type
    if kind == "dlt.destinations.postgres":
        from boast_source.warehouse.postgres import postgres

        return postgres(**found.config_params, **found.caps_params, **own)
    if kind == "dlt.destinations.duckdb":
        made = duckdb(**found.config_params, **found.caps_params, **own)
        # dlt's default file: one for all runs, in this folder; dlt would always use the first run's folder
        made.config_params |= {
            "pipeline_name": PIPELINE,
            "local_dir": str(Path(dlt.current.run_context().local_dir).resolve()),
        }
        return made
    if kind == "dlt.destinations.sqlalchemy":
        with contextlib.suppress(ImportError):  # said where the destination is used
            from boast_source.warehouse.mysql import keep_long_texts

            keep_long_texts()
    return stripping(type(found)(**found.config_params, **found.caps_params, **own) if own else found)


def state_folder() -> Path:
    """Return the folder where dlt keeps its pipelines, and runs keep their locks and what they could not record.

    Raises OSError if a configuration file cannot be read, because it may name the folder.
    """
    try:
        return Path(get_dlt_pipelines_dir())
    except Exception as error:
        raise OSError(0, "the configuration says where, and it cannot be read") from error


def _short_hash(accounts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(sorted(set(accounts))).encode()).hexdigest()[:10]
