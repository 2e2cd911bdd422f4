"""`python -m benchmarks.balance`: who is asked first, simulated, and how soon the next one after an error, measured."""

from __future__ import annotations

import argparse
import asyncio
import sys
from statistics import fmean
from typing import TYPE_CHECKING

from benchmarks.balance import failover
from benchmarks.balance.queueing import Incident, Peak, Run, Scene, run
from benchmarks.overhead.load import quantile
from benchmarks.overhead.report import Figure, Limit, table
from llm_pool.dispatch.balance import Load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from llm_pool.dispatch.balance import Mode

OK, MISSED = 0, 1

# Each way by its name in the table; the last one is not the pool's.
WAYS: dict[str, tuple[Mode, Callable[..., Load]]] = {
    "latency": ("latency", Load),
    "least_outstanding": ("least_outstanding", Load),
    "round_robin": ("round_robin", Load),
    "weighted": ("weighted", Load),
    "peak (10 s)": ("latency", Peak),
}
BASE = "least_outstanding"
SCENES = {
    "load 0.5": Scene(load=0.5),
    "load 0.7": Scene(),
    "load 0.9": Scene(load=0.9),
    "load 0.7, 1 slot each": Scene(slots=(1, 1, 1, 1)),
    "load 0.7, 2 slots each": Scene(slots=(2, 2, 2, 2)),
    "load 0.7, 8 slots each": Scene(slots=(8, 8, 8, 8)),
    "load 0.7, 8 4 4 2 slots": Scene(slots=(8, 4, 4, 2)),
    "load 0.4, the fastest 8 x slower for 100 s": Scene(load=0.4, incident=Incident("d", 400.0, 500.0, 8.0)),
}
LIMITS = {
    "load 0.7: p99 of latency / least_outstanding": Limit("at most", 0.85),
    "failover p99": Limit("at most", 10),
    "failovers measured": Limit("at least", 100),
}


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    figures = [*_balancing(options.seeds, options.requests), *_failover(options.failover)]
    print(table(figures))
    missed = [each.name for each in figures if each.verdict == "missed"]
    if missed:
        print(f"missed: {', '.join(missed)}")
    return MISSED if missed else OK


def _balancing(seeds: int, requests: int) -> Iterator[Figure]:
    print(f"time to first token in seconds, p50 / p99, and shares of the four; {seeds} seeds of {requests:,} requests")
    for title, scene in SCENES.items():
        sized = Scene(scene.speeds, scene.slots, scene.load, requests, scene.incident)
        runs = {
            way: [run(sized, mode, seed=seed, load=load) for seed in range(1, seeds + 1)]
            for way, (mode, load) in WAYS.items()
        }
        p99 = {way: fmean(each.p99 for each in some) for way, some in runs.items()}
        print(f"\n{title} ({sized.rate:.2f} requests a second)")
        for way, some in runs.items():
            print(f"  {way:18} {_shown(some)}  {p99[way] / p99[BASE]:5.2f} x")
        yield _figure(f"{title}: p99 of latency / {BASE}", p99["latency"] / p99[BASE], "x")
    print()


def _shown(runs: Sequence[Run]) -> str:
    shares = " ".join(f"{fmean(share):4.0%}" for share in zip(*(each.shares for each in runs), strict=True))
    return f"{fmean(each.p50 for each in runs):6.2f} / {fmean(each.p99 for each in runs):6.2f}  {shares}"


def _failover(requests: int) -> Iterator[Figure]:
    with asyncio.Runner(loop_factory=_loop()) as runner:
        delays = runner.run(failover.measure(requests))
    seconds = sorted(delays.seconds)
    yield _figure("failover requests", delays.requests)
    yield _figure("failovers measured", len(seconds))
    yield _figure("failover p50", quantile(seconds, 0.5) * 1e3, "ms")
    yield _figure("failover p99", quantile(seconds, 0.99) * 1e3, "ms")


def _loop() -> Callable[[], asyncio.AbstractEventLoop]:
    """As `serve` chooses it."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def _figure(name: str, value: float, unit: str = "") -> Figure:
    return Figure(name, value, unit, LIMITS.get(name))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.balance", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="simulations of each kind")
    parser.add_argument("--requests", type=int, default=5_000, help="requests of one simulation")
    parser.add_argument("--failover", type=int, default=4_000, help="requests through the pool")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
