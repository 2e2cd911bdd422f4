"""Every request is counted once, by how it ended, under labels that are never a caller's text."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from llm_pool.core.errors import CallerLeft, PoolError, ProviderOverloaded, StreamBroken
from llm_pool.core.types import Started, TextDelta
from tests.scripted import Scripted, Step, answer, counted, pool_of, request

if TYPE_CHECKING:
    from llm_pool.core.types import Request
    from llm_pool.pool import Pool

STARTED, WORD = Started("sim/m", "a"), TextDelta("word")
CALLERS_TEXT = "canary"


def requests(pool: Pool) -> dict[tuple[str, str, str], float]:
    """How many requests were counted, by task, strategy and outcome."""
    return {
        (sample.labels["task"], sample.labels["strategy"], sample.labels["outcome"]): sample.value
        for family in pool.metrics.registry.collect()
        for sample in family.samples
        if sample.name == "llm_pool_requests_total"
    }


def counted_once(pool: Pool, outcome: str, *, task: str = "chat", strategy: str = "fastest") -> None:
    assert requests(pool) == {(task, strategy, outcome): 1}
    assert counted(pool.metrics, "llm_pool_in_flight_requests") == 0
    assert counted(pool.metrics, "llm_pool_request_duration_seconds_count") == 1
    assert counted(pool.metrics, "llm_pool_overhead_seconds_count") == 1
    assert CALLERS_TEXT not in pool.metrics.render().decode()


async def heard(pool: Pool, asked: Request, *, most: int = 100) -> None:
    async with pool.open(asked) as events:
        async for _ in events:
            most -= 1
            if not most:
                break


@pytest.mark.parametrize("whole", [True, False])
async def test_an_answer(whole: bool) -> None:
    pool = pool_of({"a": Scripted()})
    await heard(pool, request(whole=whole))
    counted_once(pool, "ok")
    assert counted(pool.metrics, "llm_pool_provider_wins_total", {"deployment": "a"}) == 1


async def test_a_consumer_who_leaves_before_the_end() -> None:
    pool = pool_of({"a": Scripted()})
    await heard(pool, request(whole=False), most=1)
    counted_once(pool, "CANCELLED")
    assert counted(pool.metrics, "llm_pool_provider_wins_total") == 0


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("steps", [("stall",), (STARTED, "stall"), (STARTED, WORD, "stall")])
async def test_a_consumer_who_is_cancelled(steps: tuple[Step, ...], whole: bool) -> None:
    pool = pool_of({"a": Scripted(*steps)})
    task = asyncio.create_task(heard(pool, request(whole=whole)))
    await asyncio.sleep(1)
    assert counted(pool.metrics, "llm_pool_in_flight_requests") == 1
    task.cancel()
    await asyncio.wait({task})
    counted_once(pool, "CANCELLED")


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("steps", [("stall",), (STARTED, "stall"), (STARTED, WORD, "stall")])
async def test_a_deadline(steps: tuple[Step, ...], whole: bool) -> None:
    pool = pool_of({"a": Scripted(*steps)})
    with pytest.raises(PoolError):
        await heard(pool, request(whole=whole, deadline=3.0))
    counted_once(pool, "DEADLINE_EXCEEDED")
    assert counted(pool.metrics, "llm_pool_request_duration_seconds_sum") == 3.0


@pytest.mark.parametrize(
    ("steps", "outcome"),
    [
        ((ProviderOverloaded("busy"),), "PROVIDER_OVERLOADED"),
        ((STARTED, WORD, StreamBroken("it broke")), "STREAM_BROKEN"),
        ((STARTED, KeyError("bug")), "INTERNAL"),
        ((STARTED, WORD, KeyError("bug")), "INTERNAL"),
    ],
)
async def test_a_failure(steps: tuple[Step, ...], outcome: str) -> None:
    pool = pool_of({"a": Scripted(*steps)})
    with pytest.raises((PoolError, KeyError)):
        await heard(pool, request(whole=False))
    counted_once(pool, outcome)


async def test_all_failures_together_are_one_request() -> None:
    busy = Scripted(ProviderOverloaded("busy"))
    pool = pool_of({"a": busy, "b": busy}, sections={"qos": {"max_retries": 0}})
    with pytest.raises(PoolError):
        await heard(pool, request())
    counted_once(pool, "ALL_PROVIDERS_FAILED")
    assert counted(pool.metrics, "llm_pool_attempts_total", {"outcome": "PROVIDER_OVERLOADED"}) == 2


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ValueError("mine"), "INTERNAL"),
        (ConnectionResetError("a bug of a driver"), "INTERNAL"),
        (CallerLeft("gone"), "CANCELLED"),
        (asyncio.CancelledError(), "CANCELLED"),
        (GeneratorExit(), "CANCELLED"),
    ],
)
async def test_a_consumers_own_error(error: BaseException, outcome: str) -> None:
    pool = pool_of({"a": Scripted(STARTED, WORD, "stall")})
    with pytest.raises(type(error)):
        async with pool.open(request(whole=False)) as events:
            await anext(events)
            raise error
    counted_once(pool, outcome)


async def test_what_came_out_of_the_block_is_what_is_counted() -> None:
    pool = pool_of({"a": Scripted(closing=["stall"])})
    with pytest.raises(PoolError):
        await heard(pool, request(deadline=3.0))
    counted_once(pool, "DEADLINE_EXCEEDED")


async def test_the_callers_text_is_never_a_label() -> None:
    for asked, outcome in [
        (request(task=CALLERS_TEXT), "UNKNOWN_TASK"),
        (request(model=CALLERS_TEXT), "UNKNOWN_MODEL"),
        (request(model=f"pool/{CALLERS_TEXT}"), "UNKNOWN_MODEL"),
        (request(model=f"task/{CALLERS_TEXT}"), "UNKNOWN_TASK"),
        (request(strategy=CALLERS_TEXT), "INVALID_REQUEST"),
        (request(strategy=CALLERS_TEXT, model="pool/fastest"), "INVALID_REQUEST"),
    ]:
        pool = pool_of({"a": Scripted()})
        with pytest.raises(PoolError):
            await heard(pool, asked)
        counted_once(pool, outcome, task="unknown", strategy="")


async def test_a_wildcards_model_is_the_callers_text_too() -> None:
    pool = pool_of({"a": Scripted()}, tables={"a": {"models": ["*"]}})
    await heard(pool, request(model=f"sim/{CALLERS_TEXT}"))
    counted_once(pool, "ok")


async def test_waiting_for_providers_is_no_overhead() -> None:
    parts = {"a": Scripted(5.0, ProviderOverloaded("busy")), "b": Scripted(2.0, *answer())}
    pool = pool_of(parts, sections={"qos": {"hedge": "off"}})
    await heard(pool, request())
    assert counted(pool.metrics, "llm_pool_request_duration_seconds_sum") == 7.0
    assert counted(pool.metrics, "llm_pool_overhead_seconds_sum") == 0.0


async def test_a_request_is_in_flight_until_its_block_ends() -> None:
    pool = pool_of({"a": Scripted()})
    async with pool.open(request()) as events:
        async for _ in events:
            pass
        assert counted(pool.metrics, "llm_pool_in_flight_requests") == 1
        assert requests(pool) == {}
    counted_once(pool, "ok")


async def test_a_task_is_counted_under_what_it_came_to() -> None:
    pool = pool_of({"a": Scripted()}, tables={"a": {"tasks": ["chat", "judge"]}})
    await pool.infer(request(model="task/judge"))
    assert counted(pool.metrics, "llm_pool_requests_total", {"task": "judge"}) == 1
