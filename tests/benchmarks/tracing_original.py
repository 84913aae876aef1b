"""The way of 2015: data frames, a dense inverse, and loops over rows. Written from the method's sections 5 and 10.

It does what the New Zealand Electricity Authority's program did, step by step and with the same means of its day (label
look-ups, ``iterrows``, ``apply``, dense squares of buses), in today's pandas. It shares no code with hostcap.
"""

import numpy as np
import pandas as pd


def swapped(nodes):
    """Negative load replaces generation, and negative generation load: row by row."""

    def swap(row):
        if row.LOAD < 0.0:
            row["GENERATION"] = -row["LOAD"]
            row["LOAD"] = 0.0
        if row["GENERATION"] < 0.0:
            row["LOAD"] = -row["GENERATION"]
            row["GENERATION"] = 0.0
        return row

    return nodes.apply(swap, axis=1)


def both_ends(branches):
    """MW at either end, with the sign of the flow."""
    forward, backward = branches[branches.FROM_MW >= 0].copy(), branches[branches.FROM_MW < 0].copy()
    forward["TO_MW"] = forward.FROM_MW - forward.LOSS
    backward["TO_MW"] = backward.FROM_MW
    backward["FROM_MW"] = backward.FROM_MW + backward.LOSS
    return pd.concat([backward, forward]).set_index(["FROM", "TO"]).sort_index()[["FROM_MW", "TO_MW"]]


def matrix(b, n, downstream):
    """The dense matrix, its inverse, and what flows through each bus."""
    buses = sorted(set(b.index.get_level_values(0)) | set(b.index.get_level_values(1)))
    gen = n.GENERATION.groupby(level=0).sum().reindex(buses).fillna(0.0)
    load = n.LOAD.groupby(level=0).sum().reindex(buses).fillna(0.0)
    a = pd.DataFrame(np.identity(len(buses)), index=buses, columns=buses)
    back = b.swaplevel(0, 1).sort_index()
    if downstream:
        first, second = b[b.FROM_MW < 0].FROM_MW, -back[back.TO_MW > 0].TO_MW
    else:
        first, second = b[b.TO_MW < 0].TO_MW, -back[back.FROM_MW > 0].FROM_MW
    second.index.names = ["FROM", "TO"]
    flows = pd.concat([first, second]).sort_index().groupby(level=[0, 1]).sum()
    into = (
        (-b[b.FROM_MW < 0].groupby(level=0).sum().FROM_MW)
        .add(b[b.TO_MW > 0].groupby(level=1).sum().TO_MW, fill_value=0.0)
        .reindex(buses)
        .fillna(0.0)
    )
    out = (
        b[b.FROM_MW > 0]
        .groupby(level=0)
        .sum()
        .FROM_MW.add(-b[b.TO_MW < 0].groupby(level=1).sum().TO_MW, fill_value=0.0)
        .reindex(buses)
        .fillna(0.0)
    )
    through = pd.DataFrame({"in": into + gen, "out": out + load})
    with np.errstate(divide="ignore", invalid="ignore"):  # buses without flow, put right below
        for pair, row in pd.DataFrame({"flow": flows}).iterrows():
            if downstream:
                a.loc[pair[1], pair[0]] = row.values / through["out"].loc[pair[0]]
            else:
                a.loc[pair[0], pair[1]] = row.values / through["in"].loc[pair[1]]
    a = a.replace([np.inf, -np.inf], np.nan).fillna(0.0)
    inverse = np.linalg.inv(a.values)
    each = (1.0 / through["in"]).replace([np.inf, -np.inf], np.nan).fillna(0.0)
    if downstream:
        gen = pd.Series(inverse.dot(load.values) * gen.values * each.values, index=buses)
    else:
        load = pd.Series(inverse.dot(gen.values) * load.values * each.values, index=buses)
    return buses, inverse, gen, load, each


def shared(b, buses, inverse, each, users, downstream):
    """Shares of branches, one row for each pair of buses, a column for each bus: dense products."""
    pairs = b.groupby(level=[0, 1]).sum()
    size = len(buses)
    forward = np.array([(pairs.TO_MW >= 0).values] * size).transpose()
    to_bus, from_bus = pairs.index.get_level_values(1), pairs.index.get_level_values(0)
    frame = pd.DataFrame(inverse, index=buses, columns=buses)
    at_to, at_from = frame.loc[to_bus, :], frame.loc[from_bus, :]
    each_to = np.array([each.loc[to_bus].values] * size).transpose()
    each_from = np.array([each.loc[from_bus].values] * size).transpose()
    mw_to = np.array([pairs.TO_MW.values] * size).transpose()
    mw_from = np.array([pairs.FROM_MW.values] * size).transpose()
    everyone = [users.values] * len(pairs)
    of_from = np.abs(mw_from) * at_from.values * everyone * each_from
    of_to = np.abs(mw_to) * at_to.values * everyone * each_to
    found = of_from * ~forward + of_to * forward if downstream else of_from * forward + of_to * ~forward
    return pd.DataFrame(found, index=pairs.index, columns=buses).fillna(0.0)


