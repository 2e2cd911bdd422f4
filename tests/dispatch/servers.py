"""Model servers that go away, come back and load their models by the clock, in a pool that watches their health."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from llm_pool import app
from llm_pool.core.errors import ProviderUnreachable
from llm_pool.core.ports.provider import Health
from llm_pool.core.types import Finished, Started, TextDelta
from llm_pool.dispatch.health import HealthWatch
from llm_pool.dispatch.learned import Learned
from llm_pool.pool import Pool
from llm_pool.telemetry.metrics import Metrics
from tests.dispatch.stories import now
from tests.scripted import USAGE, InOrder, Scripted, settings_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from random import Random

    from llm_pool.core.streams import Answering
    from llm_pool.core.types import Request
    from tests.scripted import Step

GONE = ProviderUnreachable("gone")


class Server(Scripted):
    """Speaks after `takes` seconds, once its model is in memory, which is at `loaded_at`. While it is `down` (from, to)
    its health is ill, and a call plays `instead`.
    """

    def __init__(
        self,
        *,
        takes: float = 0.5,
        loaded_at: float = 0.0,
        cold: frozenset[str] = frozenset(),
        down: Sequence[tuple[float, float]] = (),
        instead: Step = GONE,
    ) -> None:
        super().__init__()
        self.takes = takes
        self.loaded_at = loaded_at
        self.cold = cold
        self.down = down
        self.instead = instead

    @property
    def _is_down(self) -> bool:
        return any(begin <= now() < end for begin, end in self.down)

    def chat(self, request: Request) -> Answering:
        waits = max(self.loaded_at - now(), 0.0) + self.takes
        self.opening = [self.instead] if self._is_down else []
        self.steps = [Started("sim/m", "a"), waits, TextDelta("word"), Finished("stop", USAGE)]
        return super().chat(request)

    async def health(self) -> Health:
        self.asked_how_it_is += 1
        if self._is_down:
            return Health("unhealthy", "no connection")
        if now() < self.loaded_at:
            return Health("loading", "not in memory yet", cold=self.cold)
        return Health("healthy")


@asynccontextmanager
async def watched(
    parts: Mapping[str, Scripted],
    *,
    tables: Mapping[str, Mapping[str, Any]] | None = None,
    sections: Mapping[str, Mapping[str, Any]] | None = None,
    random: Random | None = None,
) -> AsyncIterator[Pool]:
    """A pool of these that looks after them as a running one does, and has looked at each once."""
    settings = settings_of({name: (tables or {}).get(name, {}) for name in parts}, sections=sections)
    clock, metrics, random = asyncio.get_running_loop().time, Metrics(), random or InOrder()
    learned = Learned(metrics=metrics, now=clock, random=random)
    async with HealthWatch(metrics, now=clock, looked=learned.looked) as health:
        snapshot = app.composed(
            settings, version="v", built=parts, health=health, learned=learned, metrics=metrics, now=clock,
            random=random,
        )  # fmt: skip
        await health.follow(parts)
        await health.settled(within=6.0)
        yield Pool(snapshot, health=health, learned=learned, metrics=metrics, now=clock)
