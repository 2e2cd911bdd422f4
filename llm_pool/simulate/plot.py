"""Draw replays over time as one SVG file: how long first tokens took, how many requests failed, when breakers opened.

It needs nothing but itself: no script, no font of its own, no style sheet. Colours are those of Okabe and Ito (2008),
which people who see colours differently can tell apart, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from llm_pool.core.errors import shown
from llm_pool.core.outcome import OK
from llm_pool.simulate.report import SHARES, duration, percentiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from llm_pool.simulate.replay import Done

WIDTH, LEFT, RIGHT = 960, 80, 930
TOP, MIDDLE = 100, 390  # of the upper panel
BELOW, BOTTOM = 430, 510  # of the lower one
HEIGHT = 560

MOST_WINDOWS, LEAST_IN_WINDOW = 60, 50  # requests, on the average
COLOURS = ("#0072b2", "#d55e00")
STROKES = ('stroke-width="1.3" stroke-dasharray="1 3"', 'stroke-width="1.3" stroke-dasharray="6 3"', 'stroke-width="2"')
MINUTE, HOUR = 60, 3_600  # seconds
STEPS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400)
MOST_TICKS = 10
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Curve:
    """One configuration: its requests, and when its breakers opened (seconds), with whose they were."""

    name: str
    done: Sequence[Done]
    openings: Sequence[tuple[float, str]] = ()


@dataclass(frozen=True, slots=True)
class _Window:
    middle: float  # seconds
    first_token: tuple[float, ...]  # at `SHARES`; empty where nothing was answered
    failed: float  # share


def plot(title: str, curves: Sequence[Curve]) -> str:
    """The file's text."""
    span = max((each.at for curve in curves for each in curve.done), default=0.0) or 1.0
    windows = [_windows(curve.done, span) for curve in curves]
    x = _scale(0.0, span, LEFT, RIGHT)
    body = [
        f'<text x="{LEFT}" y="26" font-size="16">{_text(title)}</text>',
        *_legend(curves),
        *_times(x, span),
        *_latencies(x, windows),
        *_failures(x, windows),
    ]
    for row, (colour, curve) in enumerate(zip(COLOURS, curves, strict=False)):
        for at, name in curve.openings:
            tells = f"{curve.name}: a breaker of {name} opened at {at:.0f} s"
            body.append(_mark(x(min(at, span)), colour, tells, y=TOP + 11 * row))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    ground = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>'
    return "\n".join([f'{head} font-family="sans-serif" font-size="12" fill="#222">', ground, *body, "</svg>", ""])


