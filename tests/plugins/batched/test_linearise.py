"""What is read from OpenDSS is what OpenDSS solves: every load model, connection and voltage band."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from batched.cases import all_limits, frozen, plan, ports, uniform

from hostcap.errors import ModelError
from hostcap.limits import LimitSet
from hostcap.linear import LinearNetwork
from hostcap_stock.batched.reference import ReferencePlan
from hostcap_stock.batched.solver import BatchedPlan
from hostcap_stock.opendss.config import OpenDssSolverConfig
from hostcap_stock.opendss.solver import OpenDssSolver

pytest.importorskip("opendssdirect", reason="needs the OpenDSS engine")

HEAD = """
clear
new circuit.c basekv=11 pu={pu} phases=3 bus1=src r1=1e-3 x1=1e-3 r0=1e-3 x0=1e-3
new transformer.t phases=3 windings=2 buses=(src, a.1.2.3.4) conns=(delta, wye) kvs=(11, 0.4) kvas=(100, 100) xhl=4
new reactor.earth bus1=a.4 bus2=a.0 phases=1 r=0.5 x=0
new line.feed bus1=a.1.2.3 bus2=b.1.2.3 phases=3 r1=0.02 x1=0.01 r0=0.04 x0=0.02 c1=0 c0=0 length=1 units=none
new line.back bus1=a.4 bus2=b.4 phases=1 r1=0.05 x1=0.01 r0=0.05 x0=0.01 c1=0 c0=0 length=1 units=none
"""
TAIL = """
set voltagebases=[11 0.4]
calcvoltagebases
set maxiterations=200
"""
CONNECTIONS = {
    "wye-1": "bus1=b.1 phases=1 kv=0.23094 kw=3 kvar=1",
    "wye-1-neutral": "bus1=b.2.4 phases=1 kv=0.23094 kw=3 kvar=1",
    "wye-2": "bus1=b.1.3.4 phases=2 kv=0.4 kw=4 kvar=1",
    "wye-3": "bus1=b.1.2.3 phases=3 kv=0.4 kw=6 kvar=2",
    "wye-3-neutral": "bus1=b.1.2.3.4 phases=3 kv=0.4 kw=6 kvar=-2",
    "delta-1": "bus1=b.1.2 phases=1 conn=delta kv=0.4 kw=3 kvar=1",
    "delta-2": "bus1=b.1.2.3 phases=2 conn=delta kv=0.4 kw=3 kvar=1",
    "delta-3": "bus1=b.1.2.3 phases=3 conn=delta kv=0.4 kw=6 kvar=2",
}
MODELS = {1: "model=1", 2: "model=2", 4: "model=4 cvrwatts=0.8 cvrvars=3", 5: "model=5"}


def feeder(folder: Path, loads: str, *, pu: float) -> dict[str, Any]:
    """A source, a line, a bus with a neutral, and loads."""
    master = folder / "master.dss"
    master.write_text(HEAD.format(pu=pu) + loads + TAIL)
    return {"master": master, "frequency_hz": 50.0}


def misfit(linear: LinearNetwork, node_v: Any) -> float:
    """How far one exact iteration moves given voltages, per unit."""
    y = linear.admittance().toarray()
    drawn = linear.base.drawn_a(linear.base.voltage_v(node_v))
    injected = linear.source_a.copy()
    for node, sign in ((linear.base.node_a, -1.0), (linear.base.node_b, 1.0)):
        np.add.at(injected, node[node >= 0], sign * drawn[node >= 0])
    return float(np.max(np.abs(np.linalg.solve(y, injected) - node_v)[linear.live] / linear.nominal_v[linear.live]))


@pytest.mark.parametrize("pu", [0.3, 0.62, 0.8, 0.98, 1.0, 1.12, 1.3])
@pytest.mark.parametrize("connection", sorted(CONNECTIONS))
def test_every_model_and_connection_draws_what_the_engine_says_in_every_band(
    tmp_path: Path, connection: str, pu: float
) -> None:
    """Four loads, one of each model, bands of their own: 0.3 is below vlow, 0.62 between, 1.3 above vmax."""
    loads = "\n".join(
        f"new load.m{model} {CONNECTIONS[connection]} {text} vminpu={0.9 + 0.01 * model} vmaxpu={1.05 + 0.01 * model}"
        for model, text in MODELS.items()
    )
    with frozen(
        feeder(tmp_path, loads + "\nnew load.c bus1=b.1 phases=1 kv=0.23094 kw=0.1 vlowpu=0.4", pu=pu), "as-modelled"
    ) as start:
        assert misfit(start.linear(), start.start.node_v[0]) < 1e-9
        own = np.abs(start.linear().conductors() @ start.start.node_v[0] - start.start.conductor_a[0])
        assert np.max(own) < 1e-6


def test_multipliers_act_as_in_the_engine(tmp_path: Path) -> None:
    loads = """
