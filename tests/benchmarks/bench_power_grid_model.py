"""(d) power-grid-model on the European LV feeder: the same mathematics in C++, every result written on both sides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from bench_feeders import EU_LV, frozen_feeder, limits_in_pu, snapshot_growth, snapshot_levels
from bench_timing import Section, Settings, in_turns, judged, ratio, times, us

from hostcap.growth import Growth
from hostcap_stock.batched.config import BatchedConfig
from hostcap_stock.batched.solver import BatchedSolver
from hostcap_stock.opendss.frozen import FrozenOpenDss

GOAL = 35.0
TOLERANCE = 1e-6
APART = 1e-6
"""Largest difference of a voltage, per unit: the two stop within 1e-6 of the same fixed point."""
METHODS = ("iterative_current", "newton_raphson", "linear")
BATCH = 1000
SIZES = (8, 32, 64, 256, 1000)


class Converted:
    """The feeder in the words of power-grid-model: a source, one transformer, lines by sequence, one-phase loads."""

    def __init__(self, start: FrozenOpenDss, growth: Growth) -> None:
        """Read the engine's model element by element."""
        from power_grid_model import LoadGenType, PowerGridModel, WindingType, initialize_array

        dss: Any = start.engine().dss
        self.buses = [str(name).lower() for name in dss.Circuit.AllBusNames()]
        node_of = {name: i for i, name in enumerate(self.buses)}

        def ends() -> list[int]:
            return [node_of[name.partition(".")[0].lower()] for name in dss.CktElement.BusNames()]

        def asked(what: str) -> float:
            dss.Text.Command(f"? {what}")
            return float(dss.Text.Result())

        dss.Transformers.First()
        assert dss.Transformers.Count() == 1 and dss.Transformers.NumWindings() == 2
        name, (hv, lv) = dss.Transformers.Name(), ends()
        volts, ratings, ohms = [], [], 0.0
        for winding in (1, 2):
            dss.Transformers.Wdg(winding)
            volts.append(1e3 * float(dss.Transformers.kV()))
            ratings.append(1e3 * float(dss.Transformers.kVA()))
            ohms += float(dss.Transformers.R()) / 100.0
        reactance = asked(f"transformer.{name}.xhl") / 100.0

        nodes = initialize_array("input", "node", len(self.buses))
        nodes["id"] = np.arange(len(self.buses))
        nodes["u_rated"] = volts[1]
        nodes["u_rated"][hv] = volts[0]
        count = len(self.buses)

        transformer = initialize_array("input", "transformer", 1)
        for key, value in {
            "id": count,
            "from_node": hv,
            "to_node": lv,
            "from_status": 1,
            "to_status": 1,
            "u1": volts[0],
            "u2": volts[1],
            "sn": ratings[0],
            "uk": float(np.hypot(ohms, reactance)),
            "pk": ohms * ratings[0],
            "i0": 0.0,
            "p0": 0.0,
            "winding_from": WindingType.delta,
            "winding_to": WindingType.wye_n,
            "clock": 1,
            "tap_side": 0,
            "tap_pos": 0,
            "tap_min": 0,
            "tap_max": 0,
            "tap_size": 0.0,
        }.items():
            transformer[key] = value

        source = initialize_array("input", "source", 1)
        dss.Vsources.First()
        r1, x1 = asked("vsource.source.r1"), asked("vsource.source.x1")
        for key, value in {
            "id": count + 1,
            "node": hv,
            "status": 1,
            "u_ref": float(dss.Vsources.PU()),
            "sk": volts[0] ** 2 / float(np.hypot(r1, x1)),
            "rx_ratio": r1 / x1,
            "z01_ratio": 1.0,  # the delta winding lets no zero sequence through
        }.items():
            source[key] = value

        lines: list[tuple[int, int, float, float, float, float]] = []
        more = dss.Lines.First()
        while more:
            length = float(dss.Lines.Length())
            assert not np.any(dss.Lines.CMatrix())
            r, x = (length * np.reshape(m, (3, 3)) for m in (dss.Lines.RMatrix(), dss.Lines.XMatrix()))
            a, b = ends()
            lines.append((a, b, r[0, 0] - r[0, 1], x[0, 0] - x[0, 1], r[0, 0] + 2 * r[0, 1], x[0, 0] + 2 * x[0, 1]))
            more = dss.Lines.Next()
        line = initialize_array("input", "line", len(lines))
        line["id"] = count + 2 + np.arange(len(lines))
        for key, column in zip(("from_node", "to_node", "r1", "x1", "r0", "x0"), zip(*lines, strict=True), strict=True):
            line[key] = column
        for key, number in {"from_status": 1, "to_status": 1, "c1": 0.0, "tan1": 0.0, "c0": 0.0, "tan0": 0.0}.items():
            line[key] = number

        self.growth = growth
        points = growth.name.size
        bus = [start.network.buses.name[start.network.nodes.bus[growth.terminals(p)[0]]] for p in range(points)]
        self.phase = np.array([start.network.nodes.number[growth.terminals(p)[0]] - 1 for p in range(points)])
        load = initialize_array("input", "asym_load", points)
        load["id"] = count + 2 + len(lines) + np.arange(points)
        load["node"] = [node_of[str(name).lower()] for name in bus]
        load["status"], load["type"] = 1, LoadGenType.const_power
        load["p_specified"] = load["q_specified"] = 0.0
        self.load_id = load["id"].copy()
        nodes_of = start.network.nodes
        self.place = (
            np.array([node_of[str(start.network.buses.name[b]).lower()] for b in nodes_of.bus]),
            nodes_of.number - 1,
        )
        self.model = PowerGridModel(
            {"node": nodes, "line": line, "transformer": transformer, "source": source, "asym_load": load},
            system_frequency=float(start.network.frequency_hz),
        )

    def update(self, levels: Any) -> Any:
        """Powers of a batch of states, W and var."""
        from power_grid_model import initialize_array

        growth, points = self.growth, np.arange(self.growth.name.size)
        steps = levels[:, growth.scope]
        given = initialize_array("update", "asym_load", (len(levels), points.size))
        given["id"] = self.load_id
        given["p_specified"] = given["q_specified"] = 0.0
        given["p_specified"][:, points, self.phase] = -1e3 * steps * growth.p_kw
        given["q_specified"][:, points, self.phase] = -1e3 * steps * growth.q_kvar
        return given

    def solve(self, update: Any, method: str) -> Any:
        """All results of all elements, one thread."""
        from power_grid_model import CalculationMethod

        return self.model.calculate_power_flow(
            symmetric=False,
            error_tolerance=TOLERANCE,
            max_iterations=100,
            calculation_method=CalculationMethod[method],
            update_data={"asym_load": update},
            threading=-1,
        )

    def node_v(self, solved: Any) -> Any:
        """Voltages to ground in the network's order, V."""
        bus, phase = self.place
        node = solved["node"]
        return (node["u"] * np.exp(1j * node["u_angle"]))[:, bus, phase]


