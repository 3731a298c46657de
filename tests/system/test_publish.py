"""The copy for dashboards: always whole, never in the way, never worse than the last good one."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import time

import duckdb
import pytest

from tests.support.waiting import PATIENCE, until
from tests.support.workplace import NO_REPORT

NIGHTS = 5
# Opens the copy for good and queries it, and opens it anew, every 10 ms until a line arrives; then says what it saw.
DASHBOARD = """
import json, sys, threading, time
import duckdb

path = sys.argv[1]
query = (
    "select (select count(*) from boast_data.sequence_enrollments where missing_since is null),"
    " (select sum(enrolled) from boast_data.sequence_performance), (select stored from boast_data.pipeline_health),"
    " (select count(*) from boast_data.runs)"
)
asked, errors, torn, sizes, nights = 0, [], [], set(), set()
done = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), done.set()), daemon=True).start()
held = duckdb.connect(path, read_only=True)
first = held.execute(query).fetchone()
print("open", flush=True)
while not done.is_set():
    try:
        if held.execute(query).fetchone() != first:
            torn.append("what is held open has changed")
    except Exception as error:
        errors.append(repr(error))
    # a process that has a file open shares it by its path: a dashboard that opens it anew is another process
    asked += 1
    time.sleep(0.01)
print(json.dumps({"asked": asked, "errors": errors[:3], "torn": torn[:3]}), flush=True)
"""
ANEW = (
    DASHBOARD.replace("held = duckdb", "held = None; duckdb")
    .replace(
        """        if held.execute(query).fetchone() != first:
            torn.append("what is held open has changed")
""",
        """        with duckdb.connect(path, read_only=True) as connection:
            row = connection.execute(query).fetchone()
        sizes.add(row[0])
        nights.add(row[3])
        if not (row[0] and row[0] == row[1] == row[2]):
            torn.append(row)
