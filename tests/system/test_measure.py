"""What the benchmarks measure is the command's own, whatever the process that measures holds."""

from __future__ import annotations

import sys

import pytest

from benchmarks.measure import Folder


def test_peak_memory_is_that_of_the_command_and_not_of_the_one_who_measures():
    held = b"x" * 400_000_000
    with Folder() as folder:
        small = folder.run([sys.executable, "-c", "pass"], "", 1)
        large = folder.run([sys.executable, "-c", "b'x' * 200_000_000"], "", 1)
    assert len(held) == 400_000_000
    assert small.peak < 60
    assert 190 < large.peak < 260


def test_a_command_that_fails_is_told_with_the_end_of_its_output():
    with Folder() as folder, pytest.raises(RuntimeError, match=r"ended with 7:\nso it was"):
        folder.run([sys.executable, "-c", "print('so it was'); raise SystemExit(7)"], "", 1)
