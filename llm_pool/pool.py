"""The front door: one request in, one open answer out, under one deadline."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol

from llm_pool.core.alarm import Alarm, Rang
from llm_pool.core.errors import DeadlineExceeded
from llm_pool.core.ports.provider import Health
from llm_pool.core.streams import Answer, Events, collect

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from llm_pool.config.catalog import Catalog
    from llm_pool.config.settings import Settings
    from llm_pool.core.clock import Clock
    from llm_pool.core.streams import Answering, Ask
    from llm_pool.core.types import Request
    from llm_pool.dispatch.learned import Learned
    from llm_pool.telemetry.metrics import Metrics


class Snapshot:
    """One configuration and the way of a request through it. A request keeps the one that it began with to its end."""

    __slots__ = ("_empty", "ask", "catalog", "settings", "under_way", "version")

    def __init__(self, ask: Ask, *, settings: Settings, version: str, catalog: Catalog) -> None:
        self.ask = ask
        self.settings = settings
        self.version = version
        self.catalog = catalog
        self.under_way = 0  # requests
        self._empty: asyncio.Event | None = None  # only where somebody waits for it

    def left(self) -> None:
        self.under_way -= 1
        if self._empty is not None and not self.under_way:
            self._empty.set()

    async def ended(self) -> None:
        """Wait until no request is under way. Only for one that the pool gives out no more."""
        if self.under_way:
            self._empty = asyncio.Event()
            await self._empty.wait()


class Pool:
    """What the edges serve. Built by `app`, which owns everything it is made of."""

    def __init__(
        self, snapshot: Snapshot, *, health: HealthBoard, learned: Learned, metrics: Metrics, now: Clock
    ) -> None:
        """Call it in the running loop. `now` measures durations; `time` is the loop's, for deadlines."""
        self._snapshot = snapshot
        self.health = health
        self.learned = learned
        self.metrics = metrics
        self.now = now
        self.config_error: str | None = None  # why a changed configuration was refused
        self._loop = asyncio.get_running_loop()
        self.time: Clock = self._loop.time

    @property
    def settings(self) -> Settings:
        return self._snapshot.settings

    @property
    def version(self) -> str:
        """Of the configuration."""
        return self._snapshot.version

    @property
    def catalog(self) -> Catalog:
        return self._snapshot.catalog

    def swap(self, snapshot: Snapshot) -> Snapshot:
        """From now on requests begin with this one. Returns the one before, which those under way keep."""
        before, self._snapshot = self._snapshot, snapshot
        return before

    def open(self, request: Request) -> Answering:
        """Ask. The answer lives as long as the block, and the block no longer than `request.deadline`.

        Raises DeadlineExceeded, and whatever PoolError ends the answer.
        """
        return _Timed(self._snapshot, request, self._loop)

    async def infer(self, request: Request) -> Answer:
        """Ask for a whole answer. Raises as `open` does."""
        async with self.open(request) as events:
            return await collect(events)

    def how(self, name: str) -> Health:
        """How this `[[providers]]` table is: what its health check says, and what became of the calls of it."""
        health = self.health.of(name)
        trouble = self.learned.trouble(name)
        if trouble and health.state != "unhealthy":
            return Health("unhealthy" if self.learned.out(name) else "degraded", trouble)
        return health

    def usable(self, name: str) -> bool:
        """Whether this `[[providers]]` table can be asked, or will be without anybody's doing."""
        return self.health.of(name).state != "unhealthy" and not self.learned.out(name)

    def unserved(self, *, fallbacks: bool) -> list[str]:
        """Tasks that nobody usable serves; `fallbacks` says whether the fallback tier counts."""
        usable = {
            table.name
            for table in self.settings.providers
            if self.usable(table.name) and (fallbacks or not table.fallback)
        }
        return [task.name for task in self.catalog.tasks.values() if usable.isdisjoint(task.providers)]


class HealthBoard(Protocol):
    """How each provider is, by name."""

    def of(self, name: str) -> Health: ...

    def all(self) -> Mapping[str, Health]: ...

    async def settled(self, *, within: float) -> None: ...


class _Timed(AbstractAsyncContextManager[Events]):
    """The one place where a deadline ends things: it may interrupt the caller's own block, which is its purpose."""

    __slots__ = ("_alarm", "_inner", "_request", "_snapshot")

    def __init__(self, snapshot: Snapshot, request: Request, loop: asyncio.AbstractEventLoop) -> None:
        self._snapshot = snapshot
        self._request = request
        self._alarm = Alarm(loop)

    async def __aenter__(self) -> Events:
        self._alarm.start(self._request.deadline)
        self._snapshot.under_way += 1
        try:
            self._inner = self._snapshot.ask(self._request)
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
        self._snapshot.left()
        try:
            self._alarm.stop(error)
        except Rang:
            raise DeadlineExceeded("the deadline passed before the answer was complete") from None
