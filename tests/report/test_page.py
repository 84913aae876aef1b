"""``hostcap plot``: what the page holds, against the tables as pyarrow reads them; and what is refused."""

from __future__ import annotations

import hashlib
import json
import math
import re
import shutil
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from pages import PNG, plot, report_of, table, unpacked

from hostcap.report._page import MOST_BYTES
from hostcap.running import run
from hostcap.work_package import WorkPackage

FIGURES = ["headroom", "binding", "trail", "map", "voltage-start", "voltage-stop", "usage"]


@pytest.fixture(scope="module")
def results(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "results"
    run(WorkPackage.read(demo_folder / "demo.toml"), out=folder)
    return folder


def refused(code: int, *arguments: object) -> str:
    """The one line that a refusal is."""
    done = plot(*arguments)
    assert done.exit_code == code, done.output
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), done.stderr
    return lines[0]


@pytest.fixture(scope="module")
def page(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    done = plot(results, "-o", path)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"page: {path} (")
    return path


@pytest.fixture(scope="module")
def view(page: Path) -> dict[str, Any]:
    views = report_of(page)["views"]
    assert len(views) == 1
    return views[0]  # type: ignore[no-any-return]


# --- what the page holds -------------------------------------------------------------------------------------------


def test_every_figure_is_there_and_draws_data_that_is_there(view: dict[str, Any]) -> None:
    assert [figure["name"] for figure in view["figures"]] == FIGURES
    for figure in view["figures"]:
        named = set(re.findall(r'"data": \{"name": "(\w+)"\}', json.dumps(figure["spec"])))
        assert named and named <= set(view["data"]), figure["name"]
        assert figure["title"] and figure["caption"]


def test_headroom_and_status_are_those_of_the_table(view: dict[str, Any], results: Path) -> None:
    shown = {row["choice"]: row for row in unpacked(view["data"]["places"])}
    kept = {row["capacity_group_head_id"]: row for row in table(results, "lv_group_hosting_capacity")}
    assert set(shown) == set(kept)
    for name, row in kept.items():
        assert shown[name]["kw"] == pytest.approx(row["headroom_kw_per_customer"], rel=1e-5)
        assert shown[name]["total"] == pytest.approx(row["total_kw_added"], rel=1e-5)
        assert shown[name]["customers"] == row["included_customer_count"]
    assert {n: r["label"] for n, r in shown.items() if r["kw"] in (0, 15)} == {
        "t4_high_tap": "0 kW",
        "t5_strong": "≥ 15 kW",
        "t8_spare": "no customers",
    }
    ranked = [row["kw"] for row in unpacked(view["data"]["places"]) if row["label"] != "no customers"]
    assert ranked == sorted(ranked)


def test_what_binds_is_the_binding_violation_of_each_group(view: dict[str, Any], results: Path) -> None:
    groups = {row["binding_id"]: row["capacity_group_head_id"] for row in table(results, "lv_group_hosting_capacity")}
    shown = {row["choice"]: row for row in unpacked(view["data"]["places"])}
    rows = {
        name: dict(zip(view["head"], row, strict=True))
        for name, row in zip(view["row_choices"], view["rows"], strict=True)
    }
    binding = [row for row in table(results, "constraint_violations") if row["binding"]]
    assert len(binding) == 7
    for row in binding:
        name = groups[row["binding_id"]]
        assert row["conducting_equipment_mrid"] in shown[name]["binding"]
        assert rows[name]["Limit kind"] == row["metric"]
        value, unit = rows[name]["Value"].split()
        assert (float(value), unit) == (pytest.approx(row["violating_value"], rel=1e-4), row["unit"])
        assert float(rows[name]["Limit"].split()[0]) == pytest.approx(row["constraint_limit"], rel=1e-4)
    assert shown["t3_thin_cable"]["kind"] == "LV line overloaded"
    assert shown["t2_small_unit"]["kind"] == "Transformer overloaded"
    assert shown["t1_long_line"]["kind"] == "LV voltage too high"