""",
    )
    .replace("first = held.execute(query).fetchone()\n", "")
    .replace('"torn": torn[:3]', '"torn": torn[:3], "sizes": len(sizes), "nights": len(nights)')
)


@pytest.fixture
def published(sandbox, workplace):
    """A sandbox and a workplace after a load whose copy goes to bi/boast.duckdb."""
    server = sandbox(enrollments=80)
    workplace.use(server, SOURCES__BOAST__PUBLISH_PATH="bi/boast.duckdb")
    done = workplace.boast("load")
    assert done.code == 0, done.err
    assert "keeps the ids, statuses and times of contacts and responses" in done.err
    return server, workplace, workplace.folder / "bi" / "boast.duckdb"


def ask(path, query):
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(query).fetchall()


def watch(script, path) -> subprocess.Popen:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", script, str(path)], **pipes)


def told(process) -> dict:
    out, _ = process.communicate("stop\n", timeout=PATIENCE)
    return json.loads(out.splitlines()[-1])


@pytest.mark.timeout(900)
def test_a_dashboard_that_never_closes_the_copy_and_one_that_opens_it_anew_see_each_night_whole(published):
    server, workplace, copy = published
    workplace.env |= NO_REPORT
    with watch(DASHBOARD, copy) as open_for_good, watch(ANEW, copy) as opened_anew:
        assert open_for_good.stdout.readline() == opened_anew.stdout.readline() == "open\n"
        for night in range(NIGHTS):
            server.control("POST", "mutate", {"insert": 1 + night % 3})
            done = workplace.boast("nightly")
            assert (done.code, "waiting" in done.err) == (0, False), done.err
        one, two = told(open_for_good), told(opened_anew)
    assert (one["errors"], one["torn"], two["errors"], two["torn"]) == ([], [], [], [])
    assert one["asked"] > NIGHTS
    assert two["asked"] > NIGHTS
    assert two["sizes"] >= NIGHTS
    assert two["nights"] >= NIGHTS
    assert ask(copy, "select count(*) from boast_data.runs") == [(NIGHTS + 1,)]


def test_a_reader_of_the_working_file_is_waited_for_and_then_named(published):
    _, workplace, _ = published
    with watch(DASHBOARD, workplace.folder / "boast.duckdb") as reader:
        assert reader.stdout.readline() == "open\n"
        began = time.monotonic()
        done = workplace.boast("nightly", SOURCES__BOAST__LOCK_TIMEOUT="3")
        waited = time.monotonic() - began
        assert (done.code, f"process {reader.pid}" in done.err, "publish_path" in done.err) == (1, True, True)
        assert "waiting up to 3 s" in done.err
        assert waited > 3
        told(reader)
    assert workplace.boast("nightly").code == 0


def test_the_copy_has_every_table_and_view_with_the_same_rows_and_no_staging(published):
    _, workplace, copy = published
    with duckdb.connect(str(workplace.folder / "boast.duckdb")) as connection:
        connection.execute("create schema marts")
        connection.execute('create table marts."odd ""name" as select 1 as "a ""b", \'x\' as c')
        connection.execute("comment on table marts.\"odd \"\"name\" is 'it''s ours'")
        connection.execute('comment on column marts."odd ""name".c is \'the third\'')
        connection.execute("create view marts.b as select a.* from (select * from boast_data.enrollment_daily) as a")
        connection.execute("create view marts.a as from marts.b")
    done = workplace.boast("load")
    assert (done.code, "keeps the ids" in done.err) == (0, False), "said once, before anything is published"
    personal = {"contacts", "responses"}
    things = "select schema_name, table_name from duckdb_tables() union all select schema_name, view_name from duckdb_views() where not internal order by all"  # noqa: E501
    whole = ask(workplace.folder / "boast.duckdb", things)
    mine = [row for row in whole if not row[0].endswith("_staging")]
    assert mine == ask(copy, things)
    assert ("boast_data", "enrollment_cohorts") in mine
    assert ("marts", "a") in mine
    for schema, name in mine:
        columns = (
            "* exclude (finished_at)" if name in {"runs", "good_runs"} else "*"
        )  # the copy is made before the run is over
        query = f'select {columns} from {schema}."{name.replace(chr(34), chr(34) * 2)}" order by all'
        if name not in {"pipeline_health", *personal}:  # the hours since then
            assert ask(copy, query) == ask(workplace.folder / "boast.duckdb", query)
    assert ask(copy, "select count(*) from boast_data.as_of(now())") == [(80,)]
    assert ask(copy, "select comment from duckdb_tables() where table_name like 'odd%'") == [("it's ours",)]
    assert ask(copy, "select comment from duckdb_columns() where column_name = 'c'") == [("the third",)]


def test_the_copy_leaves_personal_data_out_also_from_the_bytes_of_its_file(published):
    _, workplace, copy = published
    pending = "create table boast_data.pending_enrollments as select email, id as sequence_id from boast_data.contacts"
    assert workplace.boast("sql", "--write", pending).code == 0
    assert workplace.boast("load").code == 0
    assert ask(copy, "from duckdb_tables() where table_name like 'pending%'") == []
    known = ask(workplace.folder / "boast.duckdb", "select last_name from boast_data.contacts where last_name > ''")
    assert known
    assert not [name for (name,) in known if len(name) > 5 and name.encode() in copy.read_bytes()]
    columns = (
        "select distinct column_name from duckdb_columns() where table_name similar to '(contacts|responses).*'"
        " and not column_name similar to '(id|.*_id|status|accepted|missing_since|(created|updated)(_at)?)'"
    )
    assert ask(copy, columns) == []
    assert ask(copy, "select count(id) > 0 from boast_data.contacts") == [(True,)]


def test_a_setting_puts_personal_data_into_the_copy_which_is_then_its_owners_alone(published):
    _, workplace, copy = published
    assert workplace.boast("load", SOURCES__BOAST__PUBLISH_WITHOUT="[]").code == 0
    assert ask(copy, "select count(*) > 0 from boast_data.contacts") == [(True,)]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o400


def test_the_copy_is_read_only_and_alone(published):
    _, _, copy = published
    assert stat.S_IMODE(copy.stat().st_mode) == 0o444
    assert [path.name for path in copy.parent.iterdir()] == ["boast.duckdb"]


def test_a_view_of_another_file_is_left_out_and_said(published):
    _, workplace, copy = published
    with duckdb.connect(str(workplace.folder / "boast.duckdb")) as connection:
        connection.execute(f"attach '{workplace.folder / 'other.duckdb'}' as other")
        connection.execute("create table other.main.t as select 1 as x")
        connection.execute("create view boast_data.foreign_rows as from other.main.t")
    done = workplace.boast("load")
    assert (done.code, "boast_data.foreign_rows" in done.err) == (0, True)
    assert ask(copy, "select count(*) from duckdb_views() where view_name = 'foreign_rows'") == [(0,)]
    assert ask(copy, "select sum(enrolled) from boast_data.sequence_performance") == [(80,)]


def test_a_broken_run_leaves_the_good_copy(published):
    server, workplace, copy = published
    before = copy.read_bytes()
    server.control("POST", "mutate", {"delete_ids": list(server.truth())})
    done = workplace.boast("nightly")
    assert (done.code, "could not verify" in done.err) == (3, True)
    assert workplace.boast("nightly", SOURCES__BOAST__CREDENTIALS__ACCESS_TOKEN="revoked").code in {1, 2}
    assert copy.read_bytes() == before


def test_a_kill_while_it_is_written_leaves_the_old_copy_and_the_next_run_tidies_up(published):
    server, workplace, copy = published
    enrolled = "select sum(enrolled) from boast_data.sequence_performance"
    for count, after in ((80, 0.05), (85, 0.15), (90, 0.3)):
        server.control("POST", "mutate", {"insert": 5})
        process = workplace.start("nightly")
        until(lambda child=process: child.poll() is not None or list(copy.parent.glob(".boast.duckdb.*.tmp")))
        time.sleep(after)
        process.kill()
        process.communicate()
        assert ask(copy, enrolled)[0][0] in {count, count + 5}
        assert workplace.boast("nightly").code == 0
        assert ask(copy, enrolled) == [(count + 5,)]
        assert [path.name for path in copy.parent.iterdir()] == ["boast.duckdb"]


def test_a_disk_that_is_full_is_said_and_the_old_copy_stays(published):
    """A limit on the size of files stands for the full disk: the first write beyond it fails."""
    _, workplace, copy = published
    before = copy.read_bytes()
    code = (
        "import resource, signal, sys\n"
        "from boast_source.warehouse.pipeline import warehouse_for\n"
        "from boast_source.outputs.copy import publish\n"
        "from boast_source.errors import BoastError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "with warehouse_for('duckdb', 'boast_data').open(patience=5) as held:\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "    try:\n"
        "        publish(held, 'bi/boast.duckdb', (), print)\n"
        "    except BoastError as error:\n"
        "        print('SAID', error.message)\n"
    )
    env = workplace.env | {"DLT_DATA_DIR": str(workplace.folder / "state"), "HOME": str(workplace.folder)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=workplace.folder, env=env, capture_output=True, text=True, check=True
    )
    assert "SAID The copy for dashboards cannot be written to" in done.stdout, done.stdout + done.stderr
    assert copy.read_bytes() == before
    assert [path.name for path in copy.parent.iterdir()] == ["boast.duckdb"]
    assert workplace.boast("nightly").code == 0


def test_a_place_that_cannot_be_is_said_after_the_load_is_done(published):
    server, workplace, copy = published
    before = copy.read_bytes()
    for place, code, says in (
        ("boast.duckdb", 2, "the file that the runs write"),
        ("bi", 2, "a folder"),
        ("s3://bucket/copy.duckdb", 2, "no local path"),
        ("boast.duckdb/copy.duckdb", 1, "cannot be written"),
    ):
        server.control("POST", "mutate", {"insert": 2})
        done = workplace.boast("load", "--json", SOURCES__BOAST__PUBLISH_PATH=place)
        assert (done.code, says in done.json["error"], done.json["status"]) == (code, True, "failed"), done.err
        assert done.json["accounts"][0]["loaded"] == 2
        assert workplace.sql("select exit_code from boast_data.runs order by finished_at desc limit 1") == [(code,)]
        assert copy.read_bytes() == before


def test_a_run_over_given_accounts_publishes_nothing(published):
    server, workplace, copy = published
    before = copy.read_bytes()
    server.control("POST", "mutate", {"insert": 2})
    account = next(iter(server.truth().values()))["account_id"]
    assert workplace.boast("load", "--account", account).code == 0
    assert copy.read_bytes() == before


def test_another_name_than_the_working_file_has_is_fine(sandbox, workplace):
    workplace.use(sandbox(enrollments=20), SOURCES__BOAST__PUBLISH_PATH=str(workplace.folder / "what ever's.db"))
    assert workplace.boast("load").code == 0
    assert ask(workplace.folder / "what ever's.db", "select sum(enrolled) from boast_data.sequence_performance") == [
        (20,)
    ]
