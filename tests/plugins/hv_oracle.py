"""Independent oracle: the HV node headroom of headroom-method.md (section 6), one location after the other in bare
OpenDSS. ``oracle(master, **study)`` takes the keywords of all functions below; limits and start as in headroom_oracle.
"""

import math

import numpy as np
from headroom_oracle import lv_sets, solver, watch


def hops(d, buses):
    """Branches between each bus and a source: enabled and closed lines, reactors, capacitors; transformers."""
    ckt, c, around = d.Circuit, d.CktElement, {b: set() for b in buses}
    for full in d.PDElements.AllNames():
        if ckt.SetActiveElement(full) < 0 or not c.Enabled():
            continue
        ends = [b.split(".")[0].lower() for b in c.BusNames()]
        shut = [any(not c.IsOpen(t + 1, k + 1) for k in range(c.NumConductors())) for t in range(len(ends))]
        for b in ends:
            around[b] |= {o for o in ends if o != b and all(shut)}
    found = dict.fromkeys(buses, math.inf)
    front = {
        c.BusNames()[0].split(".")[0].lower() for s in d.Vsources.AllNames() if ckt.SetActiveElement(f"Vsource.{s}") + 1
    }
    far = 0
    while front:
        found |= dict.fromkeys(front, far)
        far, front = far + 1, {o for b in front for o in around[b] if found[o] == math.inf}
    return found


def locations(d, live, hv, kinds):
    """(kind, name, terminal) to (bus, live phases) of every location, dead ones with no phase."""
    ckt, c, out, buses = d.Circuit, d.CktElement, {}, d.Circuit.AllBusNames()
    ref = {tuple(node.lower().rsplit(".", 1)): r for r, node in enumerate(ckt.YNodeOrder(), 1)}
    far, around = hops(d, buses), {b: set() for b in buses}

    def phases(bus, numbers):
        return bus, tuple(k for k in sorted({*numbers} & {1, 2, 3}) if ref.get((bus, str(k))) in live)

    for full in d.PDElements.AllNames():
        if ckt.SetActiveElement(full) < 0 or not c.Enabled():
            continue
        (cls, name), ends = full.split(".", 1), [b.split(".")[0].lower() for b in c.BusNames()]
        order = np.reshape(c.NodeOrder(), (len(ends), -1)).tolist()
        high = [t for t, b in enumerate(ends) if b in hv]
        if cls == "Transformer" and 0 < len(high) < len(ends):
            out |= {("dtx-hv-terminal", name, t + 1): phases(ends[t], order[t]) for t in high}
        if cls == "Line" and len(high) == 2:
            around[ends[0]].add(ends[1])
            around[ends[1]].add(ends[0])
            d.Lines.Name(name)
            if d.Lines.IsSwitch():
                t = 1 if far[ends[1]] < far[ends[0]] else 0
                out["switch-upstream-terminal", name, t + 1] = phases(ends[t], order[t])
    out |= {("line-tee", b, 0): phases(b, (1, 2, 3)) for b, o in around.items() if len(o - {b}) >= 3}
    return {key: where for key, where in out.items() if key[0] in kinds}


def prepare(
    master,
    *,
    kinds,
    step_kw,
    direction,
    power_factor=1.0,
    tolerance_pu=1e-6,
    max_iterations=100,
    lv_percentile=None,
    **study,
):
    """Locations by key with their sites, and the solver: site and level to the binding violation; None: none."""
    d, live, _, rows = watch(master, **study)
    ckt, sites = d.Circuit, {}
    kv = {b: d.Bus.kVBase() for b in ckt.AllBusNames() if ckt.SetActiveBus(b) >= 0}
    found = locations(d, live, {b for b in kv if kv[b] * math.sqrt(3) >= 1}, kinds)
    sign = -1 if direction == "export" else 1
    kvar = math.copysign(step_kw * math.tan(math.acos(abs(power_factor))), power_factor)
    for bus, numbers in dict.fromkeys(where for where in found.values() if where[1]):
        sites[bus, numbers] = d.Loads.Count() + 1
        spec, three = ".".join(map(str, numbers)), len(numbers) == 3
        base = kv[bus] if len(numbers) == 1 else kv[bus] * math.sqrt(3)
        d.Text.Command(f"new load.oracle_site_{len(sites)} bus1={bus}.{spec} phases={3 if three else 1} kv={base!r}")
        d.Text.Command(f"~ conn={'delta' if len(numbers) == 2 else 'wye'} kw=0 kvar=0 model=1 status=fixed")
        d.Text.Command("~ vminpu=0.7 vmaxpu=2 vlowpu=0.5")
    every = [(None, *row[1:]) for row in rows]
    accuracy, last = {"tolerance_pu": tolerance_pu, "max_iterations": max_iterations}, []
    solve = solver(d, live, every, **accuracy, lv_percentile=lv_percentile, sets=lv_sets(rows))

    def at(site, level):
        powers = dict.fromkeys(last, (0.0, 0.0)) | {sites[site]: (sign * level * step_kw, level * kvar)}
        last[:] = [sites[site]]
        return solve(powers)

    return found, sites, at


def oracle(master, *, max_steps, **study):
    """Level, status and binding violation of each live location."""
    found, sites, at = prepare(master, **study)
    answer = {}
    for site in sites:
        answer[site] = {"level": max_steps, "status": "unconstrained", "binding": None}
        for n in range(max_steps + 1):
            worst = at(site, n)
            if worst is None or worst:
                status = "diverged" if worst is None else "bound" if n else "bound_at_start"
                answer[site] = {"level": max(n - 1, 0), "status": status, "binding": (worst or {}).get(None)}
                break
    return {key: answer[where] | {"phases": where[1], "bus": where[0]} for key, where in found.items() if where[1]}
