"""Independent oracle: proportional sharing with dense inverses and dictionaries, from tracing-method.md alone.

It shares nothing with the tracer. A case is plain: ``branches`` as (name, from, to, F, d, x), ``rows`` as
(node, bus, w, G, L), G and L of the whole node. Shares come as {(branch, node): MW}.
"""

import numpy as np


def trace(branches, rows, mode):
    """All that section 3 says of a period, for the modes standard, balanced and actual."""
    buses = sorted({b for _, a, c, *_ in branches for b in (a, c)} | {bus for _, bus, *_ in rows})
    at = {bus: i for i, bus in enumerate(buses)}
    n = len(buses)
    directed = []
    for name, a, c, flow, loss, _ in branches:
        send, recv = (a, c) if flow >= 0 else (c, a)
        directed.append((name, at[send], at[recv], abs(flow), max(abs(flow) - loss, 0.0)))
    gen, load = np.zeros(n), np.zeros(n)
    gens, loads = {}, {}
    for node, bus, w, g, t in rows:
        up = max(w * g, 0.0) + max(-w * t, 0.0)
        down = max(w * t, 0.0) + max(-w * g, 0.0)
        gen[at[bus]] += up
        load[at[bus]] += down
        gens[node, at[bus]] = gens.get((node, at[bus]), 0.0) + up
        loads[node, at[bus]] = loads.get((node, at[bus]), 0.0) + down
    into, out = gen.copy(), load.copy()
    for _, send, recv, s, r in directed:
        into[recv] += r
        out[send] += s
    over = {"in": one_over(into), "out": one_over(out)}
    if mode == "actual":
        return actual(buses, directed, gens, loads, over)
    up_d, down_d = (over["in"], over["out"]) if mode == "standard" else (over["out"], over["in"])
    up, down = np.zeros((n, n)), np.zeros((n, n))
    for _, send, recv, s, r in directed:
        up[recv, send] += s * up_d[send]
        down[send, recv] += r * down_d[recv]
    q, w = np.linalg.inv(np.eye(n) - up), np.linalg.inv(np.eye(n) - down)
    found = {"up": {}, "down": {}, "gross": {}, "net": {}, "bus_up": {}, "bus_down": {}}
    for name, send, recv, s, r in directed:
        for (node, b), g in gens.items():
            add(found["up"], (name, node), s * up_d[send] * q[send, b] * g)
        for (node, c), t in loads.items():
            add(found["down"], (name, node), r * down_d[recv] * w[recv, c] * t)
    for i, bus in enumerate(buses):
        for (node, b), g in gens.items():
            add(found["bus_up"], (bus, node), q[i, b] * g)
        for (node, c), t in loads.items():
            add(found["bus_down"], (bus, node), w[i, c] * t)
    for (k, b), g in gens.items():
        for (m, c), t in loads.items():
            add(found["gross"], (k, m), t * up_d[c] * q[c, b] * g)
            add(found["net"], (k, m), g * down_d[b] * w[b, c] * t)
    return found


def actual(buses, directed, gens, loads, over):
    """Composition: IN_i f_i = sum r f_send + gen_i e_i, OUT_i h_i = sum s h_recv + load_i e_i."""
    n = len(buses)
    up_nodes, down_nodes = sorted({k for k, _ in gens}), sorted({m for m, _ in loads})
    f, h = np.eye(n), np.eye(n)
    f_right, h_right = np.zeros((n, len(up_nodes))), np.zeros((n, len(down_nodes)))
    for _, send, recv, s, r in directed:
        f[recv, send] -= r * over["in"][recv]
        h[send, recv] -= s * over["out"][send]
    for (k, b), g in gens.items():
        f_right[b, up_nodes.index(k)] += g * over["in"][b]
    for (m, c), t in loads.items():
        h_right[c, down_nodes.index(m)] += t * over["out"][c]
    f, h = np.linalg.inv(f) @ f_right, np.linalg.inv(h) @ h_right
    found = {"up": {}, "down": {}, "gross": {}, "net": {}}
    for name, send, recv, s, r in directed:
        for j, k in enumerate(up_nodes):
            add(found["up"], (name, k), s * f[send, j])
        for j, m in enumerate(down_nodes):
            add(found["down"], (name, m), r * h[recv, j])
    for (m, c), t in loads.items():
        for j, k in enumerate(up_nodes):
            add(found["gross"], (k, m), t * f[c, j])
    for (k, b), g in gens.items():
        for j, m in enumerate(down_nodes):
            add(found["net"], (k, m), g * h[b, j])
    return found


def one_over(mw):
    """1/D, 0 below 1e-9 MW."""
    return np.array([1.0 / v if v >= 1e-9 else 0.0 for v in mw])


def add(found, key, mw):
    """Shares add up by node."""
    found[key] = found.get(key, 0.0) + mw
