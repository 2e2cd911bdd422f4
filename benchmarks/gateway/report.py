"""The gateways side by side, and the limits that the pool has to keep."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.overhead.report import BUSY, Figure, Limit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.gateway.stages import Seen

DIRECT = "direct"  # the upstream without a gateway, from which added latencies are counted
OURS = "pool"


@dataclass(frozen=True, slots=True)
class Row:
    """Medians of the repetitions of one gateway; what it adds is counted repetition by repetition."""

    name: str
    rate: float
    cpu: float
    added: float
    chunk_rate: float
    chunk_cpu: float
    first: float

    @classmethod
    def of(cls, name: str, seen: Sequence[Seen], direct: Sequence[Seen]) -> Row:
        pairs = list(zip(seen, direct, strict=True))
        return cls(
            name,
            rate=median(one.rate for one in seen),
            cpu=median(one.cpu for one in seen),
            added=median(one.p50 - bare.p50 for one, bare in pairs),
            chunk_rate=median(one.chunk_rate for one in seen),
            chunk_cpu=median(one.chunk_cpu for one in seen),
            first=median(one.first - bare.first for one, bare in pairs),
        )


def rows(seen: Mapping[str, Sequence[Seen]]) -> list[Row]:
    return [Row.of(name, runs, seen[DIRECT]) for name, runs in seen.items() if name != DIRECT]


def limits(found: Sequence[Row]) -> list[Figure]:
    """What the pool promises. The comparison with LiteLLM only where it was there."""
    by_name = {row.name: row for row in found}
    ours = by_name[OURS]
    figures = [
        Figure("requests per second", ours.rate, "/s", Limit("at least", 3_000)),
        Figure("stream, CPU per chunk", ours.chunk_cpu, "us", Limit("at most", 40)),
        Figure("added time to first chunk", ours.first, "ms", Limit("at most", 1.5)),
    ]
    if other := by_name.get("litellm"):
        figures.append(Figure("rate / LiteLLM's rate", ours.rate / other.rate, "x", Limit("at least", 30)))
    return figures


def side_by_side(found: Sequence[Row]) -> str:
    lines = [("gateway, one core", "req/s", "CPU us/req", "added p50 ms", "chunks/s", "CPU us/chunk", "added first ms")]
    lines += [
        (
            row.name,
            f"{row.rate:,.0f}",
            f"{row.cpu:,.0f}",
            f"{row.added:.2f}",
            f"{row.chunk_rate:,.0f}",
            f"{row.chunk_cpu:,.1f}",
            f"{row.first:.2f}",
        )
        for row in found
    ]
    first, *others = (max(map(len, column)) for column in zip(*lines, strict=True))
    return "\n".join(
        "  ".join([name.ljust(first), *(cell.rjust(width) for cell, width in zip(cells, others, strict=True))])
        for name, *cells in lines
    )


def weather(foreign: Sequence[float]) -> str:
    """How far the figures can be trusted."""
    if max(foreign) <= BUSY:
        return f"other processes took at most {max(foreign):.0%} of the machine"
    return (
        f"NOISY: other processes took up to {max(foreign):.0%} of the machine; trust CPU per request first,"
        " ratios second, rates and latencies last"
    )
