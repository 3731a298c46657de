"""kill -9 at any moment: the next run ends right, and does its own work too."""

from __future__ import annotations

import os
import random
import time

from tests.conftest import finish, stored

KILLS = int(os.environ.get("BOAST_KILLS", "10"))  # `make soak` asks for many more


def history_holds_every_stored_version(workplace):
    """Each row of the table is the newest version of its id in the history."""
    missing = workplace.sql(
        "select e.id from boast_data.sequence_enrollments e left join ("
        " select * from boast_data.sequence_enrollments_history"
        " qualify row_number() over (partition by id order by version desc) = 1) h using (id)"
        " where h.id is null or h.status is distinct from e.status or h.updated_at is distinct from e.updated_at"
        " or (h.missing_since is null) is distinct from (e.missing_since is null)"
    )
    return missing == []


def test_killed_at_random_moments_the_next_run_ends_right(sandbox, workplace):
    server = sandbox(enrollments=400, page_size=50)
    workplace.use(server)
    rng = random.Random(11)
    arguments = ("load", "--resources", "sequence_enrollments")
    began = time.monotonic()
    assert workplace.boast(*arguments).code == 0
    usual = time.monotonic() - began
    for _ in range(KILLS):
        server.control("POST", "mutate", {"update": 20, "insert": 5, "delete": 1})
        process = workplace.start(*arguments)
        time.sleep(rng.uniform(0.3, 1.1) * usual)
        process.kill()
        finish(process)
        server.control("POST", "mutate", {"update": 3, "insert": 2})  # what the crashed run cannot know
        done = workplace.boast(*arguments)
        assert done.code == 0, done.err + done.out
        assert stored(workplace) == server.truth()
        assert history_holds_every_stored_version(workplace)
    counts = "select count(*) = count(distinct id) from boast_data.sequence_enrollments"
    assert workplace.sql(counts) == [(True,)]
    keys = "select count(*) = count(distinct version_key) from boast_data.sequence_enrollments_history"
    assert workplace.sql(keys) == [(True,)]
