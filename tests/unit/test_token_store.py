"""The token store: private, atomic, durable, on any file system; damage is an error with the next step."""

import json
import os
import stat
import subprocess
import sys
import threading
import uuid
from dataclasses import replace

import fsspec
import pytest

from boast_source.api import token_store
from boast_source.api.token_store import Tokens, TokenStore, fingerprint
from boast_source.errors import ConfigurationError, LockedError

TOKENS = Tokens("an-access-token", "a-refresh-token", 2e9, 7200.0, "seed", "client")


@pytest.fixture(autouse=True)
def _own_config_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def locations(tmp_path):
    return {
        "path": str(tmp_path / "a" / "t.json"),
        "file": f"file://{tmp_path}/b%20c/t.json",
        "memory": f"memory://{uuid.uuid4()}/t.json",
        "local": f"local://{tmp_path}/d/t.json",
    }


@pytest.mark.parametrize("kind", ["path", "file", "memory", "local"])
def test_what_is_written_is_read(tmp_path, kind):
    store = TokenStore(locations(tmp_path)[kind], "client")
    assert store.read() is None
    for tokens in (TOKENS, replace(TOKENS, refresh_token=None, expires_at=None, expires_in=None, seed=None)):
        with store.lock():
            store.probe()
            store.write(tokens)
        assert store.read() == tokens


def test_a_remote_store_leaves_nothing_beside_it():
    url = f"memory://{uuid.uuid4()}/t.json"
    store = TokenStore(url, "client")
    store.write(TOKENS)
    store.write(TOKENS)
    system, path = fsspec.core.url_to_fs(url)
    assert system.ls(system._parent(path), detail=False) == [path]


def test_a_local_store_is_private_and_leaves_nothing_but_the_lock(tmp_path):
    store = TokenStore(str(tmp_path / "x" / "y" / "t.json"), "client")
    old = os.umask(0)
    try:
        with store.lock():
            store.write(TOKENS)
    finally:
        os.umask(old)
    folder = tmp_path / "x" / "y"
    assert {each.name for each in folder.iterdir()} == {"t.json", "t.json.lock"}
    assert {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()} == {0o600}
    assert {stat.S_IMODE(each.stat().st_mode) for each in (folder, folder.parent)} == {0o700}


def test_a_file_that_others_can_read_becomes_private_with_the_next_write(tmp_path):
    path = tmp_path / "t.json"
    path.write_text("{}")
    path.chmod(0o644)
    (tmp_path / ".t.json.new").write_text("what a kill left")
    TokenStore(str(path), "client").write(TOKENS)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not (tmp_path / ".t.json.new").exists()


def test_a_store_that_is_a_link_stays_one_and_its_target_is_replaced(tmp_path):
    target = tmp_path / "volume" / "tokens.json"
    target.parent.mkdir()
    target.write_text("{}")
    link = tmp_path / "tokens.json"
    link.symlink_to(target)
    TokenStore(str(link), "client").write(TOKENS)
    assert link.is_symlink()
    assert TokenStore(str(target), "client").read() == TOKENS


def test_a_reader_never_sees_half_a_document(tmp_path):
    store, stop, seen = TokenStore(str(tmp_path / "t"), "client"), threading.Event(), []
    store.write(TOKENS)

    def read():
        while not stop.is_set():
            seen.append(store.read() is not None)

    thread = threading.Thread(target=read)
    thread.start()
    for _ in range(50):
        store.write(TOKENS)
    stop.set()
    thread.join()
    assert all(seen)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        json.dumps({"access_token": 1, "refresh_token": "r", "client": "c"}).encode(),
        json.dumps({"access_token": "a", "refresh_token": 2, "client": "c"}).encode(),
        json.dumps({"access_token": "a", "refresh_token": "r", "client": "c", "expires_at": "x"}).encode(),
    ],
)
def test_a_damaged_store_is_an_error_with_the_next_step(tmp_path, body):
    (tmp_path / "t").write_bytes(body)
    with pytest.raises(ConfigurationError, match=r"damaged.*boast login") as caught:
        TokenStore(str(tmp_path / "t"), "client").read()
    assert str(tmp_path / "t") in str(caught.value)


@pytest.mark.timeout(60)  # whoever reads a pipe waits for a writer
@pytest.mark.parametrize("linked", [False, True])
def test_a_pipe_or_device_in_the_place_of_the_store_is_neither_read_nor_replaced(tmp_path, linked):
    pipe, place = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    place.symlink_to(pipe)
    store = TokenStore(str(place if linked else pipe), "client")
    for use in (store.read, store.probe, lambda: store.write(TOKENS)):
        with pytest.raises(ConfigurationError, match="a device or pipe is there, not a file"):
            use()
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_store_that_links_to_itself_is_replaced(tmp_path):
    loop = tmp_path / "tokens.json"
    loop.symlink_to(loop)
    store = TokenStore(str(loop), "client")
    store.write(TOKENS)
    assert store.read() == TOKENS


@pytest.mark.parametrize("url", ["nosuchscheme://x/t.json", "filecache::memory://x/t.json"])
def test_an_unusable_address_is_a_configuration_error(url):
    with pytest.raises(ConfigurationError):
        TokenStore(url, "client").read()


def test_credentials_in_the_address_do_not_show():
    store = TokenStore("nosuchscheme://user:hunter2@host/t.json?key=hunter2", "client")
    with pytest.raises(ConfigurationError) as caught:
        store.write(TOKENS)
    assert "hunter2" not in repr(store) + str(caught.value)


def test_the_lock_excludes_other_processes_and_times_out(tmp_path, monkeypatch):
    store = TokenStore(str(tmp_path / "t"), "client")
    code = (
        "import sys; from filelock import FileLock; lock = FileLock(sys.argv[1]); lock.acquire();"
        "print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "t.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        monkeypatch.setattr(token_store, "LOCK_TIMEOUT", 0.1)
        with pytest.raises(LockedError), store.lock():
            pass
        holder.kill()
        holder.wait()
        monkeypatch.setattr(token_store, "LOCK_TIMEOUT", 5)
        with store.lock():
            pass


def test_two_clients_have_two_default_files(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    first, second = (TokenStore(None, fingerprint(name)) for name in ("one", "two"))
    first.write(TOKENS)
    assert second.read() is None
    assert str(tmp_path) in first.where


def test_tokens_do_not_show():
    assert "token" not in repr(TOKENS).lower().replace("token_store", "").replace("tokens", "")