def run(settings: Settings) -> Section:
    """Time three of its methods; the goal is on the one with the same mathematics."""
    title = "power-grid-model on the European LV feeder"
    if find_spec("power_grid_model") is None or settings.networks is None:
        reason = "power-grid-model is not installed" if settings.networks else "the public networks are not there"
        return Section(name="power-grid-model", title=title, text=[f"Not run: {reason}."], tables=[])
    with frozen_feeder(EU_LV, settings.networks) as start:
        network = start.network
        growth = snapshot_growth(EU_LV, network)
        theirs = Converted(start, growth)
        plan: Any = BatchedSolver(config=BatchedConfig(threads=1, tolerance_pu=TOLERANCE)).plan(
            start, growth, limits_in_pu(network)
        )
        levels = snapshot_levels(network, BATCH)
        full = plan.solve(levels, {"nodes"})
        assert np.all(full.converged)
        whole = theirs.update(levels)
        apart = {}
        for method in METHODS:
            found = theirs.node_v(theirs.solve(whole, method))
            apart[method] = float(np.max(np.abs(found - full.solution.node_v) / network.nodes.nominal_v))
            assert apart[method] <= APART or method == "linear", f"{method}: differs by {apart[method]:.3g} pu"
        del full, found
        by_size = {}
        for size in SIZES:
            batches = np.split(levels, range(size, BATCH, size))
            updates = [theirs.update(batch) for batch in batches]
            by_size[size] = in_turns(
                {
                    "theirs": lambda u=updates: _each(u, lambda one: theirs.solve(one, METHODS[0])),
                    "written": lambda b=batches: _each(b, lambda one: plan.solve(one, {"nodes", "branches"})),
                    "checked": lambda b=batches: _each(b, lambda one: plan.solve(one, {"extremes"})),
                },
                settings.repetitions,
            )
        others = in_turns(
            {method: lambda m=method: theirs.solve(whole, m) for method in METHODS[1:]}, settings.repetitions
        )
        plan.close()
    rows = [
        [
            str(size),
            *(us(float(np.median(taken[name])) / BATCH) for name in ("theirs", "written", "checked")),
            *(times(ratio(taken["theirs"], taken[name])) for name in ("written", "checked")),
        ]
        for size, taken in by_size.items()
    ]
    best = {name: min(float(np.median(taken[name])) for taken in by_size.values()) for name in ("theirs", "written")}
    spoken = [
        f"`{method}` {us(float(np.median(others[method])) / BATCH)} us ({apart[method]:.0e} pu apart)"
        for method in others
    ]
    return Section(
        name="power-grid-model",
        title=title,
        text=[
            f"power-grid-model, asymmetric, `{METHODS[0]}` (the same mathematics, factorised once), one thread, error "
            f"tolerance {TOLERANCE:g}, all results of all elements written. Its network is made from the engine's "
            "model: 906 buses, 905 lines by their sequence impedances, the transformer, the source and 55 one-phase "
            "loads "
            f"of constant power; its updates are made beforehand. Voltages differ by at most {apart[METHODS[0]]:.1e} "
            "pu "
            f"({APART:g} is asserted).",
            "hostcap, tolerance 1e-6, one thread: every complex node voltage and conductor current written, or every "
            f"limit checked instead. Microseconds for each of {BATCH} states, by how many of them one call takes, and "
            f"how many times faster hostcap is. Its other methods, {BATCH} states a call: {'; '.join(spoken)}.",
        ],
        tables=[
            (
                (
                    "states a call",
                    "power-grid-model",
                    "hostcap written",
                    "hostcap checked",
                    "faster, written",
                    "faster, checked",
                ),
                rows,
            )
        ],
        after=[
            judged(
                f"eu-lv, `{METHODS[0]}`, full results on both sides, each at its best size of calls",
                best["theirs"] / best["written"],
                GOAL,
            )
        ],
    )


def _each(batches: Sequence[Any], solve: Callable[[Any], object]) -> None:
    """Solve batches one after the other, results dropped as they would be by who reduces them."""
    for batch in batches:
        solve(batch)
