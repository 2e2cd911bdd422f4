"""The front door: one request in, one open answer out, under one deadline."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

from llm_pool.core.errors import DeadlineExceeded
from llm_pool.core.streams import Answer, collect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from llm_pool.config.catalog import Catalog
    from llm_pool.config.settings import Settings
    from llm_pool.core.clock import Clock
    from llm_pool.core.ports.provider import Health
    from llm_pool.core.streams import Ask, Events
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
        self._ask = ask
        self.settings = settings
        self.version = version
        self.catalog = catalog
        self.health = health
        self.metrics = metrics
        self.now = now

    @asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[Events]:
        """Ask. The answer lives as long as the block, and the block no longer than `request.deadline`.

        Raises DeadlineExceeded, and whatever PoolError ends the answer.
        """
        limit = asyncio.timeout_at(request.deadline)
        try:
            async with limit, self._ask(request) as events:
                yield events
        except TimeoutError:
            if not limit.expired():  # the caller's own
                raise
            raise DeadlineExceeded("the deadline passed before the answer was complete") from None

    async def infer(self, request: Request) -> Answer:
        """Ask for a whole answer. Raises as `open` does."""
        async with self.open(request) as events:
            return await collect(events)

    def unserved(self, *, fallbacks: bool) -> list[str]:
        """Tasks that nobody usable serves; `fallbacks` says whether the fallback tier counts."""
        usable = [
            table
            for table in self.settings.providers
            if self.health.state(table.name) != "unhealthy" and (fallbacks or not table.fallback)
        ]
        return sorted(
            task for task in self.catalog.tasks if not any(not table.tasks or task in table.tasks for table in usable)
        )


class HealthBoard(Protocol):
    """How each provider is, by name."""

    def state(self, name: str) -> str: ...

    def all(self) -> Mapping[str, Health]: ...

    async def settled(self, *, within: float) -> None: ...
