"""A plan of very many requests is written without several copies of itself in memory."""

from __future__ import annotations

import json
import tracemalloc

from boast_source.push.plan import Plan, write
from boast_source.push.requests import Request

ID = "00000000-0000-4000-8000-{:012}"


def test_a_plan_as_json_takes_a_few_times_its_own_size(tmp_path):
    requests = [Request(f"r{n}", "c", ID.format(1), "enroll", ID.format(n), ID.format(2), None) for n in range(20_000)]
    tracemalloc.start()
    write(Plan(requests, {}), str(tmp_path / "plan.json"), None)  # the warehouse names people on the page only
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    text = (tmp_path / "plan.json").read_text(encoding="utf-8")
    assert len(json.loads(text)["requests"]) == 20_000
    assert peak < 5 * len(text)
