"""(c) A year of half-hours, against OpenDSS in its mode ``yearly`` with every result thrown away."""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from bench_engine import DEFAULT_TOLERANCE, TIGHT_TOLERANCE
from bench_feeders import CRE21, DEMO, EU_LV, Feeder, frozen_feeder, limits_in_pu
from bench_timing import Section, Settings, clock, digits, in_markdown, judged, times, us

from hostcap.network import Network
from hostcap_stock.batched.config import BatchedConfig
from hostcap_stock.batched.solver import BatchedSolver
from hostcap_stock.opendss.frozen import FrozenOpenDss

HALF_HOURS, PER_DAY = 17_520, 48
AT_ONCE = 128
"""Half-hours in one call of hostcap."""
POWER_FACTOR = 0.95
KVAR_PER_KW = float(np.tan(np.arccos(POWER_FACTOR)))
NEAR, NEAR_TIGHT = 1e-4, 1e-6
"""Largest difference that passes, per unit: at the engine's default tolerance, and at its tight one."""
SAMPLED = 20
GOALS = {EU_LV.name: 15.0, CRE21.name: 25.0}
ENGINE_STEPS = {CRE21.name: 1_000}
"""Half-hours that OpenDSS solves for the timing where it is not the whole year; its time is scaled up."""


@frozen(kw_only=True, eq=False)
class Year:
    """What every load does.

    Attributes:
        kw: Profiles, kW, shape (profile, half-hour).
        profile: Profile of each load.
        load: Injector of each load.
    """

    kw: Any
    profile: Any
    load: Any


