"""Know how every provider is without spending a token: ask each one's health now and then.

What is told is what is believed: one that keeps falling ill again stays unhealthy until it has been well for a while.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from llm_pool.core import clock
from llm_pool.core.ports.provider import Health
from llm_pool.dispatch.flapping import LASTS, Flapping
from llm_pool.telemetry.logs import fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from llm_pool.core.ports.provider import Provider
    from llm_pool.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

EVERY = 5.0  # seconds between two questions; they are cheap, and a model server that came back should be noticed
LONGEST = 5.0  # seconds that one question may take


UNKNOWN = Health("checking")


@dataclass(slots=True, eq=False)
class _Followed:
    provider: Provider
    flapping: Flapping
    health: Health = UNKNOWN
    looked: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class HealthWatch(AbstractAsyncContextManager["HealthWatch"]):
    """Owns one task per provider that it follows, until its block ends."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        every: float = EVERY,
        now: clock.Clock = clock.now,
        looked: Callable[[str, Health, bool], None] = lambda *_: None,
    ) -> None:
        """`looked` is told of every look at one, and whether it is unhealthy no more, or has a model it had not."""
        self._metrics = metrics
        self._every = every
        self._now = now
        self._looked = looked
        self._followed: dict[str, _Followed] = {}

    def of(self, name: str) -> Health:
        """Of one that is not followed, or not any more, nothing is known."""
        followed = self._followed.get(name)
        return followed.health if followed else UNKNOWN

    def all(self) -> Mapping[str, Health]:
        return {name: followed.health for name, followed in self._followed.items()}

    async def follow(self, providers: Mapping[str, Provider]) -> None:
        """Look after these from now on, in this order. What is known of one that was followed already stays."""
        before = self._followed
        self._followed = {
            name: before[name]
            if name in before and before[name].provider is provider
            else _Followed(provider, Flapping(now=self._now))
            for name, provider in providers.items()
        }
        gone = [each for name, each in before.items() if self._followed.get(name) is not each]
        for name, followed in self._followed.items():
            if followed.task is None:
                followed.task = asyncio.create_task(self._watch(name, followed), name=f"health of {name}")
        await _ended(gone)
        for name in before.keys() - self._followed.keys():
            self._metrics.forget(name)

    async def settled(self, *, within: float) -> None:
        """Wait until every provider has answered once, at most `within` seconds."""
        try:
            async with asyncio.timeout(within):
                for followed in list(self._followed.values()):
                    await followed.looked.wait()
        except TimeoutError:
            pass  # those are `checking`, and shown so

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await _ended(self._followed.values())

    async def _watch(self, name: str, followed: _Followed) -> None:
        while True:
            try:
                async with asyncio.timeout(LONGEST):
                    health = await followed.provider.health()
            except TimeoutError:
                health = Health("unhealthy", "its health check does not end")
            except Exception:  # a bug in one health check must not end the watching of it
                log.exception("health check failed", extra=fields(deployment=name))
                health = Health("unhealthy", "its health check failed")
            self._told(name, followed, _believed(health, followed.flapping))
            followed.looked.set()
            await asyncio.sleep(self._every)

    def _told(self, name: str, followed: _Followed, health: Health) -> None:
        before, followed.health = followed.health, health
        self._metrics.up(name).set(health.state != "unhealthy")
        if (health.state, health.why) != (before.state, before.why):
            level = logging.WARNING if health.state == "unhealthy" else logging.INFO
            log.log(
                level,
                "provider is %s",
                health.state,
                extra=fields(deployment=name, before=before.state, why=health.why),
            )
        better = health.state != "unhealthy" and (before.state == "unhealthy" or bool(before.absent - health.absent))
        self._looked(name, health, better)


def _believed(health: Health, flapping: Flapping) -> Health:
    if health.state == "unhealthy":
        flapping.ill()
        return health
    if flapping.well():
        return health
    times = "once" if flapping.falls == 1 else f"{flapping.falls} times in a row"
    relapses = f"it fell ill again {times} within {LASTS / 60:.0f} minutes"
    why = f"well again, which is relied upon after {flapping.watched:.0f} s: {relapses}"
    return replace(health, state="loading" if health.state == "loading" else "degraded", why=why, doubted=True)


async def _ended(some: Iterable[_Followed]) -> None:
    tasks = [followed.task for followed in some if followed.task is not None]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
