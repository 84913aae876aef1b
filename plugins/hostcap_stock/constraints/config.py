"""Settings of the stock constraints; light to import."""

from __future__ import annotations

from typing import Literal

from attrs import field, frozen

from hostcap.config import about, between, positive


@frozen(kw_only=True)
class VoltageConfig:
    """Voltage limits of LV and HV nodes; each side is optional, at least one is needed."""

    lv_min_v: float | None = field(
        default=None, validator=positive, metadata=about("Least LV voltage, phase to neutral", unit="V")
    )
    lv_max_v: float | None = field(
        default=None, validator=positive, metadata=about("Greatest LV voltage, phase to neutral", unit="V")
    )
    lv_min_pu: float | None = field(
        default=None, validator=positive, metadata=about("The same, of the node's nominal", unit="pu")
    )
    lv_max_pu: float | None = field(
        default=None, validator=positive, metadata=about("The same, of the node's nominal", unit="pu")
    )
    lv_measurement: Literal["magnitude", "percentile"] = field(
        default="magnitude",
        metadata=about("What LV limits watch: every node, or a percentile over the nodes of each capacity group"),
    )
    lv_percentile: float | None = field(
        default=None,
        validator=between(50.0, 100.0),
        metadata=about(
            "With `percentile`, required: the one that must not be above the greatest LV voltage; 100 less it must not "
            "be below the least",
            unit="%",
        ),
    )
    hv_min_pu: float | None = field(
        default=None, validator=positive, metadata=about("Least HV voltage, of nominal", unit="pu")
    )
    hv_max_pu: float | None = field(
        default=None, validator=positive, metadata=about("Greatest HV voltage, of nominal", unit="pu")
    )
    hv_reference: Literal["phase-to-ground", "phase-to-phase"] = field(
        default="phase-to-ground",
        metadata=about("What HV voltages are between; a bus with one phase is always watched to ground"),
    )

    def __attrs_post_init__(self) -> None:
        for side in ("min", "max"):
            if getattr(self, f"lv_{side}_v") is not None and getattr(self, f"lv_{side}_pu") is not None:
                raise ValueError(f"give lv_{side}_v or lv_{side}_pu, not both")
        pairs = (("lv_min_v", "lv_max_v"), ("lv_min_pu", "lv_max_pu"), ("hv_min_pu", "hv_max_pu"))
        for low, high in pairs:
            least, greatest = getattr(self, low), getattr(self, high)
            if least is not None and greatest is not None and least >= greatest:
                raise ValueError(f"{low} ({least:g}) must be below {high} ({greatest:g})")
        if all(getattr(self, key) is None for pair in pairs for key in pair):
            raise ValueError("give at least one limit, such as lv_max_v = 253.0")
        if self.lv_measurement == "percentile" and self.lv_percentile is None:
            raise ValueError('lv_measurement = "percentile" needs lv_percentile, such as 95.0')
        if self.lv_measurement == "magnitude" and self.lv_percentile is not None:
            raise ValueError('lv_percentile is for lv_measurement = "percentile"; set that, or remove it')
        lv = [key for pair in pairs[:2] for key in pair]
        if self.lv_percentile is not None and all(getattr(self, key) is None for key in lv):
            raise ValueError(f"lv_percentile needs an LV limit: {', '.join(lv)}")


@frozen(kw_only=True)
class ThermalConfig:
    """Current limits of rated lines and of transformer windings."""

    percent_of_rating: float = field(
        default=100.0, validator=positive, metadata=about("Limit as a share of the rating", unit="%")
    )
    rating_basis: Literal["normal", "emergency"] = field(default="normal", metadata=about("Which rating"))
    voltage_level: Literal["lv", "hv", "both"] = field(
        default="both", metadata=about("Lines and windings at this voltage level")
    )
