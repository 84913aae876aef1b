"""The page of HV locations: voltages and trails of those whose states are kept, against the tables."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pages import PNG, hv_study, plot, report_of, table, unpacked

from hostcap.running import run

FIGURES = ["headroom", "binding", "trail", "map", "voltage-start", "voltage-stop", "usage"]


@pytest.fixture(scope="module")
def results(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hv") / "results"
    run(hv_study(demo_folder, debug_snapshots=True, debug_snapshot_stops=4), out=folder)
    return folder


@pytest.fixture(scope="module")
def view(results: Path) -> dict[str, Any]:
    assert plot(results).exit_code == 0
    (only,) = report_of(results / "report.html")["views"]
    return only  # type: ignore[no-any-return]


def snapshots(results: Path) -> dict[str, dict[str, dict[str, Any]]]:
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in table(results, "debug_snapshots"):
        found.setdefault(f"{row['location_type']} {row['terminal_mrid']}", {})[row["snapshot"]] = row
    return found


def figure(view: dict[str, Any], name: str) -> str:
    (found,) = [json.dumps(f["spec"]) for f in view["figures"] if f["name"] == name]
    return found


def column_of(view: dict[str, Any], which: str) -> dict[str, str]:
    """Which column of the data set a place's voltages are in, as the picture's own expression says."""
    spec = json.loads(figure(view, f"voltage-{which}"))
    (expression,) = {t["calculate"] for layer in spec["layer"] for t in layer.get("transform", ()) if "calculate" in t}
    found = re.fullmatch(r"datum\[\((\{.*\})\)\[chosen\]\]", expression)
    if found:
        return json.loads(found.group(1))  # type: ignore[no-any-return]
    (alone,) = re.fullmatch(r'datum\["(\w+)"\]', expression).groups()  # type: ignore[union-attr]
    return dict.fromkeys((choice["id"] for choice in view["choices"]), alone)


def test_every_figure_is_there_and_draws_data_that_is_there(view: dict[str, Any]) -> None:
    assert [f["name"] for f in view["figures"]] == FIGURES
    for f in view["figures"]:
        named = set(re.findall(r'"data": \{"name": "(\w+)"\}', json.dumps(f["spec"])))
        assert named and named <= set(view["data"]), f["name"]
    assert not view["notes"]


@pytest.mark.parametrize("which", ["start", "stop"])
def test_voltages_are_those_of_the_kept_state_per_unit_against_distance(
    which: str, view: dict[str, Any], results: Path
) -> None:
    km = {row["bus"]: row["distance_km"] for row in table(results, "feeder_buses")}
    nodes: dict[Any, dict[tuple[str, str], float]] = {}
    for row in table(results, "debug_nodes"):
        if row["live"] and row["node"] <= 3:
            state = nodes.setdefault((row["growth_at"], row["iteration"]), {})
            state[row["bus"], "ABC"[row["node"] - 1]] = row["to_neutral_v"] / row["nominal_v"]
    shown = unpacked(view["data"]["voltages"])
    assert {(row["bus"], row["phase"]): row["km"] for row in shown} == {
        place: pytest.approx(km[place[0]], abs=1e-4) for place in nodes["start", 0]
    }
    columns, kept = column_of(view, which), snapshots(results)
    assert len(kept) >= 4
    for place, own in kept.items():
        row = own["start"] if which == "start" else own.get("violating", own.get("last-valid"))
        state = nodes[row["growth_at"], row["iteration"]]
        for point in shown:
            assert point[columns[place]] == pytest.approx(state[point["bus"], point["phase"]], abs=1.1e-5)
    if which == "stop":
        assert set(columns) == set(kept)


def test_limits_and_the_place_that_grows_are_drawn(view: dict[str, Any], results: Path) -> None:
    lines = {row["label"]: row["pu"] for row in unpacked(view["data"]["limits"])}
    assert lines["HV min 0.94 pu"] == pytest.approx(0.94)
    assert lines["LV max 258 V"] == pytest.approx(258.0 / (400.0 / 3**0.5), abs=1e-5)
    km = {row["bus"]: row["distance_km"] for row in table(results, "feeder_buses")}
    grows = {row["choice"]: row["km"] for row in unpacked(view["data"]["grows"])}
    for place, own in snapshots(results).items():
        assert grows[place] == pytest.approx(km[own["last-valid"]["growth_at"].split(".")[0]], abs=1e-4)


def test_the_trail_crosses_zero_at_the_step_that_stopped_the_location(view: dict[str, Any], results: Path) -> None:
    trail: dict[str, list[float]] = {}
    for row in unpacked(view["data"]["trail"]):
        assert row["step"] == len(trail.setdefault(row["choice"], []))
        trail[row["choice"]].append(row["margin"])
    kept = snapshots(results)
    assert set(trail) == set(kept)
    binding = {row["binding_id"]: row for row in table(results, "constraint_violations") if row["binding"]}
    stopped = 0
    for row in table(results, "hv_node_headroom"):
        place = f"{row['location_type']} {row['terminal_mrid']}"
        if place not in kept:
            continue
        last = max(own["iteration"] for own in kept[place].values())
        assert len(trail[place]) == last + 1
        assert all(margin >= -1e-4 for margin in trail[place][: int(row["available_headroom_kw"] / 50.0) + 1])
        if row["status"] == "bound":
            what = binding[row["binding_id"]]
            excess = abs(what["violating_value"] - what["constraint_limit"]) / what["constraint_limit"]
            assert trail[place][-1] == pytest.approx(-100.0 * excess, abs=1e-3)
            stopped += 1
    assert stopped


def test_locations_with_states_are_offered_first_and_others_say_that_there_is_none(
    view: dict[str, Any], results: Path
) -> None:
    kept = set(snapshots(results))
    ids = [choice["id"] for choice in view["choices"]]
    assert set(ids[: len(kept)]) == kept
    unkept = {row["choice"] for row in unpacked(view["data"]["unkept"])}
    assert unkept == set(ids) - kept and unkept
    for name in ("trail", "voltage-stop"):
        assert "no state of this location is kept" in figure(view, name)


def test_what_binds_is_on_the_map_and_in_geojson(view: dict[str, Any], results: Path, tmp_path: Path) -> None:
    done = plot(results, "-o", tmp_path / "r.html", "--geojson", tmp_path / "m.geojson", "--crs", "EPSG:3857")
    assert done.exit_code == 0, done.output
    features = json.loads((tmp_path / "m.geojson").read_text())["features"]
    stops = {f["properties"]["stops"]: f["properties"] for f in features if f["properties"]["what"] == "binding"}
    binding = {row["binding_id"]: row for row in table(results, "constraint_violations") if row["binding"]}
    on_map = {row["choice"] for row in unpacked(view["data"]["bindings"])}
    bound = 0
    for row in table(results, "hv_node_headroom"):
        if row["binding_id"] is None:
            continue
        what, name = binding[row["binding_id"]], f"{row['terminal_mrid']} ({row['location_type']})"
        found = stops[name]
        for ours, theirs in (("equipment", "conducting_equipment_mrid"), ("phase", "phase"), ("metric", "metric")):
            assert found[ours] == what[theirs]
        assert found["limit"] == pytest.approx(what["constraint_limit"], rel=1e-5)
        assert f"{row['location_type']} {row['terminal_mrid']}" in on_map
        bound += 1
    assert bound >= 5


def test_pictures_follow_the_chosen_location(results: Path, tmp_path: Path) -> None:
    places = list(snapshots(results))
    for folder, place in (("a", places[0]), ("b", places[-1])):
        done = plot(results, "-o", tmp_path / "r.html", "--png", tmp_path / folder, "--group", place)
        assert done.exit_code == 0, done.output
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == sorted(f"demo-{name}.png" for name in FIGURES)
    for name in ("trail", "voltage-stop"):
        first, other = ((tmp_path / folder / f"demo-{name}.png").read_bytes() for folder in "ab")
        assert first.startswith(PNG) and first != other


def test_a_location_is_chosen_by_the_name_that_the_command_line_prints(results: Path, tmp_path: Path) -> None:
    """Its terminal, where that is a location of one kind alone."""
    row = next(row for row in table(results, "hv_node_headroom") if row["location_type"] == "dtx-hv-terminal")
    pages = []
    for name in (row["terminal_mrid"], f"{row['location_type']} {row['terminal_mrid']}"):
        done = plot(results, "-o", tmp_path / "r.html", "--group", name)
        assert done.exit_code == 0, done.output
        pages.append(report_of(tmp_path / "r.html")["views"][0]["choices"])
    assert pages[0] == pages[1]
    assert pages[0][0]["id"] == f"{row['location_type']} {row['terminal_mrid']}"


def test_without_states_the_page_says_what_would_keep_them(demo_folder: Path, tmp_path: Path) -> None:
    run(hv_study(demo_folder), out=tmp_path / "r")
    assert plot(tmp_path / "r").exit_code == 0
    (view,) = report_of(tmp_path / "r" / "report.html")["views"]
    assert [f["name"] for f in view["figures"]] == ["headroom", "binding", "map", "usage"]
    assert any("study.debug_snapshots = true" in note for note in view["notes"])


def test_more_states_than_a_page_holds_are_left_out_and_told(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hostcap_stock.headroom.report.locations.MOST_POINTS", 1)
    assert plot(results, "-o", tmp_path / "r.html").exit_code == 0
    (view,) = report_of(tmp_path / "r.html")["views"]
    kept = snapshots(results)
    assert 1 <= len(column_of(view, "stop")) < len(kept)
    assert any("kept locations are left out" in note for note in view["notes"])
