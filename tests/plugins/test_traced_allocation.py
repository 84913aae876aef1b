"""Allocation ``traced``: shares of a group's transformer and of a named asset, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hostcap.errors import ModelError
from hostcap.operating_point import FeederScope
from hostcap.power_flow import Settling
from hostcap_stock.allocations import Traced, TracedConfig
from hostcap_stock.initial_states import AsModelled
from hostcap_stock.opendss.config import OpenDssConfig
from hostcap_stock.opendss.source import OpenDssSource

# Without impedance worth the name: two groups. In the first, PV of 6 kW at the bus of `near` (2 kW) and, behind a line,
# `far` (8 kW): the transformer brings 4 kW to the bus of `near`. In the second one customer of 5 kW.
TWO_GROUPS = """
clear
new circuit.c basekv=11 phases=3 bus1=grid mvasc3=50000 mvasc1=50000
new transformer.t1 phases=3 buses=[grid a] conns=[delta wye] kvs=[11 0.4] kvas=[9000 9000] xhl=0.1 %loadloss=0.001
new transformer.t2 phases=3 buses=[grid z] conns=[delta wye] kvs=[11 0.4] kvas=[9000 9000] xhl=0.1 %loadloss=0.001
new linecode.k nphases=3 r1=1e-5 x1=1e-5 r0=1e-5 x0=1e-5 c1=0 c0=0 units=km normamps=100
new line.l phases=3 bus1=a bus2=b linecode=k length=0.001 units=km
new load.near bus1=a phases=3 kv=0.4 kw=2 kvar=0
new load.far bus1=b phases=3 kv=0.4 kw=8 kvar=0
new generator.pv bus1=a phases=3 kv=0.4 kw=6 kvar=0 model=1
new load.else bus1=z phases=3 kv=0.4 kw=5 kvar=0
set voltagebases=[11 0.4]
calcvoltagebases
solve
"""


@pytest.fixture
def frozen(tmp_path: Path) -> Any:
    path = tmp_path / "Master.dss"
    path.write_text(TWO_GROUPS)
    source = OpenDssSource(config=OpenDssConfig(master=path, frequency_hz=50.0))
    network = source.load("f")
    point = AsModelled().operating_point(network, FeederScope(feeder="f", year=2025), None)
    with source.freeze(network, point, Settling()) as start:
        yield start


def weights(frozen: Any, **settings: Any) -> dict[str, float]:
    allocation = Traced(config=TracedConfig(**settings))
    return dict(zip(frozen.network.customers.id.tolist(), allocation.weights(frozen).tolist(), strict=True))


def test_shares_of_the_head_transformers_by_hand(frozen: Any) -> None:
    """10 kW leave bus a: 4 from the transformer, 6 from the PV. Of the 4, near has 2/10, far 8/10: weights 0.25, 1."""
    kw = Traced().traced_kw(frozen)
    by_name = dict(zip(frozen.network.customers.id.tolist(), kw.tolist(), strict=True))
    assert by_name == {
        "near": pytest.approx(0.8, rel=2e-3),
        "far": pytest.approx(3.2, rel=2e-3),
        "else": pytest.approx(5.0, rel=2e-3),
    }
    assert weights(frozen) == {"near": pytest.approx(0.25, rel=1e-3), "far": 1.0, "else": 1.0}
    assert weights(frozen, scope="feeder-wide") == {
        "near": pytest.approx(0.16, rel=3e-3),
        "far": pytest.approx(0.64, rel=3e-3),
        "else": 1.0,
    }


def test_shares_of_a_named_asset_are_of_those_behind_it_alone(frozen: Any) -> None:
    assert weights(frozen, asset="l") == {"near": 0.0, "far": 1.0, "else": 0.0}
    assert weights(frozen, asset="t2", scope="feeder-wide") == {"near": 0.0, "far": 0.0, "else": 1.0}
    assert weights(frozen, asset="l", basis="export") == {"near": 1.0, "far": 0.0, "else": 0.0}, "the PV is near's"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"asset": "t3"}, "no line or transformer 't3'; there are: "),
        ({"basis": "export"}, "no customer that grows supplies anything through the transformer of its group"),
        ({"asset": "t2", "basis": "export"}, "supplies anything through asset 't2'"),
    ],
)
def test_what_cannot_be_is_one_line(frozen: Any, settings: Any, told: str) -> None:
    with pytest.raises(ModelError) as caught:
        weights(frozen, **settings)
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_on_the_demo_feeder_everybody_behind_a_transformer_has_a_share(demo_folder: Path) -> None:
    source = OpenDssSource(config=OpenDssConfig(master=demo_folder / "feeder" / "Master.dss", frequency_hz=50.0))
    network = source.load("f")
    point = AsModelled().operating_point(network, FeederScope(feeder="f", year=2025), None)
    with source.freeze(network, point, Settling()) as start:
        kw = Traced().traced_kw(start)
    drawn = np.maximum(point.customer_kw(network), 0.0)
    assert kw.sum() == pytest.approx(drawn.sum(), rel=0.5)
    assert ((kw > 0) == (drawn > 0))[network.customers.grows].mean() > 0.8
