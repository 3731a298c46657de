"""A pooler between the connector and Postgres, as pgbouncer: in transaction mode no session there keeps a lock."""

from __future__ import annotations

import pytest

from boast_source import load_job, push_job
from boast_source.errors import ConfigurationError, LockedError
from boast_source.warehouse.pipeline import warehouse_for
from boast_source.warehouse.postgres import is_pooled
from tests.support.pooler import pooling
from tests.support.waiting import until

ASKS = """
    create table boast_data.pending_enrollments as
    select c.id as contact_id, s.id as sequence_id from boast_data.contacts c, boast_data.sequences s limit 3
"""


@pytest.fixture
def to(sandbox, postgres, tmp_path, monkeypatch):
    """Point the jobs at a sandbox and, through the port that is given, at a Postgres."""
    server = sandbox(enrollments=30)
    monkeypatch.chdir(tmp_path)
    for name, value in (server.info["env"] | {"DLT_DATA_DIR": str(tmp_path / "state")}).items():
        monkeypatch.setenv(name, value)

    def to(port):
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", postgres.url(port=port))
        return server

    return to


def loaded_and_asked(server, postgres):
    """Two loads, the second of what changed; then three pending requests."""
    assert load_job("postgres").exit_code == 0
    server.control("POST", "mutate", {"update": 5, "insert": 3})
    done = load_job("postgres")
    assert (done.exit_code, done.verified, done.total("loaded")) == (0, "covered", 8)
    postgres.sql(ASKS)


@pytest.mark.parametrize(("backends", "newest_first"), [(1, True), (2, False), (3, False), (3, True)])
def test_a_pooler_in_transaction_mode_is_noticed_whatever_connection_is_next(to, postgres, backends, newest_first):
    with pooling(postgres, backends=backends, newest_first=newest_first) as port:
        to(port)
        with (
            warehouse_for("postgres", "boast_data").open(patience=5) as warehouse,
            pytest.raises(ConfigurationError, match="pooler in transaction mode"),
        ):
            warehouse.lock_sender(single_sender=True)
    assert not is_pooled(postgres.url())


def test_through_a_pooler_a_load_is_exact_and_leaves_no_lock_and_a_push_is_refused(to, postgres):
    with pooling(postgres, backends=6, newest_first=False) as port:
        server = to(port)
        loaded_and_asked(server, postgres)
        with pytest.raises(ConfigurationError, match="pooler in transaction mode"):
            push_job("postgres", new_ledger=True)
        assert postgres.sql("select count(*) from pg_locks where locktype = 'advisory'") == [(0,)]
    assert server.control("GET", "counters")["writes"] == {}
    to(postgres.port)
    assert push_job("postgres", new_ledger=True).exit_code in {0, 3}


def test_through_a_pooler_in_session_mode_a_load_is_exact_and_one_push_at_a_time_sends(to, postgres):
    with pooling(postgres, backends=8, newest_first=True, session=True) as port:
        server = to(port)
        loaded_and_asked(server, postgres)
        with warehouse_for("postgres", "boast_data").open(patience=5) as other:
            other.lock_sender(single_sender=False)
            with pytest.raises(LockedError, match="Another push"):
                push_job("postgres", new_ledger=True)
        assert server.control("GET", "counters")["writes"] == {}
        pushed = push_job("postgres", new_ledger=True)
        assert (pushed.exit_code in {0, 3}, push_job("postgres").exit_code in {0, 3}) == (True, True)
        ((claimed,),) = postgres.sql(
            "select count(distinct request_key) from boast_data.push_ledger where state = 'claimed'"
        )
        assert claimed > 0
        assert server.control("GET", "counters")["writes"] == {"POST sequence_enrollments": claimed}
        until(lambda: postgres.sql("select count(*) from pg_locks where locktype = 'advisory'") == [(0,)])
