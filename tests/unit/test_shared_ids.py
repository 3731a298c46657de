"""One id in two accounts: a table holds one row per id, so what it cannot hold is told. What moved is none of these."""

from __future__ import annotations

import itertools
from typing import ClassVar

import pyarrow as pa
import pytest

from boast_source.listing.columns import columns_of
from boast_source.listing.diff import compared
from boast_source.listing.index import Listed
from boast_source.listing.reader import Swept
from boast_source.listing.report import Options
from boast_source.listing.scratch import Scratch
from boast_source.listing.shared import note_shared
from boast_source.shapes import CONTACTS, SEQUENCE_ENROLLMENTS
from tests.support.plain_api import PlainApi


class TwoLists(PlainApi):
    """Accounts A and B list what `lists` says, and show what `shown` says."""

    lists: ClassVar = {"A": ["a", "x"], "B": ["b", "x"]}
    shown = lists

    def page(self, path, number=1, _tally=None):
        return self._paged([{"id": key} for key in self.lists[path.split("/")[2]]], number)

    def record(self, path, _tally=None):
        _, _, account, _, key = path.split("/")
        return {"id": key} if key in self.shown[account] else super().record(path)


@pytest.fixture
def told():
    scratch, runs = Scratch(), itertools.count()

    def told(api, accounts, shape=SEQUENCE_ENROLLMENTS, stored=()):
        listed = Listed(Scratch(scratch, f"run {next(runs)}"), shape)
        reader = Swept(api, Options())
        reports = [reader.read(listed, account) for account in accounts]
        columns = columns_of(listed, {}, {}, longest=None, json_kind="json")
        rows = pa.table(
            {"id": ["x"] * len(stored), "account_id": list(stored)},
            pa.schema([("id", pa.string()), ("account_id", pa.string())]),
        )
        note_shared(compared(listed, columns, [rows] if stored else []), shape, reader, reports)
        for report in reports:
            report.verify(0, 0)
        return [(report.shared, report.verified) for report in reports]

    yield told
    scratch.close()


@pytest.mark.parametrize("shape", [SEQUENCE_ENROLLMENTS, CONTACTS])
def test_an_id_that_two_accounts_list_is_told_of_both(told, shape):
    assert told(TwoLists(), ["A", "B"], shape) == [(["x"], "failed"), (["x"], "failed")]


def test_an_id_that_the_warehouse_holds_as_anothers_is_told_if_the_other_shows_it_still(told):
    assert told(TwoLists(), ["A"], stored=["B"]) == [(["x"], "failed")]


def test_what_moved_from_one_account_to_the_other_is_no_such_id(told):
    api = TwoLists()
    api.shown = {"A": ["a"], "B": ["b", "x"]}
    assert told(api, ["A", "B"]) == [([], "covered"), ([], "covered")]
    api.shown = {"A": ["a", "x"], "B": ["b"]}
    assert told(api, ["A"], stored=["B"]) == [([], "covered")]
