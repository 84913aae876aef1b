"""What has headroom: transformers of an LV study, locations of an HV node study, in the same words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from hostcap_stock.headroom.report.reading import Reader, minute, number

STATUS_WORDS: Mapping[str, str] = {
    "bound": "stopped by a limit of its own",
    "bound_at_start": "limit broken at the start",
    "stopped_by_hv": "stopped by the HV feeder",
    "unconstrained": "not stopped: a lower bound",
    "diverged": "next step does not solve",
    "no_growth": "nothing grows",
    "no_customers": "no customers",
}
LOWER_BOUND = "unconstrained"
IDLE = ("no_growth", "no_customers")


@frozen(kw_only=True)
class Place:
    """A transformer or location with its headroom.

    Attributes:
        id: As data sets call it.
        name: As it is printed.
        status: As the tables spell it.
        kw: Headroom: per customer of a transformer, whole at a location.
        total_kw: Whole headroom.
        customers: How many there are; None at a location.
        instant: Of the start.
        binding: The violation that binds; None where nothing does.
        equipment: Transformers of a group, or the equipment at a location.
    """

    id: str
    name: str
    status: str
    kw: float
    total_kw: float
    customers: int | None
    instant: str
    binding: Mapping[str, Any] | None
    equipment: tuple[str, ...]

    @property
    def words(self) -> str:
        """The status in words."""
        return STATUS_WORDS.get(self.status, self.status.replace("_", " "))

    @property
    def kw_words(self) -> str:
        """The headroom, with a sign where it is a lower bound."""
        return ("at least " if self.status == LOWER_BOUND else "") + number(self.kw, "kW")

    @property
    def stopped_by(self) -> str:
        """Equipment, terminal and phase that bind."""
        return "" if self.binding is None else place_words(self.binding)

    @property
    def kind(self) -> str:
        """The kind of limit that binds, for counting."""
        return self.words if self.binding is None else kind_words(self.binding, self.status)


def place_words(row: Mapping[str, Any]) -> str:
    """``line t3_span1 terminal 1 phase B``."""
    terminal = f" terminal {row['terminal_sequence_number']}" if row["terminal_sequence_number"] else ""
    return (
        f"{str(row['conducting_equipment_type']).lower()} {row['conducting_equipment_mrid']}{terminal} "
        f"phase {row['phase']}"
    )


def kind_words(row: Mapping[str, Any], status: str) -> str:
    """``LV voltage too high``, ``HV line overloaded``."""
    level = "HV" if row["v_base"] >= 1000.0 else "LV"
    metric, equipment = str(row["metric"]), str(row["conducting_equipment_type"]).lower()
    if metric == "thermal":
        # One transformer stands at two levels: its windings are told apart in the table.
        words = "Transformer overloaded" if equipment == "transformer" else f"{level} {equipment} overloaded"
    elif metric.startswith("voltage-"):
        words = f"{level} voltage too {metric.removeprefix('voltage-')}"
    else:
        words = f"{level} {metric}"
    return f"{words}, on the HV feeder" if status == "stopped_by_hv" and "HV" not in words else words


def value_words(row: Mapping[str, Any] | None, column: str) -> str:
    """Value or limit with its unit."""
    return "" if row is None else number(row[column], row["unit"], digits=5)


def read_places(reader: Reader) -> list[Place]:
    """Transformers of an LV study or locations of an HV one, in the order of their table."""
    binding = {row["binding_id"]: row for row in reader.rows("constraint_violations", "binding") if row["binding"]}
    return [*_groups(reader, binding), *_locations(reader, binding)]


def _groups(reader: Reader, binding: Mapping[str, Mapping[str, Any]]) -> Sequence[Place]:
    return [
        Place(
            id=str(row["capacity_group_head_id"]),
            name=str(row["capacity_group_head_id"]),
            status=str(row["status"]),
            kw=float(row["headroom_kw_per_customer"]),
            total_kw=float(row["total_kw_added"]),
            customers=int(row["included_customer_count"]),
            instant=minute(row["timestamp"]),
            binding=binding.get(row["binding_id"]),
            equipment=tuple(str(row["capacity_group_head_id"]).split("+")),
        )
        for row in reader.rows("lv_group_hosting_capacity", "status")
    ]


def _locations(reader: Reader, binding: Mapping[str, Mapping[str, Any]]) -> Sequence[Place]:
    found = []
    for row in reader.rows("hv_node_headroom", "available_headroom_kw"):
        kind, equipment = str(row["location_type"]), str(row["conducting_equipment_mrid"])
        terminal = str(row.get("terminal_mrid") or equipment)
        found.append(
            Place(
                id=f"{kind} {terminal}",
                name=f"{terminal} ({kind.lower().replace('_', '-')})",
                status=str(row.get("status", "")),
                kw=float(row["available_headroom_kw"]),
                total_kw=float(row["available_headroom_kw"]),
                customers=None,
                instant=minute(row["timestamp"]),
                binding=binding.get(row["binding_id"]),
                equipment=(equipment,),
            )
        )
    return found
