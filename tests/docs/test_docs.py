"""The pages hold: their blocks run and print what they say, their links lead somewhere, nothing is missing or stale."""

from __future__ import annotations

import ast
import html
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import pytest

from hostcap import WorkPackage, run
from hostcap.cli import _show
from hostcap.cli.main import main

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
STUDIES = DOCS / "how-to" / "studies"
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
SOURCES = [REPOSITORY / "core", REPOSITORY / "plugins", REPOSITORY / "contrib"]
BLOCK = re.compile(r"^```(?P<language>\w+)(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
RUN = ("bash", "python")


def _blocks(page: Path) -> list[tuple[str, str, str]]:
    """Language, file name and text of each fenced block; the file name is empty where none is given."""
    found = []
    for match in BLOCK.finditer(page.read_text(encoding="utf-8")):
        name = re.fullmatch(r" file=(\S+)", match["info"])
        found.append((match["language"], name[1] if name else "", match["text"]))
    return found


def _name(page: Path) -> str:
    return page.relative_to(REPOSITORY).as_posix()


QUICK = [REPOSITORY / "README.md", DOCS / "tutorials" / "first-headroom.md", DOCS / "how-to" / "recipes.md"]
"""Pages that every run of the suite tries; each command of a page starts a process."""
WITH_RUNNABLE = [p for p in PAGES if any(language in RUN for language, _, _ in _blocks(p))]


# Blocks


def _environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HOSTCAP_")}
    return kept | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])}


def _execute(language: str, text: str, folder: Path) -> str:
    bash = shutil.which("bash")
    assert bash, "the pages' blocks need bash"
    command = [bash, "-euo", "pipefail", "-c", text] if language == "bash" else [sys.executable, "-c", text]
    done = subprocess.run(
        command,
        cwd=folder,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, f"{language} block failed:\n{text}\n{done.stdout}"
    return done.stdout


def _plain(line: str) -> str:
    return " ".join(line.split())


def _assert_shown(shown: str, output: str) -> None:
    """Each shown line begins a line of the output, in order; ``...`` stands for anything."""
    lines = iter(_plain(line) for line in output.splitlines())
    for wanted in (_plain(line) for line in shown.splitlines()):
        if wanted in ("", "..."):
            continue
        assert any(line.startswith(wanted) for line in lines), f"the page shows {wanted!r}, the output is:\n{output}"


@pytest.mark.skipif(shutil.which("bash") is None, reason="the pages' blocks need bash")
@pytest.mark.parametrize(
    "page", [pytest.param(p, marks=() if p in QUICK else pytest.mark.slow) for p in WITH_RUNNABLE], ids=_name
)
def test_every_block_of_a_page_runs_and_prints_what_the_page_shows(page: Path, tmp_path: Path) -> None:
    if page.name == "README.md" and page.parent == REPOSITORY:
        _execute("bash", "hostcap demo --out my-feeder", tmp_path)  # the README's own commands install, so CI runs them
    output = ""
    for language, name, text in _blocks(page):
        if name:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
        elif language in RUN:
            output = _execute(language, text, tmp_path)
        elif language == "text":
            _assert_shown(text, output)


def test_tutorials_and_how_tos_have_blocks_that_run() -> None:
    reading_only = {STUDIES / "README.md"}
    due = {*DOCS.glob("tutorials/*.md"), *DOCS.glob("how-to/**/*.md")} - reading_only
    assert due <= set(WITH_RUNNABLE)


def test_the_first_tutorial_takes_at_most_ten_commands() -> None:
    page = DOCS / "tutorials" / "first-headroom.md"
    lines = [line for language, _, text in _blocks(page) if language == "bash" for line in text.splitlines() if line]
    assert len(lines) + 1 <= 10  # one more installs


# Links


def _without_blocks(page: Path) -> str:
    return BLOCK.sub("", page.read_text(encoding="utf-8"))


def _anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", _without_blocks(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.replace("`", "").strip().lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_link_of_a_page_leads_to_a_page_and_a_heading(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", _without_blocks(page)):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), f"{_name(page)} links to {target}, which is not there"
        assert place.is_relative_to(REPOSITORY), f"{_name(page)} links to {target}, outside the project"
        if anchor:
            assert anchor in _anchors(place), f"{_name(page)} links to {target}, which has no such heading"


def test_the_index_leads_to_every_page() -> None:
    index = DOCS / "README.md"
    linked = {(DOCS / t.partition("#")[0]).resolve() for t in re.findall(r"\]\(([^)\s]+)\)", _without_blocks(index))}
    missing = {p for p in DOCS.rglob("*.md") if p != index} - linked
    assert not missing, f"not in docs/README.md: {sorted(map(_name, missing))}"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_no_page_holds_a_path_of_somebodys_machine(page: Path) -> None:
    assert not re.search(r"(?<![\w.])/(work|home|tmp|root|Users)/", page.read_text(encoding="utf-8"))


# Reference


def test_generated_pages_are_fresh() -> None:
    command = [sys.executable, str(DOCS / "generate_reference.py"), "--check"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=_environment(), check=False)
    assert done.returncode == 0, done.stderr


def _texts(tree: ast.Module) -> dict[str, set[str]]:
    """Texts that each name of a module stands for: as a constant, or as a loop over written-out tuples."""
    found: dict[str, set[str]] = {}

    def note(target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str):
            found.setdefault(target.id, set()).add(value.value)
        elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            for inner, item in zip(target.elts, value.elts, strict=False):
                note(inner, item)

    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                note(target, node.value)
        elif isinstance(node, ast.For) and isinstance(node.iter, (ast.Tuple, ast.List)):
            for item in node.iter.elts:
                note(node.target, item)
    return found


def _findings_of(path: Path) -> Iterator[tuple[str, str]]:
    """Code and severity of each ``Finding(...)`` of a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = _texts(tree)
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding"):
            continue
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        code, severity = given["code"], given["severity"]
        codes = texts.get(code.id, set()) if isinstance(code, ast.Name) else {getattr(code, "value", None)}
        assert codes, f"{path}:{node.lineno}: write the finding's code as text or as a constant"
        for one in (severity.body, severity.orelse) if isinstance(severity, ast.IfExp) else (severity,):
            assert isinstance(one, ast.Attribute), f"{path}:{node.lineno}: write the severity as Severity.WARNING"
            yield from ((str(each), one.attr.lower()) for each in codes)


def test_the_findings_page_lists_exactly_the_findings_of_the_code() -> None:
    in_code = {found for source in SOURCES for path in source.rglob("*.py") for found in _findings_of(path)}
    page = (DOCS / "reference" / "findings.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \| ((?:(?:error|warning|info)(?:, )?)+) \|", page, re.MULTILINE)
    assert {(code, each) for code, severities in rows for each in severities.split(", ")} == in_code


def _commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from _commands(command, f"{path} {name}")


def test_the_command_line_page_names_every_command_option_and_exit_code() -> None:
    page = (DOCS / "reference" / "command-line.md").read_text(encoding="utf-8")
    for path, command in _commands(main, "hostcap"):
        assert f"`{path}" in page, path
        for option in (o for o in command.params if isinstance(o, click.Option)):
            assert any(f"`{spelling}" in page for spelling in option.opts), f"{path} {option.opts}"
    codes = {0, _show.FAILED, _show.REFUSED, _show.FEEDERS_FAILED, _show.INTERRUPTED}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)} == codes


