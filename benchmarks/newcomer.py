"""A new user's path, timed: clone, `make demo`, a first query, then the README's steps of a first real load.

`python -m benchmarks.newcomer` clones what is committed here into an empty folder, with an empty HOME, so that the
package cache is cold, and ends with 1 when the first query took longer than `--limit` seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import ROOT
from boast_source.install import INSTALL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CACHES = ("PIP_CACHE_DIR", "UV_CACHE_DIR", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")
COUNT = "select count(*) from boast_data.sequence_enrollments"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.newcomer", description=__doc__)
    parser.add_argument("--limit", type=float, default=120.0, help="seconds to the first query")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="boast-new-") as name:
        home, clone = Path(name) / "home", Path(name) / "boast"
        home.mkdir()
        env = {key: value for key, value in os.environ.items() if key not in CACHES and "__" not in key}
        env |= {"HOME": str(home), "DLT_DATA_DIR": str(home / "dlt")}
        base = getattr(sys, "_base_executable", sys.executable)
        print("| step | s | s since the start |\n|---|--:|--:|")
        began = time.perf_counter()
        step("git clone", ["git", "clone", "-q", f"file://{ROOT}", str(clone)], ROOT, env, began)
        step(
            "make demo: installs all, loads, a night, the first query",
            ["make", "demo", f"PYTHON={base}"],
            clone,
            env,
            began,
        )
        to_query = time.perf_counter() - began
        api = subprocess.Popen(
            [clone / ".venv" / "bin" / "boast", "sandbox", "--port", "0"],
            cwd=home,
            env=env,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert api.stdout
            env |= json.loads(api.stdout.readline())["env"]
            step("python3 -m venv", [base, "-m", "venv", "--upgrade-deps", home / ".venv"], home, env, began)
            own = home / ".venv" / "bin"
            subprocess.run(["git", "tag", "-f", INSTALL.rpartition("@")[2].strip('"')], cwd=clone, check=True)
            line = shlex.split(INSTALL.replace("REPOSITORY", f"file://{clone}"))
            step("pip install, the README's line", [own / line[0], *line[1:], "-q"], home, env, began)
            boast = own / "boast"
            step("boast check", [boast, "check"], home, env, began)
            step("boast load: the first real load", [boast, "load"], home, env, began)
            python = boast.with_name("python")
            ask = f"import duckdb; print(duckdb.connect('boast.duckdb').execute('{COUNT}').fetchone()[0])"
            rows = int(subprocess.check_output([python, "-c", ask], cwd=home, env=env))
        finally:
            api.terminate()
            api.communicate()
    print(f"\n{os.cpu_count()} cores; {to_query:.0f} s to the first query; then {rows} enrollments loaded.")
    return int(to_query > given.limit)


def step(name: str, command: Sequence[str | Path], folder: Path, env: Mapping[str, str], began: float) -> None:
    """Raises RuntimeError with the end of its output when it fails."""
    at = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    now = time.perf_counter()
    if done.returncode:
        raise RuntimeError(f"{name} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}")
    print(f"| {name} | {now - at:.1f} | {now - began:.1f} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
