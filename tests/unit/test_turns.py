"""One list after the other, although dlt asks the resources of a source in turn."""

from __future__ import annotations

import itertools
import threading

import dlt
import pytest

from boast_source.load.turns import Turns

ITEMS = 4


def resource(turns, name, of, log):
    @turns.of(of)
    def items():
        for number in range(ITEMS):
            log.append((of, threading.get_ident()))
            yield {"of": of, "name": name, "number": number}

    return dlt.resource(items, name=name)


def source_of(turns, log, *, parallel=False):
    resources = [
        resource(turns, "contacts", "contacts", log),
        resource(turns, "enrollments", "enrollments", log),
        resource(turns, "history", "enrollments", log),
        resource(turns, "responses", "responses", log),
    ]
    return dlt.source(lambda: [one.parallelize() if parallel else one for one in resources], name="some")()


@pytest.mark.parametrize("parallel", [False, True])
def test_a_list_begins_when_the_one_before_is_handed_on(parallel):
    log: list = []
    rows = list(source_of(Turns(), log, parallel=parallel))
    assert sorted(row["name"] for row in rows) == sorted(ITEMS * ["contacts", "enrollments", "history", "responses"])
    if not parallel:  # in threads nobody knows who is asked when: then several may be under way
        assert [len(list(group)) for _, group in itertools.groupby(row["of"] for row in rows)] in (
            [ITEMS, 2 * ITEMS, ITEMS],
            [2 * ITEMS, ITEMS, ITEMS],
            [ITEMS, ITEMS, 2 * ITEMS],
        )


def test_resources_of_one_list_go_side_by_side():
    rows = list(source_of(Turns(), []))
    names = [row["name"] for row in rows if row["of"] == "enrollments"]
    assert len(list(itertools.groupby(names))) > 2


def test_a_list_that_nobody_asks_any_more_is_not_waited_for():
    turns, log = Turns(), []
    source = source_of(turns, log)
    left = iter(source.resources["contacts"])
    next(left)
    assert len(list(source_of(turns, log))) == 4 * ITEMS
    assert next(left)["number"] == 1


def test_a_list_that_failed_is_not_waited_for():
    turns = Turns()

    @turns.of("contacts")
    def failing():
        yield 1
        raise ValueError

    with pytest.raises(Exception, match="contacts"):
        list(dlt.resource(failing, name="contacts"))
    assert len(list(source_of(turns, []))) == 4 * ITEMS
