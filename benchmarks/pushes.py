"""Push measured side by side: `python -m benchmarks.pushes rate|select|fire|faults [--runs N] [--requests N]`.

rate    requests a second at 20 ms a POST, 8 workers: `boast push` against a bare loop (`requests`, threads, no ledger)
select  1,000,000 rows in the pending table of which 100 are new: seconds and peak memory of the selection
fire    20 % of the writes are carried out and then answered with 500: what the server holds after `boast push`, and
        after dlt's own `@dlt.destination` sink as people write it
faults  20 % of the writes fail in one way after the other, on DuckDB and on Postgres: what the server holds in the end
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING, Any

import duckdb
import requests

from benchmarks import postgres
from benchmarks.measure import BOAST, PYTHON, ROOT, Folder, Run

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKERS = 8
TRIES = 200  # runs of a job until it has nothing left to do
_thread = threading.local()

SINK = """
import sys, dlt, duckdb, requests
url, account, token = sys.argv[1:]

@dlt.destination(batch_size=1, name="boast_sink")
def sink(items, table):
    for item in items:
        body = {"contact_id": item["contact_id"], "sequence_id": item["sequence_id"]}
        answer = requests.post(f"{url}/accounts/{account}/sequence_enrollments", json=body, timeout=10,
                               headers={"Authorization": f"Bearer {token}"})
        answer.raise_for_status()

with duckdb.connect("boast.duckdb", read_only=True) as connection:
    columns = ["contact_id", "sequence_id"]
    rows = connection.execute(f"select {', '.join(columns)} from boast_data.pending_enrollments").fetchall()
dlt.pipeline("sink", destination=sink).run([dict(zip(columns, row)) for row in rows], table_name="enrollments")
"""


@contextmanager
def sandbox(*arguments: str) -> Iterator[dict[str, Any]]:
    command = [*PYTHON, "boast_source.sandbox", "--port", "0", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout
        try:
            yield json.loads(server.stdout.readline())
        finally:
            server.terminate()


def _every(info: dict[str, Any], noun: str) -> list[dict[str, Any]]:
    """All records of a list of the first account."""
    address = f"{info['base_url']}/accounts/{info['account_ids'][0]}/{noun}"
    headers = {"Authorization": f"Bearer {info['access_token']}"}
    records: list[dict[str, Any]] = []
    pages, number = 1, 0
    while (number := number + 1) <= pages:
        answer = requests.get(address, headers=headers, params={"page": number}, timeout=60).json()
        records += answer["data"]
        pages = answer["meta"]["pagination"]["pages"]
    return records


def _ask(folder: Folder, info: dict[str, Any], count: int, url: str | None = None) -> list[tuple[str, str]]:
    """Fill the pending table with pairs that have no enrollment. `url`: of a Postgres, in place of a DuckDB file."""
    there = {(e["contact_id"], e["sequence_id"]) for e in _every(info, "sequence_enrollments")}
    contacts = [record["id"] for record in _every(info, "contacts")]
    every = [(c, s["id"]) for s in _every(info, "sequences") for c in contacts if (c, s["id"]) not in there]
    if len(every) < count:
        raise ValueError(f"the sandbox has {len(every)} free pairs, not {count}")
    columns = [[pair[0] for pair in every[:count]], [pair[1] for pair in every[:count]]]
    make = "create schema boast_data; create table boast_data.pending_enrollments (contact_id text, sequence_id text)"
    fill = "insert into boast_data.pending_enrollments select unnest({0}), unnest({0})"
    if url:
        import psycopg2  # noqa: PLC0415 -- with the extra only

        with psycopg2.connect(url) as database, database.cursor() as cursor:
            cursor.execute(f"{make}; {fill.format('%s')}", columns)
    else:
        with duckdb.connect(str(folder.path / "boast.duckdb")) as connection:
            connection.execute(make)
            connection.execute(fill.format("?::varchar[]"), columns)
    return every[:count]


def _boast(folder: Folder, info: dict[str, Any], *arguments: str) -> tuple[Run, dict[str, Any]]:
    os.environ["SOURCES__BOAST__CREDENTIALS__ACCESS_TOKEN"] = info["access_token"]
    run = folder.run([BOAST, "push", "--json", *arguments], info["base_url"], WORKERS, codes=(0, 3))
    return run, json.loads((folder.path / "output.txt").read_text().splitlines()[-1])


def _bare(info: dict[str, Any], pairs: list[tuple[str, str]]) -> float:
    """Seconds of a loop without a ledger."""
    address = f"{info['base_url']}/accounts/{info['account_ids'][0]}/sequence_enrollments"

    def send(pair: tuple[str, str]) -> None:
        if not hasattr(_thread, "session"):
            _thread.session = requests.Session()
            _thread.session.headers["Authorization"] = f"Bearer {info['access_token']}"
        body = {"contact_id": pair[0], "sequence_id": pair[1]}
        _thread.session.post(address, json=body, timeout=60).raise_for_status()

    began = time.perf_counter()
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(send, pairs))
    return time.perf_counter() - began


def rate(count: int, runs: int) -> None:
    """Bare loop and push in turns, each against a server of its own."""
    arguments = ("--enrollments", str(count // 4 + 200), "--latency", "0.02", "--page-size", "100")
    figures = []
    for _ in range(runs):
        with sandbox(*arguments) as info, Folder() as folder:
            bare = _bare(info, _ask(folder, info, count))
        with sandbox(*arguments) as info, Folder() as folder:
            _ask(folder, info, count)
            run, told = _boast(folder, info, "--new-ledger", "--max-sends", str(count))
            if told["enrolled"] != count:
                raise RuntimeError(f"enrolled {told['enrolled']} of {count}")
            with duckdb.connect(str(folder.path / "boast.duckdb"), read_only=True) as connection:
                spans = "select epoch(max(recorded_at) - min(recorded_at)) from boast_data.push_ledger"
                sending = float(connection.execute(spans).fetchall()[0][0])
        figures.append((count / bare, count / sending, bare / sending, run.seconds, run.peak))
        print(figures[-1], file=sys.stderr, flush=True)
    bare_rate, ours, ratio, whole, peak = (median(column) for column in zip(*figures, strict=True))
    print(f"\n{count:,} requests at 20 ms a POST, {WORKERS} workers; medians of {runs} pairs\n")
    print("| | requests/s | ratio (range) |\n|---|--:|--:|")
    print(f"| bare loop: requests, threads, no ledger | {bare_rate:.0f} | 1.00 |")
    low, high = min(f[2] for f in figures), max(f[2] for f in figures)
    print(f"| **boast push**, first claim to last record | {ours:.0f} | {ratio:.2f} ({low:.2f}-{high:.2f}) |")
    print(f"\nThe whole push, with process start, listing before and storing after: {whole:.1f} s, {peak:.0f} MB.")


_SELECT = """
import sys, time, resource
from boast_source.warehouse.pipeline import warehouse_for
from boast_source.push import requests
from boast_source.push.ledger import Ledger
from boast_source.push.pending import Pending
from boast_source.listing.scratch import Scratch
with warehouse_for("duckdb", "boast_data").open(patience=5) as warehouse:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    began, scratch = time.perf_counter(), Scratch()
    requests.read_ledger(scratch, Ledger(warehouse).newest())
    mine = requests.Accounts(frozenset(["a" * 36]), frozenset(), False)
    requests.make_asked(scratch, Pending(warehouse, "pending_enrollments").batches, mine)
    found = requests.select(scratch)
    print(len(found), time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, before)
