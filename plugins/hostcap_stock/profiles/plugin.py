"""Registers the profiles; pyarrow is imported when a study makes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hostcap.plugins import ProfilesPlugin, hookimpl
from hostcap_stock.profiles.config import TableConfig

if TYPE_CHECKING:
    from hostcap.plugins.kinds import Profiles


def _table(config: TableConfig) -> Profiles:
    from hostcap_stock.profiles.table import TableProfiles

    return TableProfiles(config)


TABLE = ProfilesPlugin(
    name="table",
    summary="Customers' readings, and named series, in Parquet or CSV files",
    config=TableConfig,
    make=_table,
)


@hookimpl
def hostcap_profiles() -> Iterable[ProfilesPlugin[Any]]:
    """The profiles."""
    return [TABLE]
