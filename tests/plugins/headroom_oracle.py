"""Independent oracle: the LV lock-out search of headroom-method.md (sections 1-5), linear stepping in bare OpenDSS.

``oracle(master, **study)`` takes the keywords of all functions below. Values: LV in V (pu limits too), HV in pu, A.
Each state starts from the start's voltages at the engine's tolerance; at ``tolerance_pu=1e-9`` no start matters.
"""

import json
import math
import sys

import numpy as np
import opendssdirect


def join(sets, *links):
    """Unite the items of each link (0 is ground and joins nothing) and name the set of the last."""
    for link in links:
        name = None
        for x in filter(None, link):
            while sets.setdefault(x, x) != x:
                sets[x] = x = sets[sets[x]]
            sets[x] = name = x if name is None else name
    return name


def load(master, *, frequency_hz, initial, voltage_bases_kv=None, load_kw=0.0, load_kvar=0.0, commands=()):
    """Load the model, set the operating point, solve once with controls acting, freeze (section 2)."""
    d, (p, q) = opendssdirect.NewContext(), (load_kw, load_kvar) if initial == "fixed-load" else (0, 0)
    d.Basic.AllowChangeDir(False)
    bases = [f"set voltagebases={list(voltage_bases_kv)}", "calcvoltagebases"] if voltage_bases_kv else []
    d.Commands(["clear", f"set defaultbasefrequency={frequency_hz}", f'compile "{master}"', *bases, *commands])
    if initial != "as-modelled":
        off = [f"batchedit {cls}..* enabled=no" for cls in ("generator", "pvsystem", "storage")]
        d.Commands([*off, f"batchedit load..* kw={p} kvar={q} status=fixed"])
    d.Commands(["set maxiterations=100 maxcontroliter=200", "solve mode=snapshot", "set controlmode=off"])
    assert d.Solution.Converged(), "the start does not converge"
    return d


def watch(master, *, lv, hv, lv_unit="v", thermal_percent=100.0, rating_basis="normal", **start):
    """Nominal volts of live nodes, group of each LV bus, what is watched, how and to which limits (sections 1, 3)."""
    d, sets, heads, rows, share = load(master, **start), {}, {}, [], (thermal_percent or 0) / 100
    ckt, c, pd, at = d.Circuit, d.CktElement, d.PDElements, d.Circuit.NumNodes() + 1
    nominal = {b: 1000 * d.Bus.kVBase() for b in ckt.AllBusNames() if ckt.SetActiveBus(b) >= 0}
    lv_buses = {b for b, volts in nominal.items() if volts * math.sqrt(3) < 1000}
    for full, terms, conds in zip(pd.AllNames(), pd.AllNumTerminals(), pd.AllNumConductors(), strict=True):
        (cls, name), first, at = full.split(".", 1), at, at + terms * conds
        if ckt.SetActiveElement(full) < 0 or not c.Enabled():
            continue
        # Of others, such as capacitors, the engine writes memory that it never set, which may be no JSON.
        e = json.loads(d.Element.ToJSON(1)) if cls in ("Line", "Transformer") else {}
        buses = [b.split(".")[0].lower() for b in c.BusNames()]
        refs, order = np.reshape([c.NodeRef(), c.NodeOrder()], (2, terms, conds)).tolist()
        low, coil, links, amps = [b for b in buses if b in lv_buses], cls == "Transformer" and conds == 2, [], []
        if cls == "Transformer":  # a wye coil ends at the last conductor, a delta coil at the next phase
            ring, heads[name] = [conn == "delta" and not coil for conn in e["Conn"]], low if len(low) < terms else []
            for k in range(conds - 1):
                links.append([row[j] for w, row in enumerate(refs) for j in (k, (k + 1) % 3 if ring[w] else conds - 1)])
            halves = coil and terms == 3 and buses[1] == buses[2] in lv_buses and len({*order[1]} & {*order[2]}) == 1
            kva = [e["kVA"][0] / 2 if halves and w else x for w, x in enumerate(e["kVA"])]
            amps = [x / e["kV"][w] * (1, math.sqrt(3) / 2, 1 / math.sqrt(3))[conds - 2] for w, x in enumerate(kva)]
            amps = [x * share * (1 if rating_basis == "normal" else c.EmergAmps() / amps[0]) for x in amps]
        elif cls in ("Line", "Reactor", "Capacitor"):
            links = [(refs[0][k], refs[-1][k]) for k in range(conds) if not (c.IsOpen(1, k + 1) or c.IsOpen(2, k + 1))]
        if cls == "Line":  # rated if its code, or without a code the line itself, states amps
            ckt.SetActiveClass("LineCode" if e["LineCode"] else "Line")
            d.ActiveClass.Name(e["LineCode"] or name)
            stated, normal, most = json.loads(d.Element.ToJSON()), e["NormAmps"], e["EmergAmps"]
            amp = normal if rating_basis == "normal" else most if "EmergAmps" in stated or most != 600 else 1.5 * normal
            amps = [share * amp * (normal > 0 and ("NormAmps" in stated or normal != 400))] * 2
        join(sets, *links, low if links else [])
        for t, k in np.ndindex(len(amps), conds):
            place = (name, t + 1, "".join("ABC"[n - 1 : n] for n in (sorted(order[t]) if coil else [order[t][k]])))
            rows.append((refs[t][k], (low or buses)[0], place, None, amps[t] or None, first + t * conds + k, 0, 1))
    sources = [r for s in d.Vsources.AllNames() if ckt.SetActiveElement(f"Vsource.{s}") >= 0 for r in c.NodeRef()]
    join(sets, ["source", *sources])
    where = {tuple(node.lower().rsplit(".", 1)): r for r, node in enumerate(ckt.YNodeOrder(), 1)}
    live = {r: nominal[bus] for (bus, _), r in where.items() if join(sets, [r]) == join(sets, ["source"])}
    for (bus, k), r in where.items():
        is_lv, volts, four = bus in lv_buses, nominal[bus], where.get((bus, "4"))
        limits = [x and x * volts for x in lv] if is_lv and lv_unit == "pu" else lv if is_lv else hv
        how = (r, four if four in live else 0, 1) if is_lv else (r, 0, 1 / volts)
        rows.append((r, bus, (bus, 0, "ABC"[int(k) - 1 : int(k)]), *limits, *how))
    fed = {n: join(sets, low) for n, low in sorted(heads.items()) if low}
    group = {b: "+".join(n for n in fed if fed[n] == join(sets, [b])) or "source" for b in lv_buses}
    return d, live, group, [(group.get(row[1]), *row[2:]) for row in rows if row[0] in live and row[2][2]]


