"""The front door: one request in, one open answer out, under one deadline."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol

from llm_pool.core.alarm import Alarm, Rang
from llm_pool.core.errors import DeadlineExceeded
from llm_pool.core.streams import Answer, Events, collect

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from llm_pool.config.catalog import Catalog
    from llm_pool.config.settings import Settings
    from llm_pool.core.clock import Clock
    from llm_pool.core.ports.provider import Health
    from llm_pool.core.streams import Answering, Ask
    from llm_pool.core.types import Request
    from llm_pool.telemetry.metrics import Metrics


class Pool:
    """What the edges serve. Built by `app.running`, which owns everything it is made of."""

    def __init__(
        self,
        ask: Ask,
        *,
        settings: Settings,
        version: str,
        catalog: Catalog,
        health: HealthBoard,
        metrics: Metrics,
        now: Clock,
    ) -> None:
        """Call it in the running loop. `now` measures durations; `time` is the loop's, for deadlines."""
        self._ask = ask
        self.settings = settings
        self.version = version
        self.catalog = catalog
        self.health = health
        self.metrics = metrics
        self.now = now
        self._loop = asyncio.get_running_loop()
        self.time: Clock = self._loop.time

    def open(self, request: Request) -> Answering:
        """Ask. The answer lives as long as the block, and the block no longer than `request.deadline`.

        Raises DeadlineExceeded, and whatever PoolError ends the answer.
        """
        return _Timed(self._ask, request, self._loop)

    async def infer(self, request: Request) -> Answer:
        """Ask for a whole answer. Raises as `open` does."""
        async with self.open(request) as events:
            return await collect(events)

    def unserved(self, *, fallbacks: bool) -> list[str]:
        """Tasks that nobody usable serves; `fallbacks` says whether the fallback tier counts.

        A table that passes any model on serves none by itself: somebody has to name one.
        """
        usable = {
            table.name
            for table in self.settings.providers
            if "*" not in table.served
            and self.health.of(table.name).state != "unhealthy"
            and (fallbacks or not table.fallback)
        }
        return [task.name for task in self.catalog.tasks.values() if usable.isdisjoint(task.providers)]


class HealthBoard(Protocol):
    """How each provider is, by name."""

    def of(self, name: str) -> Health: ...

    def all(self) -> Mapping[str, Health]: ...

    async def settled(self, *, within: float) -> None: ...


class _Timed(AbstractAsyncContextManager[Events]):
    """The one place where a deadline ends things: it may interrupt the caller's own block, which is its purpose."""

    __slots__ = ("_alarm", "_ask", "_inner", "_request")

    def __init__(self, ask: Ask, request: Request, loop: asyncio.AbstractEventLoop) -> None:
        self._ask = ask
        self._request = request
        self._alarm = Alarm(loop)

    async def __aenter__(self) -> Events:
        self._alarm.start(self._request.deadline)
        try:
            self._inner = self._ask(self._request)
            return await self._inner.__aenter__()
        except BaseException as error:  # whatever ends it: no timer stays behind
            self._disarm(error)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._inner.__aexit__(kind, error, trace)
        except BaseException as last:  # it may be the alarm's own
            self._disarm(last)
            raise
        self._disarm(error)

    def _disarm(self, error: BaseException | None) -> None:
        """Raises DeadlineExceeded where `error` is the alarm's own cancellation."""
        try:
            self._alarm.stop(error)
        except Rang:
            raise DeadlineExceeded("the deadline passed before the answer was complete") from None
