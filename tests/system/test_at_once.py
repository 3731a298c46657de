"""Many nights at once in one folder: one works, the others end with 4, nothing is lost and nothing is left."""

from __future__ import annotations

import os

from tests.support.waiting import arrived, until
from tests.support.workplace import finish

AT_ONCE = int(os.environ.get("BOAST_AT_ONCE", "8"))  # `make soak` starts 100


def test_of_many_nights_at_once_one_works_and_the_others_end_with_4(sandbox, workplace):
    server = sandbox(enrollments=40)
    workplace.use(server)
    assert workplace.boast("load").code == 0
    before = {path.name for path in workplace.folder.iterdir()}
    server.control("POST", "mutate", {"insert": 5})
    server.control("POST", "faults", {"kind": "hold", "seconds": 3600, "path": "enrollments", "times": 1})
    seen = server.control("GET", "counters")["arrived"]["GET sequence_enrollments"]
    nights = [workplace.start("nightly", "--no-push") for _ in range(AT_ONCE)]
    arrived(server, "GET sequence_enrollments", seen + 1)
    until(lambda: sum(night.poll() is not None for night in nights) == AT_ONCE - 1)
    server.control("DELETE", "faults")
    assert sorted(finish(night).code for night in nights) == [0, *[4] * (AT_ONCE - 1)]
    query = "select count(*), count(distinct id) from boast_data.sequence_enrollments"
    assert workplace.sql(query) == [(45, 45)]
    after = {path.name for path in workplace.folder.iterdir()}
    assert after - before <= {"boast_report.html"}
