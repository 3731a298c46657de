"""Draw docs/report.png from a demo's report, in a headless browser: `make picture`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).parent.parent / "docs" / "report.png"
WIDTH, HEIGHT = 900, 1500  # of the page's beginning, CSS pixels

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as browsers:
        subprocess.run([sys.executable, "-m", "boast_source", "demo"], cwd=folder, check=True)
        executable = sys.argv[1] if len(sys.argv) > 1 else None
        browser = browsers.chromium.launch(executable_path=executable)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(f"file://{folder}/boast-demo/boast_report.html")
        page.screenshot(path=str(PICTURE))
        browser.close()
