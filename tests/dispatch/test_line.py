"""Room: how many calls a deployment bears, how many requests the pool takes, and who waits for whom."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from llm_pool.core.errors import DeadlineExceeded, Overloaded, ProviderUnavailable
from llm_pool.core.types import TextDelta
from tests.dispatch.stories import BOTH, DONE, STARTED, at_rest, failure, heard, now, texts, voices
from tests.scripted import Scripted, answer, counted, pool_of, request

if TYPE_CHECKING:
    from llm_pool.core.types import Request
    from llm_pool.pool import Pool


def pool(parts: dict[str, Scripted], *, limit: Any = 1, sections: dict[str, Any] | None = None, **qos: Any) -> Pool:
    """In which all take only so many calls at a time."""
    tables = {name: {"priority": number, "max_concurrent": limit} for number, name in enumerate(parts)}
    chosen = {"hedge": "off", "balance": "priority", "max_retries": 0, **qos}
    return pool_of(parts, tables=tables, sections={"qos": chosen, **(sections or {})})


def slow(seconds: float, text: str = "word") -> Scripted:
    return Scripted(STARTED, seconds, TextDelta(text), DONE)


async def some(asking: Pool, *asked: Request) -> list[str]:
    """All at once; who answered each, or why nobody did."""
    told = await asyncio.gather(*(heard(asking, each) for each in asked))
    return [error.reason if error else "".join(texts(said)) for said, error in told]


# --- Of a deployment --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", BOTH)
async def test_one_that_is_full_is_waited_for(whole: bool) -> None:
    parts = {"a": slow(0.75)}
    asking = pool(parts)
    asked = [request(whole=whole) for _ in range(3)]
    assert await some(asking, *asked) == ["word"] * 3
    assert [call.opened for call in parts["a"].calls] == [0.0, 0.75, 1.5]
    assert [each.trace.attempts[0].started for each in asked] == [0.0, 0.75, 1.5]  # to wait is no attempt
    await at_rest(asking, parts, *asked)


async def test_another_one_that_is_free_is_preferred() -> None:
    parts = {"a": slow(5.0, "a"), "b": slow(5.0, "b")}
    asking = pool(parts)
    assert await some(asking, request(), request()) == ["a", "b"]
    assert now() == 5.0
    assert counted(asking.metrics, "llm_pool_failovers_total") == 0


async def test_where_no_turn_comes_the_next_one_is_asked() -> None:
    parts = {"a": slow(25.0, "a"), "b": slow(2.5, "b")}
    asking = pool(parts)
    asked = [request(deadline=100.0) for _ in range(3)]
    assert await some(asking, *asked) == ["a", "b", "b"]
    assert voices(asked[2]) == [("b", "failover", "ok")]
    await at_rest(asking, parts, *asked)


async def test_where_no_turn_comes_anywhere_callers_are_told_when_to_come_back() -> None:
    parts = {"a": slow(25.0), "b": slow(25.0)}
    asking = pool(parts)
    held = [asyncio.create_task(heard(asking, request(deadline=100.0))) for _ in parts]
    await asyncio.sleep(0)
    error = await failure(asking, asked := request())
    assert isinstance(error, ProviderUnavailable)
    assert error.details == {"a": "a is as busy as it may be", "b": "b is as busy as it may be"}
    assert error.retry_after is not None
    assert error.retry_after >= 1.0
    assert asked.trace.attempts == []
    await asyncio.gather(*held)
    await at_rest(asking, parts)


async def test_a_line_that_is_too_long_is_refused_at_once() -> None:
    parts = {"a": slow(25.0)}
    asking = pool(parts)
    told = await some(asking, *(request(deadline=100.0) for _ in range(5)))
    assert told.count("PROVIDER_UNAVAILABLE") == 4
    assert parts["a"].opened == 1


async def test_one_whose_breaker_opens_meanwhile_is_not_waited_for_in_vain() -> None:
    parts = {"a": slow(1.0, "a"), "b": slow(1.0, "b")}
    asking = pool(parts)
    [standing] = asking.learned.of("a")
    first = [asyncio.create_task(heard(asking, request())) for _ in range(2)]
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_at(0.5, lambda: standing.operate("open"))
    asked = request()
    [told] = await some(asking, asked)
    assert told == "b"
    assert parts["a"].opened == 1
    await asyncio.gather(*first)
    await at_rest(asking, parts, asked)


async def test_one_that_says_429_meanwhile_is_not_asked_when_the_turn_comes() -> None:
    parts = {"a": slow(1.0, "a"), "b": slow(1.0, "b")}
    asking = pool(parts)
    [standing] = asking.learned.of("a")
    first = [asyncio.create_task(heard(asking, request())) for _ in range(2)]
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_at(0.5, lambda: standing.cooldown.limited(60.0))
    assert await some(asking, request()) == ["b"]
    assert parts["a"].opened == 1
    await asyncio.gather(*first)


@pytest.mark.parametrize("turns", range(5))
@pytest.mark.parametrize("at", [0.5, 1.0, 1.5])
async def test_a_caller_who_leaves_the_line_or_his_turn_takes_nobodys_place(at: float, turns: int) -> None:
    parts = {"a": slow(1.0)}
    asking = pool(parts)
    asked = [request() for _ in range(3)]
    tasks = [asyncio.create_task(heard(asking, each)) for each in asked]
    await asyncio.sleep(at)
    for _ in range(turns):
        await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.wait(tasks)
    assert tasks[1].cancelled()
    said, error = tasks[2].result()
    assert (texts(said), error) == (["word"], None)
    await at_rest(asking, parts, *asked)


async def test_what_comes_after_the_deadline_is_not_begun() -> None:
    parts = {"a": slow(1.0)}
    asking = pool(parts)
    told = await some(asking, request(), request(deadline=0.75))
    assert told == ["word", "DEADLINE_EXCEEDED"]
    assert parts["a"].opened == 1


async def test_the_fallback_is_asked_before_the_deadline_of_one_who_waits() -> None:
    parts = {"a": slow(25.0), "b": Scripted(*answer("in short"))}
    tables: dict[str, dict[str, Any]] = {"a": {"max_concurrent": 1}, "b": {"fallback": True}}
    asking = pool_of(parts, tables=tables, sections={"qos": {"max_retries": 0}})
    told = await some(asking, request(deadline=100.0), request(deadline=1.0))
    assert told == ["word", "in short"]
    assert parts["b"].calls[0].opened == 0.9


async def test_an_adaptive_limit_begins_with_ten() -> None:
    parts = {"a": slow(1.0)}
    asking = pool(parts, limit="adaptive")
    await some(asking, *(request() for _ in range(12)))
    opened = [call.opened for call in parts["a"].calls]
    assert opened.count(0.0) == 10
    await at_rest(asking, parts)


# --- Of the pool ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", BOTH)
async def test_the_pool_answers_so_many_requests_at_a_time(whole: bool) -> None:
    parts = {"a": slow(0.25)}
    asking = pool(parts, limit=None, max_concurrent_requests=2)
    asked = [request(whole=whole) for _ in range(6)]
    assert await some(asking, *asked) == ["word"] * 6
    assert [call.opened for call in parts["a"].calls] == [0.0, 0.0, 0.25, 0.25, 0.5, 0.5]
    await at_rest(asking, parts, *asked)


async def test_those_who_find_the_line_full_are_told_when_to_come_back() -> None:
    parts = {"a": slow(0.25)}
    asking = pool(parts, limit=None, max_concurrent_requests=1)
    held = [asyncio.create_task(heard(asking, request())) for _ in range(3)]
    await asyncio.sleep(0)
    error = await failure(asking, request())
    assert isinstance(error, Overloaded)
    assert error.retry_after is not None
    assert error.retry_after >= 1.0
    assert [error for _, error in await asyncio.gather(*held)] == [None] * 3
    assert parts["a"].opened == 3
    await at_rest(asking, parts)


async def test_a_request_that_has_expired_is_dropped_before_anybody_works_for_it() -> None:
    parts = {"a": slow(1.0)}
    asking = pool(parts, limit=None, max_concurrent_requests=1)
    held = asyncio.create_task(heard(asking, request()))
    await asyncio.sleep(0)
    error = await failure(asking, request(deadline=0.5))
    assert isinstance(error, DeadlineExceeded)
    assert now() == 0.5
    assert isinstance(await failure(asking, request(deadline=0.0)), DeadlineExceeded)
    await held
    assert parts["a"].opened == 1
    await at_rest(asking, parts)


async def test_a_request_holds_one_place_however_many_it_asks() -> None:
    parts = {"a": Scripted(STARTED, "stall"), "b": slow(0.5)}
    asking = pool(parts, limit=None, max_concurrent_requests=1, hedge="fixed", hedge_after_ms=500, hedge_budget=1.0)
    assert await some(asking, request(), request()) == ["word", "word"]
    assert now() == 2.0
    await at_rest(asking, parts)


async def test_a_place_is_given_back_before_the_next_one_begins() -> None:
    """The answer before is closed, and its slot free."""
    parts = {"a": slow(1.0)}
    parts["a"].closing = [0.5]
    asking = pool(parts)
    assert await some(asking, request(), request()) == ["word", "word"]
    assert [call.opened for call in parts["a"].calls] == [0.0, 1.5]
