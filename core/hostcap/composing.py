"""A study of parts that were constructed in Python, on one feeder: no registry, no study file."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import PurePath
from typing import Any

import attrs
import numpy as np

from hostcap._arrays import update_hash
from hostcap.errors import ConfigError
from hostcap.network import Network
from hostcap.operating_point import FeederScope
from hostcap.plugins.kinds import Job, Preview, Progress, Study
from hostcap.tables import Results
from hostcap.work_package import NAMESPACE, never, silent

YEAR = 2025
"""Label of the year where a Python user says none; fixed, so that the same call gives the same tables."""


def run_study(
    study: Study,
    network: Network,
    *,
    year: int = YEAR,
    work_package_id: str | None = None,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Results:
    """Run a study on one feeder that a network source loaded.

    Args:
        study: The study with its parts.
        network: The feeder.
        year: Label of the year in the tables, and the year of starts that say no time.
        work_package_id: A UUID that the other ids derive from; made from the study's parts and the network's content
            otherwise, so that the same call gives the same ids.
        progress: Told (stage, done, total).
        should_stop: Asked between batches of states; True ends the run.

    Returns:
        All tables, in memory.

    Raises:
        ConfigError: A part does not fit the feeder, or the network came from no source.
        NotConvergedError: The start has no solution.
        StoppedError: ``should_stop`` said so.
    """
    job = _job(study, network, year, work_package_id, progress or silent, should_stop or never)
    return Results(work_package_id=job.work_package_id, chunks=tuple(study.run(job)))


def check_study(study: Study, network: Network, *, year: int = YEAR) -> Preview:
    """Solve the start of a feeder and say what a run would do; arguments and errors as in ``run_study``."""
    return study.check(_job(study, network, year, None, silent, never))


def _job(
    study: Study,
    network: Network,
    year: int,
    work_package_id: str | None,
    progress: Progress,
    should_stop: Callable[[], bool],
) -> Job:
    if not isinstance(network, Network):
        raise ConfigError(f"network: expected a Network, which a source's load(name) gives, got {network!r:.60}")
    if network.origin is None:
        raise ConfigError(
            f"feeder {network.feeder!r} has no origin, so no engine can be opened for it; load it with a network "
            "source, such as OpenDssSource(config=...).load(name)"
        )
    return Job(
        source=network.origin.source,
        network=network,
        scope=FeederScope(feeder=network.feeder, year=year),
        work_package_id=work_package_id or _id(study, network.origin.content_hash, year),
        progress=progress,
        should_stop=should_stop,
    )


def _id(study: Study, content_hash: str, year: int) -> str:
    digest = hashlib.sha256()
    update_hash(digest, _plain(study))
    return str(uuid.uuid5(NAMESPACE, f"python {year} {content_hash} {digest.hexdigest()}"))


def _plain(value: Any) -> Any:
    """What makes a part what it is: its class by name and what it holds; never an address in memory or a folder."""
    if isinstance(value, PurePath):
        return value.name
    if isinstance(value, (str, int, float, bool, datetime, type(None), np.ndarray)):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(str(_plain(item)) for item in value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    kind = value if isinstance(value, type) else type(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(value, type):
        return name
    if attrs.has(kind):
        return [name, {field.name: _plain(getattr(value, field.name)) for field in attrs.fields(kind)}]
    return [name, _plain(vars(value)) if hasattr(value, "__dict__") else ""]
