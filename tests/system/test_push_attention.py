"""What waits for an operator is the same wherever it is said, every run, until it is settled."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.support.sandbox_client import client_of
from tests.support.webhook import webhook

pytest_plugins = ["tests.support.push_fixtures"]

WAITS = dict.fromkeys(("held", "refused", "unknown", "invalid", "duplicate"), 1)


@pytest.fixture
def desk(pushing):
    """A department that tells a webhook, with a request for each state that waits after a push."""
    with webhook() as hook:
        desk = pushing(WEBHOOK_URL=hook.url, REPORT_PATH="")
        enrolled, refused, unknown, held, other = desk.free_pairs(5)
        desk.ask({"request_id": "duplicate", **enrolled})
        assert desk.push().counts == {"enrolled": 1}
        with client_of(desk.server) as client:
            desk.second = client.enroll(**enrolled).json()["data"]["id"]
        edit = {"id": desk.second, "set": {"created_at": "2026-05-01T00:00:00Z"}}  # it was there first, and hidden
        desk.server.control("POST", "mutate", {"edits": [edit]})
        desk.fault("status", status=422, times=1)
        desk.ask({"request_id": "refused", **refused})
        assert desk.push().counts == {"refused": 1}
        desk.fault("error_before_write", times=1)
        desk.ask({"request_id": "unknown", **unknown}, {"request_id": "invalid", **other, "contact_id": "x"})
        desk.ask({"request_id": "held", **held}, {"request_id": "held", **other})
        desk.hook = hook
        hook.news()
        yield desk


def said(desk, workplace):
    """The exit codes of a push and of nights, and what each place says of each state that waits."""
    pushed = workplace.boast("push", "--json")
    nights = [workplace.boast("nightly", "--json", *more) for more in ([], ["--no-push"])]
    told = "".join(desk.hook.news())
    assert workplace.boast("report", "--output", "report.html").code == 0
    page = (workplace.folder / "report.html").read_text()
    table = page.partition("Requests that need attention")[2].partition("</table>")[0]
    status = workplace.boast("status", "--json").json
    numbers = ("held", "refused", "unknown", "waiting")
    listed = Counter(one["standing"] for one in workplace.boast("requests", "list", "--json").json["requests"])
    return {
        "codes": [pushed.code, *(night.code for night in nights)],
        "by state": [pushed.json["attention"], nights[0].json["push"]["attention"], listed],
        "told": {word: int(count) for count, word in re.findall(r"(\d+) (\w+)", told) if word in WAITS},
        "counts": [
            dict(
                zip(
                    numbers, *workplace.sql(f"select {', '.join(numbers)} from boast_data.pipeline_health"), strict=True
                )
            ),
            {name: status["health"][name] for name in numbers},
        ],
        "status": status["status"],
        "report": (
            re.findall(r'data-name="waiting" data-value="(\d+)"', page),
            set(re.findall(r"<tr><td>(\w+)", table)),
        ),
    }


def test_what_waits_is_said_alike_everywhere_until_it_is_settled(desk, workplace):
    for night in range(2):
        assert said(desk, workplace) == {
            "codes": [3, 3, 3],
            "by state": [WAITS] * 3,
            "told": {} if night else WAITS,  # once
            "counts": [{"held": 1, "refused": 1, "unknown": 1, "waiting": 5}] * 2,
            "status": "attention",
            "report": (["5"], {*WAITS, "enrolled"} - {"duplicate"}),
        }
    assert workplace.boast("requests", "drop", "refused", "unknown", "invalid", "held").code == 0
    desk.server.control("POST", "mutate", {"edits": [{"id": desk.second, "set": {"status": "removed"}}]})
    assert said(desk, workplace) == {
        "codes": [0, 0, 0],
        "by state": [{}] * 3,
        "told": {},
        "counts": [dict.fromkeys(("held", "refused", "unknown", "waiting"), 0)] * 2,
        "status": "ok",
        "report": (["0"], set()),
    }
