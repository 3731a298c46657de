"""What is told of nights one after the other: each thing once, and what is over."""

from __future__ import annotations

from boast_source import runs
from boast_source.runs.health import Waiting
from boast_source.runs.notify import Known, news

REFUSED = Waiting(refused=1, newest="2026-01-01T00:00:00+00:00")


def told(*nights):
    """What is told of these (exit code, error, what waits), night after night."""
    known, texts = Known(), []
    for code, error, waiting in nights:
        run = runs.Run("nightly", listed=1, verified="covered")
        run.finish(code, error)
        known, text = news(known, run, waiting)
        texts.append(text or "")
    return texts


def test_what_waits_is_told_once_also_when_an_outage_comes_between():
    first, outage, back, still, dropped, after = told(
        (3, None, REFUSED),
        (1, "GET: refused", None),
        (0, None, REFUSED),
        (0, None, REFUSED),
        (0, None, Waiting()),
        (0, None, Waiting()),
    )
    assert first == "requests need attention: 1 refused; see `boast requests list`."
    assert outage == "failed: GET: refused"
    assert back.startswith("well again")
    assert back.endswith("As before, 1 refused need attention.")
    assert still == ""
    assert dropped.startswith("well again")
    assert after == ""


def test_a_failure_that_alternates_with_what_needs_a_person_is_no_recovery():
    nights = [(1, "A fails", None), (3, "account b", Waiting())]
    texts = told(*nights, *nights, (0, None, Waiting()), (0, None, Waiting()))
    assert texts[0] == texts[2] == "failed: A fails"
    assert texts[1] == "runs again, 1 enrollments listed, verified: covered.\nneeds attention: account b"
    assert texts[3] == "runs again, 1 enrollments listed, verified: covered."
    assert texts[4].startswith("well again")
    assert texts[5] == ""


def test_an_error_of_many_accounts_is_short_enough_for_every_chat_and_nothing_else_is_lost():
    """Discord refuses a message of more than 2,000 characters: it would be sent anew each night, and never told."""
    many = "; ".join(f"account {n:036}: GET /accounts/{n:036}/contacts: HTTP 403" for n in range(30))
    (text,) = told((1, many, REFUSED))
    assert len(text) < 1_800
    assert text.startswith("failed: account 0000")
    assert "`boast status` shows all of it" in text
    assert text.endswith("requests need attention: 1 refused; see `boast requests list`.")
