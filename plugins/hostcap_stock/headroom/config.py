"""Settings of the headroom studies; light to import."""

from __future__ import annotations

from typing import Any, Literal

from attrs import Attribute, field, fields, frozen

from hostcap.config import about, between, not_empty, positive, unique


@frozen(kw_only=True)
class LvHeadroomConfig:
    """The lock-out search of all capacity groups together."""

    step_kw_per_customer: float = field(
        default=1.0, validator=positive, metadata=about("Growth of a customer of weight 1 in one step", unit="kW")
    )
    max_steps: int = field(
        default=1000, validator=between(1, 10_000), metadata=about("Last step tried; still open then is unconstrained")
    )
    search: Literal["fast", "linear"] = field(
        default="fast",
        metadata=about("As many steps at once as the solver likes, proven afterwards; or one by one, as an audit"),
    )
    stop_on_hv_violation: bool = field(
        default=True, metadata=about("A broken HV limit ends the search for every group that is still open")
    )
    lock_group_on_violation: bool = field(
        default=True, metadata=about("A group with a broken limit stops growing; else it is decided and grows on")
    )
    cross_check: str | None = field(
        default=None,
        metadata=about(
            "Solver that solves the reported states again; largest differences and disagreements are findings",
            solver_as="checker",
        ),
    )
    debug_snapshots: bool = field(
        default=False,
        metadata=about("Keep every node and conductor of the start, the last valid and the violating state of stops"),
    )
    debug_snapshot_groups: tuple[str, ...] = field(
        default=("*",),
        validator=not_empty,
        metadata=about("Groups whose stops are kept, by name; * and ? stand for letters"),
    )
    debug_snapshot_stops: int = field(
        default=10,
        validator=between(1, 10_000),
        metadata=about("Most stops kept of a feeder and direction, groups in model order; the rest is counted"),
    )
    binding_usage: bool = field(
        default=True, metadata=about("Say who is behind each limit that binds, in the table binding_usage")
    )

    def __attrs_post_init__(self) -> None:
        chosen = fields(LvHeadroomConfig)
        _only_with_snapshots(self, chosen.debug_snapshot_groups, chosen.debug_snapshot_stops)


LocationKind = Literal["dtx-hv-terminal", "switch-upstream-terminal", "line-tee"]


@frozen(kw_only=True)
class HvNodeHeadroomConfig:
    """Growth at one HV location at a time, each from the start."""

    step_kw_per_node: float = field(
        default=1.0, validator=positive, metadata=about("Growth at the location in one step", unit="kW")
    )
    max_steps_per_node: int = field(
        default=1000, validator=between(1, 1000), metadata=about("Last step tried; whole then is unconstrained")
    )
    location_kinds: tuple[LocationKind, ...] = field(
        default=("dtx-hv-terminal",),
        validator=[not_empty, unique],
        metadata=about(
            "HV terminals of distribution transformers, upstream terminals of HV switches, HV buses where lines part"
        ),
    )
    location_names: tuple[str, ...] | None = field(
        default=None,
        validator=[not_empty, unique],
        metadata=about("Transformers, switches and buses to ask, * and ? standing for any text; unset asks all"),
    )
    cross_check: str | None = field(
        default=None,
        metadata=about(
            "Solver that solves the reported states again; largest differences and disagreements are findings",
            solver_as="checker",
        ),
    )
    debug_snapshots: bool = field(
        default=False,
        metadata=about(
            "Keep every node and conductor of the start, the last valid and the violating state of locations"
        ),
    )
    debug_snapshot_locations: tuple[str, ...] = field(
        default=("*",),
        validator=not_empty,
        metadata=about("Locations whose states are kept, by name as in location_names"),
    )
    debug_snapshot_stops: int = field(
        default=10,
        validator=between(1, 10_000),
        metadata=about(
            "Most locations kept of a feeder and direction (those of equal bus and phases count once), in table order; "
            "the rest is counted"
        ),
    )
    binding_usage: bool = field(
        default=True, metadata=about("Say who is behind each limit that binds, in the table binding_usage")
    )

    def __attrs_post_init__(self) -> None:
        chosen = fields(HvNodeHeadroomConfig)
        _only_with_snapshots(self, chosen.debug_snapshot_locations, chosen.debug_snapshot_stops)


def _only_with_snapshots(config: LvHeadroomConfig | HvNodeHeadroomConfig, *keys: Attribute[Any]) -> None:
    """Refuse keys that say which snapshots are kept where none are."""
    for key in keys:
        if not config.debug_snapshots and getattr(config, key.name) != key.default:
            raise ValueError(f"{key.name} says which snapshots are kept; add debug_snapshots = true, or remove it")