def named(frame, node_of, branch_of):
    """Buses to nodes and pairs to branches, label by label; columns of one node are added."""
    frame = frame[[bus for bus in frame.columns if bus in node_of.index]].copy()

    def joined(found):
        # It asked an empty series for its type, row by row.
        return ", ".join(sorted(found.values)) if isinstance(found, type(pd.Series())) else found

    frame.index = [joined(branch_of[pair]) for pair in frame.index]
    frame.columns = frame.columns.map(lambda bus: node_of[bus])
    frame = frame.loc[frame.sum(axis=1) > 0, frame.sum() > 0]
    return frame.T.groupby(level=0, sort=False).sum().T


def stations(frame, gen, load, node_of):
    """Half of all adjacent branches, and half of the bus's own power on the diagonal."""
    halves = pd.concat([frame.groupby(level=0).sum() / 2.0, frame.groupby(level=1).sum() / 2.0]).groupby(level=0).sum()
    index = np.array(sorted(set(halves.columns) | set(halves.index)))
    square = pd.DataFrame(np.identity(len(index)), index=index, columns=index)
    own = square * load.reindex(index) / 2.0 + square * gen.reindex(index) / 2.0
    buses = [bus for bus in node_of.index if bus in halves.index]
    use = (halves.reindex(index=buses, columns=buses) + own.loc[buses, buses]).fillna(0.0)
    use.index = use.columns = numbered([node_of[bus] for bus in use.index])
    return use


def numbered(names):
    """A node that several buses bear gets .1, .2 and so on, as the reader of these tables did it."""
    seen = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, -1) + 1
        found.append(f"{name}.{seen[name]}" if seen[name] else name)
    return found


def traced(nodes, branches, node_of, branch_of):
    """One period: td, sd, tu, su."""
    n, b = swapped(nodes), both_ends(branches)
    found = {}
    for way, downstream in (("d", True), ("u", False)):
        buses, inverse, gen, load, each = matrix(b, n, downstream)
        frame = shared(b, buses, inverse, each, load if downstream else gen, downstream)
        found[f"t{way}"] = named(frame, node_of, branch_of)
        found[f"s{way}"] = stations(frame, gen, load, node_of)
    return found


def mean(frames):
    """Mean over periods, an absent cell as 0, as the panel of data frames gave it."""
    index = pd.Index([]).append([f.index for f in frames]).unique()
    columns = pd.Index([]).append([f.columns for f in frames]).unique()
    cube = np.array([f.reindex(index=index, columns=columns).fillna(0.0).values for f in frames])
    return pd.DataFrame(cube.mean(axis=0), index=index, columns=columns)


def loaded(branch_file, node_file, map_file):
    """A day's files as frames: rows of nodes at buses by period, branches by period, and names, look-up by look-up."""
    branches = pd.read_csv(branch_file, index_col="DateTime")
    branches = branches.rename(
        columns={
            "FromBus": "FROM",
            "ToBus": "TO",
            "Flow (MW) (From->To)": "FROM_MW",
            "DynamicLoss (MW)": "LOSS",
            "Branch": "branch",
        }
    )
    nodes = pd.read_csv(node_file, index_col="DateTime").rename(
        columns={"Generation (MW)": "GENERATION", "Load (MW)": "LOAD"}
    )
    bus_map = pd.read_csv(map_file, index_col="DateTime")
    for period in branches.index.unique():
        here, at, placed = branches.loc[period], nodes.loc[period].set_index("Node"), bus_map.loc[period]
        mw = at.loc[placed.Node, ["GENERATION", "LOAD"]].mul(placed.Allo.values, axis=0)
        mw.index = pd.Index(placed.Bus, name="bus")
        node_of = placed.sort_values("Node").groupby("Bus").Node.last()
        branch_of = pd.Series(here.branch.values, index=pd.MultiIndex.from_arrays([here.FROM, here.TO]))
        yield mw, here[["FROM", "TO", "FROM_MW", "LOSS"]], node_of, branch_of
