"""Which of the deployments that could answer is asked first. Pure: it looks at loads, weights and chance.

*Latency*, the default, asks the one with the least `time to first token x (calls under way + 1) / weight`. So does
Finagle's PeakEwma, for calls of milliseconds; here a call takes seconds and there are few of them, hence:

1. The time to first token is a mean over `WINDOW`, not a peak, and no call changes it by much (`WORSE`, `BETTER`).
   Otherwise one that met a long prompt or a queue turns everybody away from the best deployment, and the others then
   queue. What really became slow is seen at once: calls pile up on it (`benchmarks.balance` shows both).
2. What is known fades only while nothing is under way, and over `FADES`. A slow deployment is then tried again now
   and then, the sooner the less it is slower. Fading over seconds, as is right for calls of milliseconds, would make
   a round robin of a pool that is asked twice a minute.
3. Of one that is being asked and has never spoken nothing good is assumed: a new one gets one call at first, not all.
4. All candidates are looked at. Two drawn at random would be the two slowest once in a while, and there are few.
"""

from __future__ import annotations

import math
from operator import attrgetter
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, TypeVar, assert_never

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from llm_pool.core.clock import Clock

WINDOW = 30.0  # seconds; of what was measured so long ago 1/e counts
WORSE, BETTER = 0.1, 0.3  # the most that one sample weighs; the first may be that of a model that was being loaded
FADES = 300.0  # seconds without a call after which 1/e of a latency is still believed
SILENT = 1e6  # seconds; the latency of one that was asked and has never spoken
EXPLORE = 0.02  # share of the requests that a candidate drawn at random gets: what became better must be noticed
SETS = 256  # sets of candidates whose turn a round robin remembers

Mode: TypeAlias = Literal["latency", "weighted", "round_robin", "least_outstanding", "priority"]


class Load:
    """What is known of one deployment for choosing it: how soon it speaks, and how much it has to do.

    The mean is an exponential one of samples at irregular times (Eckner, "Algorithms for unevenly spaced time series",
    2012): a sample weighs by the time since the one before it, within bounds.
    """

    __slots__ = ("_ended", "_mean", "_measured", "_now", "_spoken", "outstanding")

    def __init__(self, *, now: Clock) -> None:
        self._now = now
        self.outstanding = 0  # calls under way, those that have begun to speak among them
        self._spoken = False  # ever
        self._mean = 0.0  # seconds to the first token
        self._measured = self._ended = now()

    def begin(self) -> None:
        """A call of it begins. Each is ended with `end`, whatever becomes of it."""
        self.outstanding += 1

    def first_token(self, seconds: float) -> None:
        """It spoke, so long after it was asked."""
        now, mean = self._now(), self._mean
        if self._spoken:
            weight = 1.0 - math.exp((self._measured - now) / WINDOW)
            self._mean += (seconds - mean) * min(weight, WORSE if seconds > mean else BETTER)
        else:
            self._mean, self._spoken = seconds, True
        self._measured = now

    def silent(self, seconds: float) -> None:
        """It was given up after so long, or another was faster: that counts where it is longer than was expected."""
        if seconds > self._mean:
            if self._spoken:
                self.first_token(seconds)
            else:  # only a guess, which its first word replaces
                self._mean = seconds

    def end(self) -> None:
        """A call that had begun has ended, well or badly."""
        self.outstanding -= 1
        self._ended = self._now()

    def latency_at(self, now: float) -> float:
        """Seconds to its first token, as far as is known: 0 before its first call, `SILENT` while that lasts. `now` is
        the caller's, so that several are compared at the same instant.
        """
        if self.outstanding:
            return self._mean if self._spoken else SILENT
        return self._mean * math.exp((self._ended - now) / FADES)


class Candidate(Protocol):
    """A deployment that could answer."""

    @property
    def name(self) -> str: ...

    @property
    def load(self) -> Load: ...

    @property
    def weight(self) -> float:
        """Its share of the traffic, beside those of the others; more than 0."""
        ...

    @property
    def loading(self) -> bool:
        """Whether it has to be loaded into memory first."""
        ...

    @property
    def priority(self) -> int:
        """The lowest is asked first, where priorities count."""
        ...


C = TypeVar("C", bound=Candidate)


_priority = attrgetter("priority")


class Balance(Protocol):
    def order(self, candidates: Sequence[C]) -> list[C]:
        """All of them, in the order to ask them. Chance draws one number for each, in turn."""
        ...


