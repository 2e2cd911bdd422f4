"""Four unequal deployments on a simulated clock, asked in the order that `llm_pool.dispatch.balance` says.

A deployment answers `SLOTS` calls at a time, the others wait in line; a call keeps its slot to its last token. Each
request brings a prompt and an answer, log-normal in length and the same for every way of balancing, and a deployment
that is twice as fast needs half as long for both. Requests come at random (Poisson). Time to first token is the wait
in line and the prompt.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import TYPE_CHECKING, TypeAlias

from benchmarks.overhead.load import quantile
from llm_pool.dispatch.balance import Load, balance_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llm_pool.core.clock import Clock
    from llm_pool.dispatch.balance import Mode

PROMPT, ANSWER = (0.6, 0.6), (4.0, 0.8)  # median in seconds at speed 1, sigma of the logarithm
WARM_UP = 0.1  # share of the requests that come before anybody counts

Event: TypeAlias = "tuple[float, int, Callable[[], None]]"


class Peak(Load):
    """Finagle's PeakEwma as it stands: the worst replaces the mean at once, and all fades within 10 s. To compare."""

    __slots__ = ()
    DECAY = 10.0  # seconds

    def first_token(self, seconds: float) -> None:
        now = self._now()
        kept = math.exp((self._measured - now) / self.DECAY)
        self._mean = seconds if seconds >= self._mean else self._mean * kept + seconds * (1.0 - kept)
        self._measured = now

    def latency_at(self, now: float) -> float:
        if self.outstanding and not self._mean:
            return super().latency_at(now)
        return self._mean * math.exp((self._measured - now) / self.DECAY)


@dataclass(frozen=True, slots=True)
class Incident:
    """Between two instants one deployment is slower by a factor."""

    name: str
    begins: float
    ends: float
    slower: float


@dataclass(frozen=True, slots=True)
class Scene:
    speeds: tuple[float, ...] = (1.0, 1.0, 2.0, 4.0)
    slots: tuple[int, ...] = (4, 4, 4, 4)
    load: float = 0.7  # share of what all can do together
    requests: int = 6_000
    incident: Incident | None = None

    @property
    def rate(self) -> float:
        """Requests per second."""
        each = sum(median * math.exp(sigma**2 / 2) for median, sigma in (PROMPT, ANSWER))
        return self.load * sum(map(float.__mul__, self.speeds, map(float, self.slots))) / each


@dataclass(frozen=True, slots=True)
class Run:
    """What callers saw: seconds to the first token, and the share of the requests that each deployment got."""

    p50: float
    p99: float
    shares: tuple[float, ...]


@dataclass(slots=True, eq=False)
class _Deployment:
    name: str
    load: Load
    speed: float
    slots: int
    weight: float = 1.0
    priority: int = 0
    loading: bool = False
    asked: int = 0
    busy: int = 0
    line: deque[_Call] = field(default_factory=deque)


@dataclass(frozen=True, slots=True)
class _Call:
    came: float
    prompt: float
    answer: float


def run(scene: Scene, mode: Mode, *, seed: int, load: Callable[..., Load] = Load) -> Run:
    """One simulation; equal arguments give equal results."""
    return _Simulation(scene, mode, seed=seed, load=load).run()


class _Simulation:
    def __init__(self, scene: Scene, mode: Mode, *, seed: int, load: Callable[..., Load]) -> None:
        self._scene = scene
        self._now = 0.0
        self._events: list[Event] = []
        self._order = count()
        self._waits: list[tuple[float, float]] = []  # when it came, seconds to the first token
        now: Clock = lambda: self._now  # noqa: E731 - one line says it
        self._balance = balance_of(mode, random=Random(f"choices {seed}"), now=now)  # noqa: S311 - equal each time
        self._deployments = [
            _Deployment(chr(ord("a") + at), load(now=now), speed, slots)
            for at, (speed, slots) in enumerate(zip(scene.speeds, scene.slots, strict=True))
        ]
        self._requests = _requests(scene, Random(f"requests {seed}"))  # noqa: S311 - equal each time

    def run(self) -> Run:
        self._expect_next()
        while self._events:
            self._now, _, then = heapq.heappop(self._events)
            then()
        begin = sorted(came for came, _ in self._waits)[int(WARM_UP * len(self._waits))]
        waits = sorted(wait for came, wait in self._waits if came >= begin)
        shares = tuple(each.asked / len(self._waits) for each in self._deployments)
        return Run(quantile(waits, 0.5), quantile(waits, 0.99), shares)

    def _at(self, instant: float, then: Callable[[], None]) -> None:
        heapq.heappush(self._events, (instant, next(self._order), then))

    def _expect_next(self) -> None:
        call = next(self._requests, None)
        if call is not None:
            self._at(call.came, lambda: self._comes(call))

    def _comes(self, call: _Call) -> None:
        chosen = self._balance.order(self._deployments)[0]
        chosen.asked += 1
        chosen.load.begin()
        chosen.line.append(call)
        self._serve(chosen)
        self._expect_next()

    def _serve(self, who: _Deployment) -> None:
        if who.busy == who.slots or not who.line:
            return
        call = who.line.popleft()
        who.busy += 1
        speed = who.speed / self._slower(who.name)
        speaks = self._now + call.prompt / speed
        self._at(speaks, lambda: self._speaks(who, call))
        self._at(speaks + call.answer / speed, lambda: self._ends(who))

    def _speaks(self, who: _Deployment, call: _Call) -> None:
        wait = self._now - call.came
        who.load.first_token(wait)
        self._waits.append((call.came, wait))

    def _ends(self, who: _Deployment) -> None:
        who.load.end()
        who.busy -= 1
        self._serve(who)

    def _slower(self, name: str) -> float:
        incident = self._scene.incident
        if incident and incident.name == name and incident.begins <= self._now < incident.ends:
            return incident.slower
        return 1.0


def _requests(scene: Scene, random: Random) -> Iterator[_Call]:
    came = 0.0
    for _ in range(scene.requests):
        came += random.expovariate(scene.rate)
        prompt, answer = (random.lognormvariate(math.log(median), sigma) for median, sigma in (PROMPT, ANSWER))
        yield _Call(came, prompt, answer)
