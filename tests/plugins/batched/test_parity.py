"""The same states on the engine: voltages, currents and judgements, on the demo and on every public network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from batched.cases import all_limits, demo_config, frozen, random_levels, uniform

from hostcap.limits import NEAR_TIE
from hostcap_stock.batched.config import BatchedConfig
from hostcap_stock.batched.solver import BatchedSolver
from hostcap_stock.opendss.config import OpenDssConfig, OpenDssSolverConfig
from hostcap_stock.opendss.solver import OpenDssSolver
from hostcap_stock.opendss.source import OpenDssSource

pytest.importorskip("opendssdirect", reason="needs the OpenDSS engine")

TOLERANCE_PU = 1e-9
PUBLIC: dict[str, dict[str, Any]] = {
    "p1uhs23": {"master": "us-smartds-p1uhs23/substations/p1uhs23_1247/Master.dss", "frequency_hz": 60.0},
    "eu-lv": {"master": "eu-lv-test-feeder/Master.dss", "frequency_hz": 50.0},
    "ckt5": {"master": "epri-ckt5/Master_ckt5.dss", "frequency_hz": 60.0},
    "cre21": {
        "master": "au-cre21-mvlv/Network-CRE21/Master.txt",
        "frequency_hz": 50.0,
        "voltage_bases_kv": (66.0, 22.0, 0.400, 0.2309),
    },
    "fourwire": {"master": "au-lv-fourwire/Master.dss", "frequency_hz": 50.0},
    "csiro-j": {"master": "au-csiro-lv/J/Master.dss", "frequency_hz": 50.0},
    "csiro-n": {"master": "au-csiro-lv/N/Master.dss", "frequency_hz": 50.0},
    "csiro-p": {"master": "au-csiro-lv/P/Master.dss", "frequency_hz": 50.0},
    "8500": {"master": "ieee-8500/Master.dss", "frequency_hz": 60.0},
    "8500-unbalanced": {"master": "ieee-8500/Master-unbal.dss", "frequency_hz": 60.0},
    "ieee13": {"master": "ieee-feeders/13Bus/IEEE13Nodeckt.dss", "frequency_hz": 60.0},
    "lv28": {"master": "au-oe-lv28/Master.txt", "frequency_hz": 50.0, "voltage_bases_kv": (22.0, 0.400)},
}


def check_parity(config: dict[str, Any], initial: str, direction: str) -> None:
    """Six states on both solvers at one tolerance."""
    with frozen(config, initial) as start:
        network = start.network
        grown, limits = uniform(network, direction), all_limits(network)
        levels = random_levels(network, 6, highest=25)
        want = {"extremes", "violations", "nodes", "branches"}
        ours = BatchedSolver(config=BatchedConfig(tolerance_pu=TOLERANCE_PU)).plan(start, grown, limits)
        found: Any = ours.solve(levels, want)
        ours.close()
        engine = OpenDssSolver(config=OpenDssSolverConfig(tolerance_pu=TOLERANCE_PU)).plan(start, grown, limits)
        expected: Any = engine.solve(levels, want)
        engine.close()
    assert np.all(found.converged & expected.converged)
    live, nodes, conductors = network.nodes.live, network.nodes, network.conductors
    moved = np.abs(found.solution.node_v - expected.solution.node_v) / nodes.nominal_v
    assert np.max(moved[:, live]) <= 1e-7
    rated = conductors.watched & (conductors.normal_a > 0)
    current = np.abs(found.solution.conductor_a - expected.solution.conductor_a)[:, rated] / conductors.normal_a[rated]
    assert np.max(current, initial=0.0) <= 1e-4
    margin, theirs = found.extremes.margin, expected.extremes.margin
    assert np.array_equal(np.isinf(margin), np.isinf(theirs))
    watched = np.isfinite(theirs)
    assert np.max(np.abs(margin[watched] - theirs[watched])) <= 1e-5
    tie = np.any(np.abs(theirs) <= NEAR_TIE, axis=2)
    assert np.all((found.extremes.broken == expected.extremes.broken) | tie)
    if not np.any(tie):
        same = set(zip(found.violations.state, found.violations.row, strict=True))
        excess = expected.violations.excess > NEAR_TIE
        assert same >= set(zip(expected.violations.state[excess], expected.violations.row[excess], strict=True))


@pytest.mark.parametrize("initial", ["as-modelled", "zero-load"])
@pytest.mark.parametrize("direction", ["export", "import"])
def test_the_demo_is_solved_as_by_the_engine(initial: str, direction: str) -> None:
    check_parity(demo_config(), initial, direction)


@pytest.mark.shared
@pytest.mark.parametrize("initial", ["as-modelled", "zero-load"])
@pytest.mark.parametrize("direction", ["export", "import"])
@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_public_networks_are_solved_as_by_the_engine(networks: Path, name: str, initial: str, direction: str) -> None:
    config = PUBLIC[name]
    check_parity(config | {"master": networks / config["master"]}, initial, direction)


@pytest.mark.shared
@pytest.mark.parametrize("master", ["34Bus/ieee34Mod1.dss", "34Bus/ieee34Mod2.dss", "123Bus/IEEE123Master.dss"])
def test_feeders_without_lv_customers_linearise_to_the_engines_start(
    networks: Path, master: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They mix models 1, 2, 4 and 5, delta and wye, regulators and open switches."""
    monkeypatch.setattr("hostcap_stock.opendss.network._check_bases_fit", lambda *_: None)
    from batched.cases import start_misfit

    source = OpenDssSource(config=OpenDssConfig(master=networks / "ieee-feeders" / master, frequency_hz=60.0))
    network = source.load("feeder")
    assert start_misfit(source, network) < 1e-7