new load.a bus1=b.1 phases=1 kv=0.23094 kw=2 kvar=1
new load.b bus1=b.2 phases=1 kv=0.23094 kw=2 kvar=1 status=fixed
new load.c bus1=b.3 phases=1 kv=0.23094 kw=2 kvar=1 status=exempt vlowpu=0.6 vminpu=0.99
set loadmult=0.5
"""
    with frozen(feeder(tmp_path, loads, pu=0.97), "as-modelled") as start:
        linear = start.linear()
        assert linear.base.kw.tolist() == [1.0, 2.0, 2.0]
        assert misfit(linear, start.start.node_v[0]) < 1e-9


def test_the_matrix_is_the_engines_own_without_its_loads(tmp_path: Path) -> None:
    loads = "new load.a bus1=b.1.2.3.4 phases=3 kv=0.4 kw=6 kvar=2\nnew capacitor.k bus1=b phases=3 kv=0.4 kvar=3\n"
    with frozen(feeder(tmp_path, loads, pu=1.0), "as-modelled") as start:
        linear, engine = start.linear(), start.engine()
        from scipy.sparse import csc_array

        data, index, pointer = engine.dss.YMatrix.getYsparse(factor=False)
        theirs = csc_array((data, index, pointer)).toarray()
        engine.dss.Circuit.SetActiveElement("load.a")
        block = np.asarray(engine.dss.CktElement.YPrim()).view(complex).reshape(4, 4).T
        nodes = np.asarray(engine.dss.CktElement.NodeRef()) - 1
        theirs[np.ix_(nodes, nodes)] -= block
        order = [
            engine.dss.Circuit.YNodeOrder().index(n.upper()) for n in start.network.node_names(range(linear.node_count))
        ]
        ours = linear.admittance().toarray()
        assert ours == pytest.approx(theirs[np.ix_(order, order)], rel=1e-12, abs=1e-9)


def test_growth_of_every_connection_is_what_the_engine_solves(tmp_path: Path) -> None:
    loads = "\n".join(f"new load.{k.replace('-', '_')} {v}" for k, v in CONNECTIONS.items()) + "\n"
    with frozen(feeder(tmp_path, loads, pu=1.0), "zero-load") as start:
        grown, limits = uniform(start.network, "import", step_kw=1.0), all_limits(start.network)
        levels = np.arange(5, dtype=np.int32)[:, None]
        theirs = OpenDssSolver(config=OpenDssSolverConfig(tolerance_pu=1e-10)).plan(start, grown, limits)
        expected = theirs.solve(levels, {"nodes", "branches"}).solution
        for kind in (BatchedPlan, ReferencePlan):
            found = plan(kind, start.linear(), grown, limits).solve(levels, {"nodes", "branches"}).solution
            assert np.all(found.converged & expected.converged)
            assert np.max(np.abs(found.node_v - expected.node_v)) < 1e-6
            assert np.max(np.abs(found.conductor_a - expected.conductor_a)) < 1e-4


def test_reading_the_start_after_a_plan_of_the_engine_gives_the_same_network(tmp_path: Path) -> None:
    loads = "new load.a bus1=b.1 phases=1 kv=0.23094 kw=2 kvar=1\n"
    config = feeder(tmp_path, loads, pu=1.0)
    with frozen(config, "as-modelled") as start:
        clean = start.linear()
    with frozen(config, "as-modelled") as start:
        grown, limits = uniform(start.network, "export"), all_limits(start.network)
        used = OpenDssSolver().plan(start, grown, limits)
        used.solve(np.array([[7]], dtype=np.int32), {"extremes"})
        assert start.linear() == clean
        used.close()
        assert start.linear() is start.linear()


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        ("new load.motor bus1=b.1 phases=1 kv=0.23094 kw=1 model=6", r"motor \(model 6\)"),
        (
            "new load.mix bus1=b.1 phases=1 kv=0.23094 kw=1 model=8 zipv=[0.3 0.3 0.4 0.3 0.3 0.4 0.5]",
            r"mix \(model 8\)",
        ),
        ("new isource.odd bus1=b.1 phases=1 amps=1", r"Isource\.odd"),
    ],
)
def test_what_has_no_form_is_refused_by_name_with_the_way_out(tmp_path: Path, extra: str, named: str) -> None:
    loads = "new load.a bus1=b.1 phases=1 kv=0.23094 kw=2 kvar=1\n" + extra + "\n"
    with (
        frozen(feeder(tmp_path, loads, pu=1.0), "as-modelled") as start,
        pytest.raises(ModelError, match=named) as error,
    ):
        start.linear()
    assert 'set solver.plugin = "opendss"' in str(error.value)


def test_a_start_that_the_arrays_do_not_reproduce_is_refused(tmp_path: Path) -> None:
    import attrs

    loads = "new load.a bus1=b.1 phases=1 kv=0.23094 kw=2 kvar=1\n"
    with frozen(feeder(tmp_path, loads, pu=1.0), "as-modelled") as start:
        grown, limits = uniform(start.network, "export"), all_limits(start.network)
        wrong = attrs.evolve(start.linear(), base=ports([]))
        with pytest.raises(ModelError, match="does not reproduce the engine's start"):
            plan(BatchedPlan, wrong, grown, limits)
        assert isinstance(limits, LimitSet)


def test_a_neutral_that_only_earth_holds_is_solved_as_by_the_engine(tmp_path: Path) -> None:
    """No coil joins it to the source, so it counts as dead; its loads are loads all the same."""
    loads = """
