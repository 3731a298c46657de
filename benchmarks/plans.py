"""A plan of many new rows measured: `python -m benchmarks.plans [--requests N]`: seconds and peak memory.

Each run is `boast push --plan` as a process of its own: the listing, the selection, the plan as JSON and as a page.
"""

from __future__ import annotations

import argparse
import json
import os

import duckdb

from benchmarks.measure import BOAST, TOKEN, Folder
from benchmarks.pushes import WORKERS, sandbox


def plan(count: int, suffix: str) -> None:
    """A pending table of new rows, of which none is sent."""
    with sandbox("--enrollments", "1000", "--page-size", "100") as info, Folder() as folder:
        os.environ[TOKEN] = info["access_token"]
        with duckdb.connect(str(folder.path / "boast.duckdb")) as connection:
            connection.execute("create schema boast_data")
            connection.execute(
                "create table boast_data.pending_enrollments as select 'request-' || i as request_id,"
                f" uuid()::text as contact_id, uuid()::text as sequence_id from range({count}) t(i)"
            )
        file = folder.path / f"plan.{suffix}"
        run = folder.run([BOAST, "push", "--plan", str(file), "--json"], info["base_url"], WORKERS)
        told = json.loads((folder.path / "output.txt").read_text().splitlines()[-1])
        if told["deferred"] != count or not file.stat().st_size:
            raise RuntimeError(f"planned {told['deferred']} of {count}")
        print(
            f"{count:,} new rows, a plan as {suffix}: {run.seconds:.1f} s ({run.cpu:.1f} s of CPU), {run.peak:.0f} MB"
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plans", description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    given = parser.parse_args()
    for suffix in ("json", "html"):
        plan(given.requests, suffix)


if __name__ == "__main__":
    main()
