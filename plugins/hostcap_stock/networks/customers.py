"""Customers: which loads and generating elements belong to whom."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen

from hostcap._arrays import BoolArray, IntArray
from hostcap.errors import ModelError
from hostcap.findings import Finding, Severity, counted, some
from hostcap.network import Customers, Injectors, phase_code


@frozen(kw_only=True)
class CustomerTable:
    """A customer file: elements of each customer, in file order, and further columns by customer."""

    path: Path
    elements: Mapping[str, tuple[str, ...]]
    columns: Mapping[str, Mapping[str, str]]


def read_customer_table(path: Path) -> CustomerTable:
    """Read ``customers = "file.csv"`` (or ``.parquet``): columns ``customer``, ``element``, and any further ones.

    Raises:
        ModelError: The file cannot be read, a column is missing, an element is listed twice, or the rows of one
            customer say different things in a further column.
    """
    where = f"network.customers: {path}"
    header, rows = (_parquet if path.suffix.lower() in (".parquet", ".pq") else _csv)(path, where)
    missing = [name for name in ("customer", "element") if name not in header]
    if missing:
        raise ModelError(f"{where}: column {missing[0]!r} is missing; found {', '.join(header) or 'nothing'}")
    if not rows:
        raise ModelError(f"{where}: has a header alone; expected one line for each element of each customer")
    elements: dict[str, list[str]] = defaultdict(list)
    columns: dict[str, dict[str, str]] = {name: {} for name in header if name not in ("customer", "element")}
    owner: dict[str, str] = {}
    for number, row in rows:
        customer, element = row["customer"].strip(), row["element"].strip().lower().removeprefix("load.")
        if not customer or not element:
            raise ModelError(f"{where}: {number}: customer and element must not be empty")
        if element in owner:
            raise ModelError(f"{where}: {number}: element {element!r} already belongs to {owner[element]!r}")
        owner[element] = customer
        elements[customer].append(element)
        for name, values in columns.items():
            text = row[name].strip()
            if text and values.setdefault(customer, text) != text:
                raise ModelError(f"{where}: {number}: {name} of {customer!r} is {text}, was {values[customer]}")
    return CustomerTable(path=path, elements={k: tuple(v) for k, v in elements.items()}, columns=columns)


_Rows = list[tuple[str, dict[str, str]]]
"""Place of each row in its file, for messages, and its cells."""


def _csv(path: Path, where: str) -> tuple[list[str], _Rows]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            listed, header = list(reader), list(reader.fieldnames or [])
    except FileNotFoundError:
        raise _absent(where) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ModelError(f"{where}: cannot be read as UTF-8 CSV: {error}") from error
    for number, row in enumerate(listed, start=2):
        if None in row or None in row.values():
            raise ModelError(
                f"{where}: line {number}: has {counted(len(row), 'cell')} where the header has {len(header)}"
            )
    return header, [(f"line {number}", row) for number, row in enumerate(listed, start=2)]


def _parquet(path: Path, where: str) -> tuple[list[str], _Rows]:
    """Cells as a CSV would have them: null is empty."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as file:
            table = pq.read_table(file)
    except FileNotFoundError:
        raise _absent(where) from None
    except (OSError, pa.ArrowException) as error:
        raise ModelError(f"{where}: cannot be read as Parquet: {error}") from error
    names = list(table.column_names)
    columns = [["" if value is None else str(value) for value in column.to_pylist()] for column in table.columns]
    rows = [dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True)]
    return names, [(f"row {number}", row) for number, row in enumerate(rows, start=1)]


def _absent(where: str) -> ModelError:
    return ModelError(f"{where}: no such file; give a CSV or Parquet file with columns customer, element")


def _column(values: Mapping[str, str], ids: Sequence[str]) -> np.ndarray[Any, Any]:
    """Numbers where every cell is one (empty is nan), else text."""
    texts = [values.get(each, "") for each in ids]
    try:
        return np.asarray([float(text) if text else math.nan for text in texts])
    except ValueError:
        return np.asarray(texts, dtype=object)


