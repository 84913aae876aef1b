"""One self-contained page of a report: no network, no evaluation of texts as code."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
from collections.abc import Mapping
from importlib.resources import files
from string import Template
from typing import Any

import attrs

from hostcap.errors import OutputError
from hostcap.report.library import javascript
from hostcap.report.packing import AIR, LEAST_HEIGHT, MOST_HEIGHT, packed, plain
from hostcap.report.records import Report, View
from hostcap.report.style import CONFIG

MOST_BYTES = 5_000_000
"""A page is smaller than this, so that it can be mailed and opens at once."""


def page(report: Report) -> str:
    """The page as HTML.

    Raises:
        OutputError: It would be larger than a page may be.
        PluginError: The drawing library is not installed.
    """
    library, script = _inside_script(javascript()), _inside_script(_text("page.js"))
    data = json.dumps(_plain(report), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    policy = (
        f"default-src 'none'; script-src {_digest(library)} {_digest(script)}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    text = Template(_text("page.html")).substitute(
        title=html.escape(f"{report.title} - hostcap"),
        policy=html.escape(policy, quote=True).replace("&#x27;", "'"),
        css=_text("page.css"),
        # Base 64 holds nothing that could be read as HTML; no time in the header: the same run gives the same page.
        data=base64.b64encode(gzip.compress(data.encode(), compresslevel=9, mtime=0)).decode(),
        library=library,
        script=script,
    )
    size = len(text.encode())
    if size >= MOST_BYTES:
        raise OutputError(
            f"the page would have {size / 1e6:.1f} MB, and pages stay below {MOST_BYTES / 1e6:g} MB; "
            f"choose one of the {len(report.views)} views with --feeder and --direction, or keep fewer tables"
        )
    return text


def _text(name: str) -> str:
    return files("hostcap.report").joinpath(name).read_text(encoding="utf-8")


def _inside_script(text: str) -> str:
    """A script that no part of can be taken for the end of its element."""
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _plain(report: Report) -> dict[str, Any]:
    return {
        "title": report.title,
        "subtitle": report.subtitle,
        "limits": report.limits,
        "facts": report.facts,
        "config": CONFIG,
        "heights": [LEAST_HEIGHT, MOST_HEIGHT],
        "air": AIR,
        "views": [_view(view) for view in report.views],
    }


def _view(view: View) -> Mapping[str, Any]:
    shown = attrs.asdict(attrs.evolve(view, data={}, features=()), recurse=True)
    del shown["features"]
    return {
        **shown,
        "data": {name: packed(columns) for name, columns in view.data.items()},
        "rows": [[plain(cell) for cell in row] for row in view.rows],
    }
