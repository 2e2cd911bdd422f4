"""`python -m benchmarks.hedging`: score the server's hedging on frozen and on fresh traces, and replay the paper."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from random import Random
from time import thread_time
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.hedging import paper
from benchmarks.hedging.policy import Policy
from benchmarks.hedging.worlds import worlds
from benchmarks.overhead.report import Figure, Limit, table
from llm_pool.config.settings import Qos
from llm_pool.dispatch.hedging import Hedging, Rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

OK, MISSED = 0, 1
SEED = 1
QUESTIONS = 100_000  # of 1,000 leaves each
CALLS = 20_000

score = import_module("benchmarks.data.score")  # data, which has no types


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    print("frozen traces")
    fine = bool(score.score_hedge(Policy))
    figures = [*_fresh(options.seeds), *_paper(), _cost()]
    print(f"\nfresh traces of {options.seeds} seeds, the worst of each\n{table(figures)}")
    missed = [each.name for each in figures if each.verdict == "missed"]
    missed += [] if fine else ["a frozen trace"]
    if missed:
        print(f"missed: {', '.join(missed)}")
    return MISSED if missed else OK


def _fresh(seeds: int) -> Iterator[Figure]:
    """The same limits on traces that nobody has seen: of each figure the worst over the seeds."""
    ratios: dict[str, list[float]] = {}
    extra, windows = [], []
    for seed in range(1, seeds + 1):
        for name, (primary, backup) in worlds(seed).items():
            waited, hedged = score.replay(Policy(seed), primary, backup)
            ratio = float(np.percentile(waited, 99)) / score.best_fixed_delay(primary, backup)
            ratios.setdefault(name, []).append(ratio)
            extra.append(float(hedged.mean()))
            windows.append(_worst(hedged))
    for name, found in ratios.items():
        yield Figure(f"fresh {name}: p99 / best fixed delay", max(found), "x", Limit("at most", score.LIMITS[name]))
    if seeds:
        yield Figure("fresh: extra", max(extra) * 100, "%", Limit("at most", score.EXTRA * 100))
        yield Figure("fresh: worst 1000", max(windows), "", Limit("at most", 1000 * score.EXTRA + score.BURST))


def _worst(hedged: NDArray[np.bool_]) -> int:
    sums = np.concatenate([[0], np.cumsum(hedged)])
    return int(max(sums[1000:] - sums[:-1000]))


def _paper() -> Iterator[Figure]:
    found = paper.replay(QUESTIONS, seed=SEED)
    yield Figure("Tail at Scale: 99.9th, not hedged, published", paper.UNHEDGED * 1000, "ms")
    yield Figure("Tail at Scale: 99.9th, not hedged", found.unhedged * 1000, "ms")
    yield Figure("Tail at Scale: 99.9th, hedged, published", paper.HEDGED * 1000, "ms")
    yield Figure("Tail at Scale: 99.9th, hedged, predicted", paper.predicted() * 1000, "ms")
    within = Limit("at most", paper.HEDGED * 1000 * 1.1)
    yield Figure("Tail at Scale: 99.9th, hedged", found.hedged * 1000, "ms", within)
    yield Figure("Tail at Scale: extra, published", paper.EXTRA * 100, "%")
    yield Figure("Tail at Scale: extra", found.extra * 100, "%", Limit("at most", paper.EXTRA * 100 * 1.05))


def _cost() -> Figure:
    """CPU time, the best of ten: what disturbs a measurement only ever adds."""
    random = Random(SEED)  # noqa: S311 - nobody's secret
    waits = [random.lognormvariate(-0.8, 0.5) for _ in range(CALLS)]
    hedging = Hedging(Rules.of(Qos()), random=random)
    best = min(_timed(hedging, waits) for _ in range(10))
    return Figure("begin + record", best * 1e6, "us", Limit("at most", 3.0))


def _timed(hedging: Hedging, waits: Sequence[float]) -> float:
    """Seconds for one request."""
    key = ("deployment", "task", 1)
    start = thread_time()
    for waited in waits:
        hedging.begin(key)
        hedging.record(key, waited, hedged=False)
    return (thread_time() - start) / len(waits)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hedging", description=__doc__)
    parser.add_argument("--seeds", type=_count, default=3, help="fresh traces of how many seeds (default 3, most 100)")
    return parser.parse_args(arguments)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) > 100:
        raise argparse.ArgumentTypeError("must be a whole number from 0 to 100")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