def assign_customers(
    *,
    injectors: Injectors,
    bus_names: Sequence[str],
    node_number: IntArray,
    node_live: BoolArray,
    lv: BoolArray,
    table: CustomerTable | None,
    findings: list[Finding],
) -> Customers:
    """Form customers from the LV injectors.

    One customer a load, unless the table joins several. A generating element belongs to the customer on its bus
    (of several: the one of equal name, else the first, with a finding); with none it is a customer of its own
    that does not grow.

    Raises:
        ModelError: The table names an element that is no LV load, or joins loads of two groups.
    """
    at_lv = lv[injectors.bus]
    is_load = injectors.kind == "load"
    loads = {str(injectors.name[i]).lower(): int(i) for i in np.flatnonzero(is_load & at_lv)}
    members: dict[str, list[int]] = {}
    if table is None:
        members = {str(injectors.name[i]): [i] for i in loads.values()}
    else:
        members = _from_table(table, loads, injectors, findings)
    on_bus: dict[int, list[str]] = defaultdict(list)
    for customer, elements in members.items():
        for bus in dict.fromkeys(int(injectors.bus[e]) for e in elements):
            on_bus[bus].append(customer)
    ambiguous: list[str] = []
    ambiguous_kw = 0.0
    for element in map(int, np.flatnonzero(~is_load & at_lv)):
        name = str(injectors.name[element])
        candidates = on_bus.get(int(injectors.bus[element]), [])
        equal = [c for c in candidates if c.lower() == name.lower()]
        if not candidates:
            unique = name if name not in members else f"{injectors.kind[element]}.{name}"
            members[unique] = [element]
            continue
        if len(candidates) > 1 and not equal:
            ambiguous.append(name)
            ambiguous_kw += float(injectors.generation_kw[element])
        members[(equal or candidates)[0]].append(element)
    if ambiguous:
        findings.append(
            Finding(
                severity=Severity.WARNING,
                code="generation-of-several-customers",
                element=some(ambiguous),
                count=len(ambiguous),
                kw=ambiguous_kw,
                message="generating elements share a bus with several customers and were given to the first; "
                "name them as their customer, or use network.customers",
            )
        )
    return _customers(members, injectors, node_number, node_live, is_load, table)


def _from_table(
    table: CustomerTable, loads: Mapping[str, int], injectors: Injectors, findings: list[Finding]
) -> dict[str, list[int]]:
    unknown = [(c, e) for c, elements in table.elements.items() for e in elements if e not in loads]
    if unknown:
        customer, element = unknown[0]
        known = str(element) in {str(n).lower() for n in injectors.name}
        why = "is no load at an LV bus" if known else "is not in the model"
        raise ModelError(
            f"network.customers: {table.path}: element {element!r} of customer {customer!r} {why}"
            + (f" ({len(unknown)} such elements)" if len(unknown) > 1 else "")
        )
    members = {c: [loads[e] for e in elements] for c, elements in table.elements.items()}
    for customer, elements in members.items():
        if len({int(injectors.group[e]) for e in elements}) > 1:
            raise ModelError(f"network.customers: {table.path}: customer {customer!r} joins loads of two groups")
    listed = {e for elements in members.values() for e in elements}
    alone = [i for i in loads.values() if i not in listed]
    if alone:
        findings.append(
            Finding(
                severity=Severity.WARNING,
                code="loads-not-in-customer-table",
                element=some([str(injectors.name[i]) for i in alone]),
                count=len(alone),
                kw=float(np.sum(injectors.load_kw[alone])),
                message=f"{len(alone)} LV loads are not in {table.path.name}; each is a customer of its own",
            )
        )
    for i in alone:
        name = str(injectors.name[i])
        if name in members:
            raise ModelError(
                f"network.customers: {table.path}: customer {name!r} has the name of a load that it does not list"
            )
        members[name] = [i]
    return members


def _customers(
    members: Mapping[str, list[int]],
    injectors: Injectors,
    node_number: IntArray,
    node_live: BoolArray,
    is_load: BoolArray,
    table: CustomerTable | None,
) -> Customers:
    ids = list(members)
    live, grows, codes, pointer, element = [], [], [], [0], []
    for elements in members.values():
        loads = [e for e in elements if is_load[e]]
        numbers: list[int] = []
        alive = True
        for e in elements:
            nodes = injectors.terminals(e)
            touched = nodes[nodes >= 0]
            alive = alive and touched.size > 0 and bool(np.all(node_live[touched]))
            if e in loads or not loads:
                numbers.extend(int(n) for n in node_number[touched])
        live.append(alive)
        grows.append(alive and bool(loads))
        codes.append(phase_code(numbers))
        element.extend(elements)
        pointer.append(len(element))
    first = [elements[0] for elements in members.values()]
    return Customers(
        id=ids,
        group=injectors.group[first] if first else [],
        bus=injectors.bus[first] if first else [],
        element_ptr=pointer,
        element=element,
        live=live,
        grows=grows,
        phase_code=codes,
        columns={name: _column(values, ids) for name, values in table.columns.items()} if table else {},
    )
