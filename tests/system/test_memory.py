"""Memory is bounded: many rows do not take room for all of them at once, and few but huge ones still load."""

from __future__ import annotations

import os
import subprocess
import sys

from benchmarks.measure import Folder
from tests.support.workplace import finish

MOST = 420  # MB; measured: 350, of which a process that has imported all it needs begins with about 170


def test_two_hundred_thousand_enrollments_do_not_take_room_for_all_of_them(tmp_path):
    command = [sys.executable, "-m", "benchmarks.server", "--rows", "200000"]
    load = [sys.executable, "-m", "boast_source", "load", "--resources", "sequence_enrollments"]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server,
        Folder({"HOME": str(tmp_path)}) as folder,
    ):
        url = f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
        first, again, whole = (folder.run([*load, *more], url, 4).peak for more in ((), (), ("--full-refresh",)))
        assert folder.stored() == (200_000, 200_000)
        server.stdin.close()
    assert max(first, again, whole) < MOST, (first, again, whole)


def test_values_of_nearly_a_megabyte_are_loaded_within_the_usual_bounds(sandbox, workplace):
    server = sandbox(enrollments=40, page_size=5)
    workplace.use(server)
    for key in server.truth():
        for field in ("status", "novel", "other"):
            server.control("POST", "mutate", {"edits": [{"id": key, "set": {field: os.urandom(450_000).hex()}}]})
    done = finish(workplace.start("load", "--json", "--resources", "sequence_enrollments"), timeout=300)
    assert done.code == 0, done.err
    sizes = "select count(*), min(length(status)), min(length(novel)), min(length(other))"
    assert workplace.sql(f"{sizes} from boast_data.sequence_enrollments") == [(40, 900_000, 900_000, 900_000)]