def test_the_glossary_has_each_word_once_in_order() -> None:
    text = (DOCS / "reference" / "glossary.md").read_text(encoding="utf-8")
    words = re.findall(r"^\| (?!word )(.+?) \|", text, re.MULTILINE)
    assert len(words) > 60
    assert words == sorted(set(words), key=lambda word: (word.casefold(), word))


def test_every_dependency_has_its_line() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    page = (DOCS / "explanation" / "dependencies.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `([\w.-]+)` \|", page, re.MULTILINE))
    assert listed == {re.split(r"[<>=\[ ]", d, maxsplit=1)[0] for d in declared}


def test_the_architecture_page_has_every_room_of_the_core() -> None:
    core = REPOSITORY / "core" / "hostcap"
    rooms = {f"{p.name}/" if p.is_dir() else p.name for p in core.iterdir() if p.is_dir() or p.suffix == ".py"}
    page = (DOCS / "explanation" / "architecture.md").read_text(encoding="utf-8")
    assert {room for room in rooms if not room.startswith("_")} <= set(
        re.findall(r"^\| `([\w./]+)` \|", page, re.MULTILINE)
    )


# Studies


@pytest.mark.parametrize("study", sorted(STUDIES.glob("*.toml")), ids=lambda path: path.name)
def test_every_study_file_of_the_docs_can_be_read(study: Path) -> None:
    assert WorkPackage.read(study).canonical
    assert f"]({study.name})" in (STUDIES / "README.md").read_text(encoding="utf-8")


# README and picture


def test_the_readme_has_exactly_two_commands_each_doing_its_own_set_up() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    marked = dict(re.findall(r"^<!-- command: (\w+) -->\n```sh\n([^\n]+)\n```$", text, re.MULTILINE))
    shells = [block for language, _, block in _blocks(REPOSITORY / "README.md") if language in ("sh", "bash")]
    assert sorted(marked) == ["demo", "test"]
    assert [block.strip() for block in shells] == [marked["demo"], marked["test"]]
    assert all(command.startswith("python3 -m venv ") for command in marked.values())
    assert marked["demo"].endswith("hostcap demo")
    assert "pytest" in marked["test"]


def _drawn(svg: str) -> str:
    """What a picture says, line after line."""
    rows: dict[str, str] = {}
    for y, text in re.findall(r'<text class="hostcap-r\d+"[^>]* y="([\d.]+)"[^>]*>([^<]*)<', svg):
        rows[y] = rows.get(y, "") + " " + html.unescape(text)
    return "\n".join(_plain(row.replace("\xa0", " ")) for row in rows.values())


def test_the_picture_shows_what_the_demo_says() -> None:
    picture = DOCS / "images" / "demo.svg"
    assert picture.stat().st_size < 60_000
    drawn = _drawn(picture.read_text(encoding="utf-8")).splitlines()
    study = Path(str(import_module("hostcap_stock.demo").__file__)).parent / "demo.toml"
    groups = run(WorkPackage.read(study))["lv_group_hosting_capacity"]
    for row in groups.rows():
        shown = next((line.split() for line in drawn if line.startswith(f"{row['capacity_group_head_id']} ")), [])
        facts = [str(row["included_customer_count"]), f"{row['headroom_kw_per_customer']:.6g}", row["status"]]
        assert [shown[i] for i in (1, 2, 4) if i < len(shown)] == facts, "run python docs/make_picture.py"
    assert groups.metadata["limits"] in "\n".join(drawn)
