"""Write docs/warehouses.md from what the conformance suite runs (tests/support/warehouses.py): `make docs`."""

from __future__ import annotations

from pathlib import Path

from tests.support.warehouses import KINDS, PARTS, UNTRIED

PAGE = Path(__file__).parent.parent / "docs" / "warehouses.md"
BEGIN, END = "<!-- Made from tests/support/warehouses.py by `make docs`. -->\n", "<!-- End of what is made. -->\n"


def page(text: str) -> str:
    """Return the page with its table made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    kinds = KINDS.values()
    others = ", ".join(UNTRIED)
    head = ["", *(kind.title for kind in kinds), others]
    rows = [head, ["---"] * len(head)]
    for part, what in PARTS.items():
        cells = ["refused" if part in kind.refused else "tested" for kind in kinds]
        rows.append([what, *cells, "not tested"])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    reasons = [f"- {kind.title}: no {part}, because {why}." for kind in kinds for part, why in kind.refused.items()]
    listed = "\n".join(reasons)
    return f"{before}{BEGIN}\n{table}\n\n{listed}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
