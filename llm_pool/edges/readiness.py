"""Whether requests should be sent here now: `serve` moves the lifecycle on, both edges tell it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llm_pool.pool import Pool


@dataclass(slots=True)
class Lifecycle:
    """`cut_at` is the instant of `loop.time()` when an edge that stops cancels what is still in flight."""

    started: bool = False
    draining: bool = False
    cut_at: float = math.inf


def not_ready(pool: Pool, lifecycle: Lifecycle) -> str:
    """Why no request should be sent here now; empty when it should."""
    if lifecycle.draining:
        return "draining"
    if not lifecycle.started:
        return "starting"
    if not any(pool.usable(name) for name in pool.health.all()):
        return "no usable provider"
    return ""
