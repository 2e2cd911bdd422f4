"""`python -m benchmarks.breaker`: the breaker against outages, brownouts and plain bad luck, on a simulated clock."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random
from statistics import fmean
from typing import TYPE_CHECKING

from benchmarks.overhead.report import Figure, Limit, table
from llm_pool.config.settings import Breaker as Section
from llm_pool.dispatch.breaker import Breaker, Rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_pool.dispatch.breaker import State, Verdict

OK, MISSED = 0, 1
MOST = 10_000  # of what is given
RUN = 1800.0  # seconds, all of them
TROUBLE = 600.0  # when it begins
ANSWER = (0.5, 2.0)  # seconds that an answer takes, any of these alike
GAP = (0.5, 1.5)  # between two calls, in parts of the mean


@dataclass(frozen=True, slots=True)
class Scenario:
    """Half an hour of `rate` calls a second. From `TROUBLE` on, `share` of them fail for `lasts` seconds, and then
    every caller leaves for `leaving` seconds without an answer. At any other time `errors` of the calls fail."""

    rate: float
    errors: float = 0.01
    lasts: float = 0.0
    share: float = 1.0
    takes: float = 0.05  # seconds until a failure is noticed
    leaving: float = 0.0
    drawn: bool = True  # the errors: each by chance, or exactly so many of each hundred calls, in random places

    @property
    def recovers(self) -> float:
        return TROUBLE + self.lasts + self.leaving


@dataclass(slots=True)
class Played:
    """What came of it. `failures` and `rejections` are instants."""

    opened: int = 0
    failures: list[float] = field(default_factory=list)
    rejections: list[float] = field(default_factory=list)

    def first_rejection(self, noticeable: float) -> float:
        """Seconds from there; as long as the run where nothing was rejected."""
        return next((at - noticeable for at in self.rejections if at >= noticeable), RUN)

    def back_after(self, recovered: float) -> float:
        """Seconds from there to the last rejection."""
        return max(self.rejections[-1] - recovered, 0.0) if self.rejections else 0.0


class Player:
    """One run with a real breaker. What is under way is a heap of ends."""

    def __init__(self, scenario: Scenario, rules: Rules, seed: int) -> None:
        self._scenario = scenario
        self._random = Random(seed)  # noqa: S311 - the same luck each time, and no secret
        self._now = 0.0
        self._ends: list[tuple[float, int, int, Verdict]] = []  # instant, number of the call, permit, verdict
        self._hundred: list[bool] = []
        self._played = Played()
        chance = Random(-seed - 1)  # noqa: S311
        self._breaker = Breaker(rules, now=lambda: self._now, random=chance, changed=self._changed)

    def play(self) -> Played:
        number, arrival = 0, 0.0
        while arrival < RUN:
            self._until(arrival)
            number += 1
            self._call(number)
            arrival += self._random.uniform(*GAP) / self._scenario.rate
        self._until(RUN)
        return self._played

    def _until(self, instant: float) -> None:
        """End what ends by then."""
        while self._ends and self._ends[0][0] <= instant:
            self._now, _, permit, verdict = heappop(self._ends)
            if verdict == "failure":
                self._played.failures.append(self._now)
            self._breaker.ended(permit, verdict)
        self._now = instant

    def _call(self, number: int) -> None:
        permit = self._breaker.begin()
        if permit is None:
            self._played.rejections.append(self._now)
            return
        verdict = self._fate()
        takes = self._scenario.takes if verdict == "failure" else self._random.uniform(*ANSWER)
        heappush(self._ends, (self._now + takes, number, permit, verdict))

    def _fate(self) -> Verdict:
        scenario, since = self._scenario, self._now - TROUBLE
        if 0 <= since < scenario.lasts:
            fails = self._random.random() < scenario.share
        elif 0 <= since - scenario.lasts < scenario.leaving:
            return "neutral"
        elif scenario.drawn:
            fails = self._random.random() < scenario.errors
        else:
            fails = self._next_of_hundred()
        return "failure" if fails else "success"

    def _next_of_hundred(self) -> bool:
        if not self._hundred:
            failing = round(self._scenario.errors * 100)
            self._hundred = [True] * failing + [False] * (100 - failing)
            self._random.shuffle(self._hundred)
        return self._hundred.pop()

    def _changed(self, before: State, after: State) -> None:
        self._played.opened += (before, after) == ("closed", "open")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.breaker", description=__doc__)
    parser.add_argument(
        "--seeds", type=_positive, default=10, help="runs of each scenario, seeds 0, 1 ... (default 10)"
    )
    parser.add_argument("--window-size", type=_positive, default=Section().window_size, help="in place of the default")
    options = parser.parse_args(arguments)
    section = Section(window_size=options.window_size)
    play = Stage(Rules.of(section), options.seeds)
    began = time.monotonic()
    figures = [*_calm(play), *_outages(play), *_cancelled(play), *_brownouts(play)]
    print(f"{section!r}\n{options.seeds} runs of each; the worst is shown where nothing else is said")
    print(table(figures))
    print(f"{time.monotonic() - began:.1f} s")
    missed = [each.name for each in figures if each.verdict == "missed"]
    if missed:
        print(f"missed: {', '.join(missed)}")
    return MISSED if missed else OK


def _positive(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {MOST}")
    return int(text)


@dataclass(frozen=True, slots=True)
class Stage:
    """Where scenarios are played, several times each."""

    rules: Rules
    seeds: int

    def __call__(self, scenario: Scenario) -> list[Played]:
        return [Player(scenario, self.rules, seed).play() for seed in range(self.seeds)]


def _calm(play: Stage) -> list[Figure]:
    """Errors now and then are no reason to open."""
    figures = []
    for rate in (0.2, 2.0, 20.0):
        runs = play(Scenario(rate, errors=0.1))
        name = f"10 % errors, {rate:g}/s: opened"
        figures.append(Figure(name, max(run.opened for run in runs), "", Limit("at most", 0)))
    for rate in (2.0, 20.0):
        runs = play(Scenario(rate, errors=0.25))
        figures.append(Figure(f"25 % errors, {rate:g}/s: opened, mean", fmean(run.opened for run in runs), ""))
    return figures


def _outages(play: Stage) -> list[Figure]:
    figures = []
    for rate, takes in ((2.0, 0.05), (2.0, 5.0), (20.0, 0.05)):
        scenario = Scenario(rate, lasts=300.0, takes=takes, drawn=False)
        runs = play(scenario)
        name = f"outage, {rate:g}/s, fails after {takes:g} s:"
        failed, mean = max(len(run.failures) for run in runs), fmean(len(run.failures) for run in runs)
        first = max(run.first_rejection(TROUBLE + takes) for run in runs)
        back = max(run.back_after(scenario.recovers) for run in runs)
        under_way = round(rate * takes)  # before anything could be noticed
        few = Limit("at most", 60 + under_way) if rate == 2.0 else None
        figures += [
            Figure(f"{name} first rejection", first, "s", Limit("at most", 6)),
            Figure(f"{name} failed", failed, "", few),
            Figure(f"{name} failed, mean", mean, ""),
            Figure(f"{name} back after", back, "s", Limit("at most", 45)),
        ]
    return figures


def _cancelled(play: Stage) -> list[Figure]:
    """Every probe of two minutes is left by its caller."""
    scenario = Scenario(2.0, errors=0.0, lasts=300.0, leaving=120.0)
    back = max(run.back_after(scenario.recovers) for run in play(scenario))
    return [Figure("two minutes of cancelled probes: back after", back, "s", Limit("at most", 45))]


def _brownouts(play: Stage) -> list[Figure]:
    figures = []
    for rate in (2.0, 20.0):
        runs = play(Scenario(rate, lasts=600.0, share=0.6, drawn=False))
        name = f"60 % brownout, {rate:g}/s:"
        figures += [
            Figure(f"{name} failed, mean", fmean(len(run.failures) for run in runs), ""),
            Figure(f"{name} opened, mean", fmean(run.opened for run in runs), ""),
        ]
    return figures


if __name__ == "__main__":
    sys.exit(main())
