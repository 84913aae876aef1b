"""Labels that found no partner in a join: each is a row, and all of a kind are one finding."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define, field

from hostcap.findings import Finding
from hostcap.tables import Table
from hostcap_stock.trace_report.schemas import UNMATCHED_LABELS


@define(kw_only=True)
class Unmatched:
    """What did not match, as it is found.

    Attributes:
        findings: One for each kind of loss.
        rows: Direction, join, side, label and amount.
    """

    findings: list[Finding] = field(factory=list)
    rows: list[tuple[str, str, str, str, float]] = field(factory=list)

    def add(self, direction: str, join: str, side: str, amounts: Mapping[str, float], finding: Finding) -> None:
        """Note some labels; nothing where there are none.

        Args:
            direction: ``down`` or ``up``.
            join: Which file.
            side: ``trace`` for labels of the trace that the file lacks, ``file`` for those of the file.
            amounts: By label: MW of the trace, or what the file says.
            finding: Says it in a line.
        """
        if amounts:
            self.rows += [(direction, join, side, label, amount) for label, amount in amounts.items()]
            self.findings.append(finding)

    def table(self, work_package_id: str, interval: str) -> Table:
        """All rows."""
        size = len(self.rows)
        direction, join, side, label, amount = (
            (list(column) for column in zip(*self.rows, strict=True)) if size else ([], [], [], [], [])
        )
        return Table.build(
            UNMATCHED_LABELS,
            {
                "work_package_id": [work_package_id] * size,
                "interval": [interval] * size,
                "direction": direction,
                "join": join,
                "side": side,
                "label": label,
                "amount": amount,
            },
        )
