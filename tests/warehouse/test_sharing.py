"""What a run answers about the DuckDB file that it holds, and what it never waits for."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import threading
import time

import duckdb
import orjson
import pytest

from boast_source.errors import DestinationError
from boast_source.warehouse import sharing

ROWS = 300_000
ENDLESS = "select max(hash(a, b)) from range(1000000000) t(a), range(1000000) u(b)"
COUNTED = "select words, count(*) from main.many group by all"
PLAIN, SORTED = "select id, words from main.many", "select id, words from main.many order by id"


@pytest.fixture
def held(tmp_path):
    """Yield a connection, and the file that it has open."""
    file = tmp_path / "held.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute(f"create table many as select range as id, repeat('x', 50) as words from range({ROWS})")
        yield connection, file


def asked(file, words):
    reader = socket.socket(socket.AF_UNIX)
    reader.settimeout(20)
    reader.connect(str(file.with_name(f".{file.name}.run") / "socket"))
    reader.sendall(words)
    return reader


def question(sql):
    return orjson.dumps({"sql": sql, "values": []}) + b"\n"


@pytest.mark.parametrize("words", [b"", b"{", question(PLAIN), question(ENDLESS)])
def test_no_reader_keeps_a_run_from_ending(held, words):
    connection, file = held
    with sharing.shared(connection, file):
        reader = asked(file, words)
        time.sleep(0.2)  # it is being answered
        began = time.monotonic()
    assert time.monotonic() - began < 2
    reader.close()
    assert connection.execute("select count(*) from many").fetchone() == (ROWS,)


@pytest.mark.parametrize("sql", [PLAIN, SORTED, COUNTED])
def test_an_answer_that_the_end_of_the_run_cuts_off_is_none(held, sql):
    connection, file = held
    whole = through_run(connection, file, sql)
    for moment in (0.01, 0.03, 0.1, 0.2):
        with contextlib.suppress(DestinationError):
            assert through_run(connection, file, sql, moment) == whole


def through_run(connection, file, sql, moment=None):
    """Return the rows of a query through a run; `moment`: that ends after so many seconds."""
    ended = threading.Event()

    def run():
        with sharing.shared(connection, file):
            begun.set()
            ended.wait(moment)

    begun, thread = threading.Event(), threading.Thread(target=run)
    thread.start()
    begun.wait()
    try:
        with sharing.Reading(file) as through:
            return through.sql(sql).fetchall()
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize(
    "sql",
    [
        "commit; create table more as select 1",
        "copy (select 1) to '{}/made'",
        "attach '{}/made' as made",
        "set threads = 1",
        "use held.main",
        "select 1; select 2",
        "",
    ],
)
def test_a_run_answers_a_query_and_nothing_else(held, sql):
    connection, file = held
    before = connection.execute("from duckdb_settings()").fetchall(), set(file.parent.iterdir())
    with sharing.shared(connection, file), sharing.Reading(file) as through:
        with pytest.raises(duckdb.Error, match="read-only"):
            through.execute(sql.format(file.parent))
        assert through.execute(PLAIN).fetchone()
    after = connection.execute("from duckdb_settings()").fetchall(), set(file.parent.iterdir())
    assert after == before
    assert connection.execute("show tables").fetchall() == [("many",)]


def test_a_file_has_one_place_to_ask_under_all_its_names(held, tmp_path):
    connection, file = held
    (tmp_path / "names").mkdir()
    other = tmp_path / "names" / "other.duckdb"
    other.symlink_to(file)
    for one, two in ((file, other), (other, file)):
        with sharing.shared(connection, one), sharing.Reading(two) as through:
            assert through.execute("select 1").fetchone() == (1,)


def test_a_path_that_is_too_long_for_a_socket_leaves_nothing(held, tmp_path):
    connection, _ = held
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    with sharing.shared(connection, folder / "x.duckdb"):
        assert sharing.reading(folder / "x.duckdb") is None
    assert not list(folder.iterdir())


def test_a_run_does_not_wait_for_what_others_put_in_its_place(held):
    connection, file = held
    folder = file.with_name(f".{file.name}.run")
    folder.mkdir(mode=0o755)
    with socket.socket(socket.AF_UNIX) as planted, socket.socket(socket.AF_UNIX) as waiting:
        planted.bind(str(folder / "socket"))
        planted.listen(0)
        waiting.connect(str(folder / "socket"))  # whoever connects next would wait for ever
        with sharing.shared(connection, file):
            assert sharing.reading(file) is None
    assert (folder / "socket").exists()


def test_a_folder_that_hands_down_its_group_is_no_hindrance(held):
    connection, file = held
    file.parent.chmod(0o2755)
    with sharing.shared(connection, file), sharing.Reading(file) as through:
        assert through.execute("select 1").fetchone() == (1,)
    assert not file.with_name(f".{file.name}.run").exists()


def test_a_system_without_such_sockets_has_no_folder_left(held, monkeypatch):
    connection, file = held
    monkeypatch.delattr(socket, "AF_UNIX")
    with sharing.shared(connection, file):
        assert sharing.reading(file) is None
        assert not file.with_name(f".{file.name}.run").exists()


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can hand a folder to another user")
@pytest.mark.parametrize("planted", ["folder", "link", "file"])
def test_what_another_user_put_there_is_not_used_and_stays(held, planted):
    connection, file = held
    place, other = file.with_name(f".{file.name}.run"), file.with_name("other")
    other.mkdir(mode=0o700)
    if planted == "link":
        place.symlink_to(other)
    elif planted == "file":
        place.touch(mode=0o700)
    else:
        place.mkdir(mode=0o700)
    os.chown(place, 12345, 12345, follow_symlinks=False)
    with sharing.shared(connection, file):
        assert sharing.reading(file) is None
        assert not list(other.iterdir())
    assert place.lstat().st_uid == 12345


def test_a_run_without_a_free_file_descriptor_waits_quietly_and_answers_later(held):
    connection, file = held
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with sharing.shared(connection, file), socket.socket(socket.AF_UNIX) as reader:
        reader.settimeout(20)
        with (file.parent / "next").open("w") as free:
            lowest = free.fileno()
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, before[1]))
        try:
            reader.connect(str(file.with_name(f".{file.name}.run") / "socket"))
            reader.sendall(question("select 1"))
            began = time.process_time()
            time.sleep(0.5)
            spent = time.process_time() - began
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert spent < 0.05
        assert reader.recv(2) == b"{}"
