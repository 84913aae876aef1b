"""A throw-away PostgreSQL server, where its programs are; with HOSTCAP_POSTGRES_REQUIRED=1 they must be."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from attrs import frozen
from postgres_cases import VARIABLE, quoted

NUMBERS = count()
PASSWORD = "geheim %@:/ü"
"""Holds what a connection string must write percent-encoded."""
BESIDE = Path("/usr/lib/postgresql")
"""Where Debian and its kin keep the programs, off the path, a folder a version."""


@frozen(kw_only=True)
class Server:
    """A server that listens on a socket in a folder of its own, and asks for passwords."""

    programs: Path
    folder: Path
    password: str = PASSWORD

    def uri(self, *, user: str = "owner", password: str = PASSWORD, database: str = "postgres") -> str:
        return f"postgresql://{user}:{quote(password, safe='')}@/{database}?host={quote(str(self.folder), safe='')}"

    def sql(self, *statements: str, database: str = "postgres") -> str:
        """What psql says, which shares no code with the driver."""
        asked = [part for statement in statements for part in ("-c", statement)]
        done = subprocess.run(
            [self.programs / "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", *asked, self.uri(database=database)],
            check=True,
            capture_output=True,
            encoding="utf-8",
            env={**os.environ, "PGTZ": "UTC", "PGCLIENTENCODING": "UTF8"},
        )
        return done.stdout

    def rows(self, place: str, database: str = "postgres") -> list[dict[str, Any]]:
        """Rows of a table, all numbers floats: JSON of the database writes a whole one as an integer, -0.0 as -0."""
        told = self.sql(f"SELECT row_to_json(t) FROM {place} t", database=database)
        return [json.loads(line, parse_int=float) for line in told.split("\n") if line]


def _programs() -> Path | None:
    initdb = shutil.which("initdb")
    if initdb:
        return Path(initdb).resolve().parent
    versions = sorted(BESIDE.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    return versions[-1].parent if versions else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """The server, for the session."""
    programs = _programs()
    reason = "needs PostgreSQL's initdb, which is not installed: apt-get install postgresql"
    if programs is None or shutil.which(programs / "psql") is None:
        if os.environ.get("HOSTCAP_POSTGRES_REQUIRED") == "1":
            pytest.fail(f"HOSTCAP_POSTGRES_REQUIRED=1, but it {reason}")
        pytest.skip(reason)
    # The server does not run as root, and its user cannot look into root's folders of tests; sockets want short paths.
    user = "postgres" if os.name == "posix" and os.geteuid() == 0 else getpass.getuser()
    as_user: dict[str, Any] = {"user": user} if os.name == "posix" and os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="hostcap-pg-"))
    try:
        (folder / "password").write_text(PASSWORD + "\n", encoding="utf-8")
        for path in (folder, folder / "password"):
            if as_user:
                shutil.chown(path, user)
        data = folder / "data"
        made = ["--username=owner", f"--pwfile={folder / 'password'}", "--auth=scram-sha-256", "--no-sync"]
        _said(programs / "initdb", "-D", data, *made, "--encoding=UTF8", "--no-locale", cwd=folder, **as_user)
        options = f"-c listen_addresses= -c unix_socket_directories='{folder}' -c fsync=off"
        ready = ["-D", data, "-w", "-l", folder / "log", "-o", options]
        _said(programs / "pg_ctl", *ready, "start", cwd=folder, **as_user)
        try:
            yield Server(programs=programs, folder=folder)
        finally:
            _said(programs / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop", cwd=folder, **as_user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _said(*command: Any, **more: Any) -> None:
    """Run a program; what it says is shown where it fails."""
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8", **more)
    if done.returncode:
        pytest.fail(f"{command[0]}: {done.stderr}")


@pytest.fixture
def schema(postgres: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new schema, with a name that must be quoted."""
    monkeypatch.setenv(VARIABLE, postgres.uri())
    name = f'Runs "{next(NUMBERS)}"'
    postgres.sql(f"CREATE SCHEMA {quoted(name)}")
    return name
