"""Nets as data: JSON files read without running anything in them, functions of ``pandapower.networks``, Python nets.

``pandapower.from_json`` imports the modules and makes the classes that a file names, and opens paths that stand where
a table should. Here a file is parsed by ``json`` alone: what may appear in it is a list, and all else is refused.
"""

# The package is an extra, which is not where types are checked.
# pyright: reportMissingImports=false

from __future__ import annotations

import inspect
import json
import math
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from hostcap.errors import ModelError
from hostcap.findings import some

if TYPE_CHECKING:
    import pandas as pd

READ = (
    *("bus", "bus_geodata", "ext_grid", "line", "trafo", "trafo3w", "switch", "impedance", "shunt"),
    *("load", "asymmetric_load", "sgen", "asymmetric_sgen", "storage", "gen", "motor", "ward", "xward"),
    *("dcline", "svc", "ssc", "tcsc", "vsc", "vsc_stacked", "vsc_bipolar", "bus_dc", "line_dc", "load_dc", "source_dc"),
    *("trafo_characteristic_table", "shunt_characteristic_table"),
)
"""Tables that are read; their cells are numbers, texts, true and false."""
_IDLE = frozenset(
    {
        *("measurement", "pwl_cost", "poly_cost", "group", "std_types", "controller", "characteristic"),
        *("user_pf_options", "line_geodata", "version", "format_version", "name", "f_hz", "sn_mva", "converged"),
        *("OPF_converged", "dtypes"),
    }
)
"""Parts of a net that a power flow does not use, or that have a rule of their own."""
_WIDTHS = (8, 16, 32, 64)
_NUMBERS = ("bool", "bool_", *(f"{kind}{n}" for kind in ("int", "uint", "float") for n in _WIDTHS))
_PLAIN = frozenset(
    {
        ("pandapower.auxiliary", "pandapowerNet"),
        ("pandas", "DataFrame"),
        ("pandas.core.frame", "DataFrame"),
        ("pandas", "Series"),
        ("pandas.core.series", "Series"),
        ("numpy", "array"),
        ("networkx", "MultiGraph"),
        ("geopandas.geodataframe", "GeoDataFrame"),
        *(("builtins", name) for name in ("tuple", "set", "frozenset", "complex")),
        *(("numpy", name) for name in _NUMBERS),
    }
)
"""Classes that a file may name; of these only frames and numbers are read."""
_ACTING = ("pandapower.control.", "pandapower.timeseries.", "pandapower.protection.")
"""Modules of objects that a file may hold beside the tables; none is made."""
_DEEPEST = 60
_LARGEST_WHOLE = 2.0**53
"""Whole numbers beyond it are not told apart by floats."""
_NO_NETS = frozenset({"sorted_from_json"})
"""Functions of ``pandapower.networks`` that read a file instead."""


@frozen(kw_only=True, eq=False)
class NetTables:
    """A net as plain tables; picklable, and equal in content whatever it came from.

    Attributes:
        frequency_hz: Of the net.
        base_mva: ``sn_mva`` of the net.
        tables: Those of ``READ`` that have rows.
        controllers: Controllers in service, by class; they are not run.
        unread: Other parts that are not empty.
    """

    frequency_hz: float
    base_mva: float
    tables: Mapping[str, pd.DataFrame] = field(factory=dict)
    controllers: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def read_file(path: Path) -> NetTables:
    """Read a JSON file of a net; nothing in it is run.

    Raises:
        ModelError: It cannot be read, is no net, or names what a net has no use for.
    """
    where = f"network.file: {path}"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{where}: no such file; give a net written by pandapower.to_json") from None
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ModelError(f"{where}: cannot be read as JSON: {' '.join(str(error).split())[:200]}") from error
    if not (isinstance(document, dict) and document.get("_class") == "pandapowerNet"):
        raise ModelError(
            f"{where}: is no pandapower net (no _class pandapowerNet at its top); write it with pandapower.to_json, "
            "without encryption"
        )
    parts = document.get("_object")
    if not isinstance(parts, dict):
        raise ModelError(
            f"{where}: _object is a {type(parts).__name__}; load and save the net with a present pandapower"
        )
    foreign = sorted(set(_foreign(document, 0)))
    if foreign:
        raise ModelError(
            f"{where}: names what no net needs, and nothing of it was run: {some(foreign)}; "
            "take these objects out of the net and write it again"
        )
    return _converted(parts, where)


