"""Settings of the profiles ``table``; light to import."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import attrs
from attrs import field, frozen

from hostcap.config import about, in_schema, not_empty, positive, unique
from hostcap.errors import ConfigError
from hostcap.profiles import interval_us
from hostcap_stock.injections._validation import power_factor

CUSTOMER = "{customer}"
"""Stands for the customer in the column names of a wide table."""
QUANTITIES = ("import", "export", "net", "import_kvar", "export_kvar")
_OFFSET = r"[+-](0\d|1[0-4]):[0-5]\d"


@in_schema(exclusiveMinimum=0)
def divides_a_day(instance: Any, attribute: attrs.Attribute[float], value: float | None) -> None:
    """Intervals that begin anew with each day."""
    positive(instance, attribute, value)
    if value is not None:
        interval_us(value)


@in_schema(pattern=f"^{_OFFSET}$")
def _offset(instance: Any, attribute: attrs.Attribute[str | None], value: str | None) -> None:
    if value is not None and not re.fullmatch(_OFFSET, value):
        raise ValueError(f"{attribute.name!r} must be an offset from UTC such as '+10:00', got {value!r}")


_FILES = about("Parquet or CSV files, read as one table; `{feeder}` stands for the feeder's name")
_INTERVAL = about("Length of an interval; it must divide a day", unit="min")
_TIME = about("Column of times: timestamps, or text such as 2026-01-31T18:30Z")
_STAMP = about("Whether a time is the end or the start of its interval")
_UTC_OFFSET = about(
    "Offset of times that state none, such as '+10:00', where the clock never changes; unset refuses such times"
)


@frozen(kw_only=True)
class ReadingsConfig:
    """Customers' readings: where they are, what the columns are, and what to do about what is not right."""

    files: tuple[Path, ...] = field(validator=[not_empty, unique], metadata=_FILES)
    interval_minutes: float = field(validator=divides_a_day, metadata=_INTERVAL)
    unit: Literal["kW", "kWh"] = field(
        metadata=about("Mean power, or energy of the interval; kvar columns are then kvar or kvarh")
    )
    layout: Literal["long", "wide"] = field(
        default="long",
        metadata=about("A row for each customer and time, or a row for each time with columns for each customer"),
    )
    time_column: str = field(default="time", validator=not_empty, metadata=_TIME)
    stamp: Literal["end", "start"] = field(default="end", metadata=_STAMP)
    utc_offset: str | None = field(default=None, validator=_offset, metadata=_UTC_OFFSET)
    customer_column: str = field(
        default="customer", validator=not_empty, metadata=about("Column of customers, in a long table")
    )
    customer_id: str | None = field(
        default=None,
        validator=not_empty,
        metadata=about("Column of the customer table that names each customer's readings; unset for the customer's id"),
    )
    import_column: str | None = field(
        default=None,
        validator=not_empty,
        metadata=about("Column of what is taken from the network, >= 0; in a wide table with `{customer}` in it"),
    )
    export_column: str | None = field(
        default=None, validator=not_empty, metadata=about("Column of what is given to the network, >= 0; likewise")
    )
    net_column: str | None = field(
        default=None,
        validator=not_empty,
        metadata=about("Column of import less export, instead of these two; likewise"),
    )
    import_kvar_column: str | None = field(
        default=None,
        validator=not_empty,
        metadata=about("Column of reactive power that goes with import, positive consumes; likewise"),
    )
    export_kvar_column: str | None = field(
        default=None,
        validator=not_empty,
        metadata=about("Column of reactive power that goes with export, positive consumes; likewise"),
    )
    import_power_factor: float | None = field(
        default=None,
        validator=power_factor,
        metadata=about("Where there is no column: positive consumes kvar, negative supplies it; unset for no kvar"),
    )
    export_power_factor: float | None = field(
        default=None, validator=power_factor, metadata=about("The same for export")
    )
    missing: Literal["refuse", "zero", "previous", "as-modelled"] = field(
        default="refuse",
        metadata=about("A customer without a reading: refuse, 0, the last one of the day before, or the model's kW"),
    )
    missing_customers: Literal["refuse", "zero", "as-modelled", "from-pool"] | None = field(
        default=None,
        metadata=about(
            "A customer with no reading in the whole table; unset for the same as `missing`; `from-pool`: it follows a "
            "meter that is no customer's own, drawn at random by `seed`"
        ),
    )
    seed: int | None = field(
        default=None, metadata=about("Of the draw from the pool: any whole number; the same one, the same draw")
    )
    missing_instants: Literal["refuse", "leave-out", "fill"] = field(
        default="refuse",
        metadata=about("An instant at which nobody has a reading: refuse, leave it out, or fill it as `missing` says"),
    )
    unknown_customers: Literal["refuse", "leave-out"] = field(
        default="refuse", metadata=about("Readings of customers that the feeder does not have")
    )
    duplicates: Literal["refuse", "first", "last"] = field(
        default="refuse", metadata=about("Several readings of a customer at one time: refuse, or which one counts")
    )

    def __attrs_post_init__(self) -> None:
        problems = [*_powers(self), *_layout(self), *_pool(self)]
        if problems:
            raise ConfigError(problems)

    def columns(self) -> dict[str, str]:
        """Column, or pattern of columns, by quantity."""
        named = {quantity: getattr(self, f"{quantity}_column") for quantity in QUANTITIES}
        return {quantity: column for quantity, column in named.items() if column is not None}