def test_voltages_are_per_unit_of_nominal_against_distance(view: dict[str, Any], results: Path) -> None:
    km = {row["bus"]: row["distance_km"] for row in table(results, "feeder_buses")}
    kept = {(row["bus"], row["phase"]): row for row in table(results, "node_voltages")}
    shown = unpacked(view["data"]["voltages"])
    assert len(shown) == len(kept)
    for row in shown:
        node = kept[row["bus"], row["phase"]]
        assert row["km"] == pytest.approx(km[row["bus"]], abs=1e-4)
        assert row["start"] == pytest.approx(node["start_v"] / node["nominal_v"], abs=1e-5)
        assert row["stop"] == pytest.approx(node["stop_v"] / node["nominal_v"], abs=1e-5)
        assert row["choice"] == (node["capacity_group_head_id"] or "")
    lines = {row["label"]: row["pu"] for row in unpacked(view["data"]["limits"])}
    to_neutral = 400.0 / math.sqrt(3.0)
    assert lines == pytest.approx(
        {
            "LV min 216 V": 216 / to_neutral,
            "LV max 253 V": 253 / to_neutral,
            "HV min 0.94 pu": 0.94,
            "HV max 1.06 pu": 1.06,
        },
        abs=1e-5,
    )


def test_the_trail_is_that_of_the_runs_summary(view: dict[str, Any], results: Path) -> None:
    summary = json.loads((results / "hostcap-run.json").read_text())["feeders"]["demo"]
    trail = summary["searches"][0]["trail"]
    shown: dict[str, dict[int, float]] = {}
    for row in unpacked(view["data"]["trail"]):
        shown.setdefault(row["choice"] or "feeder", {})[row["step"]] = row["margin"]
    for name, margins in trail["margin"].items():
        expected = {s: 100 * m for s, m in zip(trail["step"], margins, strict=True) if m is not None}
        assert shown.get(name, {}) == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_the_map_has_every_line_and_transformer_where_the_model_puts_them(
    view: dict[str, Any], demo_folder: Path
) -> None:
    text = (demo_folder / "feeder" / "BusCoords.csv").read_text().splitlines()
    places = {name: (float(x), float(y)) for name, x, y in (line.split(",") for line in text)}
    lines = {row["name"]: row for row in unpacked(view["data"]["lines"])}
    mv = lines["mv_l1"]
    assert ((mv["x"], mv["y"]), (mv["x2"], mv["y2"])) == (places["mv0"], places["mv1"])
    assert (mv["level"], mv["choice"]) == ("HV", "")
    assert (lines["t3_span1"]["level"], lines["t3_span1"]["choice"]) == ("LV", "t3_thin_cable")
    spots = {row["choice"]: row for row in unpacked(view["data"]["spots"])}
    assert len(spots) == 9
    assert (spots["t3_thin_cable"]["x"], spots["t3_thin_cable"]["y"]) == places["t3_bb"]
    bound = {row["choice"]: row for row in unpacked(view["data"]["bindings"])}
    assert (bound["t1_long_line"]["x"], bound["t1_long_line"]["y"]) == places["t1_c15"]
    assert (bound["t3_thin_cable"]["x"], bound["t3_thin_cable"]["x2"]) == (
        lines["t3_span1"]["x"],
        lines["t3_span1"]["x2"],
    )


def test_limits_findings_and_the_run_are_said(page: Path, view: dict[str, Any], results: Path) -> None:
    report = report_of(page)
    assert (
        report["limits"] == "LV 216-253 V; HV 0.94-1.06 pu phase-to-ground; thermal 100 % of normal rating, LV and HV"
    )
    said = [(row["severity"], row["code"], row["message"]) for row in table(results, "findings")]
    assert [tuple(finding[:3]) for finding in view["findings"]] == said
    assert dict(report["facts"])["Run"] == json.loads((results / "hostcap-run.json").read_text())["work_package_id"]
    assert {what: number for number, what in view["facts"]}["customers"] == "74"


