"""Independent oracle: who is behind a flow or a voltage in one state of bare OpenDSS (tracing method, sections 1 to 3).

Flows are the engine's own powers, phases summed; shares come from the inverse of the method's matrix. Voltages move
by currents of a test source while every load is off, which makes the network linear. Shares no code with the product.
"""

import math

import numpy as np
import scipy.sparse as sparse
import scipy.sparse.linalg as linear
from headroom_oracle import watch

GROWTH, SOURCE = "growth", "source"


class State:
    """The start, and a state with growth at one place; loads, powers and voltages of both."""

    def __init__(self, master, *, bus, phases, step_kw, steps, direction, kvar=0.0, **study):
        """Freeze the start, read it, then grow ``steps`` at ``bus`` on ``phases`` and read again."""
        self.d, self.live, self.group, _ = watch(master, **study)
        d, sign = self.d, -1.0 if direction == "export" else 1.0
        d.Circuit.SetActiveBus(bus)
        kv = d.Bus.kVBase() * (1.0 if len(phases) == 1 else math.sqrt(3))
        spec = ".".join(map(str, phases))
        d.Text.Command(f"new load.oracle_growth bus1={bus}.{spec} phases={3 if len(phases) == 3 else 1} kv={kv!r}")
        d.Text.Command(f"~ conn={'delta' if len(phases) == 2 else 'wye'} kw=0 kvar=0 model=1 status=fixed")
        d.Text.Command("~ vminpu=0.7 vmaxpu=2 vlowpu=0.5")
        d.Text.Command("set tolerance=1e-9 maxiterations=60")
        self.settle()
        self.start_v, self.start_a = self.voltages(), self.load_currents()
        d.Text.Command(f"edit load.oracle_growth kw={sign * step_kw * steps!r} kvar={kvar * steps!r}")
        self.settle()
        self.node_v, self.load_a = self.voltages(), self.load_currents()

    def settle(self):
        """Solve until live nodes stand still: floating ones may keep an engine from calling itself converged."""
        names, last = [n.lower() for n in self.d.Circuit.YNodeOrder()], None
        nominal = {names[ref - 1]: volts for ref, volts in self.live.items()}
        for _ in range(10):
            self.d.Text.Command("solve")
            now = self.voltages()
            if last is not None and max(abs(now[n] - last[n]) / volts for n, volts in nominal.items()) < 1e-9:
                return
            last = now
        raise AssertionError("live nodes do not stand still")

    def voltages(self):
        """Complex volts by bus.phase."""
        volts = np.array(self.d.Circuit.AllBusVolts()).view(complex)
        return dict(zip((n.lower() for n in self.d.Circuit.AllNodeNames()), volts, strict=True))

    def load_currents(self):
        """Buses and currents of each load's conductors, A, by name."""
        found, c = {}, self.d.CktElement
        for name in self.d.Loads.AllNames():
            self.d.Loads.Name(name)
            bus = c.BusNames()[0].split(".")[0].lower()
            amps = np.array(c.Currents()).view(complex)
            found[name.lower()] = [
                (f"{bus}.{node}", a) for node, a in zip(c.NodeOrder(), amps, strict=True) if node > 0
            ]
        return found

    def users(self):
        """kW that each load takes and its bus; the growth among them."""
        found, c = {}, self.d.CktElement
        for name in self.d.Loads.AllNames():
            self.d.Loads.Name(name)
            kw = float(np.array(c.Powers())[::2].sum())
            found[GROWTH if name == "oracle_growth" else name.lower()] = (c.BusNames()[0].split(".")[0].lower(), kw)
        return found

    def flows(self):
        """kW into each line and transformer at each of its buses."""
        found, c = {}, self.d.CktElement
        for full in self.d.PDElements.AllNames():
            kind, name = full.lower().split(".", 1)
            if kind not in ("line", "transformer") or self.d.Circuit.SetActiveElement(full) < 0 or not c.Enabled():
                continue
            buses = [b.split(".")[0].lower() for b in c.BusNames()]
            kw = np.array(c.Powers())[::2].reshape(len(buses), -1).sum(axis=1)
            at = {}
            for bus, power in zip(buses, kw, strict=True):
                at[bus] = at.get(bus, 0.0) + float(power)
            found[name] = at
        return found

    def behind(self, branch):
        """kW of each user in what a branch takes up (supplies), and in what it gives (takes)."""
        branches, supply, take = [], {}, {}
        for name, at in self.flows().items():
            pairs = list(at.items())
            if len(pairs) > 2:  # a star: losses on the legs that power comes in by
                coming = sum(max(kw, 0.0) for _, kw in pairs)
                lost = sum(kw for _, kw in pairs)
                for bus, kw in pairs:
                    own = lost * kw / coming if kw > 0 else 0.0
                    ends = (bus, f"{name} star") if kw >= 0 else (f"{name} star", bus)
                    branches.append((f"{name} at {bus}", *ends, abs(kw), abs(kw) - own))
                continue
            if len(pairs) < 2:
                continue
            (a, start), (b, end) = pairs
            if min(start, end) > -1e-3:  # nothing comes out: it arrives whole, and is lost there
                ends, sent = ((a, b), start) if start >= end else ((b, a), end)
                branches.append((name, *ends, sent, sent))
                take[f"losses of {name}"] = (ends[1], start + end)
            elif start >= 0:
                branches.append((name, a, b, start, -end))
            else:
                branches.append((name, b, a, end, -start))
        for name, (bus, kw) in self.users().items():
            (take if kw > 0 else supply)[name] = (bus, abs(kw))
        buses = sorted({bus for _, a, b, *_ in branches for bus in (a, b)} | {b for b, _ in [*supply.values()]})
        number = {bus: i for i, bus in enumerate(buses)}
        size = len(buses)
        comes, leaves = np.zeros((2, size))
        mixed, split = sparse.lil_array((size, size)), sparse.lil_array((size, size))
        for _, a, b, sent, received in branches:
            comes[number[b]] += received
            leaves[number[a]] += sent
            mixed[number[b], number[a]] += received
            split[number[a], number[b]] += sent
        for bus, kw in supply.values():
            comes[number[bus]] += kw
        for bus, kw in take.values():
            leaves[number[bus]] += kw
        # What is left over at the source, and what capacitors and the like lose elsewhere.
        rest = leaves - comes
        for i in np.flatnonzero(np.abs(rest) > 1e-3):
            (supply if rest[i] > 0 else take)[f"rest at {buses[i]}"] = (buses[i], abs(float(rest[i])))
            (comes if rest[i] > 0 else leaves)[i] += abs(rest[i])
        name, a, b, sent, received = next(each for each in branches if each[0] == branch)

        def row(through, moved, end):
            own = sparse.diags_array(np.where(through > 1e-6, through, 1.0))
            return linear.spsolve(sparse.csc_array(own - moved).T.tocsc(), np.eye(1, size, number[end])[0])

        up, down = row(comes, mixed, a) * sent, row(leaves, split, b) * received
        return (
            {user: float(up[number[bus]] * kw) for user, (bus, kw) in supply.items()},
            {user: float(down[number[bus]] * kw) for user, (bus, kw) in take.items()},
        )

    def moved(self, node, names):
        """What the change of current of each load does to the magnitude at a node, V, by test currents; by name."""
        before, after = self.start_v[node], self.node_v[node]
        turn = np.conj(before + after) / (abs(before) + abs(after))
        self.d.Commands(["batchedit load..* enabled=no", "solve"])
        found, quiet = {}, self.voltages()[node]
        self.d.Text.Command(f"new isource.oracle bus1={node} phases=1 amps=0 angle=0")
        for name in names:
            start = dict(self.start_a[name])
            found[name] = 0.0
            for at, amps in self.load_a[name]:
                drawn = amps - start.get(at, 0.0)
                if abs(drawn) < 1e-12:
                    continue
                angle = math.degrees(math.atan2(-drawn.imag, -drawn.real))
                self.d.Commands([f"edit isource.oracle bus1={at} amps={float(abs(drawn))!r} angle={angle!r}", "solve"])
                found[name] += float(((self.voltages()[node] - quiet) * turn).real)
        return found
