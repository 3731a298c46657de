"""A destination's capabilities, resolved once. dlt resolves the whole configuration each time it is asked for them,
dozens of times per load: a tenth of a small load's time. They do not change during a run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlt.common.exceptions import TerminalValueError

if TYPE_CHECKING:
    from dlt.common.destination import DestinationCapabilitiesContext


class Remembering:
    """A mixin for dlt's destination classes: remembers the capabilities that depend on no given configuration."""

    _remembered: DestinationCapabilitiesContext | None = None

    def capabilities(self, config: Any = None, naming: Any = None) -> DestinationCapabilitiesContext:
        """Return the capabilities as dlt does; each caller may change its own copy."""
        known: Any = super()
        if config is not None or naming is not None:
            caps: DestinationCapabilitiesContext = known.capabilities(config, naming)
            return caps
        if self._remembered is None:
            self._remembered = known.capabilities()
        assert self._remembered is not None
        return self._remembered.copy()


def keeps_json(destination: Any) -> bool:
    """Return whether JSON text that arrives as Arrow is stored as JSON; otherwise it is loaded as text.

    BigQuery reads no JSON from Parquet; SQLAlchemy's JSON type would encode the text once more.
    """
    caps = destination.capabilities()
    if caps.type_mapper is None:
        return True
    column, table = {"name": "value", "data_type": "json"}, {"name": "values", "columns": {}}
    formats = {*(caps.supported_loader_file_formats or ()), *(caps.supported_staging_file_formats or ())}
    travels_as = "parquet" if "parquet" in formats else caps.preferred_loader_file_format
    mapper = caps.get_type_mapper()
    try:
        mapper.ensure_supported_type(column, table, travels_as)
    except TerminalValueError:
        return False
    except KeyError:  # Databricks asks for a hint that no table of ours has
        return True
    return isinstance(mapper.to_destination_type(column, table), str)