"""


def select(count: int, runs: int) -> None:
    """A ledger that knows all but 100 of the pending rows."""
    figures = []
    with Folder() as folder:
        with duckdb.connect(str(folder.path / "boast.duckdb")) as connection:
            connection.execute("create schema boast_data")
            connection.execute(
                f"create table boast_data.pending_enrollments as select 'request-' || i as request_id,"
                f" uuid() as contact_id, uuid() as sequence_id from range({count}) t(i)"
            )
            connection.execute(
                f"""create table boast_data.push_ledger as
                with sent as (
                    select request_id, contact_id, sequence_id from boast_data.pending_enrollments limit {count - 100}
                )
                select request_id as request_key,
                    md5(concat_ws('|', '{"a" * 36}', contact_id, sequence_id, 'enroll', '')) as content_key,
                    'run' as run_id, event, 1::bigint as attempt, '{"a" * 36}' as account_id, 'enroll' as action,
                    contact_id::text as contact_id, sequence_id::text as sequence_id, uuid()::text as enrollment_id,
                    '[]' as known_enrollment_ids, case event when 1 then 'claimed' else 'enrolled' end as state,
                    null::bigint as http_status, null::text as error_code, null::text as error_detail,
                    now() as recorded_at
                from sent, (select unnest([1::bigint, 2::bigint]) as event)"""
            )
        for _ in range(runs):
            folder.run([sys.executable, "-c", _SELECT], "", WORKERS)
            told = (folder.path / "output.txt").read_text().splitlines()[-1]
            found, *figure = (float(word) for word in told.split())
            if found != 100:
                raise RuntimeError(f"selected {found:.0f} rows instead of 100")
            figures.append(figure)
    took, peak, before = (median(column) for column in zip(*figures, strict=True))
    print(f"\n{count:,} pending rows of which 100 are new, {2 * (count - 100):,} events in the ledger, DuckDB:")
    print(f"selected in {took:.2f} s; peak memory {peak:.0f} MB, {before:.0f} MB of it before the selection began.")


def fire(count: int, runs: int) -> None:
    """One run until nothing is left to do, of both; what the server holds then."""
    fault = json.dumps(
        {"kind": "error_after_write", "method": "POST", "path": "sequence_enrollments", "probability": 0.2}
    )
    print(f"\n{count} requests, 20 % carried out and then answered with 500; {runs} run(s)\n")
    print("| | once | twice or more (extra) | lost |\n|---|--:|--:|--:|")
    for who in ("dlt `@dlt.destination` sink", "**boast push**"):
        for _ in range(runs):
            with sandbox("--enrollments", "400", "--fault", fault) as info, Folder() as folder:
                pairs = _ask(folder, info, count)
                for number in range(TRIES):
                    if who.startswith("dlt"):
                        facts = (info["base_url"], info["account_ids"][0], info["access_token"])
                        folder.run([sys.executable, "-c", SINK, *facts], info["base_url"], WORKERS, codes=(0, 1))
                        if "Error" not in (folder.path / "output.txt").read_text():
                            break
                    else:
                        told = _boast(folder, info, *([] if number else ["--new-ledger"]))[1]
                        if not told["unknown"] + told["deferred"]:
                            break
                    times = _times(info, pairs)
            twice = sum(n > 1 for n in times)
            extra = sum(n - 1 for n in times if n > 1)
            print(f"| {who} | {times.count(1)} | {twice} (+{extra}) | {times.count(0)} |", flush=True)


FAULTS: dict[str, dict[str, Any]] = {
    "500 before it acted": {"kind": "error_before_write"},
    "500 after it acted": {"kind": "error_after_write"},
    "dropped after it acted": {"kind": "drop_after_write"},
    "held past the timeout, then carried out": {"kind": "hold_then_act", "seconds": 1.5},
    "429": {"kind": "status", "status": 429, "retry_after": 0},
    "503": {"kind": "status", "status": 503},
    "cut": {"kind": "cut_body"},
    "no JSON": {"kind": "not_json"},
}
_HASTE = {"REQUEST_TIMEOUT": "1", "PUSH__SETTLE_AFTER": "4", "PUSH__MAX_ATTEMPTS": "100"}
_HASTE |= {"PUSH__MAX_UNKNOWNS_IN_A_ROW": "1000"}


def faults(count: int, runs: int) -> None:
    """Push until nothing is left to do, while the server fails in one way."""
    print(f"\n{count} requests, 20 % of the writes fail; once / twice / lost\n\n| | DuckDB | Postgres |\n|---|--:|--:|")
    with postgres.server() as port:
        for name, fault in FAULTS.items():
            for _ in range(runs):
                with postgres.database(port) as environment:
                    found = [_failing(count, fault, {}), _failing(count, fault, environment)]
                print(f"| {name} | {' | '.join(found)} |", flush=True)


def _failing(count: int, fault: dict[str, Any], environment: dict[str, str]) -> str:
    given = json.dumps({"method": "POST", "path": "sequence_enrollments", "probability": 0.2} | fault)
    settings = {f"SOURCES__BOAST__{key}": value for key, value in _HASTE.items()}
    if fault.get("status") == 429:  # nothing is unknown, and a claim may wait for half of settle_after only
        del settings["SOURCES__BOAST__PUSH__SETTLE_AFTER"]
    arguments = ["--destination", "postgres"] if environment else []
    with sandbox("--enrollments", "400", "--fault", given) as info, Folder(settings | environment) as folder:
        pairs = _ask(folder, info, count, environment.get(postgres.CREDENTIALS))
        for number in range(TRIES):
            told = _boast(folder, info, *arguments, *([] if number else ["--new-ledger"]))[1]
            if not told["queried"] - told["enrolled"]:
                break
        times = _times(info, pairs)
    return f"{times.count(1)} / {sum(n > 1 for n in times)} / {times.count(0)}"


def _times(info: dict[str, Any], pairs: list[tuple[str, str]]) -> list[int]:
    """How often each pair is enrolled, by what the server lists."""
    listed = Counter((e["contact_id"], e["sequence_id"]) for e in _every(info, "sequence_enrollments"))
    return [listed[pair] for pair in pairs]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pushes", description=__doc__)
    parser.add_argument("what", choices=["rate", "select", "fire", "faults"])
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--requests", type=int)
    given = parser.parse_args()
    works = {"rate": (rate, 10_000), "select": (select, 1_000_000), "fire": (fire, 400), "faults": (faults, 400)}
    work, usual = works[given.what]
    work(given.requests or usual, given.runs)


if __name__ == "__main__":
    main()
