"""Registers the study ``trace``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hostcap.plugins import StudyPlugin, hookimpl
from hostcap.plugins.kinds import Takes
from hostcap_stock.trace.config import TraceConfig
from hostcap_stock.trace.schemas import TABLES

if TYPE_CHECKING:
    from hostcap.plugins.kinds import Study
    from hostcap.tables import Results, Table


def _trace(config: TraceConfig, parts: Mapping[str, Any]) -> Study:
    from hostcap_stock.trace.study import TraceStudy

    given = dict(parts)
    return TraceStudy(config=config, flows=given.pop("flows"), tracer=given.pop("tracer"), parts=given)


def _summarise(results: Results) -> Sequence[Table]:
    from hostcap_stock.trace.summary import first_read

    return first_read(results)


TRACE = StudyPlugin(
    name="trace",
    summary="Who uses what: shares of generators and loads in every branch and station, and who feeds whom",
    config=TraceConfig,
    parts={
        "network": Takes(),
        "profiles": Takes(),
        "initial_state": Takes(),
        "flows": Takes(required=True),
        "tracer": Takes(default="bialek"),
    },
    make=_trace,
    tables=TABLES,
    summarise=_summarise,
)


@hookimpl
def hostcap_studies() -> Iterable[StudyPlugin[Any]]:
    """The study."""
    return [TRACE]
