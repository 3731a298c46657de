"""Read the report's numbers back: the values of each table as text, by the names in its cells' attributes."""

from __future__ import annotations

from html.parser import HTMLParser


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tables: dict[str, list[dict[str, str]]] = {}
        self.texts: dict[str, str] = {}
        self._table = self._id = ""

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if given.get("id") and tag in {"table", "div"}:
            self._table = given["id"]
            self.tables[self._table] = [{}] if tag == "div" else []
        if tag == "tr" and self._table:
            self.tables[self._table].append({"key": given.get("data-key") or ""})
        if "data-name" in given:
            self.tables[self._table][-1][given["data-name"]] = given["data-value"]
        if given.get("id"):
            self._id = given["id"]
            self.texts[self._id] = ""

    def handle_data(self, data):
        if self._id:
            self.texts[self._id] += data


def read_page(html: str) -> _Reader:
    """Return `tables`: rows with values, by element id; and `texts`: the text from each element id on."""
    reader = _Reader()
    reader.feed(html)
    reader.tables = {name: [row for row in rows if set(row) - {"key"}] for name, rows in reader.tables.items()}
    return reader
