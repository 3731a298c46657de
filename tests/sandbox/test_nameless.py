"""A record without an id is told and costs no other; where all else holds still, one pass is enough to know."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("without", [{"set": {"id": None}}, {"drop": ["id"]}], ids=["null", "missing"])
def test_a_record_without_an_id_is_told_every_night_and_all_others_are_loaded(sandbox, workplace, without):
    server = sandbox(enrollments=30, page_size=7)
    workplace.use(server)
    key = sorted(server.truth())[11]
    server.control("POST", "mutate", {"edits": [{"id": key, **without}]})
    for loaded in (29, 0):
        done = workplace.boast("load", "--json")
        assert done.code == 3, done.err
        (account,) = done.json["accounts"]
        assert (account["listed"], account["loaded"], account["passes"]) == (29, loaded, 1)
        assert account["verified"] == "failed"
        assert account["error"] == "sequence_enrollments: records without an id, which were left out: 1. Ask Boast."
    assert workplace.sql("select count(*), count(distinct id) from boast_data.sequence_enrollments") == [(29, 29)]
    server.control("POST", "mutate", {"edits": [{"id": key, "set": {"id": key}}]})
    assert workplace.boast("load").code == 0
    assert workplace.sql("select count(*) from boast_data.sequence_enrollments") == [(30,)]
