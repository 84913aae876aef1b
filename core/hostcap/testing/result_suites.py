"""Suites of what makes and keeps tables: studies and writers."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from hostcap.errors import HostcapError, StoppedError
from hostcap.operating_point import FeederScope
from hostcap.plugins import BareJob, Job, StudyPlugin, WriterPlugin
from hostcap.report.packing import data_sets
from hostcap.tables import FINDINGS, Chunk, Column, Results, Table, TableSchema, findings_table
from hostcap.testing.case import Case
from hostcap.testing.plugin_suite import PluginSuite
from hostcap.work_package import never, silent

RUN_ID = str(uuid.UUID(int=7))


class StudySuite(PluginSuite):
    """Tables whole, ordered, keyed and repeatable; ``Case.parts`` holds the parts, among them the network source."""

    kind = StudyPlugin

    @pytest.fixture
    def job(self, case: Case) -> Any:
        """The feeder that the study is run on; a job without one where the case has no network."""
        if "network" not in case.parts:
            return BareJob(
                scope=FeederScope(feeder=case.feeder, year=2025),
                work_package_id=RUN_ID,
                progress=silent,
                should_stop=never,
            )
        source = case.parts["network"]
        network = source.load(case.feeder)
        return Job(
            source=source,
            network=network,
            scope=FeederScope(feeder=case.feeder, year=2025),
            work_package_id=RUN_ID,
            progress=silent,
            should_stop=never,
        )

    @pytest.fixture
    def study(self, case: Case) -> Any:
        """The study with its parts."""
        return self.made(case)

    def made(self, case: Case) -> Any:
        """A new study, with the case's parts but its network source, which the job has."""
        record: Any = case.record
        return record.make(case.config(), {n: p for n, p in case.parts.items() if n != "network"})

    def test_two_objects_do_not_disturb_each_other(self, case: Case) -> None:
        assert type(self.made(case)) is type(self.made(case))

    def test_a_run_can_be_had_again(self, case: Case, study: Any, job: Job) -> None:
        first = list(study.run(job))
        assert _same(first, list(self.made(case).run(job))), "two objects of one study give different tables"
        assert _same(first, list(study.run(job))), "a second run gives different tables"

    def test_keys_are_there_and_tell_rows_apart(self, study: Any, job: Job) -> None:
        for chunk in study.run(job):
            for table in chunk.tables:
                keys = [c.name for c in table.schema.columns if c.key]
                assert keys, f"table {table.name} has no key"
                rows = list(zip(*(table[k].astype(str) for k in keys), strict=True))
                assert len(set(rows)) == len(rows), f"table {table.name}: two rows have one key ({', '.join(keys)})"

    def test_every_feeder_has_its_findings(self, study: Any, job: Job) -> None:
        chunks = list(study.run(job))
        for chunk in chunks:
            # Chunks that pass are parts of a feeder, which has its findings at the end.
            assert chunk.passing or FINDINGS.name in [table.name for table in chunk.tables]
        assert not chunks[-1].passing, "the last chunk is kept"

    def test_every_table_is_announced(self, case: Case, study: Any, job: Job) -> None:
        record: Any = case.record
        announced = {schema.name: schema for schema in (*record.tables, FINDINGS)}
        for chunk in study.run(job):
            for table in chunk.tables:
                assert announced.get(table.name) == table.schema, f"StudyPlugin.tables lacks the schema of {table.name}"

    def test_columns_have_words(self, study: Any, job: Job) -> None:
        for chunk in study.run(job):
            for table in chunk.tables:
                assert table.schema.meaning.strip() and table.schema.order.strip(), table.name
                for column in table.schema.columns:
                    assert column.meaning.strip(), f"{table.name}.{column.name}"

    def test_ids_derive_from_the_run(self, study: Any, job: Job) -> None:
        for chunk in study.run(job):
            for table in chunk.tables:
                if "work_package_id" in table.columns:
                    assert set(table["work_package_id"].tolist()) <= {RUN_ID}

    def test_what_there_is_to_see_can_be_drawn(self, case: Case, study: Any, job: Job) -> None:
        record: Any = case.record
        if record.report is None:
            pytest.skip("the study says nothing of pictures (StudyPlugin.report)")
        chunks = tuple(study.run(job))
        for view in record.report(Results(work_package_id=RUN_ID, chunks=chunks)).views:
            ids = [choice.id for choice in view.choices]
            assert len(set(ids)) == len(ids)
            assert set(view.row_choices) <= set(ids) and len(view.row_choices) == len(view.rows)
            assert {len(row) for row in view.rows} <= {len(view.head)}
            assert {len({len(values) for values in columns.values()}) for columns in view.data.values()} <= {1}
            for figure in view.figures:
                assert data_sets(figure.spec) <= set(view.data), f"figure {figure.name} draws what the view has not"
        nothing = tuple(attrs.evolve(c, tables=tuple(t for t in c.tables if t.name == FINDINGS.name)) for c in chunks)
        assert record.report(Results(work_package_id=RUN_ID, chunks=nothing)).views == ()

    def test_it_stops_when_asked(self, study: Any, job: Job) -> None:
        with pytest.raises(StoppedError):
            list(study.run(attrs.evolve(job, should_stop=lambda: True)))

    def test_it_tells_its_progress(self, study: Any, job: Job) -> None:
        told: list[str] = []
        list(study.run(attrs.evolve(job, progress=lambda stage, done, total: told.append(stage))))
        assert told, "work of more than a second says how far it is"

    def test_check_solves_and_says_what_a_run_would_do(self, study: Any, job: Job) -> None:
        preview = study.check(job)
        assert preview.feeder == job.scope.feeder
        assert preview.facts


