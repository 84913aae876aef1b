"""(g) HV node headroom of every location, against a loop over a sample of them on OpenDSS; every limit checked."""

from __future__ import annotations

import gc

import attrs
import numpy as np
from attrs import frozen
from bench_engine import Bulk, Usage
from bench_feeders import CRE21, DEMO, Feeder, frozen_feeder, limits_in_pu, limits_in_volts, watched
from bench_timing import Section, Settings, clock, digits, times, us

from hostcap.growth import Growth, UnitInjection, location_growth
from hostcap.hv_locations import location_sites
from hostcap.one_at_a_time import AloneResult, search_one_at_a_time
from hostcap_stock.batched.config import BatchedConfig
from hostcap_stock.batched.solver import BatchedSolver
from hostcap_stock.opendss.frozen import FrozenOpenDss, bus_spec

STEP_KW, STEPS, SAMPLE = 50.0, 100, 12


@frozen(kw_only=True)
class Outcome:
    """One feeder.

    Attributes:
        locations, sites: Rows of the table, and what is solved.
        states: States of the whole search.
        rounds: Batches they were solved in.
        ours: Seconds of each run of the whole search.
        sample: Sites of the loop.
        theirs_states: States of the loop.
        theirs: Seconds of each run of the loop.
        excused: Sites of the sample one step apart, where the engine's tolerance of 1e-4 decides.
    """

    name: str
    locations: int
    sites: int
    states: int
    rounds: int
    ours: list[float]
    sample: int
    theirs_states: int
    theirs: list[float]
    excused: int


def loop(engine: Usage, sites: int, most: int) -> tuple[list[int], int]:
    """Section 6 of the headroom method, written for this comparison alone: level of each site, and states solved."""
    found, states = [], 0
    for site in range(sites):
        levels, level = np.zeros(sites, dtype=np.int32), most
        for step in range(1, most + 1):
            levels[site] = step
            solved, broken = engine.state(levels)
            states += 1
            if not solved or broken.any():
                level = step - 1
                break
        found.append(level)
    return found, states


def loads_of(start: FrozenOpenDss, growth: Growth) -> Growth:
    """The growth points as elements of the engine, of the same names: the model has none at these buses."""
    network, names = start.network, [f"hv_bench_{point}" for point in range(growth.name.size)]
    for point, name in enumerate(names):
        nodes = growth.terminals(point)
        bus = int(network.nodes.bus[nodes[0]])
        connection = "delta" if growth.delta[point] else "wye"
        start.engine().command(
            f"new load.{name} bus1={bus_spec(network, bus, nodes)} phases={growth.phases[point]} conn={connection} "
            f"kv={float(growth.kv[point])!r} kw=0 kvar=0 model=1 status=fixed"
        )
    return attrs.evolve(growth, name=names)


def measure(feeder: Feeder, settings: Settings, *, most: int, sample: int) -> Outcome:
    """Time the whole search in batches, and the loop over every n-th site; levels of the sample asserted equal."""
    with frozen_feeder(feeder, settings.networks) as start:
        network, unit = start.network, UnitInjection(p_kw=1.0, q_kvar=0.0)
        # LV of the demo is above 253 V without load.
        limits = limits_in_pu(network) if feeder is DEMO else limits_in_volts(network)
        chosen = np.flatnonzero(network.hv_locations.live).astype(np.int32)
        _, first = location_sites(network.hv_locations, chosen)
        solver = BatchedSolver(config=BatchedConfig(threads=1))
        growth = location_growth(network, first, STEP_KW, unit)
        plan = solver.plan(start, growth, limits)

        def search() -> AloneResult:
            return search_one_at_a_time(plan, scopes=first.size, max_steps=most, widest=solver.states_at_once)

        result = search()  # warm: code is compiled
        every = np.arange(0, first.size, max(first.size // sample, 1))[:sample]
        small = location_growth(network, first[every], STEP_KW, unit)
        engine = Bulk(start, loads_of(start, small), *watched(limits))
        ours, theirs = [], []
        for _ in range(settings.repetitions):
            gc.collect()
            began = clock()
            search()
            ours.append(clock() - began)
            engine.restart()
            began = clock()
            levels, states = loop(engine, every.size, most)
            theirs.append(clock() - began)
        plan.close()
        apart = np.abs(result.level[every] - np.asarray(levels))
        assert np.all(apart <= 1), "only the engine's own tolerance is excused"
        assert np.sum(apart) <= max(every.size // 4, 1)
    return Outcome(
        name=feeder.name,
        locations=int(chosen.size),
        sites=int(first.size),
        states=result.states,
        rounds=result.rounds,
        ours=ours,
        sample=int(every.size),
        theirs_states=states,
        theirs=theirs,
        excused=int(np.sum(apart)),
    )


def run(settings: Settings) -> Section:
    """Time every location of CRE21."""
    real = settings.networks is not None and settings.full
    few = attrs.evolve(settings, repetitions=min(settings.repetitions, 3))
    found = measure(CRE21, few, most=STEPS, sample=SAMPLE) if real else measure(DEMO, few, most=30, sample=4)
    mine, bulk = float(np.median(found.ours)), float(np.median(found.theirs))
    a_state, their_state = mine / found.states, bulk / found.theirs_states
    row = [
        found.name,
        f"{found.locations}, {found.sites}",
        f"{found.states}, {found.rounds}",
        digits(mine),
        us(a_state),
        f"{found.sample}, {found.theirs_states}",
        us(their_state),
        times(their_state / a_state),
        digits(their_state * found.states),
        str(found.excused),
    ]
    return Section(
        name="hv-nodes",
        title="HV node headroom of every location",
        text=[
            "Every HV terminal of a distribution transformer, switch and tee by itself, from no load: export in steps "
            f"of {STEP_KW:g} kW, at most {STEPS}, LV 216 to 253 V, HV 0.94 to 1.06, thermal 100 %. hostcap solves all "
            "of them in batches of 64 states over location and step, one thread, tolerance 1e-6, every limit checked; "
            "locations that are decided drop out. OpenDSS (bulk API, going on from its last state at its default "
            "tolerance of 1e-4) loops over every n-th of the sites, one state after the other; its time for all of "
            "them follows from its time for a state. Levels of the sample are asserted equal; a site one step apart "
            "is counted, as 1e-4 is coarser than some margins.",
        ],
        tables=[
            (
                (
                    "feeder",
                    "locations, sites",
                    "states, batches",
                    "seconds, hostcap",
                    "us a state, hostcap",
                    "sites, states of the loop",
                    "us a state, OpenDSS",
                    "faster a state",
                    "seconds for all, OpenDSS",
                    "one step apart",
                ),
                [row],
            )
        ],
    )
