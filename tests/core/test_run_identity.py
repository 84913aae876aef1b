"""What a run is: its folder is its own, the same study of the same input has the same id and bytes."""

from __future__ import annotations

import uuid
from pathlib import Path

import attrs
import pytest
from desks import RUN_FILE, Desk, content, files

from hostcap import run
from hostcap.errors import (
    HostcapError,
    OutputError,
)


def test_the_same_run_again_gives_the_same_bytes_in_the_same_folder(desk: Desk, out: Path) -> None:
    desk.write(F1="one")
    run(desk.study("F1"), out=out)
    before = {name: data for name, data in content(out).items() if name != RUN_FILE}
    run(desk.study("F1"), out=out)
    assert {name: data for name, data in content(out).items() if name != RUN_FILE} == before


def test_a_folder_that_holds_another_studys_run_is_refused_and_left_as_it_was(desk: Desk, out: Path) -> None:
    desk.write(F1="one")
    run(desk.study("F1"), out=out)
    before = content(out)
    for _ in range(2):  # being refused once is no reason to be let in
        with pytest.raises(OutputError, match="another study") as caught:
            run(desk.study("F1", study__factor="2.0"), out=out)
        assert str(out) in str(caught.value)
        assert content(out) == before


def test_a_folder_that_holds_the_run_of_other_input_is_refused_and_left_as_it_was(desk: Desk, out: Path) -> None:
    desk.write(F1="one")
    run(desk.study("F1"), out=out)
    before = content(out)
    desk.write(F1="another")
    with pytest.raises(OutputError, match="other input"):
        run(desk.study("F1"), out=out)
    assert content(out) == before


def test_a_folder_that_holds_something_else_is_refused_and_left_as_it_was(desk: Desk, out: Path) -> None:
    out.mkdir()
    (out / "thesis.txt").write_text("do not touch", encoding="utf-8")
    desk.write(F1="one")
    for _ in range(2):
        with pytest.raises(OutputError, match="not empty"):
            run(desk.study("F1"), out=out)
        assert files(out) == ["thesis.txt"]


def test_a_folder_with_another_study_of_the_same_given_id_is_refused(desk: Desk, out: Path) -> None:
    # "a folder that holds another study's run is refused": an id that was given says nothing about the study.
    given = "3d2c5e0e-5f0b-4f5e-8d5c-0d9b6f1f5a11"
    desk.write(F1="one", F2="two")
    run(attrs.evolve(desk.study("F1"), given_id=given), out=out)
    before = content(out)
    with pytest.raises(OutputError):
        run(attrs.evolve(desk.study("F2", study__factor="2.0"), given_id=given), out=out)
    assert content(out) == before


def test_a_place_that_cannot_be_a_folder_is_refused_before_anything_is_loaded(desk: Desk, out: Path) -> None:
    out.write_text("a file", encoding="utf-8")
    told: list[str] = []
    with pytest.raises(OutputError, match="is a file, not a folder") as caught:
        run(desk.study("F1"), out=out, progress=lambda stage, done, total: told.append(stage))
    assert str(out) in str(caught.value)
    assert "--out" in str(caught.value)
    assert told == []


def test_the_same_study_of_the_same_input_has_the_same_id(desk: Desk) -> None:
    desk.write(F1="one", F2="two")
    first, second = run(desk.study("F1", "F2")), run(desk.study("F1", "F2"))
    assert first.work_package_id == second.work_package_id
    assert uuid.UUID(first.work_package_id).version == 5


def test_a_study_elsewhere_on_the_disk_has_the_same_id(desk: Desk, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "deeper"
    moved.mkdir(parents=True)
    other = Desk(folder=moved)
    ids = []
    for place in (desk, other):
        place.write(F1="one")
        ids.append(run(place.study("F1")).work_package_id)
    assert ids[0] == ids[1]


def test_the_id_changes_with_the_study_and_with_the_input(desk: Desk) -> None:
    desk.write(F1="one", F2="two")
    ids = [run(desk.study("F1")).work_package_id]
    ids.append(run(desk.study("F1", study__factor="2.0")).work_package_id)
    ids.append(run(desk.study("F1", scope__year="2026")).work_package_id)
    ids.append(run(desk.study("F2")).work_package_id)
    ids.append(run(desk.study("F1", "F2")).work_package_id)
    desk.write(F1="One")
    ids.append(run(desk.study("F1")).work_package_id)
    assert len(set(ids)) == len(ids)


def test_writing_a_default_out_does_not_change_the_id(desk: Desk) -> None:
    desk.write(F1="one")
    assert run(desk.study("F1")).work_package_id == run(desk.study("F1", study__factor="1.0")).work_package_id


def test_a_given_id_is_used_and_carried_into_tables(desk: Desk) -> None:
    given = "3d2c5e0e-5f0b-4f5e-8d5c-0d9b6f1f5a11"
    desk.write(F1="one")
    results = run(attrs.evolve(desk.study("F1"), given_id=given))
    assert results.work_package_id == given
    assert results["answer"]["work_package_id"].tolist() == [given]


def test_a_given_id_that_is_none_is_refused_in_words(desk: Desk) -> None:
    desk.write(F1="one")
    with pytest.raises(HostcapError, match="my run"):
        run(attrs.evolve(desk.study("F1"), given_id="my run"))
