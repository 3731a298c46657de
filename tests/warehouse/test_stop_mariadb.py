"""A stop ends a command that waits for MariaDB, which no signal reaches (for the others see system/test_stop.py)."""

from __future__ import annotations

import contextlib
import signal

import pytest

from tests.support import mariadb
from tests.support.waiting import until
from tests.support.warehouses import HERE
from tests.support.workplace import stop

pytestmark = [
    pytest.mark.skipif(not HERE, reason="in the environment of `make test-warehouses`"),
    pytest.mark.skipif(not mariadb.is_installed(), reason="no MariaDB: apt-get install mariadb-server"),
]

BOUND, TRIES = 2.0, 4  # seconds, at least once: a machine may be too busy the first time
VIEW = (
    "create view boast_data.v as select cast(s.i as char) as contact_id, 's' as sequence_id"
    " from (select sleep(3600) as i) s"
)
ASLEEP = "select count(*) from information_schema.processlist where state = 'User sleep'"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_interrupts_a_statement_of_mariadb(sandbox, workplace, number):
    with mariadb.serving() as port, contextlib.closing(mariadb.connect(port)) as connection:

        def sql(statement):
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall()

        url = f"mysql+pymysql://root@127.0.0.1:{port}/{mariadb.DATABASE}"
        single = {"SOURCES__BOAST__PUSH__SINGLE_SENDER": "true"}
        workplace.use(sandbox(enrollments=5), **single, DESTINATION__SQLALCHEMY__CREDENTIALS=url, PYTHONPATH="")
        to = ("--destination", "sqlalchemy")
        assert workplace.boast("load", *to).code == 0
        sql(VIEW)
        took = []
        while not took or (took[-1] > BOUND and len(took) < TRIES):
            process = workplace.start("push", *to, "--pending", "v", "--new-ledger")
            until(lambda: sql(ASLEEP)[0][0] > 0, process=process)
            took.append(stop(process, number))
            until(lambda: sql(ASLEEP)[0][0] == 0)
        assert took[-1] < BOUND, took
