"""The profiles ``opendss-shapes``: what the model's own daily or yearly shapes say that loads and generators do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import define, field, frozen

from hostcap._arrays import FloatArray, IntArray
from hostcap.errors import ProfileError
from hostcap.findings import Finding, Severity, counted, some
from hostcap.network import Network
from hostcap.plugins._nearest import suggestion
from hostcap.profiles import InstantArray, PowerProfiles, Series, Window, as_us
from hostcap_stock.opendss.config import OpenDssShapesConfig
from hostcap_stock.opendss.engine import Engine, engine_errors_translated
from hostcap_stock.opendss.model import solved_injection
from hostcap_stock.opendss.shapes import Shape, acting, read_shapes
from hostcap_stock.opendss.source import OpenDssSource
from hostcap_stock.opendss.unfollowed import Unfollowed, read_unfollowed
from hostcap_stock.profiles.readings import instants_of

_HOUR_US = 3_600_000_000
_FIXED, _EXEMPT = 1, 2
"""The engine's numbers of a load's status."""
_FOLLOWING = ("generator", "pvsystem")
"""Generating classes whose power at an hour depends on nothing before it, as that of storage does."""


@frozen(kw_only=True, eq=False)
class _Loads:
    """The loads of a model as their shapes act on them.

    Attributes:
        place: Injector of each load, shape (load,).
        kw, kvar: At a multiplier of 1; kvar positive consumes.
        ratio: kvar for one kW of a shape that holds kW and no kvar.
        shape: Of each load; None where none acts.
    """

    place: IntArray
    kw: FloatArray
    kvar: FloatArray
    ratio: FloatArray
    shape: tuple[Shape | None, ...]


@define(kw_only=True, eq=False)
class _Model:
    """What is kept of one model; ``solved_shapes`` are those of elements that the engine solves."""

    shapes: dict[str, Shape]
    loads: _Loads
    solved_shapes: tuple[Shape, ...]
    unfollowed: Unfollowed
    solved: dict[int, FloatArray] = field(factory=dict)


class OpenDssShapes:
    """The model's own shapes, read through the network's OpenDSS source; nothing is solved but generating elements.

    Attributes:
        config: Which shapes, and when they begin.
    """

    def __init__(self, config: OpenDssShapesConfig) -> None:
        self.config = config
        self._models: dict[str, _Model] = {}

    def customers(self, network: Network, window: Window) -> PowerProfiles:
        """What every injector does at the end of each interval, nominal at 1 pu, as OpenDSS has it in that mode.

        Loads follow their shapes by the engine's rule, generators and PV are solved by the engine without controls,
        storage and sources keep their snapshot; findings name what would not.

        Raises:
            ProfileError: The network is no OpenDSS model, no shape acts, or the window begins before the shapes do.
        """
        model = self._model(network)
        minutes = self._interval_minutes(model)
        instant = self._instants(window, minutes)
        hours = self._hours(instant)
        injectors = network.injectors
        signed = np.zeros((2, instant.size, injectors.name.size))
        signed[0] = injectors.load_kw - injectors.generation_kw
        signed[1] = injectors.load_kvar + injectors.generation_kvar
        for place, kw, kvar, ratio, shape in _each(model.loads):
            if shape is None:
                signed[0, :, place], signed[1, :, place] = kw, kvar
                continue
            p, q = shape.at(hours)
            if shape.actual:
                signed[0, :, place] = p
                signed[1, :, place] = np.where(q != 0, q, p * ratio)
            else:
                signed[0, :, place], signed[1, :, place] = kw * p, kvar * q
        moving = np.flatnonzero(np.isin(injectors.kind.astype(str), _FOLLOWING))
        if moving.size:
            for shape in model.solved_shapes:
                shape.at(hours)  # refuses hours at which the engine has no value of its own
            signed[:, :, moving] = self._solved(network, model, instant, moving.tolist())
        exports = signed[0] < 0
        exports[:, np.flatnonzero(injectors.kind != "load")] = True
        return PowerProfiles(
            instant=instant,
            interval_minutes=minutes,
            load_kw=np.maximum(signed[0], 0.0),
            load_kvar=np.where(exports, 0.0, signed[1]),
            generation_kw=np.maximum(-signed[0], 0.0),
            generation_kvar=np.where(exports, signed[1], 0.0),
            findings=tuple(self._findings(network, model)),
        )

    def series(self, network: Network, name: str, window: Window) -> Series:
        """Multipliers of one shape of the model.

        Raises:
            ProfileError: There is none of that name.
        """
        model = self._model(network)
        shape = model.shapes.get(name.lower())
        if shape is None:
            known = sorted(each.name for each in model.shapes.values())
            raise ProfileError(f"profiles: no load shape named {name!r}{suggestion(name, known, 'there are')}")
        minutes = self.config.interval_minutes or shape.interval_hours * 60.0
        instant = self._instants(window, minutes)
        return Series(name=name, instant=instant, value=shape.at(self._hours(instant))[0])

    # Time

    def _interval_minutes(self, model: _Model) -> float:
        if self.config.interval_minutes is not None:
            return self.config.interval_minutes
        used = [s.interval_hours * 60.0 for s in model.loads.shape if s is not None and s.interval_hours > 0]
        if not used:
            raise ProfileError("profiles.interval_minutes: required, as no load has a shape of equal intervals")
        return min(used)

    def _instants(self, window: Window, minutes: float) -> InstantArray:
        try:
            return instants_of(window, minutes, "profiles")
        except ValueError as error:
            if isinstance(error, ProfileError):
                raise
            raise ProfileError(f"profiles.interval_minutes: {error}") from error

    def _hours(self, instant: InstantArray) -> FloatArray:
        """Hours since the shapes began, over 0; within a day for daily ones."""
        passed = instant.astype(np.int64) - as_us(self.config.start_time)
        if self.config.mode == "daily":
            day = 24 * _HOUR_US
            passed = (passed - 1) % day + 1  # the last interval of a day is its end, not its beginning
        elif (passed <= 0).any():
            raise ProfileError(
                f"profiles.start_time: the yearly shapes begin at {self.config.start_time.isoformat()}, and the start "
                "is before; state when their first year begins"
            )
        whole, rest = np.divmod(passed, _HOUR_US)
        hours: FloatArray = whole + rest / 1e6 / 3600.0  # added as the engine adds them, so that edges fall alike
        return hours

    # The model

    def _model(self, network: Network) -> _Model:
        origin = network.origin
        if origin is None or not isinstance(origin.source, OpenDssSource):
            raise ProfileError(
                "profiles: 'opendss-shapes' are those of an OpenDSS model; use [network] plugin = \"opendss\", or "
                "other profiles"
            )
        key = origin.content_hash
        if key not in self._models:
            with engine_errors_translated(), origin.source.opened(network.feeder) as engine:
                shapes = read_shapes(engine)
                loads = _read_loads(engine, network, shapes, daily=self.config.mode == "daily")
                named = {
                    acting(record, self.config.mode) for kind in _FOLLOWING for record in engine.records(kind).values()
                }
                unfollowed = read_unfollowed(engine, self.config.mode)
            solved = tuple(shapes[name] for name in sorted(named & set(shapes)))
            self._models[key] = _Model(shapes=shapes, loads=loads, solved_shapes=solved, unfollowed=unfollowed)
        return self._models[key]

    def _solved(self, network: Network, model: _Model, instant: InstantArray, places: Sequence[int]) -> FloatArray:
        """KW and kvar drawn by generating elements, by the engine's own daily or yearly solution without controls."""
        wanted = np.rint(self._hours(instant) * 3600.0).astype(np.int64)
        fresh = [int(second) for second in np.unique(wanted) if int(second) not in model.solved]
        if fresh and network.origin is not None:
            names = [f"{network.injectors.kind[i]}.{network.injectors.name[i]}" for i in places]
            with engine_errors_translated(), network.origin.source.opened(network.feeder) as engine:
                # Power is asked for, not voltage: without loads, and constant at any voltage, nothing else moves it.
                engine.command("batchedit load..* enabled=no")
                for kind in sorted({name.partition(".")[0] for name in names}):
                    engine.command(f"batchedit {kind}..* vminpu=0.01 vmaxpu=10")
                engine.command("set mode=snapshot controlmode=off")
                engine.solve()
                begin = engine.voltages().copy()
                engine.command(f"set mode={self.config.mode} number=1 stepsize=1s controlmode=off")
                engine.command("set tolerance=1e-10 maxiterations=100")
                for second in fresh:
                    hour, rest = divmod(second - 1, 3600)  # the engine steps on before it solves
                    engine.command(f"set time=({hour}, {rest})")
                    engine.voltages()[:] = begin
                    engine.solve()
                    # To a microwatt: what was solved before reaches the last digits, whatever it starts from.
                    model.solved[second] = np.round([_drawn(engine, name) for name in names], 9).T
        return np.stack([model.solved[int(second)] for second in wanted], axis=1)

    def _findings(self, network: Network, model: _Model) -> list[Finding]:
        injectors, loads = network.injectors, model.loads
        found = []
        bare = [place for place, shape in zip(loads.place, loads.shape, strict=True) if shape is None]
        if bare:
            found.append(
                Finding(
                    severity=Severity.INFO,
                    code="loads-without-shape",
                    element=some([str(injectors.name[place]) for place in bare]),
                    count=len(bare),
                    kw=float(np.sum(injectors.load_kw[bare])),
                    message=f"{counted(len(bare), 'load')} without {self.config.mode} shape, the same at every instant",
                )
            )
        storage = np.flatnonzero(injectors.kind == "storage")
        if storage.size:
            found.append(
                Finding(
                    severity=Severity.WARNING,
                    code="storage-left-as-modelled",
                    element=some([str(injectors.name[place]) for place in storage]),
                    count=int(storage.size),
                    kw=float(np.sum(injectors.generation_kw[storage] - injectors.load_kw[storage])),
                    message=f"{storage.size} storage elements keep their snapshot, as their power depends on what "
                    "was before",
                )
            )
        silent = [place for place, shape in zip(loads.place, loads.shape, strict=True) if shape and shape.without_kvar]
        if silent:
            found.append(
                Finding(
                    severity=Severity.WARNING,
                    code="edge-shape-without-kvar",
                    element=some([str(injectors.name[place]) for place in silent]),
                    count=len(silent),
                    kw=float(np.sum(injectors.load_kw[silent])),
                    message=f"{counted(len(silent), 'load follows', 'loads follow')} shapes of stated hours with "
                    "interpolation=edge and no qmult, for which the engine has no kvar between these hours; state "
                    "qmult",
                )
            )
        return found + model.unfollowed.findings(network)


