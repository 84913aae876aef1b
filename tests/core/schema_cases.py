"""A good study as JSON, and what the schema and hostcap itself say of it."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from hostcap.config import structure_study
from hostcap.config.schema import study_schema
from hostcap.errors import ConfigError
from hostcap.plugins import (
    Registry,
)

FOLDER = Path("/studies").absolute()
INSTALLED = Registry.from_entry_points()
SCHEMA = study_schema(INSTALLED)
VALIDATOR = Draft202012Validator(SCHEMA)


def json_of(value: Any) -> Any:
    """A TOML document as an editor hands it to a schema: dates and times as text."""
    if isinstance(value, dict):
        return {key: json_of(item) for key, item in value.items()}
    if isinstance(value, list):
        return [json_of(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


def in_words(data: Any, validator: Draft202012Validator = VALIDATOR) -> bool:
    return validator.is_valid(json_of(data))


def structured(data: Any, registry: Registry = INSTALLED) -> bool:
    try:
        structure_study(data, FOLDER, registry)
    except ConfigError:
        return False
    return True


def good() -> dict[str, Any]:
    return {
        "name": "2025 export, LV",
        "scope": {"feeders": ["CRE21"], "scenario": "base", "year": 2025},
        "network": {"plugin": "opendss", "master": "{feeder}/Master.dss", "frequency_hz": 50},
        "study": {"plugin": "lv-headroom", "step_kw_per_customer": 0.1, "max_steps": 1000},
        "initial_state": {"plugin": "fixed-load", "load_kw_per_customer": 0.5},
        "injection": {"plugin": "negative-load", "direction": "export"},
        "allocation": {"plugin": "uniform"},
        "constraints": [{"plugin": "voltage", "lv_max_v": 253.0}, {"plugin": "thermal", "percent_of_rating": 100.0}],
        "solver": {"plugin": "opendss", "tolerance_pu": 1e-6},
        "writers": [{"plugin": "parquet"}],
    }
