"""Photograph the page that ``hostcap plot`` makes of the demo: ``python docs/make_report_picture.py``.

Writes ``docs/images/report.png``; needs chromium.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

PICTURE = Path(__file__).resolve().parent / "images" / "report.png"
WINDOW = "1180,1090"
"""As wide as a page of text wants it, and as high as the first figures."""
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--virtual-time-budget=20000",
)


def main() -> None:
    """Run the demo, draw it, photograph the page."""
    hostcap = str(Path(sys.executable).parent / "hostcap")
    with TemporaryDirectory() as folder, TemporaryDirectory() as profile:
        subprocess.run([hostcap, "demo", "--out", folder], check=True, stdout=subprocess.DEVNULL)
        page = Path(folder) / "report.html"
        subprocess.run([hostcap, "plot", f"{folder}/results", "-o", page], check=True)
        browser = [
            "chromium",
            *FLAGS,
            f"--user-data-dir={profile}",
            f"--window-size={WINDOW}",
            f"--screenshot={PICTURE}",
        ]
        subprocess.run([*browser, f"{page.as_uri()}#t3_thin_cable"], check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
