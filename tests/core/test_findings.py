"""Words of messages."""

from __future__ import annotations

from hostcap.findings import counted, some


def test_a_count_agrees_with_its_words() -> None:
    assert [counted(n, "line") for n in (0, 1, 2)] == ["0 lines", "1 line", "2 lines"]
    assert [counted(n, "bus has", "buses have") for n in (1, 12)] == ["1 bus has", "12 buses have"]


def test_of_many_names_the_first_are_said() -> None:
    assert some(["a", "b", "c"]) == "a, b, c"
    assert some(["a", "b", "c", "d"], 2) == "a, b and 2 more"
