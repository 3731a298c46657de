"""A month of nightly runs in one folder, with accidents."""

from __future__ import annotations

import resource
import sys
import threading
from datetime import datetime, timezone
from pathlib import Path

import duckdb

from tests.support.sandbox_client import client_of
from tests.support.waiting import until
from tests.support.workplace import Done, finish

DAY = 86_400
LISTED = "GET sequence_enrollments"
SENT = "POST sequence_enrollments"
PENDING = (
    "create table boast_data.pending_enrollments"
    " (request_id text, contact_id text, sequence_id text, action text, enrollment_id text)"
)


class Month:
    """One pipeline in one folder. `logs`: all output of the commands; `codes`: exit codes of nights (killed: None)."""

    def __init__(self, server, workplace, hook):
        self.server, self.workplace, self.hook = server, workplace, hook
        self.folder: Path = workplace.folder
        self.logs: list[str] = []
        self.codes: list[int | None] = []
        self.asked: list[tuple[str, str, str]] = []
        self.removed: list[str] = []
        self.seen: list[tuple[datetime, dict]] = []
        with client_of(server) as client:
            self.contacts = [record["id"] for record in client.every("contacts")]
            self.sequences = [record["id"] for record in client.every("sequences")]

    def execute(self, sql, *values):
        with duckdb.connect(str(self.folder / "boast.duckdb")) as connection:
            return connection.execute(sql, values).fetchall()

    def day(self, number: int) -> None:
        """Let a day pass: enrollments progress, appear, vanish and return; tokens expire; rows ask for enrollments."""
        self.server.control("POST", "advance", {"seconds": DAY})
        gone = self.server.control("POST", "mutate", {"update": 3, "insert": 2, "delete": number % 2})["deleted"]
        if number % 5 == 0:
            self.server.control("POST", "mutate", {"restore_ids": gone})
        self.server.control("POST", "tokens", {"expire": True})
        truth = list(self.server.truth().values())
        there = {(e["contact_id"], e["sequence_id"]) for e in truth}
        ours = {(contact, sequence) for _, contact, sequence in self.asked}
        free = [(c, s) for s in self.sequences for c in self.contacts if (c, s) not in there | ours]
        for contact, sequence in free[:: len(free) // 3][:3]:
            key = f"night{number}-{len(self.asked)}"
            self.asked.append((key, contact, sequence))
            self.execute(
                "insert into boast_data.pending_enrollments values (?, ?, ?, 'enroll', null)", key, contact, sequence
            )
        if number % 4 == 0:
            target = next(e["id"] for e in truth if e["status"] == "active" and e["id"] not in self.removed)
            self.removed.append(target)
            self.execute(
                "insert into boast_data.pending_enrollments values (?, null, null, 'remove', ?)", f"out{number}", target
            )

    def start(self, *options, **env):
        self.before = dict(self.requests())
        return self.workplace.start("nightly", "--json", *options, **env)

    def ended(self, process) -> Done:
        done = finish(process)
        self.logs.append(done.out + done.err)
        return done

    def night(self, **env) -> Done:
        done = self.ended(self.start("--debug", **env))
        self.codes.append(done.code)
        if done.code in {0, 3} and done.json["load"]:
            self.seen.append((datetime.now(timezone.utc), self.server.truth()))
        return done

    def killed(self, reached) -> None:
        """Start a night and kill it once `reached(process, printed)` is true."""
        process = self.start("--debug")
        printed: list[str] = []
        reader = threading.Thread(target=lambda: printed.extend(iter(process.stderr.readline, "")), daemon=True)
        reader.start()
        until(lambda: reached(process, printed), process=process)
        process.kill()
        process.wait()
        reader.join()
        process.stdout.close()
        process.stderr.close()
        self.logs.append("".join(printed))
        self.codes.append(None)

    def arrived(self, what: str, count: int = 1):
        return lambda *_: self.requests().get(what, 0) >= self.before.get(what, 0) + count

    def requests(self):
        return self.server.control("GET", "counters")["arrived"]

    def packages(self, place: str):
        """Return a condition: dlt has a load package in this folder."""
        folder = self.folder / "state" / "pipelines" / "boast" / place
        return lambda *_: folder.is_dir() and any(folder.iterdir())

    def printed(self, start: str):
        return lambda _, lines: any(line.startswith(start) for line in lines)

    def overlap(self) -> None:
        """Start two nights at once: the second finds the first one running."""
        self.server.control("POST", "faults", {"kind": "latency", "seconds": 1, "path": "enrollments", "times": 6})
        first = self.start()  # no --debug: its output is read only after the other night, and the pipe would fill
        until(self.arrived(LISTED), process=first)
        assert self.night().code == 4
        self.codes.append(self.ended(first).code)
        self.seen.append((datetime.now(timezone.utc), self.server.truth()))

    def full_disk(self) -> None:
        process = self.start()
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (2**12, 2**12))
        self.codes.append(self.ended(process).code)

    def revoked(self) -> None:
        """Revoke the token; a user logs in the next morning."""
        self.server.control("POST", "tokens", {"revoke": "refresh too"})
        done = self.night()
        assert (done.code, "boast login" in done.err) == (1, True), done.err
        browser = self.folder / "browser.sh"
        browser.write_text(
            f'#!/bin/sh\n{sys.executable} -c "import sys, urllib.request as u; u.urlopen(sys.argv[1]).read()" "$1"\n'
        )
        browser.chmod(0o755)
        done = finish(self.workplace.start("login", "--port", "0", "--timeout", "240", BROWSER=str(browser)))
        self.logs.append(done.err)  # contains the address to open, which is no secret
        assert done.code == 0, done.err

    def schema_addition(self) -> None:
        """Add new fields to some enrollments, as when the API adds a field."""
        some = list(self.server.truth())[:5]
        edits = [{"id": key, "set": {"campaign": "spring", "score": n}} for n, key in enumerate(some)]
        self.server.control("POST", "mutate", {"edits": edits})
        done = self.night()
        assert done.code in {0, 3}, done.err  # 3: an enrollment to remove may have ended by chance

    def unheard(self) -> None:
        """Let the server act but answer with an error; the night settles these requests by reading back."""
        self.server.control(
            "POST", "faults", {"kind": "error_after_write", "method": "POST", "path": "enrollments", "times": 2}
        )
        self.night()

    def outage(self) -> None:
        self.server.control("POST", "faults", {"kind": "drop"})
        assert self.night(SOURCES__BOAST__REQUEST_TIMEOUT="2").code == 1
        self.server.control("DELETE", "faults")