def _drawn(engine: Engine, name: str) -> tuple[float, float]:
    engine.dss.Circuit.SetActiveElement(name)
    p_kw, q_kvar = solved_injection(engine)
    return -p_kw, -q_kvar


def _each(loads: _Loads) -> zip[tuple[int, float, float, float, Shape | None]]:
    return zip(loads.place, loads.kw, loads.kvar, loads.ratio, loads.shape, strict=True)


def _read_loads(engine: Engine, network: Network, shapes: dict[str, Shape], *, daily: bool) -> _Loads:
    """The loads of a model, whose load multiplier acts as the mode has it."""
    dss, injectors = engine.dss, network.injectors
    index = {str(injectors.name[i]).lower(): int(i) for i in np.flatnonzero(injectors.kind == "load")}
    records = engine.records("Load")
    multiplier = float(dss.Solution.LoadMult())
    place, kw, kvar, ratio, acting = [], [], [], [], []
    more = dss.Loads.First()
    while more:
        name, status = str(dss.Loads.Name()), int(dss.Loads.Status())
        # A yearly solution multiplies exempt loads as well; fixed ones follow nothing.
        factor = 1.0 if status == _FIXED or (status == _EXEMPT and daily) else multiplier
        named = str(dss.Loads.Daily()) if daily else str(dss.Loads.Yearly()) or str(dss.Loads.Daily())
        own_kw, own_kvar = float(dss.Loads.kW()), float(dss.Loads.kvar())
        place.append(index[name.lower()])
        kw.append(own_kw * factor)
        kvar.append(own_kvar * factor)
        stated = "pf" in {key.lower() for key in records.get(name.lower(), {})}
        ratio.append(own_kvar / own_kw if stated and own_kw else 0.0)
        acting.append(None if status == _FIXED or not named else shapes.get(named.lower()))
        more = dss.Loads.Next()
    return _Loads(
        place=np.asarray(place, dtype=np.int32),
        kw=np.asarray(kw, dtype=np.float64),
        kvar=np.asarray(kvar, dtype=np.float64),
        ratio=np.asarray(ratio, dtype=np.float64),
        shape=tuple(acting),
    )
