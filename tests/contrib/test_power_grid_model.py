"""The solver ``power-grid-model``: the kit, parity with two other solvers, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hostcap import WorkPackage, run
from hostcap.config import structure_study
from hostcap.errors import HostcapError, ModelError, PluginError
from hostcap.growth import UnitInjection, customer_growth
from hostcap.operating_point import FeederScope
from hostcap.plugins import default_registry, extras
from hostcap.testing import Case, SolverSuite
from hostcap.testing.engine_suites import watched
from hostcap_contrib.power_grid_model import plugin
from hostcap_contrib.power_grid_model.config import PowerGridModelConfig
from hostcap_contrib.power_grid_model.solver import PowerGridModelSolver
from hostcap_stock.batched.config import BatchedConfig
from hostcap_stock.batched.solver import BatchedSolver
from hostcap_stock.initial_states import AsModelled, ZeroLoad
from hostcap_stock.opendss.config import OpenDssConfig
from hostcap_stock.opendss.source import OpenDssSource

pytest.importorskip("power_grid_model", reason="power-grid-model is not installed: pip install 'hostcap[test]'")

STREET = """\
clear
set defaultbasefrequency=50
new circuit.street basekv=22 pu=1.01 bus1=mv r1=0.5 x1=2 r0=1 x0=5 angle=10
new linecode.cable nphases=3 r1=0.32 x1=0.08 r0=0.9 x0=0.3 c1=200 c0=120 units=km normamps=200
new transformer.tx phases=3 windings=2 buses=[mv lv] conns=[delta wye] kvs=[22 0.415] kvas=[200 200] xhl=4 %rs=[0.6 0.6]
~ taps=[1.025 1] %noloadloss=0.3 %imag=1 leadlag=euro
new line.one bus1=lv bus2=mid linecode=cable length=0.15 units=km
new line.two bus1=mid bus2=end linecode=cable length=0.2 units=km
new load.a bus1=mid.1 phases=1 kv=0.24 kw=4 kvar=1 vminpu=0.7 vmaxpu=1.3
new load.b bus1=end.2 phases=1 kv=0.23 kw=5 kvar=2 model=2
new load.c bus1=end.3 phases=1 kv=0.23 kw=3 kvar=0.5 model=5 vminpu=0.7 vmaxpu=1.3
new load.d bus1=end.1.2.3 phases=3 kv=0.4 kw=9 kvar=3 vminpu=0.7 vmaxpu=1.3
set voltagebases=[22 0.4]
calcvoltagebases
solve
"""


def frozen(master: Path, *, zero: bool = False, **config: Any) -> Any:
    """A feeder at its start."""
    source = OpenDssSource(config=OpenDssConfig(master=master, frequency_hz=50.0, **config))
    network = source.load("feeder")
    state = ZeroLoad() if zero else AsModelled()
    return source.freeze(network, state.operating_point(network, FeederScope(feeder="feeder", year=2025)))


@pytest.fixture
def street(tmp_path: Path) -> Path:
    """A feeder with every base load law, a tap, charging, losses and a turned source."""
    path = tmp_path / "street.dss"
    path.write_text(STREET, encoding="utf-8")
    return path


def solved(solver: Any, start: Any, levels: Any, *, p_kw: float = 1.0, q_kvar: float = -0.3, step: float = 0.5) -> Any:
    grows = start.network.customers.grows
    growth = customer_growth(start.network, np.where(grows, step, 0.0), UnitInjection(p_kw=p_kw, q_kvar=q_kvar))
    plan = solver.plan(start, growth, watched(start.network))
    try:
        return plan.solve(levels, {"nodes", "branches", "extremes", "violations"})
    finally:
        plan.close()


def batched() -> BatchedSolver:
    return BatchedSolver(config=BatchedConfig(tolerance_pu=1e-10, threads=1))


def apart(start: Any, one: Any, other: Any) -> float:
    """Largest difference of a voltage, per unit of nominal."""
    difference = np.abs(one.solution.node_v - other.solution.node_v) / start.network.nodes.nominal_v
    return float(difference.max())


class TestKit(SolverSuite):
    @pytest.fixture
    def case(self, street: Path) -> Case:
        return Case(
            module="hostcap_contrib.power_grid_model.plugin",
            kind="solver",
            name="power-grid-model",
            wrong=[{"tolerance_pu": 1.0}, {"method": "gauss"}, {"max_iterations": 0}],
            frozen=lambda: frozen(street),
        )


@pytest.mark.parametrize("method", ["iterative-current", "newton-raphson"])
def test_every_law_tap_and_loss_gives_the_voltages_of_the_other_solver(street: Path, method: Any) -> None:
    """1e-6 pu: both stop below it, and the engine adds a reactance of 1e-6 to each winding that has none."""
    with frozen(street) as start:
        levels = np.arange(40, dtype=np.int32)[:, None]
        config = PowerGridModelConfig(method=method, tolerance_pu=1e-10, threads=1)
        theirs, ours = solved(PowerGridModelSolver(config=config), start, levels), solved(batched(), start, levels)
        assert theirs.converged.all() and ours.converged.all()
        assert apart(start, theirs, ours) < 2e-6
        assert np.array_equal(theirs.extremes.broken, ours.extremes.broken)


@pytest.mark.shared
def test_the_european_feeder_has_equal_voltages_by_three_engines(networks: Path) -> None:
    master = networks / "eu-lv-test-feeder" / "Master.dss"
    with frozen(master, zero=True) as start:
        levels = np.arange(0, 12, dtype=np.int32)[:, None]
        theirs = solved(PowerGridModelSolver(), start, levels, p_kw=-1.0, q_kvar=-0.3)
        ours = solved(batched(), start, levels, p_kw=-1.0, q_kvar=-0.3)
        assert apart(start, theirs, ours) < 1e-6


@pytest.mark.shared
@pytest.mark.parametrize("direction", ["export", "import"])
def test_a_whole_study_has_the_levels_and_binding_violations_of_the_other_solver(
    networks: Path, tmp_path: Path, direction: str
) -> None:
    found = []
    for solver in ("power-grid-model", "batched"):
        data = {
            "name": "eu",
            "scope": {"feeders": ["eu"], "year": 2025},
            "network": {
                "plugin": "opendss",
                "master": str(networks / "eu-lv-test-feeder" / "Master.dss"),
                "frequency_hz": 50,
            },
            "study": {"plugin": "lv-headroom", "step_kw_per_customer": 0.1, "max_steps": 200},
            "initial_state": {"plugin": "zero-load"},
            "injection": {"direction": direction, "power_factor": 0.95},
            "constraints": [{"plugin": "voltage", "lv_min_v": 216.0, "lv_max_v": 253.0}, {"plugin": "thermal"}],
            "solver": {"plugin": solver},
        }
        results = run(WorkPackage(document=structure_study(data, tmp_path, default_registry())))
        assert not results.failed
        (group,) = results["lv_group_hosting_capacity"].rows()
        (binding,) = [row for row in results["constraint_violations"].rows() if row["binding"]]
        keys = ("conducting_equipment_mrid", "phase", "metric", "iteration")
        found.append((group["status"], group["headroom_kw_per_customer"], *(binding[key] for key in keys)))
    assert found[0] == found[1]
    assert found[0][0] == "bound"


def test_time_series_have_the_voltages_of_the_other_solver(street: Path) -> None:
    with frozen(street) as start:
        rng = np.random.default_rng(2)
        p, q = (rng.uniform(-6.0, 3.0, (9, start.network.injectors.name.size)) for _ in range(2))
        growth = customer_growth(
            start.network, start.network.customers.grows * 1.0, UnitInjection(p_kw=1.0, q_kvar=0.0)
        )
        limits = watched(start.network)
        both = [
            s.plan(start, growth, limits).solve_injections(p, 0.3 * q, {"nodes"})
            for s in (PowerGridModelSolver(), batched())
        ]
        assert apart(start, *both) < 2e-6


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("new line.lateral bus1=end.1 bus2=x.1 phases=1 r1=0.3 x1=0.1 length=0.1 units=km", "line lateral"),
        ("new line.skew bus1=end bus2=y rmatrix=[1|.1 1|.2 .1 1] xmatrix=[1|.1 1|.1 .1 1] length=0.01", "line skew"),
        ("new load.between bus1=mid.1.2 phases=1 kv=0.4 kw=2", "between two phases"),
        ("new load.cvr bus1=mid.1 phases=1 kv=0.23 kw=2 model=4", "another voltage law"),
        ("new capacitor.bank bus1=mid phases=3 kv=0.4 kvar=10", "capacitor.bank"),
        (
            "new transformer.floating buses=[mv other.1.2.3.4] conns=[wye wye] kvs=[22 0.4] kvas=[50 50] xhl=4",
            "floating",
        ),
    ],
)
def test_what_it_cannot_model_is_refused_by_name_with_the_way_out(street: Path, line: str, told: str) -> None:
    text = street.read_text(encoding="utf-8").replace("set voltagebases", f"{line}\nset voltagebases")
    street.write_text(text, encoding="utf-8")
    with frozen(street) as start, pytest.raises(ModelError) as caught:
        solved(PowerGridModelSolver(), start, np.zeros((1, 1), dtype=np.int32))
    assert told in str(caught.value)
    assert 'solver.plugin = "batched"' in str(caught.value)


def test_a_load_outside_its_band_is_refused_and_not_solved_by_another_law(street: Path) -> None:
    with frozen(street) as start, pytest.raises(HostcapError, match=r"outside the 0\.7 to (1\.3|2) pu"):
        solved(PowerGridModelSolver(), start, np.array([[120]], dtype=np.int32), p_kw=-1.0, q_kvar=0.0)


def test_without_the_package_it_says_how_to_install_it(street: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = r"power-grid-model is not installed; pip install 'hostcap\[power-grid-model\]'"
    with frozen(street) as start:
        monkeypatch.setattr(extras, "find_spec", lambda name: None)
        with pytest.raises(PluginError, match=line):
            plugin.POWER_GRID_MODEL.make(PowerGridModelConfig())
        with pytest.raises(PluginError, match=line):
            solved(PowerGridModelSolver(), start, np.zeros((1, 1), dtype=np.int32))
