"""Random worlds, each made by one integer, compared with a model that shares no code with the connector.

A world is a living API, a configuration, and a schedule of loads, pushes, nights and kills. After each run the tables,
the history, the views, the ledger, `runs` and the exit code are compared with what the API had and did. `BOAST_WORLDS`
says how many worlds; a failure prints `BOAST_WORLD=SEED`, which plays that one again. With one page worker it is equal
to the last request; with several, or after a kill, the order of requests is the machine's.
"""

from __future__ import annotations

import os

import pytest

from tests.support.world_life import live

WORLDS = int(os.environ.get("BOAST_WORLDS", "14"))  # a world takes five seconds or more of processor time
ONE = os.environ.get("BOAST_WORLD")


@pytest.mark.parametrize("seed", [int(ONE)] if ONE else range(WORLDS))
def test_after_each_run_of_a_world_the_warehouse_is_what_the_model_says(seed, tmp_path, request):
    live(seed, tmp_path, lambda: request.getfixturevalue("postgres"))
