"""The example's plugins keep every rule that hostcap's own keep; unbalance is checked by hand."""

import cmath

import numpy as np
import pytest
from hostcap_example.parts import VoltageUnbalance

from hostcap.solution import Solution
from hostcap.testing import AllocationSuite, Case, ConstraintSuite, SmallNetwork, WriterSuite


class TestVoltageUnbalance(ConstraintSuite):
    @pytest.fixture
    def case(self):
        return Case(
            module="hostcap_example",
            kind="constraint",
            name="voltage-unbalance",
            settings={"max_percent": 1.5},
            wrong=[{"max_percent": 0.0}, {"max_percent": "two"}],
        )


class TestNeutralCurrent(ConstraintSuite):
    @pytest.fixture
    def case(self):
        return Case(module="hostcap_example", kind="constraint", name="neutral-current", wrong=[{"max_a": -1.0}])


class TestByPhases(AllocationSuite):
    @pytest.fixture
    def case(self):
        return Case(module="hostcap_example", kind="allocation", name="by-phases", wrong=[{"one_phase_weight": 1.5}])


class TestOneFile(WriterSuite):
    @pytest.fixture
    def case(self):
        return Case(module="hostcap_example", kind="writer", name="one-file", wrong=[{"ending": 3}])


def test_unbalance_by_hand():
    """Phases 230, 230 and 207 V, 120 degrees apart: V1 = (230 + 230 + 207) / 3, V2 = |230 - 230 / 2 - 207 / 2| / 3
    with the imaginary parts sqrt(3) / 2 (230 - 207) / 3: |V2| = 23 / 3, so that V2 / V1 = 23 / 667."""
    network = SmallNetwork().group("t").bus("b", 0.4, group=1).load("l", "b", (1, 2, 3)).customer("l").build()
    turned = [230.0, cmath.rect(230.0, -2 * cmath.pi / 3), cmath.rect(207.0, 2 * cmath.pi / 3)]
    state = Solution(node_v=[turned], conductor_a=np.empty((1, 0)), converged=[True], iterations=[1])
    (limit,) = VoltageUnbalance().limits(network)
    assert limit.evaluate(state, None)[0, 0] == pytest.approx(100.0 * 23.0 / 667.0, rel=1e-12)