def _windows(done: Sequence[Done], span: float) -> list[_Window]:
    count = max(1, min(MOST_WINDOWS, len(done) // LEAST_IN_WINDOW))
    within: list[list[Done]] = [[] for _ in range(count)]
    for each in done:
        within[min(count - 1, int(each.at / span * count))].append(each)
    return [
        _Window(
            middle=(number + 0.5) * span / count,
            first_token=percentiles([each.first_token for each in some if each.first_token is not None]),
            failed=sum(each.outcome != OK for each in some) / len(some),
        )
        for number, some in enumerate(within)
        if some
    ]


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: start + (value - low) / (high - low) * (end - start)


# --- The parts ------------------------------------------------------------------------------------------------------


def _legend(curves: Sequence[Curve]) -> Iterator[str]:
    """A line per configuration, with what its strokes mean."""
    for number, (colour, curve) in enumerate(zip(COLOURS, curves, strict=False)):
        y = 48 + 18 * number
        yield f'<text x="{LEFT}" y="{y}" fill="{colour}">{_text(curve.name)}</text>'
        for place, (share, stroke) in enumerate(zip(SHARES, STROKES, strict=True)):
            at = 560 + 80 * place
            yield f'<path d="M{at} {y - 4}h30" stroke="{colour}" {stroke}/>'
            yield f'<text x="{at + 34}" y="{y}">p{share * 100:.0f}</text>'
        yield _mark(808, colour, "a breaker opened", y=y - 10)
        yield f'<text x="818" y="{y}">breaker opened</text>'


def _times(x: Callable[[float], float], span: float) -> Iterator[str]:
    """The axis that both panels share."""
    step = next((step for step in STEPS if span / step <= MOST_TICKS), math.ceil(span / MOST_TICKS))
    unit, name = (1, "s") if step < MINUTE else (MINUTE, "min") if step < HOUR else (HOUR, "h")
    for number in range(int(span / step) + 1):
        at = x(number * step)
        for top, bottom in ((TOP, MIDDLE), (BELOW, BOTTOM)):
            yield f'<path d="M{at:.1f} {top}V{bottom}" stroke="#eee"/>'
        label = f"{number * step / unit:g}"
        yield f'<text x="{at:.1f}" y="{BOTTOM + 18}" text-anchor="middle">{label}</text>'
    yield f'<text x="{(LEFT + RIGHT) / 2}" y="{BOTTOM + 38}" text-anchor="middle">arrival of the request, {name}</text>'


def _latencies(x: Callable[[float], float], windows: Sequence[Sequence[_Window]]) -> Iterator[str]:
    """The upper panel, on a logarithmic axis: what is slow in a trouble is often a hundred times what is usual."""
    values = [value for some in windows for each in some for value in each.first_token if value > 0] or [0.1, 1.0]
    low, high = _decades(min(values), max(values))
    y = _scale(math.log(low), math.log(high), MIDDLE, TOP)
    for value in _ticks(low, high):
        at = y(math.log(value))
        yield f'<path d="M{LEFT} {at:.1f}H{RIGHT}" stroke="#ddd"/>'
        yield f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{duration(value)}</text>'
    yield _frame(TOP, MIDDLE)
    yield f'<text x="{LEFT + 8}" y="{TOP - 6}">time to the first token</text>'
    for colour, some in zip(COLOURS, windows, strict=False):
        for number, stroke in enumerate(STROKES):
            points = [
                (x(each.middle), y(math.log(max(low, each.first_token[number])))) if each.first_token else None
                for each in some
            ]
            yield _line(points, colour, stroke)


def _failures(x: Callable[[float], float], windows: Sequence[Sequence[_Window]]) -> Iterator[str]:
    most = max((each.failed for some in windows for each in some), default=0.0)
    top = next((share for share in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if most <= share), 1.0)
    y = _scale(0.0, top, BOTTOM, BELOW)
    for share in (0.0, top / 2, top):
        yield f'<text x="{LEFT - 8}" y="{y(share) + 4:.1f}" text-anchor="end">{share * 100:g} %</text>'
    yield _frame(BELOW, BOTTOM)
    yield f'<text x="{LEFT + 8}" y="{BELOW - 6}">requests without an answer</text>'
    for colour, some in zip(COLOURS, windows, strict=False):
        yield _line([(x(each.middle), y(each.failed)) for each in some], colour, STROKES[-1])


def _decades(low: float, high: float) -> tuple[float, float]:
    """The nearest numbers that begin with 1, 2 or 5 around these, at least a factor of two apart."""
    return _step(low, up=False), _step(max(high, low * 2), up=True)


def _step(value: float, *, up: bool) -> float:
    """The nearest such number that is not less, or not more, but for rounding."""
    decade = 10.0 ** math.floor(math.log10(value))  # may round to the next one
    steps = [decade * factor for factor in (0.5, 1, 2, 5, 10)]
    if up:
        return min(step for step in steps if step >= value * (1 - ROUNDING))
    return max(step for step in steps if step <= value * (1 + ROUNDING))


def _ticks(low: float, high: float) -> list[float]:
    found, value = [], low
    while value <= high * 1.001:
        found.append(value)
        value = _step(value * 1.5, up=True)
    return found


# --- The elements ---------------------------------------------------------------------------------------------------


def _frame(top: float, bottom: float) -> str:
    return f'<rect x="{LEFT}" y="{top}" width="{RIGHT - LEFT}" height="{bottom - top}" fill="none" stroke="#888"/>'


def _line(points: Sequence[tuple[float, float] | None], colour: str, stroke: str) -> str:
    """Through these points, interrupted where there is none; one that stands alone is a dot."""
    path, pen = [], "M"
    for point in points:
        if point is None:
            pen = "M"
            continue
        path.append(f"{pen}{point[0]:.1f} {point[1]:.1f}{'h0.1' if pen == 'M' else ''}")
        pen = "L"
    return f'<path d="{"".join(path)}" fill="none" stroke="{colour}" {stroke} stroke-linecap="round"/>' if path else ""


def _mark(x: float, colour: str, tells: str, *, y: float) -> str:
    """A triangle that points down at an instant."""
    return f'<path d="M{x - 5:.1f} {y}h10l-5 9z" fill="{colour}"><title>{_text(tells)}</title></path>'


def _text(text: str) -> str:
    """Any text, fit for XML, which knows no control characters."""
    return escape(shown(text, 200))
