# pyright: reportUnnecessaryTypeIgnoreComment=true
"""What a Python user must not write: both type checkers refuse each line that says so. Checked, never run.

An ``ignore`` that ignores nothing is an error for both, so a check that is lost is noticed.
"""

from __future__ import annotations

from hostcap.network import Network
from hostcap_stock.allocations import Uniform
from hostcap_stock.constraints.config import VoltageConfig
from hostcap_stock.constraints.voltage import Voltage
from hostcap_stock.headroom import HVNodeHeadroom, LVHeadroom
from hostcap_stock.opendss.config import OpenDssConfig


class NoLimits:
    """A constraint without its method."""


class CountsLimits:
    """A constraint whose method answers something else."""

    def limits(self, network: Network) -> int:
        """A number."""
        return network.nodes.live.size


voltage = Voltage(config=VoltageConfig(lv_max_v=253.0))
LVHeadroom(constraints=[NoLimits()])  # type: ignore[list-item]
LVHeadroom(constraints=[CountsLimits()])  # type: ignore[list-item]
LVHeadroom()  # type: ignore[call-arg]
LVHeadroom(constraints=[voltage], solver=Uniform())  # type: ignore[arg-type]
LVHeadroom(constraints=[voltage], max_steps="many")  # type: ignore[arg-type]
LVHeadroom(constraints=[voltage], max_step=5)  # type: ignore[call-arg]
LVHeadroom(constraints=[voltage]).run("feeder")  # type: ignore[arg-type]
OpenDssConfig(master="Master.dss", frequency_hz=50.0)  # type: ignore[arg-type]
HVNodeHeadroom(constraints=[voltage], allocation=Uniform())  # type: ignore[call-arg]
HVNodeHeadroom(constraints=[voltage], location_kinds=("pole",))  # type: ignore[arg-type]
