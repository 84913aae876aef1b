"""Findings of a run from those of its periods: one of each code, the worst, with how many periods, and the first."""

from __future__ import annotations

from typing import Any

import attrs
from attrs import define, field
from cattrs import structure

from hostcap.findings import Finding, Severity
from hostcap.flows import FailedPeriod
from hostcap_stock.trace.tables import Left


@define
class Notes:
    """What was noticed, by code and what it concerns."""

    _found: dict[str, tuple[Finding, int, str, str]] = field(factory=dict)

    def add(self, findings: tuple[Finding, ...], name: str) -> None:
        """Note the findings of a period."""
        for finding in findings:
            self._note(finding, 1, name, name)

    def add_failed(self, period: FailedPeriod) -> None:
        """Note a period that failed."""
        finding = Finding(
            severity=Severity.WARNING,
            code="period-failed",
            element=period.name,
            message=f"is in no mean: {period.reason}",
        )
        self._note(finding, 1, period.name, period.name)

    def findings(self, left: Left) -> tuple[Finding, ...]:
        """One finding of each code."""
        found = []
        for finding, periods, first, worst in self._found.values():
            seen = f" ({first})"
            if periods > 1:
                seen = f" (in {periods} periods, first {first}{'' if worst == first else f', worst {worst}'})"
            found.append(attrs.evolve(finding, message=finding.message + seen))
        if left.count:
            found.append(
                Finding(
                    severity=Severity.INFO,
                    code="shares-left-out",
                    count=left.count,
                    kw=1000.0 * left.mw,
                    message="shares below study.least_mw are left out of branch_shares and station_shares of the total",
                )
            )
        return tuple(found)

    def state(self) -> list[Any]:
        """As plain values."""
        return [[attrs.asdict(finding), *more] for finding, *more in self._found.values()]

    def merge(self, state: list[Any]) -> None:
        """Take up another run's ``state``."""
        for finding, periods, first, worst in state:
            self._note(structure(finding, Finding), periods, first, worst)

    def _note(self, finding: Finding, periods: int, first: str, worst: str) -> None:
        held = self._found.get(finding.code)
        if held is None:
            self._found[finding.code] = (finding, periods, first, worst)
            return
        kept, before, earliest, where = held
        count = max(kept.count, finding.count)
        if (finding.kw or 0.0) > (kept.kw or 0.0):
            kept, where = finding, worst
        self._found[finding.code] = (attrs.evolve(kept, count=count), before + periods, earliest, where)