def balance_of(mode: Mode, *, random: Random, now: Clock) -> Balance:
    """The way of `qos.balance`. `now` is the clock of the candidates' loads."""
    match mode:
        case "latency":
            return ByLatency(random=random, now=now)
        case "weighted":
            return ByWeight(random=random)
        case "round_robin":
            return RoundRobin()
        case "least_outstanding":
            return ByOutstanding(random=random)
        case "priority":
            return ByPriority(random=random, now=now)
        case _:
            assert_never(mode)


class ByLatency:
    """The least latency x (calls under way + 1) / weight first, equals by weighted chance; sometimes a random one."""

    __slots__ = ("_draw", "_now")

    def __init__(self, *, random: Random, now: Clock) -> None:
        self._draw = random.random
        self._now = now

    def order(self, candidates: Sequence[C]) -> list[C]:
        if len(candidates) < 2:  # noqa: PLR2004 - no choice
            return list(candidates)
        ordered = _by_latency(candidates, self._now(), self._draw)
        # To try one that is not in memory would cost its load, and may push another one out.
        _explore(ordered, sum(not each.loading for each in ordered), self._draw)
        return ordered


class ByWeight:
    """Weighted chance alone."""

    __slots__ = ("_draw",)

    def __init__(self, *, random: Random) -> None:
        self._draw = random.random

    def order(self, candidates: Sequence[C]) -> list[C]:
        if len(candidates) < 2:  # noqa: PLR2004 - no choice
            return list(candidates)
        ranked = [(_chance(self._draw(), each.weight), at, each) for at, each in enumerate(candidates)]
        ranked.sort()
        return [each for _, _, each in ranked]


class ByOutstanding:
    """The least (calls under way + 1) / weight first, equals by weighted chance."""

    __slots__ = ("_draw",)

    def __init__(self, *, random: Random) -> None:
        self._draw = random.random

    def order(self, candidates: Sequence[C]) -> list[C]:
        if len(candidates) < 2:  # noqa: PLR2004 - no choice
            return list(candidates)
        ranked = [
            ((each.load.outstanding + 1) / each.weight, _chance(self._draw(), each.weight), at, each)
            for at, each in enumerate(candidates)
        ]
        ranked.sort()
        return [each for _, _, _, each in ranked]


class ByPriority(ByLatency):
    """The lowest priority first, and within one the least latency. The random one is one of the lowest, too."""

    __slots__ = ()

    def order(self, candidates: Sequence[C]) -> list[C]:
        if len(candidates) < 2:  # noqa: PLR2004 - no choice
            return list(candidates)
        ordered = _by_latency(candidates, self._now(), self._draw)
        ordered.sort(key=_priority)
        lowest = ordered[0].priority
        _explore(ordered, sum(each.priority == lowest and not each.loading for each in ordered), self._draw)
        return ordered


class RoundRobin:
    """Smooth weighted round robin, as nginx does it: in every `sum of weights` turns each is first as often as it
    weighs, and its turns are spread evenly. Each set of candidates takes turns of its own.
    """

    __slots__ = ("_turns",)

    def __init__(self) -> None:
        self._turns: dict[tuple[str, ...], list[float]] = {}

    def order(self, candidates: Sequence[C]) -> list[C]:
        if len(candidates) < 2:  # noqa: PLR2004 - no choice
            return list(candidates)
        key = tuple([each.name for each in candidates])
        turns = self._turns.get(key)
        if turns is None:
            if len(self._turns) >= SETS:
                del self._turns[next(iter(self._turns))]  # the oldest: sets come and go with who is well
            turns = self._turns[key] = [0.0] * len(candidates)
        total = 0.0
        for at, each in enumerate(candidates):
            total += each.weight
            turns[at] += each.weight
        ranked = sorted(range(len(candidates)), key=turns.__getitem__, reverse=True)
        turns[ranked[0]] -= total
        return [candidates[at] for at in ranked]


def _by_latency(candidates: Sequence[C], now: float, draw: Callable[[], float]) -> list[C]:
    ranked: list[tuple[bool, float, float, int, C]] = []
    for at, each in enumerate(candidates):
        load, weight = each.load, each.weight
        cost = load.latency_at(now) * (load.outstanding + 1) / weight
        ranked.append((each.loading, cost, _chance(draw(), weight), at, each))
    ranked.sort()
    return [each for *_, each in ranked]


def _explore(ordered: list[C], among: int, draw: Callable[[], float]) -> None:
    """Now and then put one of the first `among` in front."""
    if draw() >= 1.0 - EXPLORE:
        ordered.insert(0, ordered.pop(int(draw() * among)))


def _chance(drawn: float, weight: float) -> float:
    """An order drawn by weight without replacement: exponential keys (Efraimidis and Spirakis, 2006)."""
    return -math.log(1.0 - drawn) / weight
