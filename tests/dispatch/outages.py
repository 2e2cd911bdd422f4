"""A pool whose deployments fail and come back, and what its callers are told meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from llm_pool.core.errors import (
    ProviderUnreachable,
)
from llm_pool.core.trace import Decision
from tests.dispatch.stories import heard
from tests.scripted import Scripted, answer, counted, pool_of, request

if TYPE_CHECKING:
    from llm_pool.dispatch.standing import Standing
    from llm_pool.pool import Pool

DOWN = ProviderUnreachable("gone")
# The first that a balance by priority would ask is always the first.
QOS = {"hedge": "off", "balance": "priority", "max_retries": 0}


def pool(
    parts: dict[str, Scripted],
    *,
    tables: dict[str, dict[str, Any]] | None = None,
    breaker: dict[str, Any] | None = None,
    qos: dict[str, Any] | None = None,
    sections: dict[str, Any] | None = None,
) -> Pool:
    order = {name: {"priority": number, **(tables or {}).get(name, {})} for number, name in enumerate(parts)}
    return pool_of(
        parts, tables=order, sections={"qos": {**QOS, **(qos or {})}, "breaker": breaker or {}, **(sections or {})}
    )


def down(error: BaseException = DOWN) -> Scripted:
    return Scripted(opening=[error])


def well(part: Scripted) -> None:
    part.opening, part.steps = [], answer("well")


def of(asking: Pool, name: str = "a") -> Standing:
    [standing] = asking.learned.of(name)
    return standing


def gauge(asking: Pool, name: str = "a") -> float:
    return counted(asking.metrics, "llm_pool_breaker_state", {"deployment": name})


async def ask(asking: Pool, times: int = 1, *, every: float = 0.0, **more: Any) -> list[str]:
    """So many requests, one after another; who answered each, or why nobody did."""
    told = []
    for _ in range(times):
        _, error = await heard(asking, asked := request(**more))
        told.append(Decision.of(asked.trace).winner if error is None else error.reason)
        await asyncio.sleep(every)
    return told
