"""The injection ``pv-system``: growth is installed panels, and injects what a profile and an inverter let through."""

from __future__ import annotations

from attrs import field, frozen

from hostcap.config import about, between, not_empty, positive
from hostcap.errors import ProfileError
from hostcap.growth import ConstantPower, Direction, UnitInjection
from hostcap.operating_point import kvar_per_kw
from hostcap.plugins.kinds import Moment
from hostcap.profiles import Window
from hostcap_stock.injections._validation import power_factor

DARK, MOST = 0.01, 1.5
"""Output per installed kW up to which an instant is night, and from which on the series must be something else."""


@frozen(kw_only=True)
class PvSystemConfig:
    """Growth as PV systems; headroom is in kW of installed panels (DC)."""

    profile: str = field(
        validator=not_empty,
        metadata=about("Series of `[profiles]` with the output of panels per installed kW, 0 to about 1"),
    )
    dc_ac_ratio: float = field(
        default=1.0, validator=between(0.1, 10.0), metadata=about("kW of panels for one kVA of inverter")
    )
    efficiency: float = field(
        default=1.0,
        validator=[positive, between(0.0, 1.0)],
        metadata=about("What the profile leaves out between panels and terminal; 1 where it has it all"),
    )
    power_factor: float = field(
        default=1.0,
        validator=power_factor,
        metadata=about("Positive (lagging) consumes kvar, negative (leading) supplies it; 0 < |pf| <= 1"),
    )


@frozen(kw_only=True)
class PvSystem:
    """min(kW of panels x profile x efficiency, inverter kVA x |pf|), exported at a power factor."""

    config: PvSystemConfig

    @property
    def directions(self) -> tuple[Direction, ...]:
        """``export``: panels do not consume."""
        return (Direction.EXPORT,)

    @property
    def power_factor(self) -> float:
        """As given."""
        return self.config.power_factor

    def unit(self, direction: Direction, moment: Moment) -> UnitInjection:
        """What one kW of panels injects at the instant.

        The inverter of k kW of panels has k / ``dc_ac_ratio`` kVA, so both sides of the minimum are proportional to k,
        and so is the minimum: k x min(profile x efficiency, |pf| / ``dc_ac_ratio``).

        Raises:
            ProfileError: There are no profiles or no stated instant, or the profile has no light at it.
        """
        c = self.config
        p_kw = min(self._output(moment) * c.efficiency, abs(c.power_factor) / c.dc_ac_ratio)
        return UnitInjection(p_kw=p_kw, q_kvar=-p_kw * kvar_per_kw(c.power_factor), law=ConstantPower())

    def _output(self, moment: Moment) -> float:
        """Value of the profile at the instant, per installed kW."""
        name = self.config.profile
        if moment.profiles is None:
            raise ProfileError(
                f"injection.profile: {name!r} needs a table [profiles] that has this series, and the study has none"
            )
        if not moment.instant_stated:
            raise ProfileError(
                f"initial_state.start_time: required, as growth follows the profile {name!r}; give the end of an "
                "interval of it, such as 2025-01-15T02:00:00Z"
            )
        when = moment.instant.isoformat()
        series = moment.profiles.series(moment.network, name, Window.of_instant(moment.instant))
        if series.value.size != 1:
            raise ProfileError(
                f"injection.profile: {name!r} has no interval that ends at {when}; give initial_state.start_time the "
                "end of one"
            )
        value = float(series.value[0])
        if not DARK < value <= MOST:
            what = (
                f"above {MOST:g}; expected output per installed kW, so divide a system's kW by its size"
                if value > MOST
                else f"not above {DARK:g}, so no size of system would inject anything; choose an instant with light"
            )
            raise ProfileError(f"injection.profile: {name!r} is {value:g} at {when}, {what}")
        return value
