"""The same feeder by two engines that share nothing: equal voltages, levels, statuses and binding violations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pp = pytest.importorskip("pandapower", reason="pandapower is not installed: pip install 'hostcap[pandapower]'")

from pandapower_nets import pair  # noqa: E402
from pandapower_nets.nets import growing, tight  # noqa: E402

from hostcap import WorkPackage, run  # noqa: E402
from hostcap.config import structure_study  # noqa: E402
from hostcap.operating_point import FeederScope  # noqa: E402
from hostcap.plugins import default_registry  # noqa: E402
from hostcap.testing import watched  # noqa: E402
from hostcap_stock.batched.config import BatchedConfig  # noqa: E402
from hostcap_stock.batched.solver import BatchedSolver  # noqa: E402
from hostcap_stock.initial_states import AsModelled, ZeroLoad  # noqa: E402
from hostcap_stock.opendss.config import OpenDssConfig  # noqa: E402
from hostcap_stock.opendss.source import OpenDssSource  # noqa: E402
from hostcap_stock.pandapower.config import PandapowerConfig  # noqa: E402
from hostcap_stock.pandapower.source import PandapowerSource  # noqa: E402

SCOPE = FeederScope(feeder="pair", year=2025)
EXACT = BatchedSolver(config=BatchedConfig(tolerance_pu=1e-10, threads=1))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both forms of the feeder."""
    folder = tmp_path_factory.mktemp("pair")
    (folder / "pair.dss").write_text(pair.opendss())
    pp.to_json(pair.net(), str(folder / "pair.json"))
    return folder


def starts(files: Path, state: Any) -> Any:
    for source in (
        OpenDssSource(config=OpenDssConfig(master=files / "pair.dss", frequency_hz=50.0)),
        PandapowerSource(config=PandapowerConfig(file=files / "pair.json")),
    ):
        network = source.load("pair")
        yield source.freeze(network, state.operating_point(network, SCOPE))


def volts(start: Any, node_v: Any) -> dict[tuple[str, int], float]:
    network = start.network
    pu = np.abs(node_v) / network.nodes.nominal_v
    return {
        (str(network.buses.name[bus]), int(number)): float(value)
        for bus, number, value in zip(network.nodes.bus, network.nodes.number, pu, strict=True)
    }


@pytest.mark.parametrize("state", [AsModelled(), ZeroLoad()], ids=lambda s: s.name)
def test_both_engines_give_the_same_voltages(files: Path, state: Any) -> None:
    """To 1e-5 pu at every phase of every bus, at the start and at levels that differ between transformers."""
    found = []
    for start, solver in zip(starts(files, state), (EXACT, tight()), strict=True):
        with start:
            order = np.argsort(start.network.groups.id)
            levels = np.zeros((3, order.size), dtype=np.int32)
            levels[1:, order] = [np.arange(order.size) * 3, np.arange(order.size)[::-1] * 4]
            plan = solver.plan(start, growing(start, step=0.4), watched(start.network))
            states = plan.solve(levels, {"nodes"})
            assert states.converged.all()
            found.append([volts(start, v) for v in (start.start.node_v[0], *states.solution.node_v)])
            plan.close()
    for ours, theirs in zip(*found, strict=True):
        assert set(ours) < set(theirs), "pandapower has one bus more, behind the source's impedance"
        assert max(abs(ours[key] - theirs[key]) for key in ours) < 1e-5


CASES = [
    ("export", 1.0, 0.1, {"lv_min_v": 216.0, "lv_max_v": 253.0, "hv_min_pu": 0.94, "hv_max_pu": 1.06}),
    ("import", 0.95, 0.2, {"lv_min_v": 216.0, "lv_max_v": 253.0}),
]


@pytest.mark.parametrize(
    ("by", "direction", "power_factor", "step", "limits"),
    [("batched", *case) for case in CASES] + [pytest.param("pandapower", *CASES[0], marks=pytest.mark.slow)],
    ids=["batched-export", "batched-import", "pandapower-export"],
)
def test_whole_studies_have_equal_levels_statuses_and_binding_violations(
    files: Path, by: str, direction: str, power_factor: float, step: float, limits: Any
) -> None:
    answers = []
    for network, solver in (
        ({"plugin": "opendss", "master": "pair.dss", "frequency_hz": 50}, "batched"),
        ({"plugin": "pandapower", "file": "pair.json"}, by),
    ):
        data = {
            "name": "pair",
            "scope": {"feeders": ["pair"], "year": 2025},
            "network": network,
            "study": {"plugin": "lv-headroom", "step_kw_per_customer": step, "max_steps": 150},
            "initial_state": {"plugin": "zero-load"},
            "injection": {"direction": direction, "power_factor": power_factor},
            "constraints": [{"plugin": "voltage", **limits}, {"plugin": "thermal"}],
            "solver": {"plugin": solver},
        }
        results = run(WorkPackage(document=structure_study(data, files, default_registry())))
        assert not results.failed
        groups = {
            row["capacity_group_head_id"]: tuple(row[key] for key in ("status", "headroom_kw_per_customer"))
            for row in results["lv_group_hosting_capacity"].rows()
        }
        keys = (
            "conducting_equipment_type", "conducting_equipment_mrid", "terminal_sequence_number", "phase", "metric",
            "iteration",
        )  # fmt: skip
        bound = sorted(
            tuple(row[key] for key in keys) for row in results["constraint_violations"].rows() if row["binding"]
        )
        answers.append((groups, bound))
    assert len({group[0] for group in answers[0][0].values()}) > 1 or len(answers[0][1]) > 3
    assert answers[0] == answers[1]
