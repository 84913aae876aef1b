"""Settings of the writer; light to import."""

from __future__ import annotations

import re
from typing import Any

import attrs
from attrs import field, frozen

from hostcap.config import about, in_schema, not_empty, unique

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"


@in_schema(pattern=f"^{_NAME}$")
def _variable(instance: Any, attribute: attrs.Attribute[Any], value: str) -> None:
    """The name of an environment variable; what is none is not repeated, as it may hold a password."""
    if not re.fullmatch(_NAME, value):
        raise ValueError(
            f"'{attribute.name}' must be the name of an environment variable (letters, digits and _), and not a "
            "connection string: a study file is kept with every run; put the string into a variable and name that"
        )


@in_schema(maxLength=63)
def _identifier(instance: Any, attribute: attrs.Attribute[Any], value: str) -> None:
    """A name that PostgreSQL keeps whole."""
    if len(value.encode()) > 63 or "\0" in value:
        raise ValueError(f"'{attribute.name}' must be a name of at most 63 bytes, as PostgreSQL keeps no more")


@frozen(kw_only=True)
class PostgresConfig:
    """Where the database is, and what is kept in it."""

    connection_variable: str = field(
        default="HOSTCAP_POSTGRES",
        validator=_variable,
        metadata=about(
            "Name of the environment variable that holds the connection string, such as postgresql://user@host/database",
            reads_environment=True,
        ),
    )
    schema: str = field(
        default="public",
        validator=[not_empty, _identifier],
        metadata=about("Schema of the database that the tables are in; it must be there"),
    )
    tables: tuple[str, ...] | None = field(
        default=None,
        validator=[not_empty, unique],
        metadata=about("Tables to keep; unset keeps all that the study makes", names_tables=True),
    )
