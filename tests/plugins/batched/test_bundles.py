"""A bundle's bound is never below a current of it, at any voltages; what it skips changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from batched.cases import all_limits, demo_config, frozen, uniform
from hypothesis import given, settings
from hypothesis import strategies as st

from hostcap_stock.batched.config import BatchedConfig
from hostcap_stock.batched.solver import BatchedPlan


@pytest.fixture(scope="module")
def checks() -> Any:
    with frozen(demo_config(), "as-modelled") as start:
        network = start.network
        made = BatchedPlan(
            start.linear(), uniform(network, "export"), all_limits(network), BatchedConfig(threads=1), start.start
        )
        layout = made.growing.layout
        yield layout.checks, layout.iteration.rows


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), volts=st.sampled_from([0.0, 1e-3, 1.0, 50.0, 400.0]))
def test_no_current_exceeds_the_bound_of_its_bundle(checks: Any, seed: int, volts: float) -> None:
    made, rows = checks
    bundles, forms = made.bundles, made.forms
    random = np.random.default_rng(seed)
    moved = volts * (random.normal(size=rows) + 1j * random.normal(size=rows))
    value = forms.fixed.view(np.complex128).copy()
    for c in range(value.size):
        entry = slice(forms.ptr[c], forms.ptr[c + 1])
        value[c] += forms.value.view(np.complex128)[entry] @ moved[forms.column[entry]]
    bounded = np.flatnonzero(np.isfinite(bundles.bound[::3]))
    assert bounded.size > 50
    for q in bounded:
        pairs = slice(bundles.pair_ptr[q], bundles.pair_ptr[q + 1])
        a, b = bundles.pair_a[pairs], bundles.pair_b[pairs]
        across = moved[a] - moved[b] + bundles.across.view(np.complex128)[pairs]
        rest, of_across, of_moved = bundles.bound[3 * q : 3 * q + 3]
        bound = rest + of_across * np.sum(np.abs(across) ** 2) + of_moved * np.sum(np.abs(moved[a]) ** 2)
        own = slice(bundles.ptr[q], bundles.ptr[q + 1])
        assert np.all((np.abs(value[own]) / bundles.limit[own]) ** 2 <= bound)


def test_every_check_is_in_one_run_or_one_bundle(checks: Any) -> None:
    made, _ = checks
    single = made.singles.check[made.singles.check >= 0]
    everything = np.concatenate([single, made.bundles.check])
    assert np.unique(everything).size == everything.size
