"""`boast demo`: the whole job on the embedded sandbox and DuckDB, in a folder of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from boast_source import runs
from boast_source.errors import ConfigurationError
from boast_source.sandbox import SandboxOptions

if TYPE_CHECKING:
    from collections.abc import Callable

QUERY = """select sequence_name, enrolled, completed, responded, round(100 * response_rate, 1) as response_percent,
       round(median_hours_to_respond / 24, 1) as median_days
from boast_data.sequence_performance
order by response_rate desc limit 5"""
# who never was in the sequence that gets the most responses: what a marketer might ask for
PENDING = """create or replace view boast_data.pending_enrollments as
with best as (
    select sequence_id, account_id from boast_data.sequence_performance order by response_rate desc, sequence_id limit 1
)
select 'demo-' || c.id || '-' || best.sequence_id as request_id, c.account_id, c.id as contact_id, best.sequence_id
from boast_data.contacts c join best using (account_id)
where c.id not in (select contact_id from boast_data.sequence_enrollments e where e.sequence_id = best.sequence_id)
order by c.id limit 5"""
DAYS = 7  # that pass between the two loads


def demo(folder: str, enrollments: int, *, as_json: Callable[[dict[str, Any]], None] | None) -> int:
    """Serve the sandbox, load from it, run a night over it, query what came; returns the exit code.

    Raises ConfigurationError when the sandbox's extra is missing.
    """
    try:
        from boast_source.sandbox.server import running  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(
            "The demo needs the sandbox", hint='Install its extra: pip install "boast-source[sandbox]".'
        ) from error
    place = Path(folder).resolve()
    place.mkdir(parents=True, exist_ok=True)
    again = (place / "boast.duckdb").exists()
    summaries: list[dict[str, Any]] = []
    _say(as_json, f"Demo in {place}")
    with running(SandboxOptions(enrollments=enrollments)) as server:
        _say(as_json, f"A Boast API with {enrollments:,} enrollments on {server.base_url}\n")
        os.environ |= {
            "DLT_DATA_DIR": str(place / ".state"),
            "SOURCES__BOAST__BASE_URL": server.base_url,
            "SOURCES__BOAST__CREDENTIALS__ACCESS_TOKEN": server.access_token,
        }
        os.chdir(place)
        from boast_source.commands.job import load_job  # noqa: PLC0415 -- reads the environment that was just set
        from boast_source.commands.nightly import nightly_job  # noqa: PLC0415

        keep = summaries.append if as_json else None
        if not again:
            code = load_job("duckdb", "boast_data", as_json=keep)
            if code:
                return code
            _execute(place / "boast.duckdb", PENDING)
            _say(
                as_json,
                f"\n{DAYS} days pass in the sandbox: enrollments progress, new ones appear. A view asks to enroll"
                " five contacts.\nThe night loads what is new and pushes what is asked for:\n",
            )
        server.control("POST", "advance", {"seconds": DAYS * 86_400})
        code = nightly_job("duckdb", "boast_data", new_ledger=True, as_json=keep)
    answer = _ask(place / "boast.duckdb", show=not as_json)
    if as_json:
        as_json({"status": runs.STATUS[code], "folder": str(place), "runs": summaries, "query": answer})
    return code


def _execute(path: Path, sql: str) -> None:
    import duckdb  # noqa: PLC0415

    with duckdb.connect(str(path)) as connection:
        connection.execute(sql)


def _ask(path: Path, *, show: bool) -> list[dict[str, Any]]:
    import duckdb  # noqa: PLC0415

    with duckdb.connect(str(path), read_only=True) as connection:
        answer = connection.sql(QUERY)
        if show:
            click.echo(f"\nWhich sequences turn into responses?\n\n{QUERY}\n\n{answer}")
            click.echo(f"The data stays in {path}; ask it more with any DuckDB client.")
            click.echo("Next: put your token into .dlt/secrets.toml, then `boast check` and `boast nightly`.")
        return [dict(zip(answer.columns, row, strict=True)) for row in answer.fetchall()]


def _say(as_json: object, text: str) -> None:
    click.echo(text, err=as_json is not None)
