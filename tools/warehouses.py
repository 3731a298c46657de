"""Write docs/warehouses.md from what the conformance suite runs (tests/support/warehouses.py): `make docs`."""

from __future__ import annotations

from pathlib import Path

from tests.support.warehouses import KINDS, PARTS, UNTRIED, Kind

PAGE = Path(__file__).parent.parent / "docs" / "warehouses.md"
# Delta tables have tests of their own (tests/warehouse/test_lake.py), since no SQL reads them
DELTA = {"push": "no SQL", "views": "no SQL", "report": "it reads the views"}

BEGIN, END = "<!-- Made from tests/support/warehouses.py by `make docs`. -->\n", "<!-- End of what is made. -->\n"


def _cell(kind: Kind, part: str) -> str:
    if part in kind.refused:
        return "refused"
    return "not tried" if part in kind.pending else "tried"


def page(text: str) -> str:
    """Return the page with its table made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    kinds = KINDS.values()
    others = ", ".join(UNTRIED)
    head = ["", *(kind.title for kind in kinds), "Delta tables", others]
    rows = [head, ["---"] * len(head)]
    for part, what in PARTS.items():
        cells = [_cell(kind, part) for kind in kinds]
        delta = "tried" if part in {"load", "vanished", "at_once"} else "refused" if DELTA.get(part) else "not tried"
        rows.append([what, *cells, delta, "by dlt's word"])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    reasons = [f"- {kind.title}: no {part}, since {why}." for kind in kinds for part, why in kind.refused.items()]
    reasons += [f"- Delta tables: no {part}, since {why}." for part, why in DELTA.items() if why]
    reasons.append("- Iceberg tables on a filesystem: refused with a sentence before anything is loaded.")
    listed = "\n".join(reasons).replace("since no SQL", "since no SQL reads them")
    return f"{before}{BEGIN}\n{table}\n\n{listed}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
