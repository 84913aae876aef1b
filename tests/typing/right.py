"""What a Python user writes: both type checkers accept it, and say these types. Checked, never run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import assert_type

import numpy as np
import pandas as pd

from hostcap import Results, Table, WorkPackage, run
from hostcap.growth import Direction
from hostcap.limit_rows import node_rows
from hostcap.limits import Limits, LinearLimits
from hostcap.network import Network
from hostcap.plugins.kinds import Allocation, Constraint, InitialState, Injection, NetworkSource, Preview
from hostcap.power_flow import FrozenNetwork, Solver
from hostcap_stock.allocations import Uniform
from hostcap_stock.batched.config import BatchedConfig
from hostcap_stock.batched.solver import BatchedSolver
from hostcap_stock.constraints.config import VoltageConfig
from hostcap_stock.constraints.voltage import Voltage
from hostcap_stock.headroom import HVNodeHeadroom, LVHeadroom
from hostcap_stock.initial_states import ZeroLoad
from hostcap_stock.injections import NegativeLoad, NegativeLoadConfig
from hostcap_stock.opendss.config import OpenDssConfig
from hostcap_stock.opendss.solver import OpenDssSolver
from hostcap_stock.opendss.source import OpenDssSource


class AllBuses:
    """A constraint of the user's own: nobody registers it."""

    def limits(self, network: Network) -> Sequence[Limits]:
        """One row a node."""
        return [node_rows(network, np.flatnonzero(network.nodes.live), upper=260.0)]


class Halves:
    """An allocation of the user's own."""

    scaled = False

    def weights(self, frozen: FrozenNetwork) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        """A half for everyone."""
        return np.full(frozen.network.customers.id.size, 0.5)


source = OpenDssSource(config=OpenDssConfig(master=Path("Master.dss"), frequency_hz=50.0))
network = source.load("feeder")
study = LVHeadroom(
    constraints=[Voltage(config=VoltageConfig(lv_max_v=253.0)), AllBuses()],
    initial_state=ZeroLoad(),
    injection=NegativeLoad(config=NegativeLoadConfig(direction=Direction.IMPORT)),
    allocation=Halves(),
    solver=BatchedSolver(config=BatchedConfig(threads=1)),
    step_kw_per_customer=0.1,
    max_steps=100,
)
results = study.run(network, year=2030, progress=lambda stage, done, total: None, should_stop=lambda: False)
assert_type(network, Network)
assert_type(results, Results)
assert_type(results["findings"], Table)
assert_type(results.to_pandas("findings"), pd.DataFrame)
assert_type(study.check(network), Preview)
assert_type(node_rows(network, [0]), LinearLimits)
assert_type(run(WorkPackage.read("study.toml")), Results)

locations = HVNodeHeadroom(constraints=[AllBuses()], step_kw_per_node=50.0, location_kinds=("line-tee",))
assert_type(locations.run(network), Results)

a_source: NetworkSource = source
a_constraint: Constraint = AllBuses()
an_allocation: Allocation = Uniform()
an_initial_state: InitialState = ZeroLoad()
an_injection: Injection = NegativeLoad()
a_solver: Solver = OpenDssSolver()
