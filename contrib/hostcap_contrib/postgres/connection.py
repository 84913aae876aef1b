"""A connection to the database, and its errors in one line that holds no password."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hostcap.errors import ConfigError, OutputError, StoppedError

WHO = "writer 'postgres'"
_URI = re.compile(r"postgres(ql)?://")
_FAILED = re.compile(
    r'connection to server (?:at|on socket) "(?P<host>[^"]*)"[^\n]*?'
    r"failed: (?:FATAL:\s+)?(?P<why>[^\n]*)"
)
_CANCELLED = "57014"
_HINTS = {
    "password authentication": "see to the password of the connection string, or to your .pgpass file",
    "no password supplied": "give it in the connection string, or in a .pgpass file",
    "Connection refused": "see to the host and the port, and whether the server runs",
    "No such file": "see to the host and the port, and whether the server runs",
    "does not exist": "see to the user and the database of the connection string",
}


@contextmanager
def connected(variable: str) -> Iterator[Any]:
    """A connection in a transaction of its own, which ends with the block; what was not committed is rolled back.

    Args:
        variable: Name of the environment variable with the connection string.

    Raises:
        ConfigError: The variable is not set, or holds no connection string.
        OutputError: The server cannot be reached, or refuses.
        StoppedError: A statement was cancelled.
    """
    import adbc_driver_postgresql.dbapi as driver

    text = os.environ.get(variable, "")
    if not text.strip():
        raise ConfigError(
            f"{WHO}: the environment variable {variable} is not set; set it to a connection string, such as "
            "postgresql://user@host:5432/database"
        )
    try:
        connection = driver.connect(_completed(text.strip()))
    except driver.Error as error:
        raise _unreachable(str(error), variable) from None  # its text may hold parts of the connection string
    try:
        yield connection
    except driver.Error as error:
        if error.sqlstate == _CANCELLED and "user request" in str(error):
            # So does Ctrl-C end while the driver waits for the server.
            raise StoppedError(f"{WHO}: stopped; the database is as it was") from error
        raise OutputError(f"{WHO}: {reason(str(error))}") from error
    finally:
        connection.close()


def rows(connection: Any, sql: str, parameters: Sequence[Any] | None = None) -> list[dict[str, Any]]:
    """What a query gives."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        found: list[dict[str, Any]] = cursor.fetch_arrow_table().to_pylist()
        return found


def execute(connection: Any, sql: str, parameters: Sequence[Any] | None = None) -> None:
    """Run a statement that gives no rows; what a query does is only done when its rows are read."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def identifier(name: str) -> str:
    """A name as SQL text."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL text; the backslash is no special character since PostgreSQL 9.1."""
    return "'" + text.replace("'", "''") + "'"


def reason(text: str) -> str:
    """What the server says, in one line: its first line, and the detail where there is one."""
    found = re.search(r"(?:ERROR|FATAL):\s+([^\n]*)", text)
    detail = re.search(r"DETAIL:\s+([^\n]*)", text)
    said = found.group(1) if found else " ".join(text.split())
    return f"{said} ({detail.group(1)})" if detail else said


def _completed(text: str) -> str:
    """The connection string, with a time limit, a name for the server's lists, and the driver's encoding."""
    own = {"client_encoding": "UTF8", "fallback_application_name": "hostcap"}
    if "PGCONNECT_TIMEOUT" not in os.environ and "connect_timeout" not in text:
        own["connect_timeout"] = "15"
    if _URI.match(text):
        return text + ("&" if "?" in text else "?") + "&".join(f"{key}={value}" for key, value in own.items())
    return " ".join([text, *(f"{key}={value}" for key, value in own.items())])


def _unreachable(text: str, variable: str) -> Exception:
    tried = list(_FAILED.finditer(text))
    if tried:
        last = tried[-1]
        why, host = last["why"].strip(), last["host"]
        hint = next((said for word, said in _HINTS.items() if word in why), "see to the connection string")
        return OutputError(f"{WHO}: no connection to the server at {host} (from {variable}): {why}; {hint}")
    if "translate host name" in text:
        return OutputError(
            f"{WHO}: the host name in {variable} is not known; see to it, and write special characters of a password "
            "percent-encoded, such as %40 for @"
        )
    return ConfigError(
        f"{WHO}: {variable} holds no connection string that PostgreSQL understands; expected one such as "
        "postgresql://user@host:5432/database, special characters percent-encoded"
    )
