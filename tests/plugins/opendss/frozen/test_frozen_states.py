"""States beyond the start: plans do not mix, growth follows its law, feeders in any order give equal bytes."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import attrs
import numpy as np
import pytest
from small_feeders import (
    BASES,
    EARLY,
    FEEDER,
    HEAD,
    LAW,
    MIXED,
    REGULATED,
    Sourced,
    consumed,
    frozen_at,
    house,
    line,
    plan_of,
    voltages,
)
from studying import Case, demo_cases, real_cases

from hostcap.errors import HostcapError
from hostcap.tables import Results
from hostcap_stock.initial_states import AsModelled, ZeroLoad

SQRT3 = math.sqrt(3.0)


def test_two_frozen_networks_live_side_by_side(source: Sourced) -> None:
    first, second = source(FEEDER), source(EARLY, frequency_hz=60.0)
    with frozen_at(first, AsModelled()) as alone:
        due_first = voltages(plan_of(alone, 2.0), [0], [4])
    with frozen_at(second, AsModelled()) as alone:
        due_second = voltages(plan_of(alone, 2.0), [0], [4])
    with frozen_at(first, AsModelled()) as one, frozen_at(second, AsModelled()) as two:
        plan_one, plan_two = plan_of(one, 2.0), plan_of(two, 2.0)
        got = [(voltages(plan_one, [n]), voltages(plan_two, [n])) for n in (0, 4)]
    assert np.array_equal(np.concatenate([a for a, _ in got]), due_first)
    assert np.array_equal(np.concatenate([b for _, b in got]), due_second)


@pytest.mark.parametrize("body", [FEEDER, REGULATED, MIXED], ids=["plain", "regulated", "mixed"])
def test_a_state_does_not_depend_on_what_was_solved_before(source: Sourced, body: str) -> None:
    made = source(body)
    with frozen_at(made, AsModelled()) as frozen:
        plan = plan_of(frozen, 3.0, -1.0)
        alone = {n: voltages(plan, [n]) for n in (7, 0, 3)}
        rng = np.random.default_rng(1)
        for n in rng.choice([0, 3, 7, 20, 2000], size=30):
            states = plan.solve(np.asarray([[n]], dtype=np.int32), want={"nodes"})
            if n in alone:
                assert states.solution is not None
                assert np.array_equal(states.solution.node_v, alone[n])
        batch = voltages(plan, [3], [7], [0], [3])
        assert np.array_equal(batch, np.concatenate([alone[n] for n in (3, 7, 0, 3)]))
    with frozen_at(made, AsModelled()) as again:
        assert np.array_equal(voltages(plan_of(again, 3.0, -1.0), [7]), alone[7])


def test_a_diverged_state_gives_no_voltages_and_leaves_no_trace(source: Sourced) -> None:
    with frozen_at(source(FEEDER), AsModelled()) as frozen:
        plan = plan_of(frozen, -1.0)
        due = voltages(plan, [2])
        states = plan.solve(np.asarray([[10**7], [2]], dtype=np.int32), want={"nodes", "extremes", "branches"})
        assert states.solution is not None
        assert states.extremes is not None
        if not states.converged[0]:
            assert np.isnan(states.solution.node_v[0]).all()
            assert np.isnan(states.solution.conductor_a[0]).all()
            assert not states.extremes.broken[0].any()
        assert np.array_equal(states.solution.node_v[1], due[0])


def test_a_closed_plan_leaves_the_frozen_network_as_it_was(source: Sourced) -> None:
    with frozen_at(source(FEEDER), AsModelled()) as frozen:
        plan = plan_of(frozen, 2.0)
        due = voltages(plan, [0], [5])
        plan.close()
        again = plan_of(frozen, 2.0)
        assert np.allclose(voltages(again, [0], [5]), due, rtol=0, atol=1e-6)
        assert np.allclose(frozen.start.node_v, due[:1], atol=1e-3)
        again.close()
        other = plan_of(frozen, -2.0)
        assert np.abs(voltages(other, [5])).min() < np.abs(due[0]).min()


def test_two_open_plans_of_one_network_do_not_mix(source: Sourced) -> None:
    with frozen_at(source(FEEDER), AsModelled()) as frozen:
        up = plan_of(frozen, 2.0)
        due = voltages(up, [5])
        up.close()
        up, down = plan_of(frozen, 2.0), plan_of(frozen, -2.0)
        voltages(down, [5])
        voltages(down, [0])
        assert np.allclose(voltages(up, [5]), due, atol=1e-6)


def test_a_closed_network_says_so(source: Sourced) -> None:
    frozen = frozen_at(source(FEEDER), AsModelled())
    plan = plan_of(frozen)
    frozen.close()
    frozen.close()
    with pytest.raises(HostcapError, match="freeze the network again"):
        plan.solve(np.asarray([[1]], dtype=np.int32), want={"nodes"})


STIFF = "clear\nnew circuit.c basekv=.4 pu={pu} bus1=src mvasc3=1e6 mvasc1=1e6\n"
LOW = "set voltagebases=[.4]\ncalcvoltagebases\n"


@pytest.mark.parametrize("pu", [0.35, 0.45, 0.55, 0.65, 0.69, 0.71, 0.9, 1.1, 1.5, 1.99, 2.05, 2.3])
@pytest.mark.parametrize("kind", ["one phase", "three phases", "between phases"])
def test_growth_is_constant_power_from_0_7_to_2_and_the_engines_rule_outside(
    source: Sourced, pu: float, kind: str
) -> None:
    connection, rated_v = {
        "one phase": ("src.1 phases=1 kv=.230940108", 400 / SQRT3),
        "three phases": ("src phases=3 kv=.4", 400 / SQRT3),
        "between phases": ("src.1.2 phases=1 conn=delta kv=.4", 400.0),
    }[kind]
    body = line("stub", "src", "end") + f"new load.d bus1={connection} kw=0 kvar=0 {LAW}\n"
    head = STIFF.format(pu=pu)
    with frozen_at(source(body, LOW, head), ZeroLoad()) as frozen:
        v = voltages(plan_of(frozen, 6.0, -2.0, 1e-10), [1])[0]
        seen = abs(v[0] - v[1]) if kind == "between phases" else abs(v[0])
        u = seen / rated_v
        assert u == pytest.approx(pu, rel=1e-3)
        if u > 2.0:
            factor = (u / 2.0) ** 2
        elif u > 0.7:
            factor = 1.0
        elif u > 0.5:  # the current falls on a line from 1/0.7 at 0.7 to 0.5 at 0.5
            factor = u * (0.5 + (1 / 0.7 - 0.5) * (u - 0.5) / 0.2)
        else:
            factor = u**2
        # -2 kvar into the network is +2 consumed
        assert consumed(frozen.engine().dss, "src") == pytest.approx(-(6 - 2j) * factor, rel=2e-4)


def test_a_feeder_of_one_bus_is_no_crash(source: Sourced) -> None:
    """A source with a load and nothing between: the engine has no branch currents to give."""
    with frozen_at(source(house("d", "src.1"), LOW, STIFF.format(pu=1.0)), AsModelled()) as frozen:
        assert np.abs(frozen.start.node_v[0]) == pytest.approx([400 / SQRT3] * 3, rel=1e-3)


@pytest.mark.parametrize("kw", [-18.0, -9.0, 9.0, 18.0])
@pytest.mark.parametrize("kvar", [-6.0, 0.0, 6.0])
def test_a_solved_state_is_the_closed_form_of_two_buses(source: Sourced, kw: float, kvar: float) -> None:
    """|V2|^4 + (2 (R P + X Q) - |V1|^2) |V2|^2 + |Z|^2 |S|^2 = 0, with P and Q consumed at bus 2."""
    r, x = 0.2, 0.15
    body = (
        f"new line.l bus1=src.1 bus2=b.1 phases=1 rmatrix=[{r}] xmatrix=[{x}] cmatrix=[0] length=1\n"
        f"new load.d bus1=b.1 phases=1 kv=.23 kw=1 kvar=0 {LAW}\n"
    )
    with frozen_at(source(body, LOW, STIFF.format(pu=1.0)), ZeroLoad()) as frozen:
        v = dict(
            zip(
                frozen.network.node_names(range(frozen.network.nodes.bus.size)),
                voltages(plan_of(frozen, kw, kvar, 1e-12), [1])[0],
                strict=True,
            )
        )
    p, q = -kw * 1000 / 1, -kvar * 1000 / 1  # growth injects
    v1, v2 = abs(v["src.1"]), abs(v["b.1"])
    half = v1**2 / 2 - (r * p + x * q)
    due = math.sqrt(half + math.sqrt(half**2 - (r**2 + x**2) * (p**2 + q**2)))
    assert v2 == pytest.approx(due, rel=1e-8)
    turn = v["b.1"] / v["src.1"]
    drop = complex(p, q).conjugate() / v["b.1"].conjugate() * complex(r, x)
    assert v["src.1"] - v["b.1"] == pytest.approx(drop, rel=1e-6)
    assert abs(turn) == pytest.approx(due / v1, rel=1e-8)


def test_growth_of_joined_elements_is_even_over_all_their_phases(source: Sourced, tmp_path: Path) -> None:
    rows = tmp_path / "c.csv"
    rows.write_text("customer,element\nfarm,d\nfarm,f\n", encoding="utf-8")
    with frozen_at(source(FEEDER, customers=rows), ZeroLoad()) as frozen:
        voltages(plan_of(frozen, 4.0), [2])
        assert consumed(frozen.engine().dss, "b") == pytest.approx(-2, abs=1e-4)
        assert consumed(frozen.engine().dss, "c") == pytest.approx(-6 - 8, abs=1e-4)


SMALL_50 = EARLY
SMALL_60 = REGULATED


def content(results: Results) -> dict[str, str]:
    """All tables as text that gives every bit of every number, metadata included."""
    return {
        name: results[name].to_pandas().to_csv(index=False) + json.dumps(dict(results[name].metadata), sort_keys=True)
        for name in results.names
    }


def small_cases(folder: Path, demo_folder: Path) -> dict[str, Case]:
    made = {}
    for name, body, hertz in (("early", SMALL_50, 50.0), ("regulated", SMALL_60, 60.0)):
        master = folder / f"{name}.dss"
        master.write_text(HEAD + body + BASES, encoding="utf-8")
        made[name] = Case(
            master=master,
            frequency_hz=hertz,
            initial="as-modelled",
            direction="export",
            step_kw=0.5,
            max_steps=60,
            lv=(0.9, 1.05),
            lv_unit="pu",
            hv=(0.8, 1.2),
        )
    return {**made, "demo": attrs.evolve(demo_cases(demo_folder)["export"], max_steps=40)}


def test_feeders_in_any_order_in_one_process_give_equal_bytes(tmp_path: Path, demo_folder: Path) -> None:
    cases = small_cases(tmp_path, demo_folder)
    answers: list[dict[str, dict[str, str]]] = [
        {name: content(cases[name].run()) for name in order} for order in itertools.permutations(cases)
    ]
    for answer in answers[1:]:
        assert answer == answers[0]


def test_the_same_study_twice_gives_equal_bytes(tmp_path: Path, demo_folder: Path) -> None:
    for case in small_cases(tmp_path, demo_folder).values():
        assert content(case.run()) == content(case.run())


@pytest.mark.shared
def test_real_feeders_in_two_orders_give_equal_bytes(networks: Path) -> None:
    cases = real_cases(networks)
    chosen = {
        "eu-lv-export": attrs.evolve(cases["eu-lv-export"], max_steps=6),
        "p1uhs23-import": attrs.evolve(cases["p1uhs23-import"], max_steps=12),
        "csiro-n-import": attrs.evolve(cases["csiro-n-import"], max_steps=12),
    }
    forward = {name: content(case.run()) for name, case in chosen.items()}
    backward = {name: content(case.run()) for name, case in reversed(chosen.items())}
    assert forward == backward
