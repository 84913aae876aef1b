"""(f) A day of instants in one run, against a run of each of them."""

from __future__ import annotations

import gc
from typing import Any

import attrs
import numpy as np
from attrs import frozen
from bench_feeders import CRE21, DEMO, Feeder, master
from bench_timing import Section, Settings, clock, digits, ratio, times
from instants import Day, OneInstant, run_from, table

from hostcap.config import structure_study
from hostcap.network import Network
from hostcap.plugins import default_registry
from hostcap.tables import Chunk
from hostcap.work_package import WorkPackage

P1UHS23 = Feeder(
    name="p1uhs23",
    master="us-smartds-p1uhs23/substations/p1uhs23_1247/Master.dss",
    frequency_hz=60.0,
    mean_kw=2.0,
)
STEP_KW = {CRE21.name: 0.1, P1UHS23.name: 0.5, DEMO.name: 0.2}
MAX_STEPS = {CRE21.name: 100, P1UHS23.name: 100, DEMO.name: 40}
LEAST_WANTED = ("status", "headroom_kw_per_customer", "total_kw_added")


@frozen(kw_only=True)
class Measured:
    """One feeder and direction: seconds of both sides, and of the parts of the joint run."""

    name: str
    instants: int
    groups: int
    alone: list[float]
    together: list[float]
    stages: dict[str, float]
    own_stages: dict[str, float]
    states: int
    own_states: int
    answering: int


def work_package(feeder: Feeder, settings: Settings, direction: str, solver: str) -> WorkPackage:
    """The study of a feeder."""
    path = master(feeder, settings.networks)
    data = {
        "name": "instants",
        "scope": {"feeders": ["f"], "year": 2025},
        "network": {
            "plugin": "opendss",
            "master": str(path),
            "frequency_hz": feeder.frequency_hz,
            "voltage_bases_kv": list(feeder.voltage_bases_kv or ()),
        },
        "study": {
            "plugin": "lv-headroom",
            "step_kw_per_customer": STEP_KW[feeder.name],
            "max_steps": MAX_STEPS[feeder.name],
        },
        "injection": {"direction": direction, "power_factor": 0.95},
        "constraints": [
            {"plugin": "voltage", "lv_min_pu": 0.9, "lv_max_pu": 1.1, "hv_min_pu": 0.9, "hv_max_pu": 1.1},
            {"plugin": "thermal"},
        ],
        "solver": {"plugin": solver, **({"threads": 1} if solver == "batched" else {})},
    }
    return WorkPackage(document=structure_study(data, path.parent, default_registry()))


def measure(feeder: Feeder, direction: str, instants: int, settings: Settings, solver: str = "batched") -> Measured:
    """Both sides in turns; every row of every instant asserted equal, bit for bit."""
    package = work_package(feeder, settings, direction, solver)
    network = package.source().load("f")
    day = Day(count=instants, mean_kw=0.5 * feeder.mean_kw)
    kept: dict[str, Any] = {}
    run_from(package, network, Day(count=2, mean_kw=0.5 * feeder.mean_kw))  # warm: code is compiled

    def together() -> None:
        kept["together"] = run_from(package, network, day)

    def alone() -> None:
        kept["alone"] = [run_from(package, network, OneInstant(day=day, number=i)) for i in range(instants)]

    seconds: dict[str, list[float]] = {"alone": [], "together": []}
    for _ in range(settings.repetitions):
        for name, work in (("alone", alone), ("together", together)):
            gc.collect()
            began = clock()
            work()
            seconds[name].append(clock() - began)
    _assert_equal(kept["together"], kept["alone"], network)
    own = [dict(chunk.summary) for chunk in kept["alone"]]
    joint = dict(kept["together"].summary)
    return Measured(
        name=f"{feeder.name}, {direction}",
        instants=instants,
        groups=len(network.groups),
        alone=seconds["alone"],
        together=seconds["together"],
        stages=joint["seconds"],
        own_stages={stage: sum(o["seconds"][stage] for o in own) for stage in own[0]["seconds"]},
        states=joint["states_solved"],
        own_states=sum(o["states_solved"] for o in own),
        answering=len(set(table(kept["together"], "lv_group_hosting_capacity")["timestamp"].tolist())),
    )


def _assert_equal(together: Chunk, alone: list[Chunk], network: Network) -> None:
    profile = table(together, "headroom_profile")
    groups = [table(chunk, "lv_group_hosting_capacity") for chunk in alone]
    for name in LEAST_WANTED:
        assert profile[name].tolist() == [value for found in groups for value in found[name].tolist()]
    kw = profile["headroom_kw_per_customer"].reshape(len(alone), len(network.groups))
    least = table(together, "lv_group_hosting_capacity")["headroom_kw_per_customer"]
    assert np.array_equal(kw.min(axis=0), least)


def run(settings: Settings) -> Section:
    """Time a day of 48 half-hours of both feeders in both directions."""
    real = settings.networks is not None and settings.full
    few = attrs.evolve(settings, repetitions=min(settings.repetitions, 3))
    if real:
        cases = [(feeder, direction, 48) for feeder in (P1UHS23, CRE21) for direction in ("export", "import")]
    else:
        cases = [(DEMO, "export", 3)]
    found = [measure(feeder, direction, instants, few) for feeder, direction, instants in cases]
    stages = ("start", "plan", "search", "answer", "tables")
    rows = [
        [
            o.name,
            f"{o.instants}, {o.groups}",
            f"{np.median(o.alone):.3g}",
            f"{np.median(o.together):.3g}",
            times(ratio(o.alone, o.together)),
            digits(1e3 * float(np.median(o.together)) / o.instants),
            str(o.answering),
        ]
        for o in found
    ]
    where = [
        [
            o.name,
            *(f"{o.own_stages[s]:.3g} / {o.stages[s]:.3g}" for s in stages),
            f"{o.own_states} / {o.states}",
        ]
        for o in found
    ]
    return Section(
        name="instants",
        title="A day of instants",
        text=[
            "48 half-hours of a made day (every load with a phase of its own, 0.2 to 2.2 of the mean), one search of "
            "all groups from each. *Alone*: a loop of 48 runs of one instant each, in one process, the feeder loaded "
            "once. *Together*: one run of 48 instants. Both on the solver `batched`, one thread, tolerance 1e-6, power "
            f"factor 0.95, LV and HV 0.9 to 1.1, thermal 100 %; steps of {STEP_KW[P1UHS23.name]} kW (p1uhs23) and "
            f"{STEP_KW[CRE21.name]} kW (CRE21), at most 100. Level, status and kW of every group at every instant are "
            "asserted equal, bit for bit, and the least of them to be the answer.",
            "The first table is in processor seconds. Freezing is the engine's time, done for each instant on both "
            "sides: about two fifths of the joint run on CRE21. What is shared is the rest. The second table is by the "
            "clock: compare within a row, as others may have been at work. Its column start holds reading the model as "
            "arrays on the side of the joint run, and plan on the other; answers are solved for the instants that "
            "answer alone.",
        ],
        tables=[
            (
                (
                    "search",
                    "instants, groups",
                    "alone",
                    "together",
                    "faster by",
                    "ms an instant, together",
                    "instants that answer",
                ),
                rows,
            ),
            (("seconds, alone / together", *stages, "states"), where),
        ],
    )
