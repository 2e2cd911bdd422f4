"""`python -m benchmarks.shedding`: ask twice as much as can be answered for five minutes, on a clock that jumps.

The calls arrive at random (Poisson) and carry their own service time, so that every way of queueing meets the same.
"""

from __future__ import annotations

import asyncio
import math
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from random import Random
from statistics import fmean
from typing import TYPE_CHECKING, Protocol, TypeAlias

from benchmarks.overhead.load import quantile
from benchmarks.overhead.report import Figure, Limit, table
from llm_pool.core.errors import Overloaded
from llm_pool.dispatch.slots import LINE, Fixed, Slots
from llm_pool.simulate.clock import VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOM = 16  # calls at a time
SERVICE, SPREAD = 3.0, 0.52  # log-normal: mean in seconds, and the deviation of its logarithm
DEADLINE = 20.0  # seconds from a call's arrival
CAPACITY = ROOM / SERVICE  # calls a second
PHASES = ((0.75, 200.0), (2.0, 300.0), (0.75, 400.0))  # share of the capacity that is asked, seconds
OVERLOAD = (200.0, 500.0)
SEEDS = range(5)

LEAST = Limit("at least", 0.68)  # of both, with the worst seed
LIMITED = ("whole run, of the asked", "overload, of the capacity")
OK, MISSED = 0, 1

Call: TypeAlias = tuple[float, float]  # when it arrives, how long it takes


class Door(Protocol):
    """A way of queueing. `hangs_up`: the deadline ends a call, also one in the line, as the pool's own timer does."""

    @property
    def hangs_up(self) -> bool: ...

    async def enter(self, deadline: float) -> bool: ...
    def leave(self) -> None: ...


class InOrder:
    """First come, first served; `longest` is how many may wait."""

    def __init__(self, *, longest: float = math.inf, hangs_up: bool = False) -> None:
        self.hangs_up = hangs_up
        self._longest = longest
        self._waiting = 0
        self._free = asyncio.Semaphore(ROOM)

    async def enter(self, deadline: float) -> bool:  # noqa: ARG002 - it looks at nobody's deadline
        if self._free.locked() and self._waiting >= self._longest:
            return False
        self._waiting += 1
        try:
            return await self._free.acquire()
        finally:
            self._waiting -= 1

    def leave(self) -> None:
        self._free.release()


class Real:
    """The pool's own slots."""

    hangs_up = True

    def __init__(self) -> None:
        self._slots = Slots(Fixed(ROOM), now=asyncio.get_running_loop().time)
        self.leave = self._slots.leave

    async def enter(self, deadline: float) -> bool:
        if self._slots.enter_now():
            return True
        try:
            await self._slots.wait(deadline=deadline)
        except Overloaded:
            return False
        return True


DOORS: dict[str, Callable[[], Door]] = {
    "in order, endless line": InOrder,
    "the same, ended by the deadline": lambda: InOrder(hangs_up=True),
    "in order, bounded line": lambda: InOrder(longest=LINE * ROOM),
    "slots": Real,
}


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of one call. `took` is in seconds, None: not answered in time."""

    arrived: float
    took: float | None

    @property
    def in_overload(self) -> bool:
        return OVERLOAD[0] <= self.arrived < OVERLOAD[1]


def main() -> int:
    print(
        f"{ROOM} calls at a time, each {SERVICE:g} s on average (log-normal, p99 8.8 s), deadline {DEADLINE:g} s; "
        + ", then ".join(f"{load:g} x the capacity for {seconds:g} s" for load, seconds in PHASES)
        + f"; mean of {len(SEEDS)} seeds"
    )
    missed = False
    for name, door in DOORS.items():
        runs = [figures(played(door, list(calls(Random(seed))))) for seed in SEEDS]  # noqa: S311 - chance, no secret
        rows = list(_summary(runs, limited=name == "slots"))
        print(f"\n{name}\n{table(rows)}")
        missed = missed or any(row.verdict == "missed" for row in rows)
    return MISSED if missed else OK


def calls(random: Random) -> Iterator[Call]:
    """All calls of a run, as they arrive."""
    median, ends = math.log(SERVICE) - SPREAD**2 / 2, 0.0
    for load, seconds in PHASES:
        arrives, ends = ends, ends + seconds
        while (arrives := arrives + random.expovariate(load * CAPACITY)) < ends:
            yield arrives, random.lognormvariate(median, SPREAD)


def played(door: Callable[[], Door], asked: Sequence[Call]) -> list[Ended]:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_play(door, asked))


async def _play(make: Callable[[], Door], asked: Sequence[Call]) -> list[Ended]:
    door, loop, tasks = make(), asyncio.get_running_loop(), []
    for arrives, takes in asked:
        await asyncio.sleep(arrives - loop.time())
        tasks.append(asyncio.create_task(_one(door, takes)))
    return await asyncio.gather(*tasks)


async def _one(door: Door, takes: float) -> Ended:
    loop = asyncio.get_running_loop()
    arrived = loop.time()
    deadline = arrived + DEADLINE
    try:
        async with asyncio.timeout_at(deadline) if door.hangs_up else nullcontext():
            if not await door.enter(deadline):
                return Ended(arrived, None)
            try:
                await asyncio.sleep(takes)
            finally:
                door.leave()
    except TimeoutError:
        return Ended(arrived, None)
    return Ended(arrived, loop.time() - arrived if loop.time() <= deadline else None)


def figures(ended: Sequence[Ended]) -> dict[str, float]:
    """Of one run. A call counts for the phase in which it arrived, so those last in line lift 1.0 a little."""
    overload = [each for each in ended if each.in_overload]
    calm = [each for each in ended if not each.in_overload]
    took = sorted(each.took for each in overload if each.took is not None)
    return {
        "whole run, of the asked": _answered(ended) / len(ended),
        "overload, of the capacity": len(took) / (CAPACITY * (OVERLOAD[1] - OVERLOAD[0])),
        "overload, of the asked": len(took) / len(overload),
        "calm before and after, of the asked": _answered(calm) / len(calm),
        "overload, p50 of the answered": quantile(took, 0.5),
        "overload, p99 of the answered": quantile(took, 0.99),
    }


def _answered(ended: Sequence[Ended]) -> int:
    return sum(each.took is not None for each in ended)


def _summary(runs: Sequence[dict[str, float]], *, limited: bool) -> Iterator[Figure]:
    for name in runs[0]:
        values = [run[name] for run in runs]
        yield Figure(name, fmean(values), "s" if "answered" in name else "")
        if limited and name in LIMITED:
            yield Figure("- worst seed", min(values), "", LEAST)


if __name__ == "__main__":
    sys.exit(main())