def make_with_function(name: str, options: Mapping[str, Any], seed: int = 0) -> NetTables:
    """The net of a function of ``pandapower.networks``; those that draw random numbers draw by ``seed`` alone.

    Raises:
        ModelError: There is no such function, or it does not take the options.
    """
    import pandapower.networks as nets

    where = f"network.function: {name!r}"
    offered = {
        each: call
        for each, call in inspect.getmembers(nets, inspect.isfunction)
        if call.__module__.startswith("pandapower.networks.") and each not in _NO_NETS
    }
    if name not in offered:
        from hostcap.plugins._nearest import did_you_mean

        raise ModelError(f"{where}: pandapower.networks has no function of that name{did_you_mean(name, offered)}")
    call = offered[name]
    taken = {
        p.name: p.default is p.empty
        for p in inspect.signature(call).parameters.values()
        if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    }
    unknown = sorted(set(options) - set(taken))
    missing = sorted(key for key, needed in taken.items() if needed and key not in options)
    if unknown or missing:
        wrong = f"unknown {', '.join(unknown)}" if unknown else f"missing {', '.join(missing)}"
        raise ModelError(f"{where}: options: {wrong}; it takes {', '.join(taken) or 'none'}")
    try:
        with _drawn_by(seed), redirect_stdout(StringIO()):
            made = call(**options)
    except Exception as error:
        raise ModelError(f"{where}: {type(error).__name__}: {' '.join(str(error).split())}") from error
    if isinstance(made, (list, tuple)):
        raise ModelError(f"{where}: makes {len(made)} nets with these options; choose options that make one")
    return take_net(made, where)


def take_net(net: Any, where: str = "network") -> NetTables:
    """The tables of a ``pandapowerNet``, copied; the net itself is left alone.

    Raises:
        ModelError: It is no net.
    """
    import pandas as pd
    from pandapower.auxiliary import pandapowerNet

    if not isinstance(net, pandapowerNet):
        raise ModelError(f"{where}: expected a pandapowerNet, got {type(net).__name__}")
    tables = {
        name: net[name].drop(columns=[c for c in net[name].columns if c == "object"]).copy()
        for name in READ
        if name in net and isinstance(net[name], pd.DataFrame) and len(net[name])
    }
    for name, table in tables.items():
        if not table.index.is_unique or not pd.api.types.is_integer_dtype(table.index):
            raise ModelError(f"{where}: table {name}: the index must hold whole numbers, none twice")
        table.sort_index(inplace=True)
    for name in ("f_hz", "sn_mva"):
        if not 0.0 < float(net[name]) < math.inf:
            raise ModelError(f"{where}: {name} must be > 0, found {float(net[name]):g}")
    return NetTables(
        frequency_hz=float(net.f_hz),
        base_mva=float(net.sn_mva),
        tables=tables,
        controllers=_controllers(net.get("controller")),
        unread=tuple(sorted(name for name, part in net.items() if _is_unread(name, part))),
    )


def open_net(net: NetTables) -> Any:
    """A new ``pandapowerNet`` that holds the tables."""
    from pandapower import create_empty_network

    made = create_empty_network(f_hz=net.frequency_hz, sn_mva=net.base_mva)
    for name, table in net.tables.items():
        made[name] = table.copy()
    return made


def _is_unread(name: str, part: Any) -> bool:
    if name in READ or name in _IDLE - {"user_pf_options"} or name.startswith(("_", "res_")):
        return False
    return bool(len(part)) if hasattr(part, "__len__") else True


def _controllers(table: Any) -> tuple[str, ...]:
    if table is None or not len(table):
        return ()
    active = table[table["in_service"].astype(bool)] if "in_service" in table else table
    return tuple(type(each).__name__ if not isinstance(each, str) else each for each in active.get("object", []))


@contextmanager
def _drawn_by(seed: int) -> Iterator[None]:
    """Some networks of the library are made at random: the same seed makes the same here."""
    import numpy as np

    before, legacy = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(legacy)


# JSON files


