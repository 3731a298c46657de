"""One run: a process of its own in a fresh folder; wall time with its start, CPU time, peak memory, rows stored."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from typing_extensions import Self

ROOT = Path(__file__).resolve().parent.parent
PYTHON = [sys.executable, "-m"]
TOKEN = "SOURCES__BOAST__CREDENTIALS__ACCESS_TOKEN"
BOAST = str(Path(sys.executable).with_name("boast"))


@dataclass(frozen=True)
class Run:
    """Seconds of wall time and of CPU time, and peak memory in MB."""

    seconds: float
    cpu: float
    peak: float


class Folder:
    """A folder that a contender believes to be a new machine's, and more of its environment. Use it in a `with`
    statement.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._more = dict(environment or {})

    def __enter__(self) -> Self:
        self.path = Path(tempfile.mkdtemp(prefix="boast-bench-"))
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def run(self, command: Sequence[str], base_url: str, workers: int, codes: Sequence[int] = (0,)) -> Run:
        """Raises RuntimeError with the end of its output when the command fails."""
        measured = self.path / "measured.txt"
        measured.unlink(missing_ok=True)
        with (self.path / "output.txt").open("w+") as output:
            subprocess.run(
                [sys.executable, "-SE", str(ROOT / "benchmarks" / "launch.py"), str(measured), *command],
                cwd=self.path,
                env=self._environment(base_url, workers),
                stdout=output,
                stderr=output,
                check=True,
            )
            *taken, code = map(float, measured.read_text().split())
            if int(code) not in codes:
                output.seek(0)
                raise RuntimeError(f"{' '.join(command)} ended with {int(code)}:\n{output.read()[-2000:]}")
        return Run(*taken)

    def stored(self) -> tuple[int, int]:
        """Rows and distinct ids in the warehouse."""
        told = subprocess.run(
            [*PYTHON, "benchmarks.stored"],
            cwd=self.path,
            env=self._environment("", 1),
            check=True,
            capture_output=True,
            text=True,
        )
        rows, distinct = told.stdout.split()
        return int(rows), int(distinct)

    def _environment(self, base_url: str, workers: int) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if "__" not in name}
        kept.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program is compiled once
        return kept | {
            "HOME": str(self.path),
            "TMPDIR": str(self.path),
            "DLT_DATA_DIR": str(self.path / "dlt"),
            "PYTHONPATH": str(ROOT),
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "SOURCES__BOAST__BASE_URL": base_url,
            "SOURCES__BOAST__MAX_CONCURRENCY": str(workers),
            "SOURCES__BOAST__CREDENTIALS__ACCESS_TOKEN": os.environ.get(TOKEN, "x"),
            **self._more,
        }


@contextmanager
def serving(rows: int, per_page: int, latency: float, **others: int | str) -> Iterator[str]:
    """The server of pages in a process of its own; yields its base URL. `latency` in ms a page; `others`: options of
    the server.
    """
    size = ["--rows", str(rows), "--per-page", str(per_page), "--latency", str(latency)]
    size += [f"--{name}={value}" for name, value in others.items()]
    with subprocess.Popen(
        [*PYTHON, "benchmarks.server", *size], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout
        yield f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
        assert server.stdin
        server.stdin.close()
