"""The built wheel, and environments to install it into."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]


def built(place):
    """Build the wheel into the folder and return its path; or return BOAST_WHEEL, set if there are no sources."""
    if given := os.environ.get("BOAST_WHEEL"):
        return Path(given)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "-w", str(place), str(ROOT)], check=True)
    return next(place.glob("*.whl"))


def environment(folder, *, with_pip=False):
    """Create a virtual environment with everything here but this project. Return its Python and site-packages."""
    venv.create(folder, with_pip=with_pip)
    site = next((folder / "lib").glob("python*")) / "site-packages"
    (site / "dependencies.pth").write_text(next(path for path in sys.path if path.endswith("site-packages")))
    return folder / "bin" / "python", site
