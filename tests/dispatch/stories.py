"""What the tests of dependable calls share: to ask, to tell what came of it, and to see that nothing is left of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from llm_pool.core.errors import PoolError
from llm_pool.core.types import Event, Started, TextDelta
from tests.scripted import counted
from tests.virtual import nothing_left_running

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_pool.core.types import Request
    from llm_pool.pool import Pool
    from tests.scripted import Scripted, Step

STARTED = Started("sim/m", "a")
BOTH = [True, False]  # values of `whole`


def now() -> float:
    return asyncio.get_running_loop().time()


async def heard(pool: Pool, asked: Request) -> tuple[list[tuple[float, Event]], PoolError | None]:
    """Everything that was said, each event with its instant, and the error that ended it."""
    said: list[tuple[float, Event]] = []
    try:
        async with pool.open(asked) as events:
            async for event in events:
                said.append((now(), event))
    except PoolError as error:
        return said, error
    return said, None


async def failure(pool: Pool, asked: Request) -> PoolError:
    """The error of a request that must fail."""
    _, error = await heard(pool, asked)
    assert error is not None
    return error


def texts(said: list[tuple[float, Event]]) -> list[str]:
    return [event.text for _, event in said if isinstance(event, TextDelta)]


def voices(asked: Request) -> list[tuple[str, str, str]]:
    """Who was asked, why, and what became of it."""
    return [(attempt.deployment, attempt.kind, attempt.outcome) for attempt in asked.trace.attempts]


def words(count: int, *, every: float, text: str = "four") -> list[Step]:
    return [step for _ in range(count) for step in (every, TextDelta(text))]


async def at_rest(pool: Pool, parts: Mapping[str, Scripted], *asked: Request) -> None:
    """Of all that was asked nothing is under way: no task, call, slot or probe; every call has ended in one way."""
    await nothing_left_running()
    for name, part in parts.items():
        assert part.open == 0, f"{name} is still open"
        assert all(len(call.tasks) == 1 for call in part.calls), f"{name} was asked by more than one task"
        assert pool.metrics.asked[name] == 0
        for standing in pool.learned.of(name):
            assert standing.load.outstanding == 0
            assert standing.slots is None or (standing.slots.used, standing.slots.waiting) == (0, 0)
            for breaker in standing.breakers.values():
                assert (breaker._probing, breaker._under_way) == (0, 0)
    assert (pool.learned.room.used, pool.learned.room.waiting) == (0, 0)
    for attempt in (attempt for each in asked for attempt in each.trace.attempts):
        assert attempt.outcome != "running"
        assert attempt.ended is not None
    ended = counted(pool.metrics, "llm_pool_attempts_total")
    assert ended == sum(part.opened for part in parts.values())
