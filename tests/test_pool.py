"""The front door keeps the deadline to the very instant, whoever is slow, and lets the consumer's own errors pass."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import pytest

from llm_pool.app import composed
from llm_pool.core.errors import DeadlineExceeded, ProviderOverloaded
from llm_pool.core.streams import collect
from llm_pool.core.types import Finished, Started, TextDelta
from llm_pool.dispatch.learned import Learned
from llm_pool.telemetry.metrics import Metrics
from tests.scripted import USAGE, Board, InOrder, Scripted, Step, answer, counted, pool_of, request, settings_of

if TYPE_CHECKING:
    from llm_pool.core.types import Event, Request
    from llm_pool.pool import Pool, Snapshot

STARTED, WORD, END = Started("sim/m", "a"), TextDelta("word"), Finished("stop", USAGE)
SILENT: list[tuple[Step, ...]] = [("stall",), (STARTED, "stall"), (STARTED, 60.0, WORD)]
HALF: list[tuple[Step, ...]] = [(STARTED, WORD, "stall"), (STARTED, 2.0, WORD, 60.0, END)]


def now() -> float:
    return asyncio.get_running_loop().time()


async def late(pool: Pool, asked: Request) -> list[Event]:
    """What was said before the deadline passed."""
    said: list[Event] = []
    with pytest.raises(DeadlineExceeded) as caught:
        async with pool.open(asked) as events:
            async for event in events:
                said.append(event)
    assert caught.value.message == "the deadline passed before the answer was complete"
    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0  # the timer took its cancellation back
    return said


# --- The deadline -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", SILENT + HALF)
async def test_a_whole_answer_ends_at_the_deadline_exactly(steps: tuple[Step, ...]) -> None:
    upstream = Scripted(*steps)
    with pytest.raises(DeadlineExceeded):
        await pool_of({"a": upstream}).infer(request(deadline=12.5))
    assert now() == 12.5
    assert upstream.closed_at == [12.5]


@pytest.mark.parametrize("steps", SILENT)
async def test_a_stream_ends_at_the_deadline_exactly_before_its_first_word(steps: tuple[Step, ...]) -> None:
    upstream = Scripted(*steps)
    assert await late(pool_of({"a": upstream}), request(deadline=12.5, whole=False)) == []
    assert upstream.closed_at == [now()] == [12.5]


@pytest.mark.parametrize("steps", HALF)
async def test_a_stream_ends_at_the_deadline_exactly_after_its_first_word(steps: tuple[Step, ...]) -> None:
    upstream = Scripted(*steps)
    assert await late(pool_of({"a": upstream}), request(deadline=12.5, whole=False)) == [STARTED, WORD]
    assert upstream.closed_at == [now()] == [12.5]


async def test_a_deadline_before_the_headers_is_kept() -> None:
    upstream = Scripted(opening=["stall"])
    with pytest.raises(DeadlineExceeded):
        await pool_of({"a": upstream}).infer(request(deadline=12.5))
    assert upstream.closed_at == [now()] == [12.5]


async def test_a_deadline_is_one_for_all_attempts() -> None:
    busy = [Scripted(3.0, ProviderOverloaded("busy")) for _ in range(3)]
    last = Scripted("stall")
    pool = pool_of({"a": busy[0], "b": busy[1], "c": busy[2], "d": last})
    with pytest.raises(DeadlineExceeded):
        await pool.infer(asked := request(deadline=10.0))
    assert last.closed_at == [10.0]
    assert [attempt.outcome for attempt in asked.trace.attempts][-1] == "DEADLINE_EXCEEDED"


async def test_a_deadline_that_has_passed_is_exceeded_at_once() -> None:
    await asyncio.sleep(5)
    upstream = Scripted(1.0, *answer())
    with pytest.raises(DeadlineExceeded):
        await pool_of({"a": upstream}).infer(request(deadline=-1.0))
    assert now() == 5.0
    assert upstream.open == 0


@pytest.mark.parametrize("whole", [True, False])
async def test_a_provider_that_takes_too_long_to_be_left_is_left_at_the_deadline(whole: bool) -> None:
    upstream = Scripted(closing=["stall"])
    with pytest.raises(DeadlineExceeded):
        async with pool_of({"a": upstream}).open(request(deadline=10.0, whole=whole)) as events:
            await anext(events)
    assert upstream.closed_at == [now()] == [10.0]


async def test_an_answer_that_comes_just_in_time_is_given() -> None:
    deadline = 10.0
    upstream = Scripted(math.nextafter(deadline, 0), *answer("just"))
    assert (await pool_of({"a": upstream}).infer(request(deadline=deadline))).content == "just"


async def test_an_answer_in_time_leaves_no_timer_behind() -> None:
    pool = pool_of({"a": Scripted()})
    async with pool.open(request(deadline=10.0)) as events:
        await collect(events)
    await asyncio.sleep(60)
    assert now() == 60.0


# --- The consumer -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [True, False])
async def test_a_consumer_who_is_slow_is_interrupted_at_the_deadline(whole: bool) -> None:
    upstream = Scripted()
    pool = pool_of({"a": upstream})
    with pytest.raises(DeadlineExceeded):
        async with pool.open(request(deadline=10.0, whole=whole)) as events:
            await anext(events)
            await asyncio.sleep(60)
    assert now() == 10.0
    assert upstream.closed_at == [0.0 if whole else 10.0]  # whole: everything was there before it was handed on
    assert counted(pool.metrics, "llm_pool_in_flight_requests") == 0


async def test_a_consumer_may_be_slow_within_the_deadline() -> None:
    async with pool_of({"a": Scripted()}).open(request(deadline=10.0, whole=False)) as events:
        async for _ in events:
            await asyncio.sleep(3)
    assert now() == 9.0


@pytest.mark.parametrize("whole", [True, False])
async def test_the_consumers_own_timeout_is_its_own(whole: bool) -> None:
    mine = TimeoutError("mine")
    upstream = Scripted()
    with pytest.raises(TimeoutError) as caught:
        async with pool_of({"a": upstream}).open(request(whole=whole)) as events:
            await anext(events)
            raise mine
    assert caught.value is mine
    assert (upstream.opened, upstream.open) == (1, 0)


async def test_a_shorter_timeout_within_the_block_ends_only_what_it_encloses() -> None:
    upstream = Scripted(STARTED, WORD, 8.0, END)
    async with pool_of({"a": upstream}).open(request(whole=False)) as events:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.sleep(60)
        assert (await collect(events)).content == "word"


async def test_a_shorter_timeout_around_the_block_is_not_the_deadline() -> None:
    upstream = Scripted(STARTED, "stall")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await pool_of({"a": upstream}).infer(request())
    assert upstream.closed_at == [5.0]


async def test_a_cancellation_at_the_instant_of_the_deadline_stays_one() -> None:
    upstream = Scripted(STARTED, "stall")
    task = asyncio.create_task(pool_of({"a": upstream}).infer(request(deadline=10.0)))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_at(10.0, task.cancel)
    await asyncio.wait({task})
    assert now() == 10.0
    assert task.cancelled()
    assert upstream.open == 0


# --- A change of the configuration ------------------------------------------------------------------------------


def snapshot(provider: Scripted, version: str) -> Snapshot:
    settings = settings_of({"a": {}}, sections={"qos": {"max_retries": 0}})
    metrics, chance, now = Metrics(), InOrder(), asyncio.get_running_loop().time
    return composed(
        settings,
        version=version,
        built={"a": provider},
        health=Board({}),
        learned=Learned(metrics=metrics, now=now, random=chance),
        metrics=metrics,
        now=now,
        random=chance,
    )


async def test_a_request_ends_with_the_configuration_that_it_began_with() -> None:
    """However often it changes meanwhile; the one before has ended when its last request has."""
    old, new = Scripted(STARTED, WORD, 5.0, TextDelta(" old"), END), Scripted(*answer("new"))
    pool = pool_of({"a": old})
    before = asked = request(whole=False)
    async with pool.open(asked) as events:
        await anext(events)
        first = pool.swap(snapshot(Scripted(), "between"))
        pool.swap(snapshot(new, "new"))
        ended = asyncio.create_task(first.ended())
        latest = request()
        assert (await pool.infer(latest)).content == "new"
        assert latest.trace.config_version == pool.version == "new"
        await asyncio.sleep(1)
        assert not ended.done()
        assert (await collect(events)).content == "word old"
        assert not ended.done()
    await ended
    assert before.trace.config_version == "v"
    assert now() == 6.0


@pytest.mark.parametrize("way", ["deadline", "error", "cancelled", "early", "never opened"])
async def test_whatever_way_a_request_ends_its_configuration_ends_with_it(way: str) -> None:
    busy = ProviderOverloaded("busy")
    upstream = {"error": Scripted(1.0, busy), "never opened": Scripted(opening=[busy])}.get(way, Scripted(*HALF[0]))
    pool = pool_of({"a": upstream}, sections={"qos": {"max_retries": 0}})

    async def ask() -> None:
        async with pool.open(request(deadline=10.0, whole=False)) as events:
            async for _ in events:
                if way == "early":
                    return

    asking = asyncio.create_task(ask())
    await asyncio.sleep(0.5)
    before = pool.swap(snapshot(Scripted(), "new"))
    if way == "cancelled":
        asyncio.get_running_loop().call_later(3, asking.cancel)
    async with asyncio.timeout(11):
        await before.ended()
    await asyncio.gather(asking, return_exceptions=True)
    assert upstream.open == 0
    assert now() == {"deadline": 10.0, "error": 1.0, "cancelled": 3.5}.get(way, 0.5)


async def test_a_configuration_that_nobody_uses_has_ended_at_once() -> None:
    pool = pool_of({"a": Scripted()})
    await pool.infer(request())
    await pool.swap(snapshot(Scripted(), "new")).ended()
    assert now() == 0.0


# --- What it can tell -------------------------------------------------------------------------------------------


async def test_tasks_that_nobody_usable_serves_are_told() -> None:
    tables: dict[str, dict[str, object]] = {
        "a": {"tasks": ["chat", "judge"]},
        "b": {"tasks": ["chat"], "fallback": True},
    }
    parts = {"a": Scripted(), "b": Scripted()}
    assert pool_of(parts, tables=tables).unserved(fallbacks=False) == []
    ill = pool_of(parts, tables=tables, states={"a": "unhealthy"})
    assert ill.unserved(fallbacks=False) == ["chat", "judge"]
    assert ill.unserved(fallbacks=True) == ["judge"]
    assert pool_of(parts, tables=tables, states={"a": "checking"}).unserved(fallbacks=False) == []
