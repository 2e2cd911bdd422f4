"""Know how every provider is without spending a token: ask each one's health now and then."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Self

from llm_pool.core.ports.provider import Health
from llm_pool.telemetry.logs import fields

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from llm_pool.core.ports.provider import Provider
    from llm_pool.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

EVERY = 5.0  # seconds between two questions; they are cheap, and a model server that came back should be noticed
LONGEST = 5.0  # seconds that one question may take


class HealthWatch(AbstractAsyncContextManager["HealthWatch"]):
    """Owns one task per provider, from its `async with` to its end."""

    def __init__(self, providers: Mapping[str, Provider], metrics: Metrics, *, every: float = EVERY) -> None:
        self._providers = providers
        self._metrics = metrics
        self._every = every
        self._known: dict[str, Health] = dict.fromkeys(providers, Health("checking"))
        self._first = {name: asyncio.Event() for name in providers}
        self._tasks: list[asyncio.Task[None]] = []

    def of(self, name: str) -> Health:
        return self._known[name]

    def all(self) -> Mapping[str, Health]:
        return self._known

    async def settled(self, *, within: float) -> None:
        """Wait until every provider has answered once, at most `within` seconds."""
        try:
            async with asyncio.timeout(within):
                for event in self._first.values():
                    await event.wait()
        except TimeoutError:
            pass  # those are `checking`, and shown so

    async def __aenter__(self) -> Self:
        self._tasks = [
            asyncio.create_task(self._watch(name, provider), name=f"health of {name}")
            for name, provider in self._providers.items()
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watch(self, name: str, provider: Provider) -> None:
        while True:
            try:
                async with asyncio.timeout(LONGEST):
                    health = await provider.health()
            except TimeoutError:
                health = Health("unhealthy", "its health check does not end")
            except Exception:  # a bug in one health check must not end the watching of it
                log.exception("health check failed", extra=fields(deployment=name))
                health = Health("unhealthy", "its health check failed")
            before = self._known[name]
            self._known[name] = health
            self._metrics.up(name).set(health.state != "unhealthy")
            self._first[name].set()
            if (health.state, health.why) != (before.state, before.why):
                level = logging.WARNING if health.state == "unhealthy" else logging.INFO
                log.log(
                    level,
                    "provider is %s",
                    health.state,
                    extra=fields(deployment=name, before=before.state, why=health.why),
                )
            await asyncio.sleep(self._every)
