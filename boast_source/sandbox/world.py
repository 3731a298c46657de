"""The state of the sandbox: enrollments in compact columns, the order of each list, and the sandbox's clock."""

from __future__ import annotations

import random
import time
from array import array
from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING, Any

from boast_source.sandbox import data
from boast_source.sandbox.data import ACTIVE, COMPLETED, DAY, REMOVED, STATUSES, identify, number_of, stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from boast_source.sandbox.options import SandboxOptions

YEARS = 4
SKIP = object()  # in an edit: the field is left out of the record


class Refused(Exception):
    """Raised to refuse a request with this status and error code."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail


class World:
    """All records of all accounts. Not thread-safe: everything runs in the server's event loop."""

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self.rng = random.Random(options.seed)
        self.started = int(options.now.timestamp() * 1_000_000)
        self.born = self.started - YEARS * 365 * DAY
        self._shift = 0  # microseconds by which `advance` moved the clock
        self._real_start = time.monotonic()
        self._last = self.started
        self.contacts_count = max(10 * options.accounts, options.enrollments // 3)
        self.contact, self.sequence = array("I"), array("H")
        self.status, self.responded = array("B"), array("B")
        self.created, self.updated = array("q"), array("q")
        self.edits: dict[int, dict[str, Any]] = {}
        self.vanished: set[int] = set()
        self.transitions: list[tuple[int, int, str]] = []  # (n, microseconds, status) since the start
        self._order_by = self.created if options.order.startswith("created") else self.updated
        self.listed = [array("I") for _ in range(options.accounts)]  # in that order, and then by number
        self.responses = [array("I") for _ in range(options.accounts)]
        self._generate()

    # Time

    def now(self) -> int:
        """Return microseconds since 1970 by the sandbox's clock; every call returns a later time."""
        moved = int((time.monotonic() - self._real_start) * self.options.live * 1_000_000)
        self._last = max(self._last + 1, self.started + moved + self._shift)
        return self._last

    def advance(self, seconds: float, events: int | None = None) -> int:
        """Let time pass and enrollments progress; return the number of events."""
        self._shift += int(seconds * 1_000_000)
        return self.happen(seconds, events)

    def happen(self, seconds: float, events: int | None = None) -> int:
        """Make the events of so many seconds of the sandbox's time, or exactly `events`; return their number."""
        if events is None:
            expected = seconds / 86_400 * max(4.0, len(self.created) / 400)
            events = int(expected) + (self.rng.random() < expected % 1)
        for _ in range(events):
            if self.rng.random() < 0.4 or not self._progress():
                self.create(*self.random_pair())
        return events

    def _progress(self) -> bool:
        n = self.random_listed(lambda n: self.status[n] == ACTIVE)
        if n is None:
            return False
        done, responds, removed, _ = data.performance(self.options.seed, self.sequence[n])
        status = REMOVED if self.rng.random() < removed / (done + removed) else COMPLETED
        if status == COMPLETED and self.rng.random() < responds:
            self.respond(n)
        self.change(n, status)
        return True

    # Lists and records

    def accounts(self) -> list[dict[str, Any]]:
        return [data.account(self.options.seed, a, self.born) for a in range(self.options.accounts)]

    def length(self, account: int, noun: str) -> int:
        if noun == "sequence_enrollments":
            return len(self.listed[account])
        if noun == "responses":
            return len(self.responses[account])
        if noun == "contacts":
            return len(range(account, self.contacts_count, self.options.accounts))
        return {"forms": 4, "sequences": data.sequences_count(), "webhook_subscriptions": 2}[noun]

    def rows(self, account: int, noun: str, start: int, stop: int) -> list[dict[str, Any]]:
        """Return the records from `start` up to `stop` of a list, in its order."""
        stop = min(stop, self.length(account, noun))
        if noun == "sequence_enrollments":
            listed, backwards = self.listed[account], self.options.order.endswith("desc")
            return [self.enrollment(listed[-1 - at if backwards else at]) for at in range(start, stop)]
        return [self._record(account, noun, at) for at in range(start, stop)]

    def _record(self, account: int, noun: str, at: int) -> dict[str, Any]:
        seed, born = self.options.seed, self.born
        if noun == "contacts":
            return data.contact(seed, account + at * self.options.accounts, born)
        if noun == "responses":
            n = self.responses[account][at]
            return data.response(seed, self._place_in(account), n, self.contact[n], self.updated[n])
        make = {"forms": data.form, "sequences": data.sequence, "webhook_subscriptions": data.webhook}[noun]
        return make(seed, self._place_in(account), at, born)

    def _place_in(self, account: int) -> data.Place:
        return lambda n: n * self.options.accounts + account

    def account_of(self, n: int) -> int:
        return self.contact[n] % self.options.accounts

    def enrollment(self, n: int) -> dict[str, Any]:
        seed = self.options.seed
        record = {
            "id": identify(seed, "enrollment", n),
            "contact_id": identify(seed, "contact", self.contact[n]),
            "sequence_id": identify(seed, "sequence", self._place_in(self.account_of(n))(self.sequence[n])),
            "response_id": identify(seed, "response", n) if self.responded[n] else None,
            "status": STATUSES[self.status[n]],
            "created_at": stamp(self.created[n]),
            "updated_at": stamp(self.updated[n]),
        }
        edit = self.edits.get(n)
        if edit:
            record = {key: value for key, value in (record | edit).items() if value is not SKIP}
        return record

    def find(self, account: int, identifier: str) -> int | None:
        """Return the number of an enrollment by id; None if the account does not list it."""
        n = number_of(self.options.seed, "enrollment", identifier)
        if n is None or n >= len(self.created) or n in self.vanished or self.account_of(n) != account:
            return None
        return n

    # What the API's writes do

    def enroll(self, account: int, contact_id: object, sequence_id: object) -> int:
        """Carry out a POST: create an enrollment and return its number. Raises Refused."""
        contact = number_of(self.options.seed, "contact", str(contact_id))
        known = number_of(self.options.seed, "sequence", str(sequence_id))
        sequence, owner = (None, None) if known is None else divmod(known, self.options.accounts)
        unknown = self.options.unknown_status
        if contact is None or contact >= self.contacts_count or contact % self.options.accounts != account:
            raise Refused(unknown, "invalid_contact", "Contact must exist")
        if sequence is None or sequence >= data.sequences_count() or owner != account:
            raise Refused(unknown, "invalid_sequence", "Sequence must exist")
        if self.options.on_duplicate == "refuse" and any(
            self.contact[n] == contact and self.sequence[n] == sequence and self.status[n] == ACTIVE
            for n in self.listed[account]
        ):
            raise Refused(422, "already_enrolled", "Contact is already enrolled in this sequence")
        return self.create(contact, sequence)

    def remove(self, n: int) -> bool:
        """Carry out a DELETE; return whether it changed anything. Raises Refused."""
        if self.status[n] == ACTIVE:
            self.change(n, REMOVED)
            return True
        if self.options.on_inactive == "refuse":
            raise Refused(422, "not_active", "Enrollment is not active")
        return False

    # Changes

    def create(self, contact: int, sequence: int, at: int | None = None) -> int:
        n, moment = len(self.created), self.now() if at is None else at
        self._append(contact, sequence, ACTIVE, moment, moment)
        self._put_in(n)
        self.transitions.append((n, moment, "active"))
        return n

    def change(self, n: int, status: int, *, touch: bool = True) -> None:
        self.status[n] = status
        if touch:
            self.touch(n)
        self.transitions.append((n, self.updated[n], STATUSES[status]))

    def touch(self, n: int) -> None:
        listed = n not in self.vanished
        if listed:
            self._take_out(n)
        self.updated[n] = self.now()
        if listed:
            self._put_in(n)

    def respond(self, n: int) -> None:
        if not self.responded[n]:
            self.responded[n] = 1
            self.responses[self.account_of(n)].append(n)

    def vanish(self, n: int) -> None:
        if n not in self.vanished:
            self._take_out(n)
            self.vanished.add(n)

    def restore(self, n: int) -> None:
        if n in self.vanished:
            self._put_in(n)
            self.vanished.discard(n)

    def random_listed(self, fits: Callable[[int], bool]) -> int | None:
        """Return a random listed enrollment that `fits`; None if 500 tries find none."""
        for _ in range(500 if len(self.created) else 0):
            n = self.rng.randrange(len(self.created))
            if n not in self.vanished and fits(n):
                return n
        return None

    def random_pair(self) -> tuple[int, int]:
        """Return the numbers of a random contact and sequence."""
        return self.rng.randrange(self.contacts_count), self.rng.randrange(data.sequences_count())

    # What tests compare with

    def truth(self) -> Iterator[dict[str, Any]]:
        """Yield every listed enrollment with its account id, per account by creation."""
        accounts = [record["id"] for record in self.accounts()]
        for account, listed in enumerate(self.listed):
            for n in sorted(listed, key=lambda n: (self.created[n], n)):
                yield self.enrollment(n) | {"account_id": accounts[account]}

    def duplicates(self) -> list[dict[str, Any]]:
        """Return the (contact, sequence) pairs enrolled more than once since the start."""
        seed = self.options.seed
        born = (n for n in range(self.options.enrollments, len(self.created)))
        counts = Counter((self.contact[n], self.sequence[n]) for n in born)
        return [
            {
                "contact_id": identify(seed, "contact", c),
                "sequence_id": identify(seed, "sequence", self._place_in(c % self.options.accounts)(s)),
                "count": count,
            }
            for (c, s), count in counts.items()
            if count > 1
        ]

    # Inside

    def _generate(self) -> None:
        options, rng = self.options, self.rng
        how = [data.performance(options.seed, s) for s in range(data.sequences_count())]
        span, count = self.started - self.born, options.enrollments
        for n in range(count):
            created = self.born + int(span * ((n + rng.random()) / count) ** 0.7)  # growing from year to year
            contact, sequence = rng.randrange(self.contacts_count), rng.randrange(len(how))
            done, responds, removed, days = how[sequence]
            changed = created + int(rng.lognormvariate(0, 0.8) * days * DAY)
            fate = rng.random()
            status = COMPLETED if fate < done else REMOVED if fate < done + removed else ACTIVE
            if changed > self.started or status == ACTIVE:
                status, changed = ACTIVE, created
            self._append(contact, sequence, status, created, changed)
            if status == COMPLETED and rng.random() < responds:
                self.respond(n)
        for n in sorted(range(count), key=self._order_by.__getitem__):
            self.listed[self.account_of(n)].append(n)

    def _append(self, contact: int, sequence: int, status: int, created: int, updated: int) -> None:
        self.contact.append(contact)
        self.sequence.append(sequence)
        self.status.append(status)
        self.responded.append(0)
        self.created.append(created)
        self.updated.append(updated)

    def _put_in(self, n: int) -> None:
        self.listed[self.account_of(n)].insert(self._place(n), n)

    def _take_out(self, n: int) -> None:
        self.listed[self.account_of(n)].pop(self._place(n))

    def _place(self, n: int) -> int:
        """Return the position of an enrollment in its account's list, or where to insert it."""

        def key(m: int) -> tuple[int, int]:
            return self._order_by[m], m

        return bisect_left(self.listed[self.account_of(n)], key(n), key=key)
