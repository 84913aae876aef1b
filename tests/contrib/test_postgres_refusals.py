"""What the writer ``postgres`` refuses: one line, before anything is computed, that holds no password."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hostcap.cli.main import main
from hostcap.errors import ConfigError, HostcapError, OutputError, PluginError
from hostcap.plugins import extras
from hostcap.tables import Column, TableSchema

pytest.importorskip("adbc_driver_postgresql", reason="the driver is not installed: pip install 'hostcap[test]'")
from hostcap_contrib.postgres import plugin
from hostcap_contrib.postgres.config import PostgresConfig
from hostcap_contrib.postgres.writer import PostgresWriter

VARIABLE = "HOSTCAP_TEST_POSTGRES"
SECRET = "geheim"
TABLE = TableSchema(
    name="rows",
    meaning="A row.",
    columns=(Column("work_package_id", "text", "Run", key=True), Column("kw", "number", "Power", unit="kW")),
)


def writer(schema: str = "public", **settings: Any) -> PostgresWriter:
    return PostgresWriter(config=PostgresConfig(connection_variable=VARIABLE, schema=schema, **settings))


def refused(schema: str = "public", table: TableSchema = TABLE, error: type[HostcapError] = OutputError) -> str:
    """What it says, without the name of the writer."""
    with pytest.raises(error) as caught:
        writer(schema).prepare((table,))
    text = str(caught.value)
    assert "\n" not in text and SECRET not in text and text.startswith("writer 'postgres': ")
    return text.removeprefix("writer 'postgres': ")


def test_a_variable_that_is_not_set_or_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    told = "the environment variable HOSTCAP_TEST_POSTGRES is not set; set it to a connection string, such as "
    assert refused(error=ConfigError).startswith(told)
    monkeypatch.setenv(VARIABLE, " ")
    assert refused(error=ConfigError).startswith(told)


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f"postgresql://owner:{SECRET}%zz@127.0.0.1/postgres",
        f"mysql://owner:{SECRET}@127.0.0.1/postgres",
        f"postgresql://owner:{SECRET}@127.0.0.1:port/postgres",
        f"host=127.0.0.1 user=owner passwort={SECRET}",
        f"postgresql://owner:x@127.0.0.1/postgres?secret={SECRET}",
    ],
)
def test_what_is_no_connection_string_is_not_repeated(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, text)
    told = f"{VARIABLE} holds no connection string that PostgreSQL understands; expected one such as "
    assert refused(error=ConfigError).startswith(told)


def test_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, f"host={tmp_path} user=owner password={SECRET} dbname=postgres")
    assert re.match(
        r"no connection to the server at \S+ \(from HOSTCAP_TEST_POSTGRES\): No such file or directory; "
        "see to the host and the port, and whether the server runs$",
        refused(),
    )
    # A password whose @ is not written as %40 ends up in the name of the host, which is not repeated.
    monkeypatch.setenv(VARIABLE, f"postgresql://owner:x@{SECRET}@127.0.0.1/postgres")
    assert refused().startswith("the host name in HOSTCAP_TEST_POSTGRES is not known; ")


def test_wrong_password_user_and_database(postgres: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, postgres.uri(password=SECRET))
    assert re.match(r'no connection .* password authentication failed for user "owner"; see to the password', refused())
    monkeypatch.setenv(VARIABLE, postgres.uri(user="nobody", password=SECRET))
    assert 'password authentication failed for user "nobody"' in refused()
    monkeypatch.setenv(VARIABLE, postgres.uri(database="elsewhere"))
    assert 'database "elsewhere" does not exist; see to the user and the database' in refused()


def test_the_password_may_stand_in_a_pgpass_file(
    postgres: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection string of keywords without a password, as IT hands them out."""
    monkeypatch.setenv(VARIABLE, f"host={postgres.folder} user=owner dbname=postgres")
    assert "no password supplied" in refused()
    file = tmp_path / "pgpass"
    file.write_text(f"*:*:*:owner:{postgres.password.replace(':', chr(92) + ':')}\n", encoding="utf-8")
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))
    writer().prepare((TABLE,))


