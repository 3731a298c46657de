"""What goes wrong, as a person meets it: one line with cause and next step, and the exit code of the contract."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys

import duckdb
import pytest

from boast_source.commands.main import boast
from tests.support.waiting import arrived
from tests.support.wheel import ROOT
from tests.support.workplace import finish

TOKEN = "SOURCES__BOAST__CREDENTIALS__ACCESS_TOKEN"
URL = "SOURCES__BOAST__BASE_URL"


def one_line(done, code, *words):
    assert done.code == code, done.err
    last = done.err.strip().splitlines()[-1]
    assert last.startswith("boast: ")
    assert ". " in last  # what happened, then what to do
    for word in words:
        assert word in last
    assert "Traceback" not in done.err


def test_a_wrong_token(sandbox, workplace):
    done = workplace.use(sandbox()).boast("load", **{TOKEN: "secret-but-wrong"})
    one_line(done, 1, "401", "boast login")
    assert "secret-but-wrong" not in done.out + done.err


def test_no_token_at_all(sandbox, workplace):
    workplace.use(sandbox()).env.pop(TOKEN)
    one_line(workplace.boast("load"), 2, TOKEN, "secrets.toml")


def test_an_account_that_does_not_exist(sandbox, workplace):
    server = sandbox()
    done = workplace.use(server).boast("load", "--account", "no-such-account", "--json")
    assert done.code == 1
    (account,) = done.json["accounts"]
    assert account["account_id"] == "no-such-account"
    assert account["error"] == f"the token sees no such account. It sees {server.account_ids[0]}"


def test_an_unknown_host(workplace):
    done = workplace.boast("load", **{URL: "https://boast.invalid/v1", TOKEN: "x"})
    one_line(done, 1, "host name", "base_url")


def test_a_refused_connection(workplace):
    done = workplace.boast("load", **{URL: "http://127.0.0.1:1/v1", TOKEN: "x"})
    one_line(done, 1, "refused", "base_url")


def test_plain_http_to_a_public_host(workplace):
    one_line(workplace.boast("load", **{URL: "http://example.com/v1", TOKEN: "x"}), 2, "clear text", "https://")


def test_a_404_on_the_list_of_accounts(sandbox, workplace):
    server = sandbox()
    one_line(workplace.use(server).boast("load", **{URL: server.base_url + "x"}), 1, "404", "base_url")


def test_a_404_on_a_list(sandbox, workplace):
    server = sandbox(enrollments=20)
    server.control("POST", "faults", {"kind": "status", "status": 404, "path": "/forms"})
    done = workplace.use(server).boast("load")
    assert done.code == 3
    assert "forms: GET" in done.out
    assert "20 enrollments loaded" in done.out


@pytest.mark.parametrize(
    ("text", "word"),
    [("[sources.boast", "config.toml"), ("[sources.boast]\nmax_concurrency = 'many'", "max_concurrency")],
)
def test_a_configuration_that_cannot_be_read(sandbox, workplace, text, word):
    (workplace.folder / ".dlt").mkdir()
    (workplace.folder / ".dlt" / "config.toml").write_text(text)
    one_line(workplace.use(sandbox()).boast("load"), 2, word, ".dlt/config.toml")


@pytest.mark.parametrize("name", ["lock_timeout", "max_extra_columns"])
def test_a_negative_setting(sandbox, workplace, name):
    negative = {f"SOURCES__BOAST__{name.upper()}": "-1"}
    one_line(workplace.use(sandbox()).boast("load", **negative), 2, name)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--destination", "nosuch"], "nosuch"),
        (["--destination", "filesystem"], "bucket_url"),
        (["--dataset", "boast"], "boast_data"),
        (["--dataset", "Information_Schema"], "boast_data"),
        (["--dataset", "temp"], "boast_data"),
        (["--dataset", "pg_catalog"], "boast_data"),
        (["--resources", "forms,fotos"], "fotos"),
        (["--since", "2026-02-01", "--until", "2026-01-01"], "--until"),
    ],
)
def test_wrong_usage(sandbox, workplace, arguments, word):
    one_line(workplace.use(sandbox()).boast("load", *arguments), 2, word)


def test_an_unknown_option_is_wrong_usage(workplace):
    done = workplace.boast("load", "--frobnicate")
    assert done.code == 2
    assert "boast load -" in done.err  # -h or --help, as the version of click has it


def test_with_json_a_failure_is_one_document_too(sandbox, workplace):
    done = workplace.use(sandbox()).boast("load", "--json", **{TOKEN: "wrong"})
    assert done.code == 1
    assert done.json["status"] == "failed"
    assert "401" in done.json["error"]


def test_a_traceback_only_with_debug(sandbox, workplace):
    done = workplace.use(sandbox()).boast("load", "--debug", **{TOKEN: "wrong-and-secret"})
    assert done.code == 1
    assert "Traceback" in done.err
    assert "wrong-and-secret" not in done.err


HOLD = (
    "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True); print('open', flush=True); sys.stdin.read()"
)


@pytest.fixture
def reader(workplace):
    """Another process that has the DuckDB file open."""
    path = workplace.folder / "boast.duckdb"
    duckdb.connect(str(path)).close()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "open\n"
        yield process
        process.stdin.close()


def test_a_locked_duckdb_file_names_who_holds_it(sandbox, workplace, reader):
    done = workplace.use(sandbox()).boast("load", SOURCES__BOAST__LOCK_TIMEOUT="0.5")
    one_line(done, 1, f"process {reader.pid}", "Close the program")


def test_a_locked_duckdb_file_is_waited_for(sandbox, workplace, reader):
    process = workplace.use(sandbox(enrollments=20)).start("load")
    assert "waiting" in process.stderr.readline()
    reader.stdin.close()
    done = finish(process)
    assert done.code == 0


def test_a_second_run_ends_with_4_and_names_the_first(sandbox, workplace):
    server = sandbox(enrollments=20)
    server.control("POST", "faults", {"kind": "hold", "seconds": 3600, "path": "enrollments"})
    first = workplace.use(server).start("load")
    arrived(server, "GET sequence_enrollments", process=first)
    one_line(workplace.boast("load"), 4, f"process {first.pid}")
    first.kill()
    finish(first)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_with_3_at_once_and_is_recorded(sandbox, workplace, number):
    server = sandbox(enrollments=20)
    server.control("POST", "faults", {"kind": "hold", "seconds": 3600, "path": "enrollments"})
    process = workplace.use(server).start("load", "--json")
    arrived(server, "GET sequence_enrollments", process=process)
    process.send_signal(number)
    done = finish(process)
    assert done.code == 3
    assert json.loads(done.out)["status"] == "attention"
    assert "next run does the rest" in done.err
    assert workplace.sql("select exit_code, error from boast_data.runs")[0][0] == 3


@pytest.mark.parametrize("wrong", [lambda there: there[:8], lambda there: "11111111-1111-4111-8111-111111111111"])
def test_an_account_that_the_token_does_not_see_is_said_once_with_those_it_sees(sandbox, workplace, wrong):
    server = sandbox(enrollments=30, accounts=2)
    one, other = server.account_ids
    done = workplace.use(server).boast("load", "--account", wrong(one), "--account", other)
    assert done.code == 3
    (said,) = [line for line in done.out.splitlines() if line.startswith("!")]
    assert said.startswith(f"! account {wrong(one)}: the token sees no such account. It sees ")
    assert one in said
    assert other in said


def test_a_setting_that_nothing_reads_is_named_by_check_and_warned_of_by_every_command(sandbox, workplace):
    workplace.use(sandbox(enrollments=30))
    (workplace.folder / ".dlt").mkdir()
    (workplace.folder / ".dlt" / "config.toml").write_text(
        '[sources.boast]\npublish_pth = "x"\nmax_table_nesting = 0\n[sources.boast.contacts]\nselected = true\n'
    )
    typo = {"SOURCES__BOAST__PUSH__MAX_SEND": "9"}
    done = workplace.boast("check", **typo)
    assert done.code == 2
    (failed,) = [line for line in done.out.splitlines() if "FAIL" in line]
    for said in (
        "sources.boast.publish_pth is no setting, and nothing reads it; did you mean publish_path?",
        "sources.boast.push.max_send is no setting, and nothing reads it; did you mean push.max_sends?",
    ):
        assert said in failed
        assert said in workplace.boast("load", "--resources", "accounts", **typo).err.splitlines()


def test_check_says_ok_to_each_point_or_what_to_do(sandbox, workplace):
    server = sandbox(enrollments=30)
    done = workplace.use(server).boast("check")
    assert done.code == 0
    assert [line.split()[0] for line in done.out.splitlines()] == ["ok"] * 5
    assert "30 enrollments, 2 pages" in done.out
    assert re.search(r"state in .+, [0-9.]+ GB free; scratch in ", done.out)

    done = workplace.boast("check", "--json", **{TOKEN: "wrong"})
    assert done.code == 1
    points = {point["name"]: point for point in done.json["checks"]}
    assert points["configuration"]["ok"]
    assert points["destination"]["ok"]
    assert not points["token and accounts"]["ok"]
    assert "boast login" in points["token and accounts"]["detail"]

    done = workplace.boast("check", DLT_DATA_DIR="/proc/nowhere")
    assert done.code == 2
    assert "FAIL folders: The state folder /proc/nowhere" in done.out
    assert "DLT_DATA_DIR" in done.out


def test_ctrl_c_in_the_sandbox_ends_cleanly(workplace):
    process = workplace.start("sandbox", "--port", "0", "--enrollments", "10")
    info = json.loads(process.stdout.readline())
    assert info["env"]["SOURCES__BOAST__BASE_URL"] == info["base_url"]
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert (done.code, done.err) == (0, "")


def test_a_port_that_is_taken_is_said_so(sandbox, workplace):
    port = sandbox().base_url.split(":")[2].split("/")[0]
    one_line(workplace.boast("sandbox", "--port", port), 2, port, "--port")


def plain(line):
    """The line without what differs from run to run: seconds, and the folder."""
    return re.sub(r"\d+\.\d s\b|\S*/boast-demo/", "#", line).rstrip()


def test_the_demo_loads_runs_a_night_and_answers_a_query(workplace):
    done = workplace.boast("demo")
    assert done.code == 0, done.err
    assert "2,000 enrollments loaded of 2,000 listed" in done.out
    each = ("2,000 enrollments loaded", "2,015", "35 loaded", "5 enrolled", "boast_report.html, ")
    assert [(text, (done.out + done.err).count(text)) for text in each] == [(text, 1) for text in each]
    assert "response_percent" in done.out
    readme = (ROOT / "README.md").read_text(encoding="utf-8").split("$ make demo\n")[1].split("```")[0]
    said = {plain(line) for line in (done.out + done.err).splitlines()}
    assert [line for line in readme.splitlines() if line != "..." and plain(line) not in said] == []
    assert f"The report: {workplace.folder}/boast-demo/boast_report.html" in done.out
    again = workplace.boast("demo")
    assert again.code == 0
    assert "An earlier demo is in " in again.out
    assert again.out.split("Which sequences")[1] == done.out.split("Which sequences")[1]
    (workplace.folder / "boast-demo" / "boast.duckdb").unlink()
    with duckdb.connect(str(workplace.folder / "boast-demo" / "boast.duckdb")):
        one_line(workplace.boast("demo"), 2, "incomplete", "remove the folder, then")


def test_help_shows_examples_for_every_command(workplace):
    for command in boast.commands:
        done = workplace.boast(command, "--help")
        assert done.code == 0
        assert f"boast {command}" in done.out.split("Example")[1]