def _same(first: list[Chunk], second: list[Chunk]) -> bool:
    return len(first) == len(second) and all(
        one.to_arrow().equals(other.to_arrow())
        for a, b in zip(first, second, strict=True)
        for one, other in zip(a.tables, b.tables, strict=True)
    )


EVERY_TYPE = TableSchema(
    name="every_type",
    meaning="A row of each type, with what is missing.",
    order="as given",
    columns=(
        Column("feeder", "text", "Feeder, with a comma, a quote and a line break", key=True),
        Column("number", "integer", "Whole number", key=True),
        Column("kw", "number", "A power", unit="kW"),
        Column("sure", "boolean", "Yes, no, or missing"),
        Column("timestamp", "timestamp", "Instant, UTC"),
    ),
)


def every_type(feeder: str, *, kw: float = 1.5) -> Chunk:
    """A chunk with every column type, missing values, awkward text, and a table without rows."""
    table = Table.build(
        EVERY_TYPE,
        {
            "feeder": [f'{feeder}, "quoted"\nline', "\u00fc", None],
            "number": [1, 2, 3],
            "kw": [kw, float("nan"), -0.1],
            "sure": [True, None, False],
            "timestamp": np.array(["2025-01-01T00:30", "2025-01-01T01:00", "2025-01-01T01:30"], "datetime64[us]"),
        },
        {"limits": "216-253 V"},
    )
    nothing = findings_table([], work_package_id=RUN_ID, scenario="base", feeder=feeder)
    return Chunk(scenario="base", year=2025, feeder=feeder, tables=(table, nothing))


class WriterSuite(PluginSuite):
    """Tables on disk: whole or not at all, the same bytes each time, each feeder by itself."""

    kind = WriterPlugin

    def test_something_appears_and_nothing_half_written_is_left(self, case: Case, tmp_path: Path) -> None:
        case.make().write(tmp_path, every_type("one"))
        files = _files(tmp_path)
        assert files, "nothing was written"
        left = [name for name in files if name.endswith((".part", ".tmp")) or Path(name).name.startswith(".")]
        assert not left, f"left behind: {left}"
        assert any(files.values()), "every file is empty"

    def test_writing_twice_gives_the_same_bytes(self, case: Case, tmp_path: Path) -> None:
        case.make().write(tmp_path / "a", every_type("one"))
        case.make().write(tmp_path / "b", every_type("one"))
        case.make().write(tmp_path / "b", every_type("one"))
        assert _files(tmp_path / "a") == _files(tmp_path / "b")

    def test_feeders_do_not_overwrite_each_other(self, case: Case, tmp_path: Path) -> None:
        writer = case.make()
        writer.write(tmp_path / "both", every_type("one"))
        first = _files(tmp_path / "both")
        writer.write(tmp_path / "both", every_type("two", kw=2.5))
        both = _files(tmp_path / "both")
        assert len(both) > len(first) or sum(map(len, both.values())) > sum(map(len, first.values()))
        case.make().write(tmp_path / "other", every_type("two", kw=2.5))
        case.make().write(tmp_path / "other", every_type("one"))
        assert set(_files(tmp_path / "other")) == set(both)

    def test_a_chunk_of_other_content_replaces_its_own(self, case: Case, tmp_path: Path) -> None:
        case.make().write(tmp_path, every_type("one"))
        before = _files(tmp_path)
        case.make().write(tmp_path, every_type("one", kw=9.0))
        after = _files(tmp_path)
        assert set(after) == set(before)
        assert after != before, "the new numbers are not there"

    def test_a_folder_that_is_a_file_is_an_error_of_ours(self, case: Case, tmp_path: Path) -> None:
        (tmp_path / "taken").write_text("not a folder", encoding="utf-8")
        with pytest.raises(HostcapError) as caught:
            case.make().write(tmp_path / "taken", every_type("one"))
        assert "taken" in str(caught.value), "the error names the place"
        assert (tmp_path / "taken").read_text(encoding="utf-8") == "not a folder"

    def test_a_table_that_fails_half_way_leaves_nothing(
        self, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The second table cannot be put into arrow form: the first must not be there either."""

        def broken(self: Table) -> Any:
            raise OSError("no space left")

        good, bad = every_type("one").tables
        chunk = Chunk(scenario="base", year=2025, feeder="one", tables=(good, bad))
        whole = Table.to_arrow
        monkeypatch.setattr(Table, "to_arrow", lambda self: broken(self) if self.name == bad.name else whole(self))
        try:
            case.make().write(tmp_path, chunk)
        except (HostcapError, OSError):
            assert not _files(tmp_path), "a chunk appears whole or not at all"
        else:
            pytest.skip("the writer does not go through Table.to_arrow")


def _files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
