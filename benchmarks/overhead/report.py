"""The table: each figure beside its limit."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.overhead.load import Load

BUSY = 0.1  # share of the machine taken by others above which rates and latencies say more about them than about us


@dataclass(frozen=True, slots=True)
class Limit:
    kind: Literal["at least", "at most"]
    value: float

    def met(self, value: float) -> bool:
        return value >= self.value if self.kind == "at least" else value <= self.value


@dataclass(frozen=True, slots=True)
class Figure:
    """One row. Without a limit it only informs."""

    name: str
    value: float
    unit: str
    limit: Limit | None = None

    @property
    def verdict(self) -> str:
        if self.limit is None:
            return ""
        return "met" if self.limit.met(self.value) else "missed"


LIMITS = {
    "HTTP requests per second": Limit("at least", 5_000),
    "gRPC requests per second": Limit("at least", 2_200),
    "memory idle": Limit("at most", 80),
    "start to ready": Limit("at most", 1.0),
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One repetition: what the load generator saw, and what it cost the server."""

    load: Load
    cpu: float  # seconds of CPU of the server
    foreign: float

    @property
    def cpu_each(self) -> float:
        """Microseconds of CPU per answer."""
        return self.cpu / max(1, self.load.answers) * 1e6


def figure(name: str, value: float, unit: str = "") -> Figure:
    return Figure(name, value, unit, LIMITS.get(name))


def of_load(who: str, runs: Sequence[Measured]) -> list[Figure]:
    """Medians over the repetitions."""
    return [
        figure(f"{who} requests per second", median(run.load.rate for run in runs), "/s"),
        figure(f"{who} p50", median(run.load.p50 for run in runs), "ms"),
        figure(f"{who} p99", median(run.load.p99 for run in runs), "ms"),
        figure(f"{who} CPU per request", median(run.cpu_each for run in runs), "us"),
    ]


def of_ratio(pool: Sequence[Measured], echo: Sequence[Measured]) -> list[Figure]:
    """How many bare echoes one request of the pool costs. Each repetition is compared with its neighbour in time."""
    pairs = list(zip(pool, echo, strict=True))
    return [
        figure("HTTP rate / echo rate", median(one.load.rate / other.load.rate for one, other in pairs), "x"),
        figure("HTTP CPU / echo CPU", median(one.cpu_each / max(other.cpu_each, 1e-9) for one, other in pairs), "x"),
    ]


def table(figures: Sequence[Figure]) -> str:
    rows = [("figure", "value", "limit", "")]
    rows += [
        (each.name, _shown(each.value, each.unit), _shown_limit(each.limit, each.unit), each.verdict)
        for each in figures
    ]
    name, value, limit, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
    return "\n".join(f"{a:{name}}  {b:>{value}}  {c:>{limit}}  {d}".rstrip() for a, b, c, d in rows)


def weather(foreign: Sequence[float]) -> str:
    """How far the figures can be trusted."""
    if max(foreign) <= BUSY:
        return f"other processes took at most {max(foreign):.0%} of the machine"
    return (
        f"NOISY: other processes took up to {max(foreign):.0%} of the machine; trust CPU per request first,"
        " ratios to the echo second, rates and latencies last"
    )


def _shown_limit(limit: Limit | None, unit: str) -> str:
    return f"{limit.kind} {_shown(limit.value, unit)}" if limit else ""


def _shown(value: float, unit: str) -> str:
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {unit}".rstrip()
