"""dlt resolves a destination's whole configuration each time it is asked what the destination can, dozens of times a
load: a tenth of a small load's time. Nothing of it changes while a run lives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlt.common.destination import DestinationCapabilitiesContext


class Remembering:
    """For a destination class of dlt: remembers the capabilities that depend on no given configuration."""

    _remembered: DestinationCapabilitiesContext | None = None

    def capabilities(self, config: Any = None, naming: Any = None) -> DestinationCapabilitiesContext:
        """Return them as dlt does; each caller may change its own copy."""
        known: Any = super()
        if config is not None or naming is not None:
            caps: DestinationCapabilitiesContext = known.capabilities(config, naming)
            return caps
        if self._remembered is None:
            self._remembered = known.capabilities()
        assert self._remembered is not None
        return self._remembered.copy()
