"""Cache dlt's questions about types: it repeats them thousands of times a load, which takes a tenth of its time."""

from __future__ import annotations

import functools
import sys
from typing import Any

from dlt.common import typing, validation
from dlt.common.configuration.specs import base_configuration

ASKED = (
    (typing, "is_union_type"),
    (typing, "is_optional_type"),
    (typing, "is_literal_type"),
    (base_configuration, "is_secret_hint"),
)


def remember_types() -> None:
    """Replace each function with a cached one in all modules of dlt that import it."""
    for home, name in ASKED:
        asked = getattr(home, name)
        remembered = functools.cache(asked)
        for module in [module for key, module in sys.modules.items() if key.startswith("dlt.")]:
            if vars(module).get(name) is asked:
                setattr(module, name, remembered)

    hints_of = functools.cache(validation.get_type_hints)

    def get_type_hints(spec: type, globalns: Any) -> dict[str, Any]:  # ignores globalns: the default is the class's own
        return hints_of(spec)

    validation.get_type_hints = get_type_hints
