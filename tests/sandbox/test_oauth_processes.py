"""Processes that share a token store renew it once, and one that is killed at any moment locks nobody out."""

import os
import queue
import random
import signal
import threading
import time

import pytest

from tests.support.forker import forking
from tests.support.oauth_client import MODES
from tests.support.oauth_server import as_json, oauth_server
from tests.support.waiting import PATIENCE, until


def test_ten_processes_with_an_expired_token_refresh_once(tmp_path):
    with oauth_server(at_once=True) as oauth, forking(as_json(oauth, tmp_path / "t")) as forker:
        children = [forker.spawn(reads=2) for _ in range(10)]
        assert [forker.wait(child) for child in children] == [0] * 10
        assert len(oauth.asked) == 1


@MODES
def test_three_processes_whose_tokens_live_two_seconds_all_get_on(tmp_path, at_once):
    with (
        oauth_server(at_once=at_once, lifetime=2.0 if at_once else 1.0) as oauth,
        forking(as_json(oauth, tmp_path / "t")) as forker,
    ):
        children = [forker.spawn(seconds=2.5) for _ in range(3)]
        assert [forker.wait(child) for child in children] == [0] * 3
        assert len(oauth.asked) <= 6


def test_three_processes_with_a_store_each_take_tokens_from_each_other_and_get_on(tmp_path):
    """The server revokes whenever it likes: every tenth request finds its token gone."""
    with oauth_server() as oauth, forking(as_json(oauth, tmp_path / "t")) as forker:
        inner, count = oauth.__call__, iter(range(10**9))

        def answers(request):
            if request.target != "/oauth/token" and next(count) % 10 == 9:
                oauth.revoke_access()
            return inner(request)

        oauth.server.answers = answers
        children = [forker.spawn(reads=60) for _ in range(3)]
        assert [forker.wait(child) for child in children] == [0] * 3


@pytest.mark.parametrize("moment", ["before the server acts", "before the answer", "after the answer"])
def test_a_process_killed_around_a_refresh_locks_nobody_out(tmp_path, moment):
    with oauth_server() as oauth, forking(as_json(oauth, tmp_path / "t")) as forker:
        for _ in range(3):
            oauth.revoke_access()
            victim, done = queue.Queue(), threading.Event()

            def kill(*_, victim=victim, done=done):
                os.kill(victim.get(timeout=PATIENCE), signal.SIGKILL)
                done.set()

            if moment == "before the server acts":
                oauth.before_token = kill
            elif moment == "before the answer":
                oauth.on_token = kill
            asked = len(oauth.asked)
            child = forker.spawn()
            victim.put(child)
            if moment == "after the answer":
                until(lambda asked=asked: len(oauth.asked) > asked)
                kill()
            assert done.wait(PATIENCE)
            assert forker.wait(child) in ({-signal.SIGKILL, 0} if moment == "after the answer" else {-signal.SIGKILL})
            oauth.before_token, oauth.on_token = (lambda _: None), None
            assert forker.wait(forker.spawn()) == 0


def test_a_process_killed_at_any_moment_locks_nobody_out(tmp_path):
    dice = random.Random(7)
    codes = set()
    with oauth_server() as oauth, forking(as_json(oauth, tmp_path / "t")) as forker:
        began = time.monotonic()
        assert forker.wait(forker.spawn()) == 0
        lifetime = time.monotonic() - began  # of a child that nobody kills, on a machine as busy as this one
        for _ in range(40):
            oauth.revoke_access()
            child = forker.spawn()
            time.sleep(dice.uniform(0.0, 1.2 * lifetime))
            os.kill(child, signal.SIGKILL)
            codes.add(forker.wait(child))
        assert forker.wait(forker.spawn()) == 0
        assert len(oauth.asked) > 5
    assert -signal.SIGKILL in codes


def test_a_killed_process_leaves_no_lock_behind(tmp_path):
    with oauth_server() as oauth, forking(as_json(oauth, tmp_path / "t")) as forker:
        arrived = threading.Event()
        gone = threading.Event()
        oauth.before_token = lambda _: arrived.set() or gone.wait(PATIENCE)
        child = forker.spawn()
        assert arrived.wait(PATIENCE)
        os.kill(child, signal.SIGKILL)
        gone.set()
        oauth.before_token = lambda _: None
        assert forker.wait(forker.spawn()) == 0
