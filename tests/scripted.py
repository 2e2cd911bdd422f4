"""A provider that plays a list of steps, without a wire, and notes how it was asked, read and left.

A step is an event to say, seconds to wait (0: one turn of the loop), an exception to raise, or `"stall"`: silence for
ever. `opening` is played before the answer is open (the headers), `closing` while it is being left.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from llm_pool import app
from llm_pool.config.settings import Settings
from llm_pool.core.ports.provider import Health
from llm_pool.core.streams import Events
from llm_pool.core.trace import Trace
from llm_pool.core.types import Event, Finished, Message, Request, Sampling, Started, TextDelta, Usage
from llm_pool.dispatch.learned import Learned
from llm_pool.dispatch.standing import Standing
from llm_pool.pool import Pool
from llm_pool.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from llm_pool.core.clock import Clock
    from llm_pool.core.ports.provider import State
    from llm_pool.core.streams import Answering

Step: TypeAlias = Event | float | BaseException | Literal["stall"]

USAGE = Usage(input=3, output=2)


def answer(*texts: str, usage: Usage = USAGE) -> list[Step]:
    """The steps of an answer that says these texts at once. Its `Started` is that of the first table of `pool_of`."""
    return [Started("sim/m", "a"), *(TextDelta(text) for text in texts or ("hello",)), Finished("stop", usage)]


@dataclass(slots=True)
class Call:
    """One call of a provider. Instants are those of `loop.time()`."""

    request: Request
    opened: float
    closed: float | None = None
    tasks: set[asyncio.Task[Any] | None] = field(default_factory=set)  # those that opened, iterated and left it

    def seen(self) -> None:
        self.tasks.add(asyncio.current_task())


class Scripted:
    """A `Provider`, and, called itself, an `Ask`. Every call plays the same steps; tests may set others meanwhile."""

    def __init__(
        self,
        *steps: Step,
        opening: Sequence[Step] = (),
        closing: Sequence[Step] = (),
        healths: Sequence[Health | Step] = (),
    ) -> None:
        self.steps: Sequence[Step] = steps or answer()
        self.opening = opening
        self.closing = closing
        self.calls: list[Call] = []
        self.healths = iter(healths)  # what each question for its health plays, then it is healthy
        self.asked_how_it_is = 0

    @property
    def opened(self) -> int:
        return len(self.calls)

    @property
    def closed(self) -> int:
        return sum(call.closed is not None for call in self.calls)

    @property
    def open(self) -> int:
        return self.opened - self.closed

    @property
    def requests(self) -> list[Request]:
        return [call.request for call in self.calls]

    @property
    def closed_at(self) -> list[float | None]:
        return [call.closed for call in self.calls]

    def chat(self, request: Request) -> Answering:
        return _Playing(self, request)

    __call__ = chat

    async def health(self) -> Health:
        self.asked_how_it_is += 1
        step = next(self.healths, Health("healthy"))
        if isinstance(step, Health):
            return step
        await _played(step)
        return await self.health()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close: it has no connection."""


class _Playing(AbstractAsyncContextManager[Events]):
    def __init__(self, provider: Scripted, request: Request) -> None:
        self._provider = provider
        self._request = request

    async def __aenter__(self) -> Events:
        self._call = Call(self._request, asyncio.get_running_loop().time())
        self._call.seen()
        self._provider.calls.append(self._call)
        try:
            for step in self._provider.opening:
                await _played(step)
        except BaseException:
            self._close()
            raise
        self._events = self._play(self._provider.steps)
        return self._events

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call.seen()
        try:
            for step in self._provider.closing:
                await _played(step)
        finally:
            self._close()
            await self._events.aclose()

    def _close(self) -> None:
        assert self._call.closed is None, "a call was left twice"
        self._call.closed = asyncio.get_running_loop().time()

    async def _play(self, steps: Sequence[Step]) -> Events:
        self._call.seen()
        for step in steps:
            if isinstance(step, Event):
                yield step
                self._call.seen()
            else:
                await _played(step)


async def _played(step: Step) -> None:
    match step:
        case BaseException():
            raise step
        case float() | int():
            await asyncio.sleep(step)
        case "stall":
            await asyncio.get_running_loop().create_future()
        case _:
            raise AssertionError(f"{step} cannot be played here")


def request(
    prompt: str = "hi",
    *,
    deadline: float = 30.0,  # seconds from now
    whole: bool = True,
    task: str = "chat",
    model: str | None = None,
    strategy: str | None = None,
    max_tokens: int | None = None,
) -> Request:
    """A question of the running loop."""
    now = asyncio.get_running_loop().time()
    return Request(
        id="test",
        messages=(Message.of("user", prompt),),
        deadline=now + deadline,
        trace=Trace(started=now),
        task=task,
        model=model,
        strategy=strategy,
        sampling=Sampling(max_tokens),
        whole=whole,
    )


class Board:
    """A `HealthBoard` that says what it was told: `states` by name, else healthy."""

    def __init__(self, states: Mapping[str, State]) -> None:
        self._states = states

    def of(self, name: str) -> Health:
        return Health(self._states.get(name, "healthy"))

    def all(self) -> Mapping[str, Health]:
        return {name: Health(state) for name, state in self._states.items()}

    async def settled(self, *, within: float) -> None:
        """It is, always."""


class InOrder(Random):
    """Chance without surprises: among equal weights, the first table of a pool is asked first."""

    _drawn = 0

    def random(self) -> float:
        self._drawn += 1
        return self._drawn % 10_000 / 10_000


def settings_of(
    tables: Mapping[str, Mapping[str, Any]], *, sections: Mapping[str, Mapping[str, Any]] | None = None
) -> Settings:
    """Settings with these tables by name. Each serves the model `m` (id `sim/m`) unless it says otherwise."""
    providers = [
        {"name": name, "driver": "sim"} | ({} if "models" in table else {"model": "m"}) | dict(table)
        for name, table in tables.items()
    ]
    return Settings.model_validate({"providers": providers, **(sections or {})})


def pool_of(
    providers: Mapping[str, Scripted],
    *,
    tables: Mapping[str, Mapping[str, Any]] | None = None,
    sections: Mapping[str, Mapping[str, Any]] | None = None,
    states: Mapping[str, State] | None = None,
    random: Random | None = None,
    metrics: Metrics | None = None,
) -> Pool:
    """A pool of these providers by name, on the running loop, composed as `app.running` does.

    `tables` holds keys of their `[[providers]]` tables, `sections` other sections of the configuration.
    """
    settings = settings_of({name: (tables or {}).get(name, {}) for name in providers}, sections=sections)
    now, board, counts = asyncio.get_running_loop().time, Board(states or {}), metrics or Metrics()
    random = random or InOrder()
    learned = Learned(metrics=counts, now=now, random=random)
    snapshot = app.composed(
        settings,
        version="v",
        built=providers,
        health=board,
        learned=learned,
        metrics=counts,
        now=now,
        random=random,
    )
    return Pool(snapshot, health=board, learned=learned, metrics=counts, now=now)


def standing(name: str = "a", model: str = "sim/m", *, now: Clock = lambda: 0.0) -> Standing:
    """Of a deployment that has never been asked."""
    return Standing(name, model, metrics=Metrics(), now=now, random=InOrder())


def counted(metrics: Metrics, name: str, labels: Mapping[str, str] | None = None) -> float:
    """The sum of a metric's samples that carry these labels, 0 where there are none."""
    return sum(
        sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == name and (labels or {}).items() <= sample.labels.items()
    )