def test_a_schema_that_is_missing_or_closed(postgres: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, postgres.uri())
    assert refused("no such").startswith("the database has no schema 'no such'; have it made with CREATE SCHEMA ")
    postgres.sql("CREATE SCHEMA closed", f"CREATE ROLE guest LOGIN PASSWORD '{SECRET}'", "CREATE TABLE closed.rows ()")
    monkeypatch.setenv(VARIABLE, postgres.uri(user="guest", password=SECRET))
    assert refused("closed") == (
        "user 'guest' may not use schema 'closed'; have it granted with GRANT USAGE, CREATE ON SCHEMA \"closed\" "
        'TO "guest"'
    )
    postgres.sql("GRANT USAGE ON SCHEMA closed TO guest")
    told = refused("closed")
    assert "user 'guest' may not read, add and delete rows of 'rows'; have it granted with GRANT SELECT, " in told
    assert "user 'guest' may not create tables (hostcap_runs, hostcap_tables); have it granted with GRANT " in told
    postgres.sql("DROP TABLE closed.rows", "GRANT CREATE ON SCHEMA closed TO guest")
    writer("closed").prepare((TABLE,))


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (
            "TABLE {at} (work_package_id text)",
            "table 'rows' has no column 'kw'; add it with ALTER TABLE {at} ADD COLUMN \"kw\" double precision, or ",
        ),
        (
            "TABLE {at} (work_package_id text, kw numeric(9, 2))",
            "table 'rows': column 'kw' is numeric(9,2), expected double precision; name another schema",
        ),
        (
            "TABLE {at} (work_package_id uuid, kw double precision)",
            "table 'rows': column 'work_package_id' is uuid, expected text; name another schema",
        ),
        (
            "TABLE {at} (work_package_id text, kw double precision, note text NOT NULL)",
            "table 'rows': column 'note', which the run has not, must not be empty; give it a default, or name ",
        ),
        ("VIEW {at} AS SELECT 1 AS kw", "'rows' is a view, expected a table; rename it"),
        ("SEQUENCE {at}", "'rows' is a sequence, expected a table; rename it"),
        ("TABLE {at} ()", "table 'rows' has no column 'work_package_id'; add it with "),
    ],
)
def test_a_table_that_does_not_fit(made: str, told: str, postgres: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, postgres.uri())
    postgres.sql("DROP SCHEMA IF EXISTS unfit CASCADE", "CREATE SCHEMA unfit", f"CREATE {made.format(at='unfit.rows')}")
    assert refused("unfit").startswith("schema 'unfit': " + told.format(at='"unfit"."rows"'))


def test_columns_of_ones_own_may_stand_beside_those_of_the_run(postgres: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, postgres.uri())
    columns = "id bigint GENERATED ALWAYS AS IDENTITY, note text NOT NULL DEFAULT 'x', kw double precision"
    postgres.sql("CREATE SCHEMA own", f"CREATE TABLE own.rows ({columns}, work_package_id text)")
    writer("own").prepare((TABLE,))


def test_names_that_the_database_would_cut(postgres: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, postgres.uri())
    long = TableSchema(name="r" * 64, meaning="A row.", columns=(Column("kw", "number", "Power"),))
    assert "is longer than the 63 bytes that PostgreSQL keeps of a name" in refused(table=long)


STUDY = """\
name = "x"
[scope]
feeders = ["demo"]
year = 2025
[network]
plugin = "opendss"
master = "Master.dss"
frequency_hz = 50
[study]
plugin = "lv-headroom"
[[constraints]]
plugin = "thermal"
[[writers]]
plugin = "postgres"
"""


def said(folder: Path, more: str, *command: str) -> str:
    """What the command line says of a study with these keys of the writer, in one line."""
    path = folder / "study.toml"
    path.write_text(STUDY + more, encoding="utf-8")
    result = CliRunner().invoke(main, [*(command or ("run",)), str(path)])
    assert result.exit_code != 0
    (line,) = [each for each in result.output.splitlines() if each]
    assert SECRET not in line
    assert not (folder / "results").exists()
    return line


@pytest.mark.parametrize("key", ["connection_variable", "uri", "connection", "password"])
@pytest.mark.parametrize("text", [f"postgresql://owner:{SECRET}@127.0.0.1/d", f"host=h password={SECRET}"])
def test_a_connection_string_in_a_study_file_is_refused_and_not_repeated(key: str, text: str, tmp_path: Path) -> None:
    line = said(tmp_path, f'{key} = "{text}"\n')
    if key == "connection_variable":
        assert "writers[0].connection_variable: must be the name of an environment variable" in line
    else:
        assert f"writers[0].{key}" in line and "connection_variable" in line


@pytest.mark.parametrize("command", ["check", "run"])
def test_what_is_missing_is_said_before_the_feeder_is_read(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The feeder's master file is not there, which nobody gets as far as to notice."""
    monkeypatch.delenv("HOSTCAP_POSTGRES", raising=False)
    assert "the environment variable HOSTCAP_POSTGRES is not set" in said(tmp_path, "", command)


def test_an_untrusted_study_may_not_use_what_variables_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTCAP_POSTGRES", SECRET)
    line = said(tmp_path, "", "run", "--untrusted")
    assert "writers[0].connection_variable: an untrusted study may not use what your environment variables hold" in line


@pytest.mark.parametrize("command", ["check", "run"])
def test_without_the_driver_it_says_how_to_install_it(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    told = "the package adbc-driver-postgresql is not installed; pip install 'hostcap[postgres]'"
    assert said(tmp_path, "", command).endswith(told)
    with pytest.raises(PluginError, match="pip install"):
        plugin.POSTGRES.make(PostgresConfig())
