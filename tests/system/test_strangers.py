"""Five strangers, each with one task, from the commands of the pages alone, by the stop-watch: ten minutes at most.

`pytest -s tests/system/test_strangers.py` prints the seconds. What is installed first depends on the network:
`make test-install` does that, from a clone and from a tag; these tests begin where it is installed.
"""

from __future__ import annotations

import contextlib
import csv
import json
import re
import shlex
import subprocess
import time

import pytest

from tests.support.postgres import found_package
from tests.support.postgres import program as postgres_program
from tests.support.sandbox_client import POST
from tests.support.wheel import ROOT

LIMIT = 600.0  # seconds
EXAMPLE = "postgresql://user:password@host:5432/database"


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def commands(text: str, heading: str) -> list[str]:
    """The lines of the first block of commands below a heading, without their comments."""
    block = re.search(r"```(?:console|sh)\n(.*?)```", text[text.index(heading) :], re.DOTALL)[1]
    lines = re.sub(r"\\\n *", "", block).splitlines()
    return [re.sub(r"\s+#.*$", "", line) for line in lines if line.strip()]


def arguments(line: str) -> list[str]:
    program, *rest = shlex.split(line)
    assert program == "boast"
    return rest


@pytest.fixture
def stop_watch(request):
    """Measure a task and say how long it took."""

    @contextlib.contextmanager
    def measured():
        began = time.monotonic()
        yield
        took = time.monotonic() - began
        print(f"\n{request.node.name}: {took:.1f} s")
        assert took < LIMIT

    return measured


def test_from_a_clone_to_the_first_answer(workplace, stop_watch):
    assert "make demo" in page("README.md")
    assert "@$(BIN)/boast demo" in page("Makefile")
    with stop_watch():
        done = workplace.boast("demo", "--json")
    assert done.code == 0, done.err
    assert done.json["query"][0]["responded"] > 0


def test_from_a_token_to_the_first_load_into_postgres(sandbox, workplace, postgres, stop_watch):
    server = sandbox(enrollments=500)
    init, load, question, *_ = commands(page("README.md"), "You need an access token")
    assert (init, load) == ("boast init", "boast load")
    address = {"SOURCES__BOAST__BASE_URL": server.base_url}  # the API's own is the default
    with stop_watch():
        given = ("--destination", "postgres", "--credentials", postgres.url(), "--token", server.access_token)
        assert workplace.boast(*arguments(init), *given, **address).code == 0
        assert workplace.boast(*arguments(load), **address).code == 0
        answer = workplace.boast(*arguments(question), "--json", **address)
    assert answer.code == 0, answer.err
    assert postgres.sql("select count(*) from boast_data.sequence_enrollments") == [(500,)]


def test_from_a_spreadsheet_to_an_approved_push(sandbox, workplace, stop_watch):
    server = sandbox(enrollments=60)
    workplace.use(server)
    assert workplace.boast("load").code == 0
    ((sequence, name),) = workplace.sql("select id, name from boast_data.sequences order by id limit 1")
    free = (
        "select email from boast_data.contacts where email is not null and id not in (select contact_id"
        f" from boast_data.sequence_enrollments where sequence_id = '{sequence}') order by id limit 3"
    )
    with (workplace.folder / "enroll.csv").open("w", newline="") as file:
        rows = [(f"sheet-{n}", email, name) for n, (email,) in enumerate(workplace.sql(free))]
        csv.writer(file).writerows([("request_id", "email", "sequence_name"), *rows])
    table, plan, approve = commands(page("docs/push.md"), "### From a spreadsheet")
    with stop_watch():
        assert workplace.boast(*arguments(table)).code == 0
        planned = workplace.boast(*arguments(plan))
        assert planned.code == 0, planned.err
        found = re.search(r"--approve ([0-9a-f]{16})\b", planned.out)[1]
        done = workplace.boast(*arguments(approve.replace("HASH", found)), "--json")
    assert (done.code, done.json["enrolled"]) == (0, 3), done.err
    assert server.control("GET", "counters")["writes"] == {POST: 3}


def test_a_spreadsheet_becomes_a_table_on_postgres_too(sandbox, workplace, postgres):
    workplace.use(sandbox(enrollments=60), SOURCES__BOAST__DESTINATION="postgres", **postgres.env)
    assert workplace.boast("load").code == 0
    ((email, name),) = postgres.sql(
        "select c.email, s.name from boast_data.contacts c, boast_data.sequences s where (c.id, s.id) not in (select"
        " contact_id, sequence_id from boast_data.sequence_enrollments) and email is not null order by 1, 2 limit 1"
    )
    (workplace.folder / "enroll.csv").write_text(f"request_id,email,sequence_name\n4711,{email},{name}\n")
    create, copy = commands(page("docs/push.md"), "On Postgres, two lines")
    assert workplace.boast(*arguments(create)).code == 0
    program, address, *rest = shlex.split(copy)
    psql = [postgres_program(found_package(), program), postgres.url(), *rest]
    assert (address, subprocess.check_output(psql, cwd=workplace.folder)) == (EXAMPLE, b"COPY 1\n")
    planned = workplace.boast("push", "--dry-run", "--json")
    assert planned.code == 0, planned.err
    assert [(row["request_key"], row["reason"] or row["would"]) for row in planned.json["requests"]] == [
        ("4711", "enroll")
    ]


def test_from_a_question_to_its_answer_in_sql(sandbox, workplace, stop_watch):
    workplace.use(sandbox(enrollments=500))
    assert workplace.boast("load").code == 0
    query = re.search(r"## 2\..*?```sql\n(.*?)```", page("docs/cookbook.md"), re.DOTALL)[1]
    with stop_watch():
        done = workplace.boast("sql", query, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)


def test_from_exit_code_3_to_settled(sandbox, workplace, stop_watch):
    workplace.use(sandbox(enrollments=60))
    assert workplace.boast("load").code == 0
    text = page("docs/runbook.md")
    section = text[text.index("## Exit code 3") : text.index("## Exit code 4")]
    waits, settles = (shlex.split(block.replace("|| echo", "&& echo"), comments=True) for block in blocks_of(section))
    with stop_watch():
        codes = [workplace.boast(*one).code for one in split(waits)]
        assert codes == [0, 3, 0]
        codes = [workplace.boast(*one).code for one in split(settles)]
    assert codes == [0, 0, 0]
    assert "Nothing needs attention" in workplace.boast("status").out


def blocks_of(text: str) -> list[str]:
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


def split(words: list[str]) -> list[list[str]]:
    """The arguments of each `boast` among the words of a block; what the shell says of exit codes is left out."""
    found: list[list[str]] = []
    for word in words:
        if word == "boast":
            found.append([])
        else:
            found[-1].append(word)
    return [one[: one.index("&&")] if "&&" in one else one for one in found]
