"""The comparison against a model: any run of listings, with crashes between the two tables, ends in an exact table.

The warehouse is modelled as dlt treats it: the table is upserted by `id`, the history is insert-only by
`version_key`, and a crash may keep either from being written.
"""

from __future__ import annotations

import os

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from boast_source.listing import diff
from boast_source.listing.columns import columns_of
from boast_source.listing.index import Listed, ListIndex
from boast_source.listing.scratch import Scratch
from boast_source.shapes import SEQUENCE_ENROLLMENTS as SHAPE
from boast_source.shapes import to_json

EXAMPLES = int(os.environ.get("BOAST_EXAMPLES", "60"))  # `make soak` asks for many more
STAMPS = ["2026-01-01T00:00:00.000Z", "2026-01-01T00:00:00.001Z", "2026-01-01T02:00:00+02:00", "soon", None]
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([2**53 + 1, -(2**53) - 1, 2**53, 1e-5, 1e22, -0.0]),
    st.sampled_from(
        ["", "text", "7", "007", "1.10", "1e3", "2026-01-01T00:00:00Z", "true", "null", "it's", 'a "b"', "é😀", "\n"]
    ),
    st.just([1, {"a": None}]),
    st.just({"z": 1, "a": [True]}),
)
RECORD = st.fixed_dictionaries(
    {"status": st.one_of(st.sampled_from(["active", "completed", "removed"]), ODD)},
    optional={
        "updated_at": st.sampled_from(STAMPS),
        "contact_id": st.sampled_from(["c1", "c2", None]),
        "novel": ODD,
        "Camel-Case": st.sampled_from([1, 2, None]),
        "account_id": st.just("theirs"),
    },
)
LISTING = st.dictionaries(st.sampled_from("abcde"), RECORD, max_size=5)
RUN = st.tuples(LISTING, st.sampled_from(["whole", "table only", "history only", "nothing"]))


class Warehouse:
    """The table, its history and the kinds of their columns."""

    def __init__(self):
        self.table: dict[str, dict] = {}
        self.history: dict[str, dict] = {}
        self.kinds: dict[str, str] = {}
        self.fields: dict[str, str] = {}

    def batches(self, rows, columns=None):
        names = columns or {name for row in rows.values() for name in row}
        columns = {name: pa.array([row.get(name) for row in rows.values()]) for name in names}
        return [pa.table(columns)] if rows else []

    def newest(self):
        last: dict[str, dict] = {}
        for row in sorted(self.history.values(), key=lambda row: row["version"]):
            last[row["id"]] = row
        return last

    def run(self, listing, outcome="whole"):
        """One run; returns how many rows and versions it handed on."""
        scratch = Scratch()
        try:
            return self._run(scratch, listing, outcome)
        finally:
            scratch.close()

    def _run(self, scratch, listing, outcome):
        listed = Listed(scratch, SHAPE)
        index = ListIndex(listed, "account")
        index.add([record | {"id": key} for key, record in listing.items()], 1)
        index.flush()
        columns = columns_of(listed, self.kinds, self.fields)
        stored = self.batches(self.table)
        compared = diff.compared(listed, columns, stored)
        gone = [key for _, key in compared.undelivered(["account"])]
        changes = compared.changes(gone, lambda _: stored, self.batches(self.newest(), ["id", "missing_since"]))
        wanted = ["id", "version", "version_key", "content_hash", "missing_since"]
        newest, known = self.batches(self.newest(), wanted), self.batches(self.history, ["id", "content_hash"])
        versions = self.fetch(scratch, changes.versions(newest, lambda: known, lambda _: stored).rows())
        rows = self.fetch(scratch, changes.rows())
        if outcome != "nothing":
            self.kinds |= {column.name: column.kind for column in columns}
            self.fields |= {column.name: column.field for column in columns if column.field}
        if outcome in {"whole", "table only"}:
            for row in rows:
                assert row["id"] not in {other["id"] for other in rows if other is not row}
                self.table[row["id"]] = row
        if outcome in {"whole", "history only"}:
            for row in versions:
                self.history.setdefault(row["version_key"], row)
        return len(rows), len(versions)

    @staticmethod
    def fetch(scratch, queries):
        return [row for sql in queries for batch in scratch.batches(sql) for row in batch.to_pylist()]


