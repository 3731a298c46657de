"""A plan: what a push would send, for review, with a hash that approves exactly these requests.

The ledger keeps short hashes of a plan's keys and contents, so an approval can detect later changes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from boast_source.errors import DestinationError, one_line
from boast_source.private import replace_file
from boast_source.push.decide import short

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from boast_source.push.model import Verdict
    from boast_source.push.requests import Request
    from boast_source.warehouse import Warehouse

SHOWN = 5000  # requests in the HTML; the JSON has all
_NAMED = ("id", "first_name", "last_name", "email")


@dataclass(frozen=True)
class Plan:
    """`sends`: the requests to send, in order. `sequences`: names by id. `left`: up to SHOWN requests not sent."""

    sends: Sequence[Request]
    sequences: Mapping[str, str]
    left: Sequence[tuple[Request, Verdict]] = ()

    @property
    def members(self) -> dict[str, str]:
        """Content by key, both as short hashes."""
        return {short(request.request_key): short(request.content_key) for request in self.sends}

    @property
    def hash(self) -> str:
        """The hash that `--approve` takes: 16 hexadecimal digits over all keys and contents."""
        said = "\n".join(sorted(f"{key} {content}" for key, content in self.members.items()))
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    @property
    def counts(self) -> list[dict[str, Any]]:
        """The number of requests per account, sequence and action, largest first."""
        found = Counter((r.account_id, r.sequence_id, r.action) for r in self.sends)
        return [
            {"account_id": account, "sequence_id": sequence, "sequence_name": self._name(sequence), "action": action}
            | {"requests": count}
            for (account, sequence, action), count in sorted(found.items(), key=lambda item: (-item[1], str(item[0])))
        ]

    def said(self) -> str:
        """Return the counts in a sentence."""
        parts = []
        for one in self.counts[:10]:
            where = one["sequence_name"] or one["sequence_id"] or "a given enrollment"
            parts.append(f"{one['requests']:,} to {one['action']} ({where}, account {one['account_id']})")
        more = len(self.counts) - len(parts)
        return ", ".join(parts) + (f" and {more} more of account and sequence" if more > 0 else "") or "nothing to send"

    def as_json(self) -> dict[str, Any]:
        """Return the plan as JSON, with ids and no names of people."""
        names = ("request_key", "action", "account_id", "contact_id", "sequence_id", "enrollment_id")
        requests = [{name: getattr(request, name) for name in names} for request in self.sends]
        return {"hash": self.hash, "to_send": len(self.sends), "counts": self.counts, "requests": requests}

    def as_html(self, people: Mapping[str, str]) -> str:
        """Return the plan as an HTML page. `people`: names of contacts by id."""
        counts = _table(
            ("requests", "action", "sequence", "account"),
            (
                (one["requests"], one["action"], one["sequence_name"] or one["sequence_id"], one["account_id"])
                for one in self.counts
            ),
        )

        def of(r: Request) -> tuple[object, ...]:
            return r.request_key, r.action, people.get(r.contact_id or "", r.contact_id), self._name(r.sequence_id)

        heads = ("request", "action", "contact", "sequence")
        rows = _table(heads, map(of, self.sends[:SHOWN]))
        others = ((*of(request), verdict.state, verdict.detail) for request, verdict in self.left)
        more = f"<h2>Not sent</h2>{_table((*heads, 'state', 'reason'), others)}" if self.left else ""
        left = len(self.sends) - SHOWN
        more = (f"<p>... and {left:,} more; a plan in a .json file has all.</p>" if left > 0 else "") + more
        approve = f"<p>To send exactly this: <code>boast push --approve {self.hash}</code></p>" if self.sends else ""
        page = Template((resources.files(__package__) / "plan.html").read_text(encoding="utf-8"))
        return page.substitute(count=f"{len(self.sends):,}", approve=approve, counts=counts, rows=rows, more=more)

    def _name(self, sequence: str | None) -> str | None:
        return self.sequences.get(sequence or "", sequence)


def plan_of(planned: Iterable[tuple[Request, Verdict]], sequences: Mapping[str, str]) -> Plan:
    """Return the plan, given the verdict on each request."""
    sends: list[Request] = []
    left: list[tuple[Request, Verdict]] = []
    for request, verdict in planned:
        if verdict.send:
            sends.append(request)
        elif len(left) < SHOWN:
            left.append((request, verdict))
    return Plan(sends, sequences, left)


def people_of(warehouse: Warehouse, plan: Plan) -> dict[str, str]:
    """Return the names of the plan's loaded contacts, by id. Only the HTML page may show them."""
    ids = {r.contact_id for r in (*plan.sends[:SHOWN], *(r for r, _ in plan.left)) if r.contact_id}
    found: dict[str, str] = {}
    for batch in warehouse.read("contacts", _NAMED, ids=ids):
        if batch.num_columns == len(_NAMED):
            for key, *names in zip(*batch.to_pydict().values(), strict=True):
                found[str(key).lower()] = " ".join(str(name) for name in names if name)
    return found


def write(plan: Plan, file: str, warehouse: Warehouse) -> str:
    """Write a plan, as JSON if the file ends in .json, else as HTML; return its path. Raises DestinationError."""
    path = Path(os.path.realpath(file))
    page = None if path.suffix.lower() == ".json" else plan.as_html(people_of(warehouse, plan))
    try:
        replace_file(path, page or json.dumps(plan.as_json()))  # it names people
    except OSError as error:
        raise DestinationError(
            f"The plan cannot be written to {path}: {error.strerror}", hint="Name another file with --plan."
        ) from None
    return str(path)


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(one)}</th>" for one in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(one_line(v or ''))}</td>" for v in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