def _powers(config: ReadingsConfig) -> list[str]:
    powers = (config.import_column, config.export_column)
    problems = []
    if config.net_column is None and powers == (None, None):
        problems.append("import_column: name at least one of import_column, export_column, net_column")
    if config.net_column is not None and powers != (None, None):
        problems.append("net_column: stands instead of import_column and export_column; remove it, or them")
    for one in ("import", "export"):
        column, factor = getattr(config, f"{one}_kvar_column"), getattr(config, f"{one}_power_factor")
        if column is not None and factor is not None:
            problems.append(f"{one}_power_factor: {one}_kvar_column says the kvar; remove one of them")
        if config.net_column is None and getattr(config, f"{one}_column") is None and (column, factor) != (None, None):
            key = f"{one}_kvar_column" if column is not None else f"{one}_power_factor"
            problems.append(f"{key}: there is no {one}_column for it to go with")
    return problems


def _pool(config: ReadingsConfig) -> list[str]:
    drawn = config.missing_customers == "from-pool"
    if drawn and config.seed is None:
        return ['seed: missing_customers = "from-pool" draws at random; state a whole number']
    if not drawn and config.seed is not None:
        return ['seed: nothing is drawn at random; remove it, or set missing_customers = "from-pool"']
    if drawn and config.unknown_customers != "refuse":
        return [
            'unknown_customers: with missing_customers = "from-pool", readings that are no customer\'s own are the '
            "pool; remove it"
        ]
    return []


def _layout(config: ReadingsConfig) -> list[str]:
    columns = config.columns()
    problems = [
        f"{quantity}_column: a wide table has a column for each customer; put {CUSTOMER} where its id stands"
        if config.layout == "wide"
        else f'{quantity}_column: {CUSTOMER} is for wide tables; name one column, or set layout = "wide"'
        for quantity, column in columns.items()
        if (column.count(CUSTOMER) != 1) == (config.layout == "wide")
    ]
    taken = {"time_column": config.time_column}
    if config.layout == "long":
        taken["customer_column"] = config.customer_column
    taken |= {f"{quantity}_column": column for quantity, column in columns.items()}
    owner: dict[str, str] = {}
    for key, name in taken.items():
        if owner.setdefault(name, key) != key:
            problems.append(f"{key}: {name!r} is {owner[name]} already")
    return problems


@frozen(kw_only=True)
class SeriesConfig:
    """Named series, such as the output of PV for one installed kW."""

    files: tuple[Path, ...] = field(validator=[not_empty, unique], metadata=_FILES)
    interval_minutes: float = field(validator=divides_a_day, metadata=_INTERVAL)
    time_column: str = field(default="time", validator=not_empty, metadata=_TIME)
    stamp: Literal["end", "start"] = field(default="end", metadata=_STAMP)
    utc_offset: str | None = field(default=None, validator=_offset, metadata=_UTC_OFFSET)
    name_column: str | None = field(
        default=None,
        validator=not_empty,
        metadata=about("Column of names, in a table with a row for each series and time; unset for a column a series"),
    )
    value_column: str = field(
        default="value", validator=not_empty, metadata=about("Column of values, where there is a column of names")
    )


@frozen(kw_only=True)
class TableConfig:
    """Readings of customers, named series, or both, from Parquet or CSV files."""

    readings: ReadingsConfig | None = field(default=None, metadata=about("Customers' readings"))
    series: SeriesConfig | None = field(default=None, metadata=about("Named series"))

    def __attrs_post_init__(self) -> None:
        if self.readings is None and self.series is None:
            raise ConfigError("readings: add [profiles.readings], [profiles.series], or both")
