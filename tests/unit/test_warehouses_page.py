"""docs/warehouses.md says what the conformance suite runs, no more."""

from __future__ import annotations

from tools.warehouses import PAGE, page


def test_the_page_is_what_make_docs_writes():
    text = PAGE.read_text(encoding="utf-8")
    assert text == page(text)
