"""`boast requests` as functions: list requests, decide on them, pause and resume sending."""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from boast_source.config import push_settings, settings
from boast_source.errors import ConfigurationError
from boast_source.push import controls, shown
from boast_source.push.decisions import Choice, chosen, decide_on, listed
from boast_source.push.ledger import Event, Ledger
from boast_source.push.model import Control
from boast_source.runs.lock import lock
from boast_source.warehouse import Warehouse, until_answered
from boast_source.warehouse.pipeline import warehouse_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from boast_source.push.shown import Shown

_SHOWN = 5  # sequences or accounts per message


def requests_job(
    destination: str | None = None,
    dataset: str | None = None,
    *,
    action: str,
    choice: Choice | None = None,
    note: str | None = None,
    confirm: Callable[[Sequence[Event]], None] | None = None,
) -> list[Shown]:
    """List requests, or record an operator's decision on them.

    Args:
        destination, dataset: the warehouse with the ledger; defaults as for `load_job`.
        action: `list`, `release`, `retry` or `drop`.
        choice: which requests; None: those that wait for an operator. A sequence may be given by its name.
        note: the operator's comment, kept with the decision.
        confirm: called with the requests before a decision that names no keys; it raises to cancel.

    Returns the newest event of each request, with what happens next. Listing works during a run.

    Raises ConfigurationError when there is no ledger, no such request, or the decision does not apply to it.
    """
    asked, warehouse = choice or Choice(), warehouse_for(destination, dataset)
    if action == "list":
        return until_answered(warehouse, lambda: _listed(warehouse, asked))
    with _ledger(warehouse, alone=True) as ledger:
        choice = replace(asked, sequences=_ids(asked.sequences, shown.names_of(ledger, "sequences"), "sequences"))
        events = chosen(ledger, action, choice)
        if confirm and not choice.keys:
            confirm(events)
        said = [shown.outcome(event, action) for event in events]
        decided = decide_on(ledger, action, events, uuid.uuid4().hex, note=note)
        return [
            replace(one, next=words)
            for one, words in zip(shown.shown(decided, ledger, _timing(ledger)), said, strict=True)
        ]


def _listed(warehouse: Warehouse, choice: Choice) -> list[Shown]:
    with _ledger(warehouse, alone=False) as ledger:
        names, given = shown.names_of(ledger, "sequences"), choice.sequences
        found = listed(ledger, replace(choice, sequences=_ids(given, names, "sequences")))
        if not found:  # a misspelled name would look as if nothing waited
            _check_known("sequence", given, names)
        return shown.shown(found, ledger, _timing(ledger))


def pause_job(
    destination: str | None = None,
    dataset: str | None = None,
    *,
    resume: bool = False,
    sequences: Sequence[str] = (),
    accounts: Sequence[str] = (),
    note: str | None = None,
) -> list[str]:
    """Pause or resume sending, for the given sequences and accounts or, without any, for everything.

    Give ids or names. The pause is stored in the ledger. Returns the scopes that are paused now. Raises
    ConfigurationError, for example when a sequence or account to pause was never loaded.
    """
    with _ledger(warehouse_for(destination, dataset), alone=True) as ledger:
        if not resume:
            _check_known("sequence", sequences, shown.names_of(ledger, "sequences"))
            _check_known("account", accounts, shown.names_of(ledger, "accounts"))
        what = controls.scopes(
            _ids(tuple(sequences), shown.names_of(ledger, "sequences"), "sequences"),
            _ids(tuple(accounts), shown.names_of(ledger, "accounts"), "accounts"),
        )
        control = Control.RESUMED if resume else Control.PAUSED
        controls.pause(ledger, control, what, uuid.uuid4().hex, note=note)
        return sorted(controls.read(ledger).paused)


@contextlib.contextmanager
def _ledger(warehouse: Warehouse, *, alone: bool) -> Iterator[Ledger]:
    """Yield the ledger. `alone`: hold the lock, so no run is active meanwhile. Raises ConfigurationError."""
    with contextlib.ExitStack() as stack:
        if alone:
            stack.enter_context(lock(warehouse.pipeline))
        stack.enter_context(warehouse.open(patience=settings().lock_timeout, creates=False, only_reads=not alone))
        ledger = Ledger(warehouse) if warehouse.has_sql else None
        if ledger is None or not ledger.exists():
            raise ConfigurationError(
                "There is no ledger", hint="It comes with the first push: `boast push --new-ledger`."
            )
        if alone:
            warehouse.lock_sender(single_sender=True)
            ledger.create()  # adds the columns that an older version lacked
        yield ledger


def _ids(given: tuple[str, ...], known: Mapping[str, str], what: str) -> tuple[str, ...]:
    """Return the ids for ids or names. Raises ConfigurationError for an ambiguous name."""
    by_name: dict[str, list[str]] = {}
    for key, name in known.items():
        by_name.setdefault(name.strip().lower(), []).append(key)
    found = {one: by_name.get(one.strip().lower(), [one.strip().lower()]) for one in given}
    for one, ids in found.items():
        if len(ids) > 1:
            raise ConfigurationError(f"Several {what} are called {one}", hint=f"Give an id: {', '.join(ids)}.")
    return tuple(ids[0] for ids in found.values())


def _check_known(kind: str, given: Iterable[str], known: Mapping[str, str]) -> None:
    """Raise ConfigurationError for an unknown id or name. If none were loaded, accept any text as an id."""
    names = {*known, *(name.strip().lower() for name in known.values())}
    there = ", ".join(f"{name} ({key})" for key, name in list(known.items())[:_SHOWN])
    for one in given:
        if not one.strip() or (known and one.strip().lower() not in names):
            raise ConfigurationError(
                f"No {kind} {one!r} was loaded",
                hint=f"Some that were: {there}." if there else "Give an id.",
            )


def _timing(ledger: Ledger) -> shown.Timing:
    settle_after = push_settings().settle_seconds
    if settle_after is None:
        return shown.Timing(None, None)
    sending_for = settle_after / 2 + settings().request_timeout  # the same as Context.sending_for (push/context.py)
    return shown.Timing(settle_after + sending_for, settle_after, shown.restless_since(ledger))
