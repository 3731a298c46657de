"""The fixture `pushing`; a test module enables it with `pytest_plugins = ["tests.support.push_fixtures"]`."""

from __future__ import annotations

import pytest

from tests.support.pushing import Pushing


@pytest.fixture
def pushing(sandbox, workplace, monkeypatch):
    """A factory: `pushing(enrollments=50, PUSH__SETTLE_AFTER="4")` returns a Pushing with this sandbox and setting.

    `database`: a Postgres (tests/support/postgres.py) instead of a DuckDB file; `dataset`: its name.
    """

    def start(database=None, dataset="boast_data", **given):
        settings = {f"SOURCES__BOAST__{name}": value for name, value in given.items() if name.isupper()}
        server = sandbox(**({"enrollments": 60} | {n: v for n, v in given.items() if not n.isupper()}))
        workplace.use(server, **settings).env |= database.env if database else {}
        for name, value in (workplace.env | {"DLT_DATA_DIR": str(workplace.folder / "state")}).items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(workplace.folder)
        return Pushing(server, workplace.folder, database, dataset)

    return start
