"""Axes of figures, as Vega draws them."""

from __future__ import annotations

import re

import pytest

from hostcap_stock.headroom.report.figures import binding_figure

vl_convert = pytest.importorskip("vl_convert", reason="vl-convert-python is not installed: pip install 'hostcap[plot]'")


@pytest.mark.parametrize("most", [1, 2, 3, 9, 10, 11, 40, 1177])
def test_counts_stand_at_whole_numbers_each_once(most: int) -> None:
    kinds = {"voltage": most, "thermal": 1}
    figure = binding_figure(kinds, ["bound"], "Group")
    places = [{"kind": kind, "status": "bound"} for kind, count in kinds.items() for _ in range(count)]
    svg = vl_convert.vegalite_to_svg({**figure.spec, "width": 500, "datasets": {"places": places}})
    told = re.findall(r">([\d.,]+)</text>", svg)
    ends, ticks = told[-2:], told[:-2]
    assert ends == [str(most), "1"]
    assert len(ticks) > 1 and all(tick.isdecimal() for tick in ticks)
    assert [int(tick) for tick in ticks] == sorted({int(tick) for tick in ticks})