def equal(kept, value):
    """The value itself, in its own type or as text; an integer may be a double that is exactly as much."""
    if isinstance(kept, str) and not isinstance(value, str):
        return float(kept) == value if isinstance(value, float) else kept == to_json(value)
    if isinstance(kept, str):
        return kept in {value, to_json(value)}
    if isinstance(kept, float) and type(value) is int:
        return int(kept) == value
    return type(kept) is type(value) and kept == value


def holds(row, record):
    """The stored row holds every value of the record, in its column or beside it as text."""
    for name, value in record.items():
        column = {"Camel-Case": "camel_case", "account_id": "account_id_x"}.get(name, name)
        kept = row.get(column)
        beside = row.get(f"{column}__v_text")
        if value is None:
            assert kept is None, (name, kept)
        elif name == "updated_at":
            assert (kept is None) == (value == "soon")
            assert beside == (value if value == "soon" else None)
        elif beside is not None:
            assert kept is None
            assert equal(beside, value), (beside, value)
        else:
            assert equal(kept, value), (kept, value)
    return True


@settings(max_examples=EXAMPLES // 3, deadline=None, derandomize=True)
@given(st.lists(RUN, min_size=1, max_size=6))
def test_any_run_of_listings_ends_in_an_exact_table_with_a_whole_history(runs):
    warehouse = Warehouse()
    seen_versions = 0
    for listing, outcome in runs:
        warehouse.run(listing, outcome)
        assert len(warehouse.history) >= seen_versions  # never lost
        seen_versions = len(warehouse.history)

    last = runs[-1][0]
    warehouse.run(last)
    assert warehouse.run(last) == (0, 0)  # nothing differs any more
    present = {key for key, row in warehouse.table.items() if row["missing_since"] is None}
    assert present == set(last)
    assert all(holds(warehouse.table[key], record) for key, record in last.items())

    newest = warehouse.newest()
    assert set(newest) >= set(warehouse.table)
    for key, row in warehouse.table.items():
        version = newest[key]
        assert (version["missing_since"] is None) == (row["missing_since"] is None)
        if key in present:
            assert all(version.get(name) == value for name, value in row.items() if name != "missing_since")
    numbers = [(row["id"], row["version"]) for row in warehouse.history.values()]
    assert len(numbers) == len(set(numbers))


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@given(first=ODD, second=ODD)
def test_a_value_of_another_type_is_kept_as_it_is(first, second):
    warehouse = Warehouse()
    for value in (first, second):
        warehouse.run({"a": {"novel": value}})
        assert holds(warehouse.table["a"], {"novel": value})
    assert warehouse.run({"a": {"novel": second}}) == (0, 0)


def test_there_missing_there_are_three_versions():
    warehouse = Warehouse()
    row = {"status": "active", "updated_at": STAMPS[0]}
    for listing in ({"a": row}, {}, {"a": row}):
        warehouse.run(listing)
    versions = sorted(warehouse.history.values(), key=lambda version: version["version"])
    assert [version["missing_since"] is None for version in versions] == [True, False, True]
    assert warehouse.table["a"]["missing_since"] is None


def test_a_row_whose_disappearance_only_the_history_has_gets_that_moment():
    warehouse = Warehouse()
    for listing, outcome in (({"a": {"status": "active"}}, "whole"), ({}, "history only"), ({}, "whole")):
        warehouse.run(listing, outcome)
    assert warehouse.table["a"]["missing_since"] == warehouse.newest()["a"]["missing_since"] is not None


def test_a_version_that_a_crash_kept_out_of_the_history_enters_it_before_it_is_replaced():
    warehouse = Warehouse()
    one, two, three = ({"a": {"status": status}} for status in ("active", "completed", "removed"))
    for listing, outcome in ((one, "whole"), (two, "table only"), (three, "whole")):
        warehouse.run(listing, outcome)
    versions = sorted(warehouse.history.values(), key=lambda version: version["version"])
    assert [version["status"] for version in versions] == ["active", "completed", "removed"]
    warehouse.run(two, "table only")
    warehouse.run({})
    versions = sorted(warehouse.history.values(), key=lambda version: version["version"])
    assert [version["status"] for version in versions] == ["active", "completed", "removed", "completed"]


def test_equal_updated_at_with_other_content_is_another_version():
    warehouse = Warehouse()
    for status in ("active", "removed", "active"):
        warehouse.run({"a": {"status": status, "updated_at": STAMPS[0]}})
    assert [version["status"] for version in warehouse.history.values()] == ["active", "removed", "active"]
