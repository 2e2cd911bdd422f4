"""How soon the next deployment is asked after an error: from the error to the next call, through the whole pool.

Two providers in process, on a real clock. The first fails every `EVERY`th call and says nothing but that; 64 requests
are under way at all times. Errors come as late as answers do and never half of the calls fail, so no circuit breaker
opens and the failing one stays the first to be asked.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Self

from llm_pool import app
from llm_pool.config.settings import Settings
from llm_pool.core import clock
from llm_pool.core.errors import ProviderUnreachable
from llm_pool.core.ports.provider import Health
from llm_pool.core.streams import Events
from llm_pool.core.trace import Trace
from llm_pool.core.types import Finished, Message, Request, Sampling, Started, TextDelta, Usage
from llm_pool.dispatch.learned import Learned
from llm_pool.pool import Pool
from llm_pool.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

    from llm_pool.core.ports.provider import Provider
    from llm_pool.core.streams import Answering

AT_ONCE = 64  # requests
TAKES = 0.02  # seconds that a call takes until its answer, or its error
EVERY = 4  # of the first one's calls, so many give one error
DEADLINE = 10.0  # seconds

CONFIG = {
    "providers": [
        {"name": "first", "driver": "sim", "model": "m", "weight": 1000, "priority": 0},
        {"name": "second", "driver": "sim", "model": "m", "weight": 1, "priority": 1},
    ],
    "qos": {"balance": "priority", "hedge": "off"},
    "breaker": {"fail_rate": 1.0},
}


@dataclass(slots=True)
class Delays:
    """Seconds from each error to the next call of the same request."""

    requests: int = 0
    errors: int = 0
    seconds: list[float] = field(default_factory=list)
    _failed: dict[str, float] = field(default_factory=dict)  # request -> when

    def fails(self, request: Request) -> None:
        self.errors += 1
        self._failed[request.id] = time.perf_counter()

    def called(self, request: Request) -> None:
        failed = self._failed.pop(request.id, None)
        if failed is not None:
            self.seconds.append(time.perf_counter() - failed)


async def measure(requests: int) -> Delays:
    """Ask so many, on the running loop. Raises PoolError where one is not answered, which must not be."""
    delays = Delays()
    built: dict[str, Provider] = {"first": _Provider(delays, fails_every=EVERY), "second": _Provider(delays)}
    metrics, board, random = Metrics(), _AllWell(), Random(1)  # noqa: S311 - the same chances each time
    learned = Learned(metrics=metrics, now=clock.now, random=random)
    snapshot = app.composed(
        Settings.model_validate(CONFIG),
        version="benchmark",
        built=built,
        health=board,
        learned=learned,
        metrics=metrics,
        now=clock.now,
        random=random,
    )
    pool = Pool(snapshot, health=board, learned=learned, metrics=metrics, now=clock.now)
    numbers = iter(range(requests))
    await asyncio.gather(*(_ask(pool, numbers, delays, after=at * TAKES / AT_ONCE) for at in range(AT_ONCE)))
    return delays


async def _ask(pool: Pool, numbers: Iterator[int], delays: Delays, *, after: float) -> None:
    """One caller; they begin one after the other, not all at one instant."""
    await asyncio.sleep(after)
    for number in numbers:
        now = pool.time()
        request = Request(
            id=str(number),
            messages=(Message.of("user", "hi"),),
            deadline=now + DEADLINE,
            trace=Trace(started=now),
            sampling=Sampling(),
            whole=True,
        )
        await pool.infer(request)
        delays.requests += 1


class _AllWell:
    def of(self, name: str) -> Health:  # noqa: ARG002 - of everybody
        return Health("healthy")

    def all(self) -> Mapping[str, Health]:
        return {}

    async def settled(self, *, within: float) -> None:
        """All is known already."""


class _Provider:
    def __init__(self, delays: Delays, *, fails_every: int | None = None) -> None:
        self.delays = delays
        self._every = fails_every
        self._calls = count(1)

    def chat(self, request: Request) -> Answering:
        fails = next(self._calls) % self._every == 0 if self._every else False
        return _Call(self.delays, request, fails=fails)

    async def health(self) -> Health:
        return Health("healthy")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is open."""


class _Call(AbstractAsyncContextManager[Events]):
    def __init__(self, delays: Delays, request: Request, *, fails: bool) -> None:
        self._delays = delays
        self._request = request
        self._fails = fails

    async def __aenter__(self) -> Events:
        self._delays.called(self._request)
        await asyncio.sleep(TAKES)
        if self._fails:
            self._delays.fails(self._request)
            raise ProviderUnreachable("it fails on purpose")
        self._events = self._say()
        return self._events

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._events.aclose()

    async def _say(self) -> Events:
        yield Started("sim/m", "benchmark")
        yield TextDelta("hello")
        yield Finished("stop", Usage(input=1, output=1))
