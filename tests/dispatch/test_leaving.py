"""A caller may leave, be cancelled, or run out of time at any moment of a race: nothing is left of it."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

import pytest

from llm_pool.core.alarm import Alarm
from llm_pool.core.errors import (
    AllProvidersFailed,
    DeadlineExceeded,
    ProviderUnreachable,
    StreamBroken,
)
from llm_pool.core.types import TextDelta
from llm_pool.dispatch.race import Race
from tests.dispatch.stories import (
    BOTH,
    DONE,
    ORDER,
    QOS,
    STARTED,
    at_rest,
    failing,
    failure,
    heard,
    nothing_under_way,
    now,
    pool,
    speaking,
    words,
)
from tests.scripted import Scripted, Step, pool_of, request

if TYPE_CHECKING:
    from llm_pool.core.types import Request
    from llm_pool.pool import Pool

pytestmark = pytest.mark.faults

# --- Leaving at any moment --------------------------------------------------------------------------------------------

CONTENDERS: dict[str, tuple[list[Step], list[Step]]] = {
    "the hedge wins": ([STARTED, "stall"], [STARTED, 0.5, *words(3, every=0.25), DONE]),
    "the first wins": ([STARTED, 1.25, *words(3, every=0.25), DONE], [STARTED, 0.5, *words(3, every=0.25), DONE]),
    "the first fails": ([STARTED, 1.25, StreamBroken("it broke")], [STARTED, 0.5, *words(2, every=0.25), DONE]),
    "the hedge fails": ([STARTED, 2.0, *words(2, every=0.25), DONE], [STARTED, 0.25, StreamBroken("it broke")]),
    "both fail": ([STARTED, 1.5, StreamBroken("it broke")], [STARTED, 0.75, StreamBroken("it broke")]),
    "both fail at once": ([STARTED, 1.5, StreamBroken("it broke")], [STARTED, 0.5, StreamBroken("it broke")]),
    "both speak at once": ([STARTED, 1.5, *words(2, every=0.25), DONE], [STARTED, 0.5, *words(2, every=0.25), DONE]),
    "one speaks as the other fails": ([STARTED, 1.5, StreamBroken("it broke")], [STARTED, 0.5, TextDelta("b"), DONE]),
    "the first speaks as it is hedged": ([STARTED, 1.0, *words(2, every=0.25), DONE], [STARTED, TextDelta("b"), DONE]),
    "the hedge breaks half-way": ([STARTED, "stall"], [STARTED, 0.5, TextDelta("b"), 0.5, StreamBroken("it broke")]),
    "both are silent": ([STARTED, "stall"], ["stall"]),
    "the hedge speaks at once": ([STARTED, "stall"], [TextDelta("b"), DONE]),
}
CLOSINGS: dict[str, tuple[list[Step], list[Step]]] = {
    "at once": ([], []),
    "a turn of the loop": ([0.0], [0.0, 0.0]),
    "slowly": ([0.375], [0.25]),
}
MOMENTS = (0.5, 1.0, 1.125, 1.25, 1.5, 1.75, 2.0)
TURNS = (0, 1, 3)


def contenders(script: str, closing: str) -> tuple[dict[str, Scripted], Pool, float]:
    """With them the longest time that it takes to close both."""
    first, second = CONTENDERS[script]
    closing_first, closing_second = CLOSINGS[closing]
    parts = {"a": Scripted(*first, closing=closing_first), "b": Scripted(*second, closing=closing_second)}
    tables = {name: {**ORDER[name], "max_concurrent": 1} for name in parts}
    asking = pool_of(parts, tables=tables, sections={"qos": QOS})
    slowly = sum(step for step in (*closing_first, *closing_second) if isinstance(step, float))
    return parts, asking, slowly


async def settled(asking: Pool, parts: dict[str, Scripted], asked: Request) -> None:
    await nothing_under_way(asking, parts, asked)
    for name in parts:
        for standing in asking.learned.of(name):
            standing.operate("reset")


@pytest.mark.parametrize("whole", BOTH)
@pytest.mark.parametrize("closing", CLOSINGS)
@pytest.mark.parametrize("script", CONTENDERS)
async def test_a_caller_may_be_cancelled_at_any_moment(script: str, closing: str, whole: bool) -> None:
    parts, asking, slowly = contenders(script, closing)
    for at, turns in itertools.product(MOMENTS, TURNS):
        began = now()
        asked = request(whole=whole)
        task = asyncio.create_task(heard(asking, asked))
        await asyncio.sleep(at)
        for _ in range(turns):
            await asyncio.sleep(0)
        done = task.done()
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled() != done, (at, turns)
        assert now() - began <= at + slowly, (at, turns)
        await settled(asking, parts, asked)


@pytest.mark.parametrize("whole", BOTH)
@pytest.mark.parametrize("closing", CLOSINGS)
@pytest.mark.parametrize("script", CONTENDERS)
async def test_the_deadline_may_come_at_any_moment(script: str, closing: str, whole: bool) -> None:
    parts, asking, slowly = contenders(script, closing)
    for at in [each / 8 for each in range(4, 21)]:
        began = now()
        asked = request(whole=whole, deadline=at)
        _, error = await heard(asking, asked)
        assert now() - began <= at + slowly, at
        if now() - began > at:
            assert isinstance(error, DeadlineExceeded), at
        await settled(asking, parts, asked)


@pytest.mark.parametrize("closing", CLOSINGS)
@pytest.mark.parametrize("script", CONTENDERS)
async def test_a_reader_may_leave_after_any_event(script: str, closing: str) -> None:
    parts, asking, _ = contenders(script, closing)
    for most in range(1, 6):
        asked, count = request(whole=False), 0
        try:
            async with asking.open(asked) as events:
                async for _event in events:
                    count += 1
                    if count == most:
                        break
        except (StreamBroken, AllProvidersFailed, DeadlineExceeded):
            pass
        await settled(asking, parts, asked)


@pytest.mark.parametrize(
    ("first", "second", "whole"),
    [
        (["stall"], [STARTED, 0.5, *words(3, every=0.25), DONE], False),  # the winner has said all
        (["stall"], [STARTED, 0.5, TextDelta("b"), "stall"], False),  # the winner falls silent
        ([STARTED, 1.25, TextDelta("a"), DONE], ["stall"], False),  # it was the loser
        ([STARTED, 1.25, TextDelta("a"), DONE], ["stall"], True),
    ],
)
async def test_a_hedge_that_does_not_close_holds_nobody_beyond_the_deadline(
    first: list[Step], second: list[Step], whole: bool
) -> None:
    """As nobody is held by one that is asked alone."""
    parts = {"a": Scripted(*first), "b": Scripted(*second, closing=["stall"])}
    task = asyncio.create_task(heard(pool(parts), request(whole=whole, deadline=10.0)))
    await asyncio.wait({task}, timeout=10.1)
    in_time = task.done()
    for hung in asyncio.all_tasks() - {asyncio.current_task()}:
        hung.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert in_time


async def test_a_caller_who_leaves_early_is_not_held_by_a_hedge_that_does_not_close() -> None:
    parts = {"a": Scripted("stall"), "b": Scripted(STARTED, 0.5, TextDelta("b"), "stall", closing=["stall"])}
    asking = pool(parts)

    async def first_word() -> None:
        async with asking.open(request(whole=False, deadline=10.0)) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    break

    task = asyncio.create_task(first_word())
    await asyncio.wait({task}, timeout=10.1)
    in_time = task.done()
    for hung in asyncio.all_tasks() - {asyncio.current_task()}:
        hung.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert in_time


async def test_hundreds_of_hedges_leave_nothing_behind() -> None:
    """Ten at a time, which is as many as the budget saves up."""
    parts = {"a": speaking(1.5), "b": speaking(0.25)}
    parts["b"].closing = [0.0]
    asking = pool(parts)
    await heard(asking, request())
    for _ in range(50):
        asked = [request(whole=bool(number % 2)) for number in range(10)]
        await asyncio.gather(*(heard(asking, each) for each in asked))
        await nothing_under_way(asking, parts, *asked)
    assert parts["b"].opened >= 490
    await at_rest(asking, parts)


@pytest.mark.parametrize("first", [0.25, 9.0])
async def test_a_call_that_has_ended_leaves_no_timer(first: float) -> None:
    """Each would stay for twenty seconds, of every request that could have been hedged; and of those that were."""
    asking = pool({"a": speaking(first), "b": speaking(0.25)})
    for _ in range(50):
        await heard(asking, request())
    timers: list[asyncio.TimerHandle] = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    assert sum(not timer.cancelled() for timer in timers) <= 2 + 1  # one of each deployment, and the test's own limit
    own = [timer for timer in timers if isinstance(getattr(timer._callback, "__self__", None), (Alarm, Race))]  # type: ignore[attr-defined]
    assert all(timer.cancelled() for timer in own)


async def test_one_error_object_may_end_many_requests() -> None:
    gone = ProviderUnreachable("gone")
    asking = pool({"a": failing(1.25, gone), "b": failing(0.5, gone)})
    errors = await asyncio.gather(*(failure(asking, request()) for _ in range(4)))
    assert {type(error) for error in errors} == {AllProvidersFailed}
