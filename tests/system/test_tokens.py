"""Tokens that rotate, with real processes: nobody locks anybody out, and no refresh token is lost."""

from __future__ import annotations

import http.client
import random
import re
import subprocess
import sys
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.python import STANDARD
from tests.support.waiting import PATIENCE, until
from tests.support.workplace import Workplace, finish, stored


def token_requests(server):
    return server.control("GET", "counters")["token_requests"]


def refreshes_begun(server):
    return server.control("GET", "counters")["arrived"].get("POST oauth/token", 0)


@pytest.mark.parametrize("revoke", ["on_use", "at_once"])
def test_three_loads_at_once_outlive_a_two_second_token(sandbox, tmp_path, revoke):
    server = sandbox(enrollments=600, token_lifetime=2, revoke=revoke, latency=0.1, page_size=10)
    places = [Workplace(tmp_path / str(n)).use_oauth(server) for n in range(3)]
    for place in places:
        place.folder.mkdir()
        place.env["SOURCES__BOAST__CREDENTIALS__TOKEN_STORE"] = str(tmp_path / "tokens.json")
        place.env["SOURCES__BOAST__MAX_CONCURRENCY"] = "2"
    started = time.monotonic()
    loads = [place.start("load", "--resources", "sequence_enrollments") for place in places]
    done = [finish(load) for load in loads]
    assert [one.code for one in done] == [0, 0, 0], [one.err for one in done]
    assert all(stored(place) == server.truth() for place in places)
    assert time.monotonic() - started > 2  # longer than a token lives
    assert token_requests(server) >= 2


def test_ten_checks_at_once_with_an_expired_token_refresh_it_once_or_twice(sandbox, workplace):
    server = sandbox(enrollments=20)
    workplace.use_oauth(server)
    assert workplace.boast("check").code == 0
    server.control("POST", "tokens", {"expire": True})
    before = token_requests(server)
    checks = [workplace.start("check") for _ in range(10)]
    done = [finish(check) for check in checks]
    assert [one.code for one in done] == [0] * 10, [one.out + one.err for one in done]
    assert 1 <= token_requests(server) - before <= 2


def test_killed_at_any_moment_around_a_refresh_the_next_run_gets_in(sandbox, workplace):
    """The server keeps the old refresh token until the new access token is used, as `on_use` does."""
    server = sandbox(enrollments=5)
    workplace.use_oauth(server)
    server.control("POST", "faults", {"kind": "latency", "seconds": 0.15, "path": "oauth/token"})
    rng = random.Random(7)
    for _ in range(8):
        server.control("POST", "tokens", {"expire": True})
        asked = refreshes_begun(server)
        process = workplace.start("check")
        until(lambda asked=asked: refreshes_begun(server) > asked, process=process)
        time.sleep(rng.uniform(0, 0.3))  # before the answer, before the store, before the first use, or after
        process.kill()
        finish(process)
        done = workplace.boast("check")
        assert done.code == 0, done.out


def test_a_refresh_token_that_is_spent_says_login(sandbox, workplace):
    server = sandbox(enrollments=5)
    workplace.use_oauth(server)
    assert workplace.boast("check").code == 0
    server.control("POST", "tokens", {"revoke": "refresh too"})
    done = workplace.boast("load")
    assert done.code == 1
    assert "boast login" in done.err
    for key in ("client_secret", "refresh_token"):
        assert server.info[key] not in done.out + done.err


def test_login_keeps_tokens_that_the_next_load_uses(sandbox, workplace):
    server = sandbox(enrollments=5)
    workplace.use_oauth(server)
    del workplace.env["SOURCES__BOAST__CREDENTIALS__REFRESH_TOKEN"]
    assert workplace.boast("load").code != 0
    browser = workplace.folder / "browser.sh"
    browser.write_text('#!/bin/sh\npython3 -c "import sys, urllib.request as u; u.urlopen(sys.argv[1]).read()" "$1"\n')
    browser.chmod(0o755)
    done = workplace.boast("login", "--port", "0", "--timeout", "240", BROWSER=str(browser))
    assert done.code == 0, done.err
    assert (workplace.folder / "tokens.json").stat().st_mode & 0o777 == 0o600
    assert workplace.boast("load").code == 0


@pytest.mark.parametrize("bare", [False, True])
def test_without_a_browser_the_address_it_ends_on_or_the_code_is_pasted(sandbox, workplace, bare):
    """The browser is on another machine and cannot reach the port."""
    server = sandbox(enrollments=5)
    workplace.use_oauth(server)
    del workplace.env["SOURCES__BOAST__CREDENTIALS__REFRESH_TOKEN"]
    own = {"HOME": str(workplace.folder / "home"), "DLT_DATA_DIR": str(workplace.folder / "state")}
    with subprocess.Popen(
        [sys.executable, "-m", "boast_source", "login", "--no-browser", "--port", "0"],
        cwd=workplace.folder,
        env=STANDARD | own | workplace.env,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as waiting:
        parts = urlsplit(re.search(r"http://\S+", waiting.stderr.readline())[0])
        there = http.client.HTTPConnection(parts.netloc)
        there.request("GET", f"{parts.path}?{parts.query}")
        ended_on = there.getresponse().headers["Location"]
        there.close()
        assert ended_on.startswith("http://127.0.0.1:")
        (code,) = parse_qs(urlsplit(ended_on).query)["code"]
        wrong = "http://127.0.0.1/callback?code=theirs&state=theirs"
        _, said = waiting.communicate(f"\n{wrong}\n{code if bare else ended_on}\n", timeout=PATIENCE)
    assert waiting.returncode == 0, said
    assert code not in said
    assert workplace.boast("load").code == 0
