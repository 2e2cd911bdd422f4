"""What a replay comes to: figures for people, side by side, and the same for programs."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_pool.core.errors import Overloaded
from llm_pool.core.outcome import OK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from llm_pool.simulate.replay import Outcome

SHARES = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Part:
    """Of one deployment: what it answered, and the calls that this took."""

    answers: int
    calls: int


@dataclass(frozen=True, slots=True)
class Report:
    """Of one configuration. Durations in seconds, of the requests that were answered."""

    name: str
    requests: int
    answered: int
    degraded: int
    first_token: tuple[float, ...]  # at `SHARES`; empty where nothing was answered
    took: tuple[float, ...]
    calls: int
    hedges: int
    hedges_won: int
    retries: int
    failovers: int
    openings: tuple[tuple[float, str], ...]
    breakers_opened: int
    shed: int
    errors: Mapping[str, int]  # by reason, without those shed
    parts: Mapping[str, Part]


def report(name: str, outcome: Outcome, *, deployments: Sequence[str]) -> Report:
    """`deployments` are those configured: they stand there even where nothing was asked of them."""
    done = outcome.done
    answers = Counter(each.winner for each in done if each.outcome == OK)
    ends = Counter(each.outcome for each in done if each.outcome != OK)
    shed = ends.pop(Overloaded.reason, 0)
    return Report(
        name=name,
        requests=len(done),
        answered=answers.total(),
        degraded=sum(each.degraded for each in done),
        first_token=percentiles([each.first_token for each in done if each.first_token is not None]),
        took=percentiles([each.took for each in done if each.took is not None]),
        calls=outcome.calls.total(),
        hedges=outcome.counts["hedges"],
        hedges_won=outcome.counts["hedges_won"],
        retries=outcome.counts["retries"],
        failovers=outcome.counts["failovers"],
        openings=tuple(outcome.openings),
        breakers_opened=outcome.counts["breakers_opened"],
        shed=shed,
        errors=dict(ends.most_common()),
        parts={each: Part(answers[each], outcome.calls[each]) for each in deployments},
    )


def percentiles(values: Sequence[float]) -> tuple[float, ...]:
    """At `SHARES`, by the nearest rank: each is a value that there was. Empty for none."""
    ordered = sorted(values)
    return tuple(ordered[max(0, math.ceil(share * len(ordered)) - 1)] for share in SHARES) if ordered else ()


# --- For people -----------------------------------------------------------------------------------------------------


def table(reports: Sequence[Report]) -> str:
    """A row per figure, a column per configuration, as plain text."""
    reasons = list(dict.fromkeys(reason for each in reports for reason in each.errors))
    names = list(dict.fromkeys(name for each in reports for name in each.parts))
    columns = [[("", each.name), *_figures(each, reasons, names)] for each in reports]
    heads = [head for head, _ in columns[0]]
    label = max(map(len, heads))
    widths = [max(len(cell) for _, cell in column) for column in columns]
    lines = []
    for number, head in enumerate(heads):
        cells = [column[number][1].rjust(width) for column, width in zip(columns, widths, strict=True)]
        lines.append("   ".join([head.ljust(label), *cells]).rstrip())
    return "\n".join(lines)


def _figures(each: Report, reasons: Sequence[str], names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The rows of one configuration: the same ones for all that have these errors and deployments."""
    yield "requests", str(each.requests)
    yield "answered", _of(each.answered, each.requests)
    yield "  degraded", _of(each.degraded, each.requests)
    for what, values in (("first token", each.first_token), ("whole answer", each.took)):
        for number, share in enumerate(SHARES):
            yield f"{what} p{share * 100:.0f}", duration(values[number]) if values else "-"
    yield "calls", _of(each.calls, each.requests)
    yield "  hedges", _of(each.hedges, each.requests)
    yield "    won", str(each.hedges_won)
    yield "  retries", _of(each.retries, each.requests)
    yield "  failovers", _of(each.failovers, each.requests)
    yield "breakers opened", str(each.breakers_opened)
    yield "shed", _of(each.shed, each.requests)
    yield "errors", _of(sum(each.errors.values()), each.requests)
    for reason in reasons:
        yield f"  {reason}", _of(each.errors.get(reason, 0), each.requests)
    yield "answers by", ""
    for name in names:
        yield f"  {name}", _of(each.parts[name].answers, each.answered) if name in each.parts else "-"


def _of(count: int, all_of_them: int) -> str:
    """A count, and what share of the requests it is."""
    return f"{count} {count / all_of_them * 100:6.1f} %" if all_of_them else str(count)


def duration(seconds: float) -> str:
    """Three digits of it: 12 ms, 0.34 s, 5.61 s, 78.9 s."""
    if seconds < 0.1:  # noqa: PLR2004 - read as it stands
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"  # noqa: PLR2004


# --- For programs ---------------------------------------------------------------------------------------------------


def as_json(each: Report) -> dict[str, Any]:
    """Durations in milliseconds, as everywhere on the wire; null where nothing was answered."""
    return {
        "config": each.name,
        "requests": each.requests,
        "answered": each.answered,
        "degraded": each.degraded,
        "first_token_ms": _milliseconds(each.first_token),
        "whole_answer_ms": _milliseconds(each.took),
        "calls": each.calls,
        "hedges": each.hedges,
        "hedges_won": each.hedges_won,
        "retries": each.retries,
        "failovers": each.failovers,
        "breakers_opened": each.breakers_opened,
        "breaker_openings": [{"at": round(at, 3), "deployment": name} for at, name in each.openings],
        "shed": each.shed,
        "errors": dict(each.errors),
        "deployments": {
            name: {
                "answers": part.answers,
                "share": round(part.answers / each.answered, 4) if each.answered else None,
                "calls": part.calls,
            }
            for name, part in each.parts.items()
        },
    }


def _milliseconds(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {f"p{share * 100:.0f}": round(value * 1000, 1) for share, value in zip(SHARES, values, strict=True)}
