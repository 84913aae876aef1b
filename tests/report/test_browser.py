"""The page in a real browser: no message on its console, every figure drawn, and what was chosen is shown.

Debian's chromium, ``apt-get install chromium``; the path of another one is taken from HOSTCAP_BROWSER.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import numba
import numpy as np
import pytest
from click.testing import CliRunner
from pages import hv_study

from hostcap.cli.main import main
from hostcap.running import run
from hostcap.work_package import WorkPackage

pytestmark = pytest.mark.browser

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
    "--virtual-time-budget=20000",
    "--host-resolver-rules=MAP * ~NOTFOUND",
]
NAMES = ("chromium", "chromium-browser", "google-chrome")
Look = Callable[..., tuple[str, list[str]]]


@pytest.fixture(scope="module")
def look() -> Look:
    """Opens a page: its document after the scripts have run, and what stands on the console."""
    found = os.environ.get("HOSTCAP_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        reason = "needs a browser: apt-get install chromium, or HOSTCAP_BROWSER"
        if os.environ.get("HOSTCAP_BROWSER_REQUIRED") == "1":
            pytest.fail(reason)
        pytest.skip(reason)

    def opened(address: str, *more: str) -> tuple[str, list[str]]:
        with TemporaryDirectory() as profile:
            command = [found, *FLAGS, f"--user-data-dir={profile}", *more, address]
            done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=True)
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    return opened


def page_of(study: Path, folder: Path, *overrides: str) -> Path:
    run(WorkPackage.read(study, overrides=overrides), out=folder)
    done = CliRunner().invoke(main, ["plot", str(folder)])
    assert done.exit_code == 0, done.output
    return folder / "report.html"


@pytest.fixture(scope="module")
def page(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return page_of(demo_folder / "demo.toml", tmp_path_factory.mktemp("demo") / "r", "injection.direction=both")


@pytest.fixture(scope="module")
def hv_page(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hv") / "r"
    run(hv_study(demo_folder, debug_snapshots=True, debug_snapshot_stops=2), out=folder)
    assert CliRunner().invoke(main, ["plot", str(folder)]).exit_code == 0
    return folder / "report.html"


def pixels(path: Path) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    """Colours of a PNG file of eight bits a channel, shape (row, column, channel), by the format's own rules."""
    content = path.read_bytes()
    chunks, at = {}, 8
    while at < len(content):
        size, kind = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        chunks[kind] = chunks.get(kind, b"") + content[at + 8 : at + 8 + size]
        at += size + 12
    width, height = (int.from_bytes(chunks[b"IHDR"][i : i + 4], "big") for i in (0, 4))
    assert chunks[b"IHDR"][8] == 8 and chunks[b"IHDR"][12] == 0
    channels = {2: 3, 6: 4}[chunks[b"IHDR"][9]]
    raw = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + width * channels)
    return _unfiltered(raw, channels).reshape(height, width, channels)


@numba.njit  # type: ignore[untyped-decorator]
def _unfiltered(raw: Any, channels: int) -> Any:
    rows = np.zeros((raw.shape[0], raw.shape[1] - 1), np.uint8)
    for y in range(rows.shape[0]):
        for x in range(rows.shape[1]):
            left = np.int64(rows[y, x - channels]) if x >= channels else 0
            up = np.int64(rows[y - 1, x]) if y > 0 else 0
            corner = np.int64(rows[y - 1, x - channels]) if y > 0 and x >= channels else 0
            how, guess = raw[y, 0], 0
            if how == 1:
                guess = left
            elif how == 2:
                guess = up
            elif how == 3:
                guess = (left + up) // 2
            elif how == 4:
                by_left, by_up, by_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
                guess = corner
                if by_left <= by_up and by_left <= by_corner:
                    guess = left
                elif by_up <= by_corner:
                    guess = up
            rows[y, x] = (np.int64(raw[y, x + 1]) + guess) % 256
    return rows


def near(image: np.ndarray[tuple[int, int, int], np.dtype[np.uint8]], colour: str) -> int:
    """How many pixels have a colour, but for the smoothing of edges."""
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return int(np.sum(np.all(np.abs(image[:, :, :3].astype(int) - wanted) <= 12, axis=2)))


def figures_of(document: str) -> Iterator[tuple[str, str]]:
    yield from re.findall(r'<figure[^>]*id="figure-([\w-]+)"[^>]*>(.*?)</figure>', document, re.DOTALL)


