"""`boast demo`: the whole job on the embedded sandbox and DuckDB, in a folder of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from boast_source.errors import ConfigurationError
from boast_source.sandbox import SandboxOptions

if TYPE_CHECKING:
    from collections.abc import Callable

QUERY = """select s.name as sequence, count(*) as enrolled, count(*) filter (where e.status = 'completed') as completed,
       round(100.0 * count(e.response_id) / count(*), 1) as response_rate
from boast_data.sequence_enrollments e join boast_data.sequences s on s.id = e.sequence_id
where e.missing_since is null
group by 1 order by response_rate desc limit 5"""


def demo(folder: str, enrollments: int, *, as_json: Callable[[dict[str, Any]], None] | None) -> int:
    """Serve the sandbox, load from it, query what came; returns the exit code.

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
    _say(as_json, f"Demo in {place}")
    with running(SandboxOptions(enrollments=enrollments)) as server:
        _say(as_json, f"A Boast API with {enrollments:,} enrollments on {server.base_url}\n")
        os.environ |= {
            "DLT_DATA_DIR": str(place / ".state"),
            "SOURCES__BOAST__BASE_URL": server.base_url,
            "SOURCES__BOAST__CREDENTIALS__ACCESS_TOKEN": server.access_token,
        }
        os.chdir(place)
        from boast_source.job import load_job  # noqa: PLC0415 -- reads the environment that was just set

        exit_code = load_job("duckdb", "boast_data", as_json=as_json)
    if not as_json:
        _query(place / "boast.duckdb")
    return exit_code


def _query(path: Path) -> None:
    import duckdb  # noqa: PLC0415

    with duckdb.connect(str(path), read_only=True) as connection:
        answer = connection.sql(QUERY)
        click.echo("\nWhich sequences turn into responses?\n")
        click.echo(QUERY + "\n")
        click.echo(str(answer))
    click.echo(f"The data stays in {path}; ask it more with any DuckDB client.")
    click.echo("Next: put your token into .dlt/secrets.toml, then `boast check` and `boast load`.")


def _say(as_json: object, text: str) -> None:
    click.echo(text, err=as_json is not None)
