"""Registers the writer ``postgres``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hostcap.plugins import Extra, WriterPlugin, hookimpl
from hostcap_contrib.postgres.config import PostgresConfig

if TYPE_CHECKING:
    from hostcap_contrib.postgres.writer import PostgresWriter


EXTRA = Extra(modules=("adbc_driver_postgresql",), install="hostcap[postgres]")


def _make(config: PostgresConfig) -> PostgresWriter:
    EXTRA.require("writer 'postgres'")
    from hostcap_contrib.postgres.writer import PostgresWriter

    return PostgresWriter(config=config)


POSTGRES = WriterPlugin(
    name="postgres",
    summary="Tables of a PostgreSQL database, a whole run in one transaction",
    config=PostgresConfig,
    make=_make,
    extra=EXTRA,
)


@hookimpl
def hostcap_writers() -> Iterable[WriterPlugin[Any]]:
    """The writer."""
    return [POSTGRES]