def _foreign(value: Any, depth: int) -> Iterator[str]:
    """Classes and functions that a file names and no net needs."""
    if depth > _DEEPEST:
        yield "tables in tables without end"
        return
    if isinstance(value, dict):
        if "_class" in value or "_module" in value:
            named = (str(value.get("_module", "")), str(value.get("_class", "")))
            if named not in _PLAIN and not named[0].startswith(_ACTING):
                yield ".".join(named)
        for inner in value.values():
            yield from _foreign(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _foreign(inner, depth + 1)


def _converted(parts: Mapping[str, Any], where: str) -> NetTables:
    """From the parts of a file to tables in the present format of pandapower."""
    from pandapower import create_empty_network

    net = create_empty_network()
    for name, part in parts.items():
        if name in READ:
            net[name] = _frame(part, f"{where}: table {name}")
    for name in ("f_hz", "sn_mva"):
        if name in parts:
            net[name] = _number(parts[name], f"{where}: {name}")
    for name in ("version", "format_version"):
        net[name] = str(parts.get(name, ""))
    try:
        with redirect_stdout(StringIO()):
            from pandapower import convert_format

            convert_format(net)
    except Exception as error:
        raise ModelError(
            f"{where}: is of version {parts.get('version')!r}, which the installed pandapower cannot take: "
            f"{type(error).__name__}: {' '.join(str(error).split())}"
        ) from error
    from attrs import evolve

    taken = take_net(net, where)
    unread = [name for name, part in parts.items() if _is_unread(name, _content(part))]
    return evolve(taken, controllers=_stated_controllers(parts.get("controller")), unread=tuple(sorted(unread)))


def _content(part: Any) -> Any:
    """Something as long as the content of a part that is not read."""
    if isinstance(part, dict) and part.get("_class") == "DataFrame":
        try:
            return json.loads(part["_object"])["data"]
        except (KeyError, TypeError, ValueError):
            return [part]
    return part if part is not None else ()


def _stated_controllers(part: Any) -> tuple[str, ...]:
    """Classes of the controllers in service, read as texts."""
    try:
        table = json.loads(part["_object"])
        columns = table["columns"]
        rows = [dict(zip(columns, row, strict=True)) for row in table["data"]]
    except (KeyError, TypeError, ValueError):
        return ()
    found = []
    for row in rows:
        named = row.get("object")
        if row.get("in_service", True):
            found.append(str(named.get("_class", "controller")) if isinstance(named, dict) else "controller")
    return tuple(found)


def _number(part: Any, where: str) -> float:
    if isinstance(part, dict) and part.get("_module") == "numpy":
        part = part.get("_object")
    if isinstance(part, bool) or not isinstance(part, (int, float)):
        raise ModelError(f"{where}: expected a number, got {str(part)[:60]!r}")
    try:
        return float(part)
    except OverflowError as error:
        raise ModelError(f"{where}: expected a number, got one of {len(str(part))} digits") from error


def _frame(part: Any, where: str) -> pd.DataFrame:
    """A table from its text of columns, index and data; its cells are plain values."""
    import pandas as pd

    if not isinstance(part, dict) or part.get("_class") != "DataFrame" or not isinstance(part.get("_object"), str):
        raise ModelError(f"{where}: expected a DataFrame; write the net with pandapower.to_json")
    try:
        content = json.loads(part["_object"])
        columns, index, data = content["columns"], content["index"], content["data"]
        if not all(isinstance(each, list) for each in (columns, index, data)):
            raise TypeError("columns, index and data are lists")
        if not all(isinstance(each, str) for each in columns) or len(set(columns)) < len(columns):
            raise TypeError("names of columns are texts, none twice")
        frame = pd.DataFrame(
            [[_cell(cell) for cell in row] for row in data], index=index, columns=columns, dtype=object
        )
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelError(
            f"{where}: is no table of columns, index and data ({type(error).__name__}: {error})"
        ) from error
    kinds = part.get("dtype", {})
    for column in frame.columns:
        kind = str(kinds.get(column, "object")) if isinstance(kinds, dict) else "object"
        try:
            frame[column] = _typed(frame[column], kind)
        except (TypeError, ValueError, OverflowError) as error:
            raise ModelError(f"{where}: column {column}, of {kind}: {' '.join(str(error).split())[:200]}") from error
    return frame


def _cell(value: Any) -> Any:
    """A plain value; coordinates, as lists or as GeoJSON, stay text."""
    if isinstance(value, dict):
        if "_class" in value or "_module" in value:
            if (value.get("_module"), value.get("_class")) in _PLAIN:
                return value.get("_object")
            raise ValueError(f"a cell holds an object of {value.get('_module')}.{value.get('_class')}")
        return json.dumps(value)
    return json.dumps(value) if isinstance(value, list) else value


def _typed(values: Any, kind: str) -> Any:
    """A column of its kind; a cell that is of another is refused, as casts cut 1.5 to 1 and take any text for true."""
    import pandas as pd

    if kind.startswith(("int", "uint", "float")):
        numbers = pd.to_numeric(values).astype("float64")
        if kind.startswith("float") or values.isna().any():
            return numbers
        odd = (numbers % 1.0 != 0.0) | (numbers.abs() > _LARGEST_WHOLE)
        if odd.any():
            raise ValueError(f"expected whole numbers, got {values[odd].iloc[0]!r}")
        return numbers.astype("int64")
    if kind == "bool" and not values.isna().any():
        odd = ~values.isin([True, False])
        if odd.any():
            raise ValueError(f"expected true or false, got {values[odd].iloc[0]!r}")
        return values.astype("bool")
    return values
