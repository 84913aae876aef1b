"""Rows of the sweeps: each depends on rows already done alone, blocks or not, whatever the network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from hostcap_stock.batched.equations import Rows
from hostcap_stock.batched.factor import factorise
from hostcap_stock.batched.ordering import order_blocks, order_nodes
from hostcap_stock.batched.paths import amplification, paths_of


def three_phase_tree(seed: int, buses: int, charging: float) -> tuple[Any, Any]:
    """Admittance of a random network, mostly a tree of three-phase lines, and the nodes that inject."""
    random = np.random.default_rng(seed)
    y = np.zeros((3 * buses, 3 * buses), dtype=complex)
    phases = [[0, 1, 2]]
    for b in range(1, buses):
        parents = {int(random.integers(b)), *([int(random.integers(b))] if random.random() < 0.1 else [])}
        shared = [p for p in range(3) if all(p in phases[a] for a in parents)]
        own = [int(random.choice(shared))] if shared and random.random() < 0.2 else shared  # a lateral of one phase
        phases.append(own)
        for a in parents:
            z = np.full((3, 3), 0.02 + 0.05j) + np.eye(3) * (0.1 + 0.1j * random.random())
            line = np.zeros((3, 3), dtype=complex)
            line[np.ix_(own, own)] = np.linalg.inv(z[np.ix_(own, own)])
            for i, j, sign in ((a, a, 1), (b, b, 1), (a, b, -1), (b, a, -1)):
                y[3 * i : 3 * i + 3, 3 * j : 3 * j + 3] += sign * line
    y[:3, :3] += np.eye(3) * 1e3
    y += np.diag(np.where(np.abs(np.diag(y)) < 1e-9, 1.0, 0.0) + 1j * charging)
    live = np.array([3 * b + p for b in range(buses) for p in phases[b]], dtype=np.int32)
    return y, np.unique([live[-1], *live[random.random(live.size) < 0.3]]).astype(np.int32)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), buses=st.integers(2, 30), charging=st.sampled_from([0.0, 1e-9, 1e-3]))
def test_factors_of_nodes_and_of_blocks_solve_the_network_and_sweep_in_order(
    seed: int, buses: int, charging: float
) -> None:
    y, injecting = three_phase_tree(seed, buses, charging)
    rows = Rows.of(csr_array(y))
    # Single phases that hang on nothing keep their own number of neighbours; both ways are tried where there are two.
    orders = [order_nodes(rows.ptr, rows.column, injecting), order_blocks(rows.ptr, rows.column, injecting)]
    random = np.random.default_rng(seed)
    current = np.zeros(len(y), dtype=complex)
    current[injecting] = random.normal(size=injecting.size) + 1j * random.normal(size=injecting.size)
    exact = np.linalg.solve(y, current)
    for order in orders:
        if order is None:
            continue
        factor = factorise(csr_array(y), order)
        np.testing.assert_allclose(factor.solve(current), exact, rtol=0, atol=1e-9 * np.max(np.abs(exact)))
        paths = paths_of(order, factor, injecting)
        row, count = np.asarray(paths.row), paths.count
        assert np.all(np.sort(row) == np.arange(len(y)))
        for i in range(len(y)):
            below = row[factor.lower[factor.lower_ptr[i] : factor.lower_ptr[i + 1]]]
            above = row[factor.upper[factor.upper_ptr[i] : factor.upper_ptr[i + 1]]]
            if row[i] < count:
                assert np.all(below[below < count] < row[i])
                assert np.all((row[i] < above) & (above < count))
            else:
                assert np.all((above < count) | (above < row[i]))
        _assert_off_paths_move_no_further(y, factor, paths, injecting, random)


def _assert_off_paths_move_no_further(y: Any, factor: Any, paths: Any, injecting: Any, random: Any) -> None:
    most = amplification(factor, paths, np.ones(len(y)))
    by_node = np.empty(len(y), dtype=int)
    by_node[factor.node] = paths.row
    for _ in range(5):
        current = np.zeros(len(y), dtype=complex)
        current[injecting] = random.normal(size=injecting.size) + 1j * random.normal(size=injecting.size)
        moved = np.abs(np.linalg.solve(y, current))
        assert np.max(moved) <= most * np.max(moved[by_node < paths.count]) * (1 + 1e-9)


@pytest.mark.parametrize("charging", [0.0, 1e-6])
def test_a_line_without_charging_passes_on_what_it_is_given(charging: float) -> None:
    y, injecting = three_phase_tree(1, 40, 0.0)
    y += 1j * charging * np.eye(len(y))
    rows = Rows.of(csr_array(y))
    order = order_blocks(rows.ptr, rows.column, injecting)
    assert order is not None
    factor = factorise(csr_array(y), order)
    units = int(np.sum(factor.lower_value == -1.0))
    assert units > 20 if charging == 0.0 else units == 0