def own_profiles(start: FrozenOpenDss) -> Year:
    """The model's own one-minute profiles of a day as half-hourly means, every day alike."""
    dss: Any = start.engine().dss
    loads = _loads(start.network)
    kw = []
    for i in loads:
        dss.Loads.Name(str(start.network.injectors.name[i]))
        dss.LoadShape.Name(dss.Loads.Yearly())
        kw.append(np.asarray(dss.LoadShape.PMult()).reshape(PER_DAY, -1).mean(axis=1))
    return Year(kw=np.tile(kw, HALF_HOURS // PER_DAY), profile=np.arange(loads.size), load=loads)


def pooled_profiles(start: FrozenOpenDss, pool: Path) -> Year:
    """408 metered days assigned in turn; from day to day each load takes the next one."""
    metered = json.loads(pool.read_text(encoding="utf-8"))
    days = np.zeros((len(metered), PER_DAY))
    for day, values in zip(days, metered.values(), strict=True):
        for stamp, kw in zip(values["time"], values["p"], strict=True):
            at = datetime.datetime.fromisoformat(stamp)
            day[2 * at.hour + at.minute // 30] = kw
    order = np.arange(HALF_HOURS // PER_DAY) + np.arange(len(days))[:, None]
    loads = _loads(start.network)
    return Year(
        kw=days[order % len(days)].reshape(len(days), -1), profile=np.arange(loads.size) % len(days), load=loads
    )


def made_up_profiles(start: FrozenOpenDss) -> Year:
    """Noise around an evening peak, for the demo."""
    loads, hour = _loads(start.network), np.arange(HALF_HOURS) % PER_DAY / 2.0
    noise = np.random.default_rng(3).uniform(0.0, 1.0, (loads.size, HALF_HOURS))
    return Year(kw=noise * (0.5 + np.exp(-(((hour - 19.0) / 3.0) ** 2))), profile=np.arange(loads.size), load=loads)


def _loads(network: Network) -> Any:
    return np.flatnonzero(network.injectors.kind == "load")


class Yearly:
    """The frozen network's engine in mode ``yearly``: no monitor, no meter, no control."""

    def __init__(self, start: FrozenOpenDss, year: Year) -> None:
        """Attach the profiles; after this, the frozen network is no longer at its start."""
        self.dss: Any = start.engine().dss
        command, names = self.dss.Text.Command, start.network.injectors.name
        for kind in ("monitor", "energymeter"):
            for name in self._listed(kind):
                command(f"disable {kind}.{name}")
        for k, kw in enumerate(year.kw):
            command(f"new loadshape.year_{k} npts={HALF_HOURS} minterval=30")
            self.dss.LoadShape.Name(f"year_{k}")
            self.dss.LoadShape.PMult(kw.tolist())
        for i, k in zip(year.load, year.profile, strict=True):
            command(f"edit load.{names[i]} kw=1 kvar={KVAR_PER_KW!r} yearly=year_{k} status=variable")
        command("set mode=snapshot loadmult=1 controlmode=off maxiterations=100")
        self.dss.Solution.Solve()
        listed = {name.lower(): slot for slot, name in enumerate(self.dss.Circuit.YNodeOrder())}
        nodes = start.network.node_names(range(start.network.nodes.bus.size))
        self._slot = np.array([listed[name.lower()] for name in nodes])

    def _listed(self, kind: str) -> list[str]:
        found = {"monitor": self.dss.Monitors, "energymeter": self.dss.Meters}[kind].AllNames()
        return [name for name in found if name.lower() != "none" and name]

    def run(self, steps: int) -> None:
        """Solve so many half-hours from the year's first on, in one call."""
        self.dss.Text.Command(f"set mode=yearly number={steps} stepsize=30m hour=0 sec=0")
        self.dss.Solution.Solve()
        assert self.dss.Solution.Converged()

    def node_v(self, half_hour: int) -> Any:
        """Voltages at one half-hour of the year, V."""
        hour, half = divmod(half_hour, 2)
        self.dss.Text.Command(f"set mode=yearly number=1 stepsize=30m hour={hour} sec={1800 * half}")
        self.dss.Solution.Solve()
        return np.asarray(self.dss.Circuit.YNodeVArray()).view(np.complex128)[self._slot]


def solve_year(
    plan: Any, year: Year, injectors: int, half_hours: Any, want: Any = frozenset({"extremes"})
) -> list[Any]:
    """Solve some half-hours, some in a call; the injections of a call are made for it."""
    # One more profile, of nothing, for what is no load; memory of the injections is taken once.
    by_time = np.zeros((year.kw.shape[1], len(year.kw) + 1))
    by_time[:, :-1] = -year.kw.T
    profile = np.full(injectors, len(year.kw))
    profile[year.load] = year.profile
    p_kw, q_kvar = np.empty((AT_ONCE, injectors)), np.empty((AT_ONCE, injectors))
    found = []
    for begin in range(0, len(half_hours), AT_ONCE):
        some = half_hours[begin : begin + AT_ONCE]
        p, q = p_kw[: len(some)], q_kvar[: len(some)]
        np.take(by_time[some], profile, axis=1, out=p, mode="clip")
        np.multiply(p, KVAR_PER_KW, out=q)
        found.append(plan.solve_injections(p, q, want))
    return found


@frozen(kw_only=True)
class Outcome:
    """One feeder: medians of the repetitions, and what was compared."""

    feeder: str
    loads: int
    steps: int
    engine: float
    ours: float
    ratio: float
    broken: int
    apart_pu: float
    apart_tight_pu: float
    engine_seconds: tuple[float, ...]
    our_seconds: tuple[float, ...]


def measure(feeder: Feeder, settings: Settings) -> Outcome:
    """Compare a sample of half-hours, then time the year on both sides in turn."""
    whole = HALF_HOURS if settings.full else 2 * PER_DAY
    steps = min(ENGINE_STEPS.get(feeder.name, HALF_HOURS), whole)
    with frozen_feeder(feeder, settings.networks) as start:
        network = start.network
        year = _year(feeder, start, settings)
        limits = limits_in_pu(network)
        growth = _no_growth(network)
        loose, tight = (
            BatchedSolver(config=BatchedConfig(tolerance_pu=t, threads=1)).plan(start, growth, limits)
            for t in (1e-6, TIGHT_TOLERANCE)
        )
        engine, injectors, nodes = Yearly(start, year), int(network.injectors.name.size), network.nodes
        sample = np.sort(np.random.default_rng(5).choice(whole, SAMPLED, replace=False))

        def apart(plan: Any, tolerance: float) -> float:
            engine.dss.Text.Command(f"set tolerance={tolerance!r}")
            states = solve_year(plan, year, injectors, sample, {"nodes"})
            ours = np.concatenate([s.solution.node_v for s in states])
            theirs = np.array([engine.node_v(int(t)) for t in sample])
            return float(np.max((np.abs(ours - theirs) / nodes.nominal_v)[:, nodes.live]))

        apart_tight, apart_loose = apart(tight, TIGHT_TOLERANCE), apart(loose, DEFAULT_TOLERANCE)
        assert apart_tight <= NEAR_TIGHT, f"voltages differ by {apart_tight:.3g} pu"
        assert apart_loose <= NEAR, f"voltages differ by {apart_loose:.3g} pu"
        solved = solve_year(loose, year, injectors, np.arange(whole))
        assert all(np.all(states.converged) for states in solved)
        broken = sum(int(np.any(states.extremes.broken, axis=1).sum()) for states in solved)
        engine.run(min(steps, 100))
        theirs, ours = [], []
        for _ in range(settings.repetitions):
            began = clock()
            engine.run(steps)
            theirs.append((clock() - began) * whole / steps)
            began = clock()
            solve_year(loose, year, injectors, np.arange(whole))
            ours.append(clock() - began)
        loose.close()
        tight.close()
    return Outcome(
        feeder=feeder.name,
        loads=year.load.size,
        steps=steps,
        engine=float(np.median(theirs)),
        ours=float(np.median(ours)),
        ratio=float(np.median(np.array(theirs) / np.array(ours))),
        broken=broken,
        apart_pu=apart_loose,
        apart_tight_pu=apart_tight,
        engine_seconds=tuple(theirs),
        our_seconds=tuple(ours),
    )


def _year(feeder: Feeder, start: FrozenOpenDss, settings: Settings) -> Year:
    if feeder is EU_LV:
        return own_profiles(start)
    if settings.networks is None or feeder is DEMO:
        return made_up_profiles(start)
    return pooled_profiles(start, settings.networks / "au-halfhour-profiles" / "smartgridsmartcities.json")


def _no_growth(network: Network) -> Any:
    from bench_feeders import growth_of

    return growth_of(network, step_kw=0.0, direction="import", power_factor=1.0)


def run(settings: Settings) -> Section:
    """Time both feeders, and say which goals are met."""
    feeders = (EU_LV, CRE21) if settings.networks is not None and settings.full else (DEMO,)
    found = [measure(feeder, settings) for feeder in feeders]
    whole = HALF_HOURS if settings.full else 2 * PER_DAY
    rows = [
        [
            f"{o.feeder} ({digits(o.loads)} loads)",
            f"{o.engine:.3g} s ({us(o.engine / whole)} us each)",
            f"{o.ours:.3g} s ({us(o.ours / whole)} us each)",
            times(o.ratio),
            f"{o.apart_pu:.1e}",
            f"{o.apart_tight_pu:.1e}",
            digits(o.broken),
        ]
        for o in found
    ]
    scaled = [f"{o.feeder}: the first {digits(o.steps)}, scaled up" for o in found if o.steps < whole]
    return Section(
        name="year",
        title="A year of half-hours",
        text=[
            f"{digits(whole)} half-hours from a start without load, all controls off on both sides. OpenDSS: one call "
            "in mode `yearly`, profiles attached as load shapes, no monitors and no meters, so that its results are "
            f"lost; default tolerance of {DEFAULT_TOLERANCE:g}, each half-hour from the one before"
            + (f" (timed: {'; '.join(scaled)})" if scaled else "")
            + f". hostcap: `solve_injections`, {AT_ONCE} half-hours in a call, tolerance 1e-6, one thread, each "
            "half-hour from the start; making the injections from profiles is in its time, and so is every voltage and "
            "every current against its limits (LV 0.9 to 1.1, HV 0.94 to 1.06, thermal 100 %).",
            "Every load has power factor 0.95 and its model's voltage law. eu-lv: its own one-minute profiles as "
            "half-hourly means, every day alike. CRE21: the 408 half-hourly days of Smart Grid, Smart City, assigned "
            "in turn, each load taking the next one every day.",
        ],
        tables=[
            (
                (
                    "feeder",
                    "OpenDSS `yearly`, results lost",
                    "hostcap, all limits checked",
                    "faster by",
                    f"largest difference in {SAMPLED} half-hours, pu",
                    "the same, both at 1e-9",
                    "half-hours with a broken limit",
                ),
                rows,
            )
        ],
        after=[judged(f"{o.feeder}, a year", o.ratio, GOALS[o.feeder]) for o in found if o.feeder in GOALS],
    )


def main() -> None:
    """Print this section alone."""
    import run as runner
    from bench_timing import conditions, one_core

    settings = Settings(networks=runner.NETWORKS if runner.NETWORKS.is_dir() else None, repetitions=5)
    core = one_core()
    sys.stdout.write(in_markdown(run(settings), conditions(core, settings.repetitions, runner._commit())) + "\n")


if __name__ == "__main__":
    main()
