"""Run the tests against a built wheel or sdist, in a new environment and a folder without the package's sources.

`python -m tests.support.installed PYTHON BUILT SDIST TESTS...`: PYTHON is a version or a path; BUILT is installed with
the locked dependencies; the tests come from SDIST. Exits with pytest's code, or with 0 if there is no such Python.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

BIN = Path(sys.executable).parent
PROBE = "import boast_source, sys; print(boast_source.__file__, sys.version.split()[0])"


def main() -> int:
    wanted, built, sdist, *tests = sys.argv[1:]
    python = found(wanted)
    if python is None:
        print(f"There is no Python {wanted} here: its tests are left out.")
        return 0
    with tempfile.TemporaryDirectory(prefix="boast-installed-") as name:
        place = Path(name)
        env = place / "env"
        uv("venv", "--seed", "--no-python-downloads", "--python", python, str(env))
        with tarfile.open(sdist) as archive:
            archive.extractall(place, filter="data")
        (folder,) = [path for path in place.iterdir() if path != env]
        uv("pip", "install", "--python", str(env), "--require-hashes", "-r", str(folder / "requirements-dev.lock"))
        uv("pip", "install", "--python", str(env), "--no-deps", "--no-build-isolation", str(Path(built).resolve()))
        shutil.rmtree(folder / "boast_source")
        environ = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
        environ |= {"PATH": f"{env / 'bin'}{os.pathsep}{environ['PATH']}"}
        environ |= {"BOAST_WHEEL": str(next(Path(sdist).resolve().parent.glob("*.whl")))}
        run = [str(env / "bin" / "python"), "-m", "pytest", "-q", "-n", "auto", "--dist", "worksteal"]
        where, version = subprocess.check_output([run[0], "-c", PROBE], cwd=folder, env=environ, text=True).split()
        assert Path(where).is_relative_to(env), where
        print(f"{Path(built).name} on Python {version}", flush=True)
        return subprocess.run([*run, *(tests or ["tests"])], cwd=folder, env=environ, check=False).returncode


def found(wanted: str) -> str | None:
    """Return the path of a Python: as given, on the PATH, or installed by pyenv; None if there is none."""
    if Path(wanted).exists():
        return wanted
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    known = [shutil.which(f"python{wanted}"), *sorted(map(str, pyenv.glob(f"{wanted}.*/bin/python")))]
    return next((path for path in known if path and answers(path)), None)


def answers(path: str) -> bool:
    return subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0


def uv(*arguments: str) -> None:
    subprocess.run([str(BIN / "uv"), *arguments, "--quiet"], check=True)


if __name__ == "__main__":
    sys.exit(main())
