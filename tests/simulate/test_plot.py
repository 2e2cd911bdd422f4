"""The plot is one valid SVG file that needs nothing else, and shows what it is given."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.dom import minidom

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.simulate.plot import BELOW, BOTTOM, LEFT, MIDDLE, RIGHT, TOP, Curve, _decades, _ticks, plot
from llm_pool.simulate.replay import Done


def answered(number: int, *, every: float = 1.0, first_token: float = 0.5) -> list[Done]:
    return [Done(every * each, "ok", first_token, 2.0, "a") for each in range(number)]


def elements(svg: str, tag: str = "*") -> list[minidom.Element]:
    return list(minidom.parseString(svg).getElementsByTagName(tag))  # noqa: S318 - our own


def texts(svg: str) -> list[str]:
    return [written(element) for element in elements(svg, "text")]


def written(element: minidom.Element) -> str:
    return "".join(node.data for node in element.childNodes if isinstance(node, minidom.Text))


def curves(svg: str, colour: str) -> list[str]:
    """The paths of this colour that are no legend and no mark: one for each percentile, and one for what failed."""
    return [
        path.getAttribute("d")
        for path in elements(svg, "path")
        if (path.getAttribute("stroke"), path.getAttribute("fill")) == (colour, "none")
    ]


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", path)]


def test_it_is_one_file_without_scripts_fonts_or_addresses() -> None:
    svg = plot("title", [Curve("a.toml", answered(300))])
    assert {element.tagName for element in elements(svg)} <= {"svg", "rect", "path", "text", "title"}
    assert "href" not in svg
    assert svg.count("http") == 1  # the name space


def test_it_names_what_it_shows() -> None:
    told = texts(plot("a & b", [Curve("<a>.toml", answered(300)), Curve("b\x00\udcff.toml", answered(300))]))
    assert told[0] == "a & b"
    assert {"<a>.toml", "b??.toml", "p50", "p95", "p99", "breaker opened", "time to the first token"} <= set(told)
    assert {"0.50 s", "1.00 s", "0", "30", "arrival of the request, s"} <= set(told)


def test_a_curve_follows_its_values_over_time() -> None:
    """Half a second until the middle, then two."""
    done = answered(400)[:200] + [Done(each.at, "ok", 2.0, 3.0, "a") for each in answered(400)[200:]]
    p50, *_, failed = map(points, curves(plot("", [Curve("x", done)]), "#0072b2"))
    assert len(p50) == 8  # windows of fifty
    left, right = p50[:4], p50[4:]
    assert all(LEFT < x < RIGHT and TOP <= y <= MIDDLE for x, y in p50)
    assert [x for x, _ in p50] == sorted(x for x, _ in p50)
    assert min(y for _, y in left) > max(y for _, y in right), "slower is higher"
    assert {y for _, y in failed} == {BOTTOM}


def test_what_failed_shows_below_and_interrupts_the_curves_above() -> None:
    done = answered(151)
    done[50:100] = [Done(each.at, "NO_PROVIDER") for each in done[50:100]]
    p50, *_, failed = curves(plot("", [Curve("x", done)]), "#0072b2")
    assert (p50.count("M"), p50.count("L")) == (2, 0)
    assert [y for _, y in points(failed)] == [BOTTOM, BELOW, BOTTOM]


def test_openings_are_marked_where_they_were_a_row_for_each_configuration() -> None:
    both = [Curve(name, answered(101), openings=[(50.0, "phi3")]) for name in ("one", "two")]
    marks = {
        written(title): points(path.getAttribute("d"))[0]
        for path in elements(plot("", both), "path")
        for title in path.getElementsByTagName("title")
    }
    one, two = (marks[f"{name}: a breaker of phi3 opened at 50 s"] for name in ("one", "two"))
    assert one[0] + 5 == pytest.approx((LEFT + RIGHT) / 2, abs=0.1)
    assert one[0] == two[0]
    assert one[1] < two[1]


@pytest.mark.parametrize("done", [[], answered(1), [Done(0.0, "OVERLOADED")], answered(3, first_token=0.0)])
def test_little_makes_a_plot_too(done: list[Done]) -> None:
    assert elements(plot("", [Curve("x", done)]), "svg")


@given(st.floats(1e-4, 1e4), st.floats(1, 1e4))
def test_an_axis_holds_its_values_between_round_numbers(low: float, factor: float) -> None:
    start, end = _decades(low, low * factor)
    ticks = _ticks(start, end)
    assert start <= low * (1 + 1e-9)
    assert end >= low * factor * (1 - 1e-9)
    assert ticks[0] == start
    assert ticks[-1] == pytest.approx(end)
    assert all(1.9 <= later / earlier <= 2.6 for earlier, later in pairwise(ticks))
    assert len(ticks) >= 2
