"""Where the demo's files are, or are copied to."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path

from hostcap.errors import OutputError

DEMO_PACKAGE = "hostcap_stock.demo"
STUDY = "demo.toml"


@contextmanager
def demo_study(out: Path | None) -> Iterator[tuple[Path, Path | None]]:
    """The demo's study file and the folder for its results.

    Args:
        out: Folder to copy the demo to, so that its study file can be changed; None runs it in place.

    Raises:
        OutputError: ``out`` holds something else.
    """
    with as_file(files(DEMO_PACKAGE)) as packaged:
        if out is None:
            yield packaged / STUDY, None
            return
        _copy(packaged, out)
        yield out / STUDY, out / "results"


def _copy(packaged: Path, out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()) and not (out / STUDY).is_file():
            raise OutputError(f"{out}: is not empty and holds no demo; give an empty or new folder with --out")
        for study in packaged.glob("*.toml"):
            if not (out / study.name).exists():
                shutil.copyfile(study, out / study.name)
        if not (out / "feeder").exists():
            shutil.copytree(packaged / "feeder", out / "feeder")
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{out}: the demo cannot be written there: {error.strerror or error}") from error
