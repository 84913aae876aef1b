"""What one kW of growth is electrically: ``negative-load``, ``pv-system``."""

from __future__ import annotations

from attrs import field, frozen

from hostcap.config import about
from hostcap.growth import ConstantPower, Direction, Directions, UnitInjection
from hostcap.operating_point import kvar_per_kw
from hostcap.plugins.kinds import Moment
from hostcap_stock.injections._validation import power_factor
from hostcap_stock.injections.pv_system import PvSystem, PvSystemConfig

__all__ = ["NegativeLoad", "NegativeLoadConfig", "PvSystem", "PvSystemConfig"]


@frozen(kw_only=True)
class NegativeLoadConfig:
    """Growth as a load element of constant power, negative for export."""

    direction: Directions = field(
        default=Directions.EXPORT,
        converter=Directions,
        metadata=about("Growth generates or consumes; both: two searches, each from the start, one set of tables"),
    )
    power_factor: float = field(
        default=1.0,
        validator=power_factor,
        metadata=about("Positive (lagging) consumes kvar, negative (leading) supplies it; 0 < |pf| <= 1"),
    )


@frozen(kw_only=True)
class NegativeLoad:
    """Constant power of either direction."""

    config: NegativeLoadConfig = NegativeLoadConfig()

    @property
    def directions(self) -> tuple[Direction, ...]:
        """``export``, ``import``, or both in this order."""
        return self.config.direction.each

    @property
    def power_factor(self) -> float:
        """As given."""
        return self.config.power_factor

    def unit(self, direction: Direction, moment: Moment | None = None) -> UnitInjection:
        """One kW: Q consumed = sign(pf) x tan(acos|pf|) per kW, for both directions."""
        p_kw = 1.0 if direction is Direction.EXPORT else -1.0
        return UnitInjection(p_kw=p_kw, q_kvar=-kvar_per_kw(self.config.power_factor), law=ConstantPower())
