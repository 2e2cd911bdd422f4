"""What the tests of dependable calls share: to ask, to tell what came of it, and to see that nothing is left of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from llm_pool.core.errors import PoolError, StreamBroken
from llm_pool.core.types import Event, Finished, Started, TextDelta
from tests.scripted import USAGE, Scripted, answer, counted, pool_of
from tests.virtual import nothing_left_running

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_pool.core.streams import Answering
    from llm_pool.core.types import Request
    from llm_pool.pool import Pool
    from tests.scripted import Step

STARTED = Started("sim/m", "a")
BOTH = [True, False]  # values of `whole`
DONE = Finished("stop", USAGE)
QOS = {"hedge": "fixed", "hedge_after_ms": 1_000, "hedge_budget": 1.0, "max_retries": 0, "balance": "priority"}
ORDER = {"a": {"priority": 0}, "b": {"priority": 1}, "c": {"priority": 2}, "d": {"priority": 3}}


def pool(parts: dict[str, Scripted], *, tables: dict[str, dict[str, Any]] | None = None, **qos: Any) -> Pool:
    """In which the first is asked first, and hedged after a second."""
    these = {name: {**ORDER[name], **(tables or {}).get(name, {})} for name in parts}
    return pool_of(parts, tables=these, sections={"qos": {**QOS, **qos}})


def speaking(after: float, *rest: Step, text: str = "word") -> Scripted:
    """Says a word after a while, then the rest, then that it is done."""
    return Scripted(STARTED, after, TextDelta(text), *rest, DONE)


def failing(after: float, error: BaseException | None = None) -> Scripted:
    return Scripted(STARTED, after, error or StreamBroken("it broke"))


def hedges(of: Pool, outcome: str) -> float:
    return counted(of.metrics, "llm_pool_hedges_total", {"outcome": outcome})


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
    """Of all that was asked nothing is under way, and every call has been counted once."""
    await nothing_under_way(pool, parts, *asked)
    ended = counted(pool.metrics, "llm_pool_attempts_total")
    assert ended == sum(part.opened for part in parts.values())


async def nothing_under_way(pool: Pool, parts: Mapping[str, Scripted], *asked: Request) -> None:
    """No task, no call, no slot, no probe; and every attempt has ended in one way."""
    await nothing_left_running()
    for name, part in parts.items():
        assert part.open == 0, f"{name} is still open"
        assert all(len(call.tasks) == 1 for call in part.calls), f"{name} was asked by more than one task"
        assert pool.metrics.asked[name] == 0
        for standing in pool.learned.of(name):
            assert standing.load.outstanding == 0
            assert standing.slots is None or (standing.slots.used, standing.slots.waiting) == (0, 0)
            for breaker in standing.breakers.values():
                assert breaker._probing == 0
                assert breaker._under_way == 0 or not breaker.closed  # which begins to count anew when it closes
    assert (pool.learned.room.used, pool.learned.room.waiting) == (0, 0)
    for attempt in (attempt for each in asked for attempt in each.trace.attempts):
        assert attempt.outcome != "running"
        assert attempt.ended is not None


class Changing(Scripted):
    """Plays one list of steps after the other, a call each, and the last one for ever."""

    def __init__(self, *scripts: Sequence[Step]) -> None:
        super().__init__()
        self._scripts = list(scripts)

    def chat(self, request: Request) -> Answering:
        self.steps = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        return super().chat(request)


def fails(times: int, error: BaseException) -> Changing:
    """So often, and is well then."""
    return Changing(*([[error]] * times), answer("at last"))
