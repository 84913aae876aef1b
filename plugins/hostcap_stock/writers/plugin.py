"""Registers the writers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hostcap.plugins import WriterPlugin, hookimpl
from hostcap_stock.writers import CsvConfig, CsvWriter, ParquetConfig, ParquetWriter

PARQUET = WriterPlugin(
    name="parquet",
    summary="<table>/<scenario>/<feeder>/<year>.parquet, units and keys in the metadata",
    config=ParquetConfig,
    make=lambda config: ParquetWriter(config=config),
)
CSV = WriterPlugin(
    name="csv",
    summary="<table>/<scenario>/<feeder>/<year>.csv",
    config=CsvConfig,
    make=lambda config: CsvWriter(config=config),
)


@hookimpl
def hostcap_writers() -> Iterable[WriterPlugin[Any]]:
    """The writers."""
    return [PARQUET, CSV]
