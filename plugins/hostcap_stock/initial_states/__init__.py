"""Where a search starts from without readings: ``as-modelled``, ``zero-load``, ``fixed-load``."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from attrs import field, frozen

from hostcap._arrays import FloatArray
from hostcap.config import about, non_negative, with_offset
from hostcap.errors import ConfigError
from hostcap.network import Network
from hostcap.operating_point import FeederScope, OperatingPoint, customer_shares
from hostcap.plugins.kinds import Profiles

_START_TIME = about("Instant that the start stands for, UTC; unset for 1 January 00:00 of the scope's year")


def _instant(start_time: datetime | None, scope: FeederScope) -> datetime:
    return start_time if start_time is not None else datetime(scope.year, 1, 1, tzinfo=UTC)


@frozen(kw_only=True)
class AsModelledConfig:
    """The model's own snapshot."""

    start_time: datetime | None = field(default=None, validator=with_offset, metadata=_START_TIME)


@frozen(kw_only=True)
class ZeroLoadConfig:
    """Nothing is consumed and nothing generated."""

    start_time: datetime | None = field(default=None, validator=with_offset, metadata=_START_TIME)


@frozen(kw_only=True)
class FixedLoadConfig:
    """Every customer, and every HV load, does the same."""

    start_time: datetime | None = field(default=None, validator=with_offset, metadata=_START_TIME)
    load_kw_per_customer: float | None = field(
        default=None,
        validator=non_negative,
        metadata=about("Load of each customer and each HV load; it or the generation is required", unit="kW"),
    )
    load_kvar_per_customer: float = field(
        default=0.0, metadata=about("Reactive load of each; positive consumes", unit="kvar")
    )
    generation_kw_per_customer: float | None = field(
        default=None,
        validator=non_negative,
        metadata=about("Generation of each customer and each HV load", unit="kW"),
    )
    generation_kvar_per_customer: float = field(
        default=0.0, metadata=about("Reactive power of that generation; positive consumes", unit="kvar")
    )

    def __attrs_post_init__(self) -> None:
        if self.load_kw_per_customer is None and self.generation_kw_per_customer is None:
            raise ConfigError(
                "load_kw_per_customer: required, or generation_kw_per_customer; where nothing is drawn or given, "
                'plugin = "zero-load" says so'
            )


@frozen(kw_only=True)
class AsModelled:
    """Nothing is written to the model."""

    config: AsModelledConfig = AsModelledConfig()
    name: str = "as-modelled"

    def operating_point(self, network: Network, scope: FeederScope, profiles: Profiles | None = None) -> OperatingPoint:
        """The model's snapshot, nominal at 1 pu with its multipliers applied."""
        injectors = network.injectors
        return OperatingPoint(
            instant=_instant(self.config.start_time, scope),
            instant_stated=self.config.start_time is not None,
            as_modelled=True,
            load_kw=injectors.load_kw,
            load_kvar=injectors.load_kvar,
            generation_kw=injectors.generation_kw,
            generation_kvar=injectors.generation_kvar,
        )


@frozen(kw_only=True)
class ZeroLoad:
    """Every injector at 0."""

    config: ZeroLoadConfig = ZeroLoadConfig()
    name: str = "zero-load"

    def operating_point(self, network: Network, scope: FeederScope, profiles: Profiles | None = None) -> OperatingPoint:
        """Zeros."""
        zero = np.zeros(network.injectors.name.size)
        return _written(zero, zero, zero, zero, self.config.start_time, scope)


@frozen(kw_only=True)
class FixedLoad:
    """The same kW and kvar for each live customer and each HV load, evenly over their phases."""

    config: FixedLoadConfig
    name: str = "fixed-load"

    def operating_point(self, network: Network, scope: FeederScope, profiles: Profiles | None = None) -> OperatingPoint:
        """The given kW and kvar; multipliers and shapes do not act, generating elements are off."""
        consuming, generating = customer_shares(network)
        c = self.config
        return _written(
            consuming * (c.load_kw_per_customer or 0.0),
            consuming * c.load_kvar_per_customer,
            generating * (c.generation_kw_per_customer or 0.0),
            generating * c.generation_kvar_per_customer,
            c.start_time,
            scope,
        )


def _written(
    load_kw: FloatArray,
    load_kvar: FloatArray,
    generation_kw: FloatArray,
    generation_kvar: FloatArray,
    start_time: datetime | None,
    scope: FeederScope,
) -> OperatingPoint:
    return OperatingPoint(
        instant=_instant(start_time, scope),
        instant_stated=start_time is not None,
        as_modelled=False,
        load_kw=load_kw,
        load_kvar=load_kvar,
        generation_kw=generation_kw,
        generation_kvar=generation_kvar,
        comparable=False,
    )