new line.alone bus1=b.1 bus2=c.1 phases=1 r1=0.1 x1=0 r0=0.1 x0=0 c1=0 c0=0 length=1 units=none
new reactor.rod bus1=c.4 bus2=c.0 phases=1 r=2 x=0
new load.a bus1=c.1.4 phases=1 kv=0.23094 kw=3 kvar=1
new load.b bus1=c.1.5 phases=1 kv=0.23094 kw=3 kvar=1
new load.c bus1=c.1 phases=1 kv=0.23094 kw=1
"""
    with frozen(feeder(tmp_path, loads, pu=1.0), "as-modelled") as start:
        network = start.network
        assert np.sum(~network.nodes.live) == 2
        grown, limits = uniform(network, "import"), all_limits(network)
        levels = np.array([[0], [10]], dtype=np.int32)
        theirs = OpenDssSolver(config=OpenDssSolverConfig(tolerance_pu=1e-10)).plan(start, grown, limits)
        expected: Any = theirs.solve(levels, {"nodes"}).solution
        found: Any = plan(BatchedPlan, start.linear(), grown, limits).solve(levels, {"nodes"}).solution
    assert np.max(np.abs(found.node_v - expected.node_v)[:, network.nodes.live]) < 1e-6
    held = [n.endswith("c.4") for n in network.node_names(range(network.nodes.bus.size))]
    assert np.abs(found.node_v[0, held]) == pytest.approx(np.abs(expected.node_v[0, held]), rel=1e-6)
    assert np.abs(found.node_v[0, held])[0] > 10
