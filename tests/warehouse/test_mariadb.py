"""A newcomer's MariaDB: a user with the rights of one database, who is told what else a load needs."""

from __future__ import annotations

import contextlib
import re

import pytest

from tests.support import mariadb
from tests.support.warehouses import HERE

pytestmark = [
    pytest.mark.skipif(not HERE, reason="in the environment of `make test-warehouses`"),
    pytest.mark.skipif(not mariadb.is_installed(), reason="no MariaDB: apt-get install mariadb-server"),
]

PENDING = (
    "create table pending_enrollments as select concat(c.id, s.id) as request_id, c.id as contact_id,"
    " s.id as sequence_id from contacts c join sequences s on s.account_id = c.account_id"
    " where not exists (select 1 from sequence_enrollments e where e.contact_id = c.id and e.sequence_id = s.id)"
    " order by c.id, s.id limit 2"
)


def test_from_a_user_with_one_database_to_a_report_after_a_push(sandbox, workplace):
    with mariadb.serving() as port, contextlib.closing(mariadb.connect(port)) as connection:

        def sql(statement):
            with connection.cursor() as cursor:
                cursor.execute(statement)

        sql("create database shop character set utf8mb4")
        sql("create user me@'127.0.0.1' identified by 's3cret'")
        sql("grant all on shop.* to me@'127.0.0.1'")
        workplace.use(sandbox(enrollments=20), PYTHONPATH="")
        url = f"mysql+pymysql://me:s3cret@127.0.0.1:{port}/shop"
        init = workplace.boast("init", "--destination", "sqlalchemy", "--credentials", url, "--dataset", "shop")
        assert init.code == 1
        (grant,) = re.findall(r"grant all on \S+ to", init.err)
        assert grant == "grant all on `shop_staging`.* to"
        load = workplace.boast("load")
        assert (load.code, "The warehouse's role may not do this" in load.err) == (1, True), load.err
        sql(f"{grant} me@'127.0.0.1'")
        assert workplace.boast("check").code == 0
        assert workplace.boast("load").code == 0
        assert workplace.boast("sql", "select sequence_name from sequence_performance").code == 0
        assert workplace.boast("sql", "--write", PENDING).code == 0
        refused = workplace.boast("push", "--new-ledger")
        assert (refused.code, "sources.boast.push.single_sender = true" in refused.err) == (2, True)
        with (workplace.folder / ".dlt/config.toml").open("a") as config:
            config.write("[sources.boast.push]\nsingle_sender = true\n")
        assert "  enrolled                  2\n" in workplace.boast("push", "--new-ledger").out
        night = workplace.boast("nightly")
        assert (night.code, "report: to " in night.err) == (0, True), night.err


def test_a_trigger_that_raises_an_error_is_named_as_the_cause_without_its_words(sandbox, workplace):
    with mariadb.serving() as port, contextlib.closing(mariadb.connect(port)) as connection:
        workplace.use(sandbox(enrollments=5), PYTHONPATH="")
        workplace.env["DESTINATION__SQLALCHEMY__CREDENTIALS"] = f"mysql+pymysql://root@127.0.0.1:{port}/boast"
        to = ("--destination", "sqlalchemy", "--dataset", "boast")
        assert workplace.boast("load", *to).code == 0
        with connection.cursor() as cursor:
            cursor.execute(
                "create trigger boast.no before insert on boast.contacts for each row"
                " signal sqlstate '45000' set message_text = 'canary'"
            )
        done = workplace.boast("load", *to, "--full-refresh")
        assert (done.code, "A trigger or function" in done.err, "canary" in done.err) == (1, True, False), done.err
