"""Schemas of the tables of a trace report."""

from __future__ import annotations

from hostcap.tables import Column, TableSchema

_RUN = (
    Column("work_package_id", "text", "Run; all other ids derive from it", key=True),
    Column("interval", "text", "Interval of the trace", key=True),
    Column("direction", "text", "up: users supply; down: users take", key=True),
)

ASSET_USE = TableSchema(
    name="asset_use",
    meaning="Use of one asset by one user, or by what users are grouped to.",
    order="down before up; assets, then users, in the order first met; without zeros",
    columns=(
        *_RUN,
        Column("asset", "text", "Branch, station, or several under one name", key=True),
        Column("user", "text", "Node, company, carrier or zone", key=True),
        Column("mw", "number", "Its share of the flow", unit="MW"),
        Column("share", "number", "Of all users of the asset"),
    ),
)
ASSET_CONCENTRATION = TableSchema(
    name="asset_concentration",
    meaning="Concentration of the use of one asset, and what it is worth.",
    order="down before up; assets in the order first met, joined ones last",
    columns=(
        *_RUN,
        Column("asset", "text", "Branch, station, or several under one name", key=True),
        Column("mw", "number", "All users together", unit="MW"),
        Column("users", "integer", "Users with a share"),
        Column("hhi", "number", "10000 x sum of squared shares; empty where nothing flows"),
        Column("equal_users", "number", "How many equal users would give that index"),
        Column("value_connection", "number", "Value in the register as connection asset, millions"),
        Column("value_interconnection", "number", "Value in the register as interconnection asset, millions"),
        Column("asset_class", "text", "Connection or Interconnection"),
        Column("rental", "number", "Rental of a year"),
    ),
)
USER_VALUES = TableSchema(
    name="user_values",
    meaning="Value and rental of assets that fall to one user by its shares.",
    order="down before up; users in the order first met",
    columns=(
        *_RUN,
        Column("user", "text", "Node, company, carrier or zone", key=True),
        Column("mw", "number", "Sum of its shares over all assets", unit="MW"),
        Column("value_connection", "number", "Value of connection assets by its shares, millions"),
        Column("value_interconnection", "number", "Value of interconnection assets by its shares, millions"),
        Column("rental", "number", "Rental by its shares"),
        Column("peak_mw", "number", "Anytime maximum demand (down) or injection (up)", unit="MW"),
        Column("value_per_mw", "number", "Both values for one MW of its peak, millions"),
        Column("rental_per_mw", "number", "Rental for one MW of its peak"),
    ),
)
USER_ATTRIBUTES = TableSchema(
    name="user_attributes",
    meaning="What the mix of one user carries: an attribute of those who supply it, such as carbon.",
    order="users in the order first met",
    columns=(
        Column("work_package_id", "text", "Run; all other ids derive from it", key=True),
        Column("interval", "text", "Interval of the trace", key=True),
        Column("user", "text", "Who takes", key=True),
        Column("known_mw", "number", "From suppliers with the attribute, gross of losses", unit="MW"),
        Column("unknown_mw", "number", "From suppliers without it", unit="MW"),
        Column("rate", "number", "Mean of the known suppliers' attribute, for one MWh"),
        Column("amount", "number", "Rate times known MW: for one hour"),
    ),
)
UNMATCHED_LABELS = TableSchema(
    name="unmatched_labels",
    meaning="A label that found no partner in a join of the report: nothing of it, or by it, is handed on.",
    order="down before up; joins, then labels, in the order first met",
    columns=(
        *_RUN,
        Column("join", "text", "user_map, asset_map, register, circuits, rentals, peaks or attribute", key=True),
        Column("side", "text", "trace: the file lacks it; file: the trace does not use it", key=True),
        Column("label", "text", "Asset, user, line or circuit", key=True),
        Column(
            "amount", "number", "MW in the trace, or what the file says: millions, rental, MW; empty where it says none"
        ),
    ),
)
TABLES = (ASSET_USE, ASSET_CONCENTRATION, USER_VALUES, USER_ATTRIBUTES, UNMATCHED_LABELS)
