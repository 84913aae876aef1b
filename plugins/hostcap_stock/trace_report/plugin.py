"""Registers the study ``trace-report``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hostcap.config.study import BARE
from hostcap.plugins import StudyPlugin, hookimpl
from hostcap_stock.trace_report.config import TraceReportConfig
from hostcap_stock.trace_report.schemas import TABLES

if TYPE_CHECKING:
    from hostcap.plugins.kinds import Study
    from hostcap.tables import Results, Table


def _report(config: TraceReportConfig, parts: Mapping[str, Any]) -> Study:
    from hostcap_stock.trace_report.study import TraceReport

    made: Any = TraceReport(config=config)
    return made  # type: ignore[no-any-return]


def _summarise(results: Results) -> Sequence[Table]:
    from hostcap_stock.trace_report.summary import first_read

    return first_read(results)


TRACE_REPORT = StudyPlugin(
    name="trace-report",
    summary="After a trace: concentration of use, value and rental by user, attributes of each mix",
    config=TraceReportConfig,
    parts={},
    make=_report,
    tables=TABLES,
    capabilities=frozenset({BARE}),
    summarise=_summarise,
)


@hookimpl
def hostcap_studies() -> Iterable[StudyPlugin[Any]]:
    """The study."""
    return [TRACE_REPORT]