def test_the_page_asks_for_nothing_from_outside_and_runs_its_own_scripts_alone(page: Path) -> None:
    text = page.read_text()
    assert len(text.encode()) < MOST_BYTES == 5_000_000
    body = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)""", body) == ["data:,"]
    assert "url(" not in body and "@import" not in body
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    assert "default-src 'none'" in policy[1] and "unsafe-eval" not in policy[1]
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(scripts) == 2
    for script in scripts:
        assert f"'sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy[1]


def test_names_that_look_like_markup_stay_text(results: Path, tmp_path: Path) -> None:
    shutil.copytree(results, tmp_path / "r")
    path = tmp_path / "r" / "hostcap-run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"name": "</script><script>alert(1)</script><!--"}))
    assert plot(tmp_path / "r").exit_code == 0
    page = tmp_path / "r" / "report.html"
    text = page.read_text()
    assert "<script>alert" not in text and text.count("</script>") == 3
    assert report_of(page)["title"] == "</script><script>alert(1)</script><!--"


def test_the_same_run_gives_the_same_page(page: Path, results: Path, tmp_path: Path) -> None:
    assert plot(results, "-o", tmp_path / "again.html").exit_code == 0
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


def test_both_directions_are_two_views_and_one_can_be_chosen(demo_folder: Path, tmp_path: Path) -> None:
    overrides = ["injection.direction=both", "study.max_steps=20"]
    run(WorkPackage.read(demo_folder / "demo.toml", overrides=overrides), out=tmp_path / "r")
    assert plot(tmp_path / "r").exit_code == 0
    views = report_of(tmp_path / "r" / "report.html")["views"]
    assert [v["label"] for v in views] == ["demo export", "demo import"]
    assert views[0]["data"]["trail"] != views[1]["data"]["trail"]
    assert plot(tmp_path / "r", "--direction", "import").exit_code == 0
    assert [v["direction"] for v in report_of(tmp_path / "r" / "report.html")["views"]] == ["import"]


def test_hv_locations_are_drawn_in_the_same_way(demo_folder: Path, tmp_path: Path) -> None:
    text = (demo_folder / "demo.toml").read_text().replace("feeder/Master.dss", str(demo_folder / "feeder/Master.dss"))
    head, _, rest = text.partition("[study]")
    rest = rest[rest.index("[initial_state]") :].replace('[allocation]\nplugin = "uniform"', "")
    (tmp_path / "hv.toml").write_text(
        f'{head}[study]\nplugin = "hv-node-headroom"\nmax_steps_per_node = 60\n{rest.replace("253.0", "258.0")}'
    )
    run(WorkPackage.read(tmp_path / "hv.toml"), out=tmp_path / "r")
    assert plot(tmp_path / "r").exit_code == 0
    (view,) = report_of(tmp_path / "r" / "report.html")["views"]
    assert view["choosing"] == "Location"
    assert [figure["name"] for figure in view["figures"]] == ["headroom", "binding", "map", "usage"]
    kept = {f"{r['location_type']} {r['terminal_mrid']}": r for r in table(tmp_path / "r", "hv_node_headroom")}
    shown = {row["choice"]: row["kw"] for row in unpacked(view["data"]["places"])}
    assert shown == {name: row["available_headroom_kw"] for name, row in kept.items()}
    assert len(shown) == len(unpacked(view["data"]["spots"])) >= 9


def test_several_instants_are_a_line_over_time_with_the_least_marked(demo_folder: Path, tmp_path: Path) -> None:
    overrides = [
        "initial_state.plugin=instants",
        "initial_state.start_time=2025-07-19T18:00:00+10:00",
        "initial_state.end_time=2025-07-19T20:00:00+10:00",
    ]
    run(WorkPackage.read(demo_folder / "evening-peak.toml", overrides=overrides), out=tmp_path / "r")
    assert plot(tmp_path / "r").exit_code == 0
    (view,) = report_of(tmp_path / "r" / "report.html")["views"]
    shown = {(row["choice"], row["at"]): row for row in unpacked(view["data"]["profile"])}
    kept = table(tmp_path / "r", "headroom_profile")
    assert len(shown) == len(kept) == 9 * 4
    for row in kept:
        point = shown[row["capacity_group_head_id"], row["timestamp"].strftime("%Y-%m-%dT%H:%MZ")]
        assert (point["kw"], point["least"]) == (row["headroom_kw_per_customer"], row["is_least"])
    assert "profile" in [figure["name"] for figure in view["figures"]]
    assert any("The trail is that of the instant 2025-07-19T" in note for note in view["notes"])
    assert "Instant" in view["head"]
    drawn = plot(tmp_path / "r", "--png", tmp_path / "png")
    assert drawn.exit_code == 0, drawn.output
    assert (tmp_path / "png" / "demo-profile.png").stat().st_size > 8000


def test_users_of_the_limit_that_binds_are_those_of_the_table(results: Path, view: dict[str, Any]) -> None:
    binding = {r["capacity_group_head_id"]: r["binding_id"] for r in table(results, "lv_group_hosting_capacity")}
    kept = [r for r in table(results, "binding_usage") if r["side"] in ("supplies", "moves")]
    shown = unpacked(view["data"]["usage"])
    assert shown
    for name, binding_id in binding.items():
        users = [r for r in kept if r["binding_id"] == binding_id]
        own = [r for r in shown if r["choice"] == name]
        assert sum(r["share"] for r in own) == pytest.approx(100 * sum(r["share"] for r in users), abs=0.01)
        share = {(r["user_id"], r["part"]): r["share"] for r in users}
        assert own, f"{name} has no row, and its picture no axis"
        for row in (r for r in own if r["kind"] not in ("several", "")):
            assert row["share"] == pytest.approx(100 * share[row["user"], row["part"]], rel=1e-5, abs=1e-6)


def test_several_feeders_are_views_in_the_order_of_the_study_and_one_can_be_chosen(
    demo_folder: Path, tmp_path: Path
) -> None:
    for feeder in ("north", "south"):
        shutil.copytree(demo_folder / "feeder", tmp_path / feeder)
    text = (demo_folder / "demo.toml").read_text().replace("feeder/Master.dss", "{feeder}/Master.dss")
    (tmp_path / "two.toml").write_text(text.replace('feeders = ["demo"]', 'feeders = ["south", "north"]'))
    run(WorkPackage.read(tmp_path / "two.toml", overrides=["study.max_steps=5"]), out=tmp_path / "r")
    assert plot(tmp_path / "r").exit_code == 0
    page = tmp_path / "r" / "report.html"
    assert [view["label"] for view in report_of(page)["views"]] == ["south", "north"]
    assert plot(tmp_path / "r", "--feeder", "north", "--png", tmp_path / "png").exit_code == 0
    assert [view["label"] for view in report_of(page)["views"]] == ["north"]
    assert {path.name.split("-")[0] for path in (tmp_path / "png").iterdir()} == {"north"}


def test_a_run_that_keeps_few_tables_shows_what_they_hold_and_says_what_is_left_out(
    demo_folder: Path, tmp_path: Path
) -> None:
    overrides = ['writers=[{plugin="parquet", tables=["lv_group_hosting_capacity"]}]', "study.max_steps=5"]
    run(WorkPackage.read(demo_folder / "demo.toml", overrides=overrides), out=tmp_path / "r")
    assert plot(tmp_path / "r").exit_code == 0
    (view,) = report_of(tmp_path / "r" / "report.html")["views"]
    assert [figure["name"] for figure in view["figures"]] == ["headroom", "binding", "trail"]
    assert [note.split(":")[0] for note in view["notes"]] == ["No map", "No voltages along the feeder"]


# --- pictures and GeoJSON ------------------------------------------------------------------------------------------


def test_pictures_are_png_files_of_the_chosen_transformer(results: Path, tmp_path: Path) -> None:
    done = plot(results, "-o", tmp_path / "r.html", "--png", tmp_path / "png", "--group", "t7_swer")
    assert done.exit_code == 0, done.output
    assert sorted(p.name for p in (tmp_path / "png").iterdir()) == sorted(f"demo-{name}.png" for name in FIGURES)
    for path in (tmp_path / "png").iterdir():
        content = path.read_bytes()
        assert content.startswith(PNG) and len(content) > 8000
        width = int.from_bytes(content[16:20], "big")
        assert 1400 <= width <= 1700, path.name
    assert report_of(tmp_path / "r.html")["views"][0]["choices"][0]["id"] == "t7_swer"
    other = plot(results, "-o", tmp_path / "r.html", "--png", tmp_path / "other", "--group", "t1_long_line")
    assert other.exit_code == 0
    differing = [
        n
        for n in FIGURES
        if (tmp_path / "png" / f"demo-{n}.png").read_bytes() != (tmp_path / "other" / f"demo-{n}.png").read_bytes()
    ]
    assert differing == [n for n in FIGURES if n != "binding"]


def test_geojson_is_longitude_and_latitude_by_mercators_formula(
    results: Path, demo_folder: Path, tmp_path: Path
) -> None:
    """EPSG:3857 is a sphere of 6378137 m: lon = x / R, lat = atan(sinh(y / R)) (EPSG guidance note 7-2)."""
    done = plot(results, "-o", tmp_path / "r.html", "--geojson", tmp_path / "m.geojson", "--crs", "EPSG:3857")
    assert done.exit_code == 0, done.output
    assert "longitude and latitude (WGS 84) from EPSG:3857" in done.stdout
    text = (demo_folder / "feeder" / "BusCoords.csv").read_text().splitlines()
    places = {name: (float(x), float(y)) for name, x, y in (line.split(",") for line in text)}

    def expected(bus: str) -> list[float]:
        x, y = places[bus]
        return [math.degrees(x / 6378137.0), math.degrees(math.atan(math.sinh(y / 6378137.0)))]

    found = json.loads((tmp_path / "m.geojson").read_text())
    assert found["type"] == "FeatureCollection"
    by = {
        (f["properties"]["what"], f["properties"].get("name", f["properties"].get("stops"))): f
        for f in found["features"]
    }
    spot, what = by["headroom", "t1_long_line"], by["binding", "t1_long_line"]
    assert spot["geometry"] == {"type": "Point", "coordinates": pytest.approx(expected("t1_bb"), abs=1e-7)}
    assert spot["properties"]["headroom_kw"] == 5
    assert what["geometry"] == {"type": "Point", "coordinates": pytest.approx(expected("t1_c15"), abs=1e-7)}
    assert (what["properties"]["metric"], what["properties"]["limit"]) == ("voltage-high", 253)
    cable = by["binding", "t3_thin_cable"]["geometry"]
    assert cable["type"] == "MultiLineString" and len(cable["coordinates"]) == 1
    spans = by["lines", "t3_thin_cable"]["geometry"]["coordinates"]
    assert cable["coordinates"][0] in spans


# --- what is refused -----------------------------------------------------------------------------------------------


def test_places_that_are_no_run_are_refused(tmp_path: Path) -> None:
    assert "holds no hostcap run" in refused(1, tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    assert "holds no hostcap run" in refused(1, tmp_path / "empty")
    (tmp_path / "file").write_text("x")
    assert "holds no hostcap run" in refused(1, tmp_path / "file")


def test_a_run_of_a_study_without_pictures_is_refused(results: Path, tmp_path: Path) -> None:
    shutil.copytree(results, tmp_path / "r")
    path = tmp_path / "r" / "hostcap-run.json"
    summary = json.loads(path.read_text())
    path.write_text(json.dumps(summary | {"study": '[study]\nplugin = "tracery"\n'}))
    assert "no study named 'tracery'" in refused(2, tmp_path / "r")
    path.write_text(json.dumps({key: value for key, value in summary.items() if key != "study"}))
    assert "does not say which study" in refused(1, tmp_path / "r")
    assert not (tmp_path / "r" / "report.html").exists()


def test_a_run_without_an_answer_is_refused(demo_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(demo_folder / "feeder", tmp_path / "feeder")
    shutil.copy(demo_folder / "demo.toml", tmp_path)
    (tmp_path / "feeder" / "Loads.dss").write_text("")
    (tmp_path / "feeder" / "PVSystems.dss").write_text("")
    run(WorkPackage.read(tmp_path / "demo.toml"), out=tmp_path / "r")
    assert "nothing to draw, as every feeder failed" in refused(1, tmp_path / "r")


def test_unknown_names_are_refused_with_the_nearest(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.html"
    assert (
        "no feeder 'dem' in" in (line := refused(2, results, "-o", out, "--feeder", "dem")) and "mean 'demo'?" in line
    )
    line = refused(2, results, "-o", out, "--group", "t3_thin_cabel")
    assert "nothing is called 't3_thin_cabel'" in line and "did you mean 't3_thin_cable'?" in line
    assert "holds no import; there is: export" in refused(2, results, "-o", out, "--direction", "import")
    assert "give --geojson" in refused(2, results, "-o", out, "--crs", "EPSG:28355")
    assert not out.exists()


def test_coordinates_of_unknown_kind_are_refused_with_their_span(results: Path, tmp_path: Path) -> None:
    out, geo = tmp_path / "r.html", tmp_path / "m.geojson"
    line = refused(1, results, "-o", out, "--geojson", geo)
    assert "does not say what its coordinates are (x " in line and "--crs, such as EPSG:28355" in line
    assert "no coordinate reference system" in refused(1, results, "-o", out, "--geojson", geo, "--crs", "EPSG:0")
    line = refused(1, results, "-o", out, "--geojson", geo, "--crs", "EPSG:4326")
    assert "EPSG:4326 cannot hold the coordinates" in line
    assert not out.exists() and not geo.exists()


def test_outputs_that_cannot_be_written_are_refused_and_nothing_is_left(results: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "notes.html"
    foreign.write_text("<p>mine")
    assert "is no page of hostcap" in refused(1, results, "-o", foreign)
    assert foreign.read_text() == "<p>mine"
    assert "is a folder" in refused(1, results, "-o", tmp_path)
    assert "cannot be written" in refused(1, results, "-o", tmp_path / "no" / "where" / "r.html")
    line = refused(1, results, "-o", tmp_path / "r.html", "--png", foreign)
    assert "cannot be written" in line
    assert sorted(p.name for p in tmp_path.iterdir()) == ["notes.html"]


def test_a_page_of_ours_is_replaced(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.html"
    assert plot(results, "-o", out).exit_code == 0
    before = out.read_bytes()
    assert plot(results, "-o", out, "--group", "t7_swer").exit_code == 0
    assert out.read_bytes() != before


def test_a_page_that_would_be_too_large_is_refused(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hostcap.report._page.MOST_BYTES", 500_000)
    line = refused(1, results, "-o", tmp_path / "r.html")
    assert "pages stay below 0.5 MB" in line and "--feeder" in line
    assert not (tmp_path / "r.html").exists()


def test_without_the_library_the_install_command_is_named(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hostcap.report import library

    library.javascript.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "vl_convert", None)
    assert "pip install 'hostcap[plot]'" in refused(2, results, "-o", tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()
