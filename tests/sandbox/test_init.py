"""`boast init`: a folder that is ready for the first load, from options or from answers at a terminal."""

from __future__ import annotations

import os
import pty
import stat
import subprocess
import sys

import pytest
import tomllib

from tests.support.python import STANDARD
from tests.support.waiting import PATIENCE

TOKEN = "sandbox-access-token"


@pytest.fixture
def run(workplace, sandbox):
    """Run `boast init` in an empty folder, with a text on stdin; the API's address alone is in the environment."""
    env = STANDARD | {
        "HOME": str(workplace.folder / "home"),
        "DLT_DATA_DIR": str(workplace.folder / "state"),
        "SOURCES__BOAST__BASE_URL": sandbox(enrollments=20).base_url,
    }

    def init(*arguments, stdin=""):
        command = [sys.executable, "-m", "boast_source", *arguments]
        return subprocess.run(
            command,
            check=False,
            cwd=workplace.folder,
            env=env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    init.folder, init.env = workplace.folder, env
    return init


def files(folder):
    return [tomllib.loads((folder / ".dlt" / name).read_text()) for name in ("config.toml", "secrets.toml")]


def test_one_command_makes_a_folder_that_loads(run):
    done = run("init", "--token", "-", "--dataset", "reviews", "--pending", stdin=f"{TOKEN}\n")
    assert done.returncode == 0, done.stderr
    assert TOKEN not in done.stdout + done.stderr
    assert "ok" in done.stderr
    config, secrets = files(run.folder)
    assert config["sources"]["boast"] == {"destination": "duckdb", "dataset": "reviews"}
    assert secrets["sources"]["boast"]["credentials"] == {"access_token": TOKEN}
    assert stat.S_IMODE((run.folder / ".dlt" / "secrets.toml").stat().st_mode) == 0o600
    assert ".dlt/secrets.toml" in (run.folder / ".gitignore").read_text().splitlines()
    assert run("load").returncode == 0
    asked = run("sql", "--csv", "select count(*) as n, (select count(*) from pending_enrollments) as p from contacts")
    assert asked.stdout.startswith("n,p\n")
    assert asked.stdout.endswith(",0\n")
    assert run("sql", "--csv", "select count(*) as n from reviews.sequence_enrollments").stdout == "n\n20\n"


def test_a_second_init_changes_what_it_is_given_and_keeps_the_rest(run):
    assert run("init", "--token", TOKEN, "--no-check").returncode == 0
    config = run.folder / ".dlt" / "config.toml"
    config.write_text(config.read_text() + "\n# mine\n[sources.boast.push]\nmax_sends = 7 # careful\n")
    (run.folder / ".gitignore").write_text("mine\n")
    secrets = (run.folder / ".dlt" / "secrets.toml").read_text()
    done = run("init", "--dataset", "other", "--no-check", "--json")
    assert (done.returncode, done.stdout) == (0, '{"status": "ok", "wrote": [".dlt/config.toml", ".gitignore"]}\n')
    assert "# mine" in config.read_text()
    assert "max_sends = 7 # careful" in config.read_text()
    assert files(run.folder)[0]["sources"]["boast"]["dataset"] == "other"
    assert (run.folder / ".dlt" / "secrets.toml").read_text() == secrets
    assert (run.folder / ".gitignore").read_text().startswith("mine\n")


def test_another_destination_is_what_every_command_uses_from_then_on(run, postgres):
    secrets = f"{postgres.url()}\n{TOKEN}\n"
    done = run("init", "--destination", "postgres", "--credentials", "-", "--token", "-", stdin=secrets)
    assert done.returncode == 0, done.stderr
    assert "correct-horse" not in done.stdout + done.stderr
    assert run("load").returncode == 0
    assert postgres.sql("select count(*) from boast_data.sequence_enrollments") == [(20,)]
    assert f"Warehouse: postgres (127.0.0.1 {postgres.port} " in run("status").stdout
    assert not list(run.folder.glob("*.duckdb"))


def test_a_file_that_cannot_be_read_is_left_as_it_is(run):
    (run.folder / ".dlt").mkdir()
    broken = run.folder / ".dlt" / "secrets.toml"
    broken.write_text("not = [toml")
    done = run("init", "--token", TOKEN)
    assert done.returncode == 2
    assert "secrets.toml cannot be read" in done.stderr
    assert TOKEN not in done.stderr
    assert broken.read_text() == "not = [toml"
    assert not (run.folder / ".dlt" / "config.toml").exists()


@pytest.mark.parametrize("name", [".dlt/config.toml", ".dlt/secrets.toml", ".gitignore"])
def test_a_pipe_in_the_place_of_a_file_is_told_and_nothing_is_written(run, name):
    (run.folder / ".dlt").mkdir()
    os.mkfifo(run.folder / name)
    done = run("init", "--token", TOKEN, "--no-check")
    assert done.returncode == 2
    assert "a device or pipe is there, not a file" in done.stderr
    assert name in done.stderr
    assert [path for path in run.folder.rglob("*") if path.is_file()] == []
    assert stat.S_ISFIFO((run.folder / name).stat().st_mode)


@pytest.mark.parametrize("text", ["sources = 3", "[[sources]]", '[sources.boast]\ncredentials = "x"'])
def test_a_value_in_the_place_of_a_section_is_told(run, text):
    (run.folder / ".dlt").mkdir()
    (run.folder / ".dlt" / "secrets.toml").write_text(text)
    done = run("init", "--token", TOKEN, "--no-check")
    assert done.returncode == 2
    assert "secrets.toml cannot be changed: it has a value where a section belongs" in done.stderr
    assert (run.folder / ".dlt" / "secrets.toml").read_text() == text


def test_ignored_names_in_any_encoding_are_kept(run):
    (run.folder / ".gitignore").write_bytes(b"caf\xe9\n")
    assert run("init", "--token", TOKEN, "--no-check").returncode == 0
    assert (run.folder / ".gitignore").read_bytes().startswith(b"caf\xe9\n.dlt/secrets.toml\n")


def test_a_token_that_does_not_work_is_said_by_the_check_at_the_end(run):
    done = run("init", "--token", "wrong")
    assert done.returncode == 1
    assert "token" in done.stderr
    assert files(run.folder)[1]["sources"]["boast"]["credentials"] == {"access_token": "wrong"}


def test_on_a_terminal_it_asks_and_shows_no_secret(run):
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "boast_source", "init"],
        cwd=run.folder,
        env=run.env,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    ) as process:
        os.close(follower)
        said = b""
        asked = (b"Destination", b"did you mean duckdb?", b"Dataset", b"token")
        for question, answer in zip(asked, (b"duckbd", b"duckdb", b"asked", TOKEN.encode()), strict=True):
            while question not in said or not said.rstrip(b"\r\n ").endswith(b":"):
                said += os.read(leader, 1024)
            os.write(leader, answer + b"\n")
            said = b""
        while chunk := read(leader):
            said += chunk
    assert process.returncode == 0, said
    assert TOKEN.encode() not in said
    assert files(run.folder)[0]["sources"]["boast"] == {"destination": "duckdb", "dataset": "asked"}
    assert files(run.folder)[1]["sources"]["boast"]["credentials"] == {"access_token": TOKEN}


def read(terminal):
    try:
        return os.read(terminal, 1024)
    except OSError:  # Linux: the other side is closed
        return b""