def test_every_figure_is_drawn_and_the_console_is_silent(page: Path, look: Look) -> None:
    document, console = look(page.as_uri(), "--dump-dom")
    assert console == []
    drawn = dict(figures_of(document))
    assert list(drawn) == ["headroom", "binding", "trail", "map", "voltage-start", "voltage-stop", "usage"]
    assert f'data-drawn="{len(drawn)}"' in document
    for name, inner in drawn.items():
        width, height = (int(n) for n in re.findall(r'<canvas[^>]*?width="(\d+)" height="(\d+)"', inner)[0])
        assert width > 300 and height > 150, name


@pytest.mark.parametrize("place", ["dtx-hv-terminal t1_long_line.1", "dtx-hv-terminal t7_swer.1"])
def test_a_location_is_drawn_with_its_kept_states_and_without(place: str, hv_page: Path, look: Look) -> None:
    document, console = look(f"{hv_page.as_uri()}#{quote(place)}", "--dump-dom")
    assert console == []
    drawn = dict(figures_of(document))
    assert list(drawn) == ["headroom", "binding", "trail", "map", "voltage-start", "voltage-stop", "usage"]
    assert f'data-drawn="{len(drawn)}"' in document
    assert f"{place.split()[1]} ({place.split()[0]})" in document
    for name, inner in drawn.items():
        width, height = (int(n) for n in re.findall(r'<canvas[^>]*?width="(\d+)" height="(\d+)"', inner)[0])
        assert width > 300 and height > 150, name


@pytest.mark.parametrize("group", ["t8_spare", "t5_strong"])
def test_a_transformer_without_customers_or_without_a_limit_is_drawn_too(group: str, page: Path, look: Look) -> None:
    document, console = look(f"{page.as_uri()}#{group}", "--dump-dom")
    assert console == []
    assert f'data-drawn="{len(list(figures_of(document)))}"' in document


def test_it_begins_with_the_transformer_that_the_address_names(page: Path, look: Look) -> None:
    document, console = look(page.as_uri() + "#t3_thin_cable", "--dump-dom")
    assert console == []
    chosen = re.search(r'<dl[^>]*id="chosen"[^>]*>(.*?)</dl>', document, re.DOTALL)
    assert chosen
    facts = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", chosen[1]))
    assert facts["Headroom"] == "6.1 kW per customer"
    assert facts["Stopped by"] == "line t3_span1 terminal 1 phase B"
    assert re.findall(r'<tr data-choice="([^"]*)" class="is-chosen"', document) == ["t3_thin_cable"]
    assert unescape(re.findall(r'<option value="1">(.*?)</option>', document)[0]) == "demo import"


@pytest.mark.parametrize("width", [1280, 480])
def test_the_colours_of_the_statuses_are_on_the_screen_of_any_width(
    width: int, page: Path, look: Look, tmp_path: Path
) -> None:
    """Bound, broken at the start, not stopped: markers and bars of their colours; the map's and chart's ink."""
    _, console = look(page.as_uri(), f"--screenshot={tmp_path / 'p.png'}", f"--window-size={width},3600")
    assert console == []
    image = pixels(tmp_path / "p.png")
    assert image.shape[:2] == (3600, width)
    for colour, least in {"#e69f00": 1500, "#d55e00": 300, "#009e73": 300, "#0072b2": 15, "#1d2733": 300}.items():
        assert near(image, colour) > least, colour


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("study", ["cre21-export-fixed-load", "ckt5-export", "eu-lv-export", "p1uhs23-export"])
def test_public_feeders_of_1_to_584_transformers(study: str, look: Look, tmp_path: Path, networks: Path) -> None:
    """CRE21 has no coordinates, ckt5 some, the others all; each page stays below 5 MB."""
    studies = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "studies"
    text = (studies / f"{study}.toml").read_text(encoding="utf-8")
    (tmp_path / "s.toml").write_text(text.replace("../../../../shared/data/networks", str(networks)), encoding="utf-8")
    page = page_of(tmp_path / "s.toml", tmp_path / "r")
    assert page.stat().st_size < 5_000_000
    document, console = look(page.as_uri(), "--dump-dom")
    assert console == []
    drawn = [name for name, _ in figures_of(document)]
    assert ("map" in drawn) == (study != "cre21-export-fixed-load")
    assert {"headroom", "binding", "trail", "voltage-start", "voltage-stop"} <= set(drawn)
    assert f'data-drawn="{len(drawn)}"' in document
