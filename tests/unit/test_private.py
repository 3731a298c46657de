"""Scratch folders and temporary files are the user's own, whatever others put into a shared folder."""

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from boast_source.errors import DestinationError
from boast_source.outputs.files import write
from boast_source.private import new_file, replace_file, scratch_folder


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """A temporary folder that is shared with others."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_scratch_is_private_and_disappears_with_its_run(shared):
    folder, remove = scratch_folder()
    (folder / "spill").write_text("people")
    assert (mode(folder), mode(folder.parent)) == (0o700, 0o700)
    assert folder.parent.parent == shared
    remove()
    assert [path.name for path in (shared / f"boast-{os.getuid()}").iterdir()] == ["lock"]


def test_what_a_killed_run_left_is_removed_and_a_live_one_stays_whatever_its_process_id(shared):
    code = "import os; from boast_source.private import scratch_folder; print(scratch_folder()[0]); os._exit(9)"
    environment = {**os.environ, "TMPDIR": str(shared)}
    own = shared / f"boast-{os.getuid()}"
    own.mkdir(0o700)
    (own / "run-x.lock").touch()  # of a run that was killed at its very end
    left = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert Path(left.stdout.strip()).is_dir()
    mine, remove = scratch_folder()
    assert not Path(left.stdout.strip()).exists()
    other, remove_other = scratch_folder()  # no process id tells them apart: the lock does
    assert mine.is_dir()
    assert other.is_dir()
    remove()
    remove_other()
    assert [path.name for path in own.iterdir()] == ["lock"]


@pytest.mark.parametrize("name", ["boast-scratch-99999999999999999999-x", "boast-scratch-1-x", "run-x", "boast-x"])
def test_nothing_foreign_in_a_shared_folder_is_parsed_or_deleted(shared, name):
    (shared / name).mkdir()
    scratch_folder()[1]()
    assert (shared / name).is_dir()


def test_a_planted_link_or_file_in_the_place_of_the_own_folder_is_not_used(shared):
    elsewhere = shared / "elsewhere"
    elsewhere.mkdir()
    planted = shared / f"boast-{os.getuid()}"
    planted.symlink_to(elsewhere)
    folder, remove = scratch_folder()
    assert list(elsewhere.iterdir()) == []
    assert mode(folder.parent) == 0o700
    remove()
    assert {path.name for path in shared.iterdir()} == {"elsewhere", planted.name}
    planted.unlink()
    planted.write_text("")
    scratch_folder()[1]()


def test_an_own_folder_that_others_can_read_becomes_private(shared):
    own = shared / f"boast-{os.getuid()}"
    own.mkdir()
    own.chmod(0o777)
    scratch_folder()[1]()
    assert mode(own) == 0o700


def test_a_temporary_file_follows_no_link(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "x").symlink_to(victim)
    os.close(new_file(tmp_path / "x"))
    (tmp_path / f".report.html.{os.getpid()}.tmp").symlink_to(victim)
    write("a report", str(tmp_path / "report.html"))
    assert victim.read_text() == "precious"
    assert (tmp_path / "report.html").read_text() == "a report"
    assert mode(tmp_path / "x") == 0o600


def test_a_report_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "report.html").mkdir()
    with pytest.raises(DestinationError, match="cannot be written"):
        write("a report", str(tmp_path / "report.html"))


@pytest.mark.parametrize("linked", [False, True])
def test_a_device_or_pipe_in_the_place_of_a_report_stays(tmp_path, linked):
    """Root may replace any: `report_path = "/dev/null"` would break the machine."""
    pipe, place = tmp_path / "pipe", tmp_path / "report.html"
    os.mkfifo(pipe)
    if linked:
        place.symlink_to(pipe)
    else:
        place = pipe
    with pytest.raises(DestinationError, match="a device or pipe is there"):
        write("page", str(place))
    with pytest.raises(OSError, match="a device or pipe is there"):
        replace_file(place, "text")
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert {path.name for path in tmp_path.iterdir()} == {pipe.name, place.name}
