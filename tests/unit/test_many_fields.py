"""However many undocumented fields records have, the columns are bounded, nothing is lost, and the time is linear."""

import json
import time

import pytest

from boast_source.listing.columns import REST, columns_of
from boast_source.listing.diff import compared
from boast_source.listing.index import Listed, ListIndex
from boast_source.listing.scratch import Scratch
from boast_source.shapes import SEQUENCE_ENROLLMENTS

MOST = 200
DOCUMENTED = len(SEQUENCE_ENROLLMENTS.columns)


@pytest.fixture
def delivered():
    scratch = Scratch()
    names = iter("abcdefgh")

    def deliver(records):
        listed = Listed(Scratch(scratch, next(names)), SEQUENCE_ENROLLMENTS)
        index = ListIndex(listed, "A")
        index.add(records, 1)
        index.flush()
        return listed

    yield deliver
    scratch.close()


def kinds_and_fields(columns):
    ours = columns[DOCUMENTED:]
    return {c.name: c.kind for c in ours}, {c.name: c.field for c in ours}


def content(listed, columns):
    """By id what the undocumented columns hold."""
    ours = [c for c in columns if c.field is not None]
    select = ", ".join(f"{c.typed}" for c in ours)
    names = [str(place) for place in range(len(ours) + 1)]
    found = {}
    batches = listed.scratch.batches(f"select id, {select} from fields", 1000)
    rows = (tuple(row.values()) for batch in batches for row in batch.rename_columns(names).to_pylist())
    for key, *values in rows:
        row = {}
        for column, value in zip(ours, values, strict=True):
            if value is not None and column.field == REST:
                row |= json.loads(value)
            elif value is not None:
                row[column.field] = value
        found[key] = row
    return found


def test_300_fields_on_one_record_are_200_columns_and_one_that_holds_the_rest(delivered, caplog):
    extra = {f"field_{at:03}": at for at in range(300)}
    listed = delivered([{"id": "1", **extra}, {"id": "2"}])
    columns = columns_of(listed, {}, {})
    assert len(columns) == DOCUMENTED + MOST + 1
    assert content(listed, columns) == {"1": extra, "2": {}}
    assert "max_extra_columns (200). 100 of them go into the JSON column other_fields" in caplog.text


def test_fields_keep_their_columns_and_the_rest_is_told_once(delivered, caplog):
    before = columns_of(delivered([{"id": "1", **{f"m{at:03}": at for at in range(300)}}]), {}, {})
    caplog.clear()
    changed = {f"a{at:03}": at for at in range(50)} | {f"m{at:03}": at for at in range(300)}
    listed = delivered([{"id": "1", **changed}])
    columns = columns_of(listed, *kinds_and_fields(before))
    assert [(c.name, c.field) for c in columns] == [(c.name, c.field) for c in before]
    assert content(listed, columns) == {"1": changed}
    assert caplog.text == ""


@pytest.mark.parametrize("name", [REST, "other_fields", 'a"b/c~', ""])
def test_no_name_of_a_field_collides_with_the_rest(delivered, name):
    extra = {name: "x", **{f"field_{at:03}": at for at in range(MOST)}}
    listed = delivered([{"id": "1", **extra}])
    assert content(listed, columns_of(listed, {}, {})) == {"1": extra}


def test_5000_fields_on_many_records_take_seconds(delivered):
    records = [{"id": str(at), **{f"f{(at * 7 + n * 1013) % 5000}": n for n in range(5)}} for at in range(20_000)]
    listed = delivered(records)
    listed.scratch.allow(listed.memory)
    began = time.monotonic()
    columns = columns_of(listed, {}, {})
    assert len(columns) == DOCUMENTED + MOST + 1
    found = content(listed, columns)
    assert time.monotonic() - began < 60  # one query per field took half an hour
    assert all(found[r["id"]] == {k: v for k, v in r.items() if k != "id"} for r in records)


def test_names_that_no_two_records_share_take_time_that_is_linear_in_them(delivered):
    listed = delivered([{"id": str(at), **{f"f{at}_{place}": place for place in range(600)}} for at in range(100)])
    began = time.process_time()
    columns = columns_of(listed, {}, {})
    assert len(columns) == DOCUMENTED + MOST + 1
    assert time.process_time() - began < 10


@pytest.mark.parametrize(("records", "keys"), [(200, 600), (200, 2000), (1000, 600)])
def test_large_objects_that_nobody_documented_are_compared_within_the_memory_of_their_list(delivered, records, keys):
    value = {f"f{key}": {"a": {"b": key}} for key in range(keys)}
    listed = delivered([{"id": str(at), "x": value} for at in range(records)])
    assert listed.memory < 1300
    assert compared(listed, columns_of(listed, {}, {}), []).listed_counts() == {"A": records}