def lv_sets(rows):
    """Places of the LV voltage rows of each group: a percentile is taken over them (section 3)."""
    owned = sorted((row[0], row[1], i) for i, row in enumerate(rows) if row[0] and not row[1][1])
    return [np.array([i for owner, _, i in owned if owner == group]) for group in sorted({own[0] for own in owned})]


def only_percentiles(over, under, share_of_high, share_of_low, sets, percentile):
    """Forget all but the percentile of each set against the upper limits, and 100 less it against the lower ones."""
    for excess, share, rank in ((over, share_of_high, percentile), (under, share_of_low, 100 - percentile)):
        for places in sets:
            at = np.sort(share[places])[max(1, -(-rank * places.size // 100)) - 1]
            excess[places[places != places[np.argmax(np.abs(share[places] - at) <= 1e-9 * at)]]] = np.nan


def solver(d, live, rows, *, tolerance_pu, max_iterations, lv_percentile=None, sets=()):
    """Solver of one state from the start: kW and kvar by load number to worst violation by owner; None: diverged."""
    loads = d.Loads
    d.Commands(["solve", "set maxiterations=1"])
    v = np.frombuffer(d.dss_ffi.buffer(d.YMatrix.VVector(), 16 * d.Circuit.NumNodes() + 16), complex)
    start, alive, nominal = v.copy(), np.array(list(live)), np.array(list(live.values()))
    low, high, a, b, scale = np.array([row[2:] for row in rows], float).T

    @np.errstate(all="ignore")
    def solve(powers):
        for i, (kw, kvar) in powers.items():
            loads.Idx(i)
            loads.kW(kw)
            loads.kvar(kvar)
        v[:] = start  # v is the engine's own memory
        steps = ((v.copy(), d.Solution.Solve()) for _ in range(max_iterations))
        if not any(np.max(np.abs(v - old)[alive] / nominal) <= tolerance_pu for old, _ in steps):
            return None
        x, worst = np.concatenate([v, np.array(d.PDElements.AllCurrents()).view(complex)]), {}
        values = np.abs(x[a.astype(int)] - x[b.astype(int)]) * scale
        over, under = (values - high) / np.abs(high), (low - values) / np.abs(low)
        if lv_percentile is not None:
            only_percentiles(over, under, values / high, values / low, sets, lv_percentile)
        excess = np.fmax(over, under)
        for i in np.flatnonzero(excess > 1e-6):
            (owner, place), up = rows[i][:2], values[i] > high[i]
            metric, limit = "thermal" if place[1] else "voltage-high" if up else "voltage-low", (high if up else low)[i]
            found = (-round(excess[i], 6), place[1] > 0, metric, *place, float(values[i]), float(limit))
            worst[owner] = min(worst.get(owner, found), found)
        return {owner: found[2:] for owner, found in worst.items()}

    return solve


def feeder(
    master,
    *,
    direction,
    step_kw,
    power_factor=1.0,
    tolerance_pu=1e-6,
    max_iterations=100,
    weights=None,
    lv_percentile=None,
    **study,
):
    """All groups, the group of each growing load, the solver: levels to worst violation by owner (None: the feeder)."""
    d, live, group, rows = watch(master, **study)
    c, loads, growing, share, kw = d.CktElement, d.Loads, {}, {}, -step_kw if direction == "export" else step_kw
    kvar = math.copysign(step_kw * math.tan(math.acos(abs(power_factor))), power_factor)
    for name in loads.AllNames():
        loads.Name(name)
        bus, conn = c.BusNames()[0], "delta" if loads.IsDelta() else "wye"
        if (g := group.get(bus.split(".")[0].lower())) and c.Enabled() and all(r in live for r in c.NodeRef() if r):
            growing[loads.Count() + 1], share[loads.Count() + 1] = g, 1.0 if weights is None else weights.get(name, 0.0)
            d.Text.Command(f"new load.oracle_{name} bus1={bus} phases={loads.Phases()} conn={conn} kv={loads.kV()}")
            d.Text.Command("~ kw=0 kvar=0 model=1 vminpu=0.7 vmaxpu=2 vlowpu=0.5 status=fixed")
    accuracy = {"tolerance_pu": tolerance_pu, "max_iterations": max_iterations}
    solve = solver(d, live, rows, **accuracy, lv_percentile=lv_percentile, sets=lv_sets(rows))

    def at(levels):
        return solve({i: (levels[g] * kw * share[i], levels[g] * kvar * share[i]) for i, g in growing.items()})

    return sorted(set(group.values())), list(growing.values()), {growing[i] for i in growing if share[i] > 0}, at


def oracle(master, *, max_steps, stop_on_hv_violation=True, lock_group_on_violation=True, **study):
    """Level, status, binding, customers and later breach of each group (section 5, steps 1-3)."""
    groups, growing, able, solve = feeder(master, **study)
    out = {g: {"customers": growing.count(g), "binding": None, "breached_after_lock_at": None} for g in groups}
    for g, r in out.items():
        r["level"], r["status"] = 0, "no_growth" if g in growing else "no_customers"
        if g in able:
            r["level"], r["status"] = max_steps, "unconstrained"
    for s in range(max_steps + 1):
        worst = solve({g: min(s, r["level"]) if lock_group_on_violation else s for g, r in out.items()})
        hv = worst and stop_on_hv_violation and worst.get(None)
        for g, r in out.items():
            own = worst and worst.get(g)
            if r["status"] == "unconstrained" and (worst is None or own or hv):
                r["level"], r["binding"], bound = max(s - 1, 0), own or hv, "bound" if s else "bound_at_start"
                r["status"] = "diverged" if worst is None else bound if own else "stopped_by_hv"
            elif own and g in able and lock_group_on_violation:
                r["breached_after_lock_at"] = r["breached_after_lock_at"] or s
        if worst is None or hv or all(r["status"] != "unconstrained" for r in out.values()):
            break
    return out


if __name__ == "__main__":
    for g, r in oracle(sys.argv[1], **json.loads(sys.argv[2])).items():
        sys.stdout.write(f"{g:32} " + " ".join(f"{x!s:14}" for x in r.values()) + "\n")
