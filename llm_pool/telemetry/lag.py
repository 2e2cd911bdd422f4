"""How late the event loop is: a sleeper that measures by how much it overslept."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import Gauge

    from llm_pool.core.clock import Clock

EVERY = 1.0  # seconds


async def watch_lag(gauge: Gauge, *, now: Clock) -> None:
    """Set `gauge` once a second, for ever; its owner cancels it."""
    while True:
        asleep = now()
        await asyncio.sleep(EVERY)
        gauge.set(max(0.0, now() - asleep - EVERY))
