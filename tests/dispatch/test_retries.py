"""The same deployment is asked again after a pause: where that may help, not too often, and never too late."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from llm_pool.core.errors import (
    AllProvidersFailed,
    InvalidOutput,
    OutOfTime,
    ProviderError,
    ProviderGarbled,
    ProviderLimited,
    ProviderMisconfigured,
    ProviderOverloaded,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
    ProviderUnreachable,
    StreamBroken,
)
from llm_pool.core.types import TextDelta
from tests.dispatch.stories import BOTH, STARTED, at_rest, fails, failure, heard, now, texts, voices
from tests.scripted import Scripted, answer, counted, pool_of, request

if TYPE_CHECKING:
    from llm_pool.core.ports.provider import State
    from llm_pool.pool import Pool

BUSY = ProviderOverloaded("busy")
LASTING = [
    ProviderRefused("no"), ProviderMisconfigured("who are you"), InvalidOutput("no JSON"), OutOfTime("too long"),
    ProviderUnavailable("not now"), ProviderLimited("a quota, who knows until when"), ProviderTimeout("slow"),
]  # fmt: skip
PASSING = [
    ProviderError("500"), ProviderGarbled("?"), BUSY, ProviderUnreachable("gone"), StreamBroken("it broke"),
    ProviderLimited("a moment", retry_after=0.5),
]  # fmt: skip


def pool(
    parts: dict[str, Scripted], *, tables: dict[str, dict[str, Any]] | None = None,
    states: dict[str, State] | None = None, **qos: Any,
) -> Pool:  # fmt: skip
    order = {name: {"priority": number, **(tables or {}).get(name, {})} for number, name in enumerate(parts)}
    return pool_of(parts, tables=order, states=states, sections={"qos": {"hedge": "off", "balance": "priority", **qos}})


def retried(of: Pool) -> float:
    return counted(of.metrics, "llm_pool_retries_total")


# --- What is asked again ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", BOTH)
@pytest.mark.parametrize("error", PASSING)
async def test_what_passes_is_asked_again(error: ProviderError, whole: bool) -> None:
    parts: dict[str, Scripted] = {"a": fails(1, error)}
    asking = pool(parts)
    said, failed = await heard(asking, asked := request(whole=whole))
    assert (failed, texts(said)) == (None, ["at last"])
    assert voices(asked) == [("a", "first", error.reason), ("a", "retry", "ok")]
    assert retried(asking) == 1
    assert counted(asking.metrics, "llm_pool_failovers_total") == 0
    await at_rest(asking, parts, asked)


@pytest.mark.parametrize("whole", BOTH)
@pytest.mark.parametrize("error", LASTING)
async def test_what_would_only_come_again_is_not(error: ProviderError, whole: bool) -> None:
    parts: dict[str, Scripted] = {"a": fails(1, error)}
    assert await failure(pool(parts), request(whole=whole)) is error
    assert parts["a"].opened == 1
    assert now() == 0.0


async def test_a_bug_is_not() -> None:
    parts: dict[str, Scripted] = {"a": fails(1, KeyError("bug"))}
    with pytest.raises(KeyError):
        await pool(parts).infer(request())
    assert parts["a"].opened == 1


async def test_a_stream_that_has_spoken_is_not() -> None:
    parts: dict[str, Scripted] = {"a": Scripted(STARTED, TextDelta("half"), StreamBroken("it broke"))}
    said, error = await heard(pool(parts), request(whole=False))
    assert isinstance(error, StreamBroken)
    assert texts(said) == ["half"]
    assert parts["a"].opened == 1


async def test_a_whole_answer_that_broke_half_way_is() -> None:
    parts = {"a": Scripted(STARTED, TextDelta("half"), StreamBroken("it broke"))}
    await failure(pool(parts), asked := request())
    assert [outcome for _, _, outcome in voices(asked)] == ["STREAM_BROKEN"] * 3


# --- How often --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [0, 1, 2])
async def test_one_request_retries_so_often_and_no_more(most: int) -> None:
    parts: dict[str, Scripted] = {"a": fails(99, BUSY)}
    error = await failure(asking := pool(parts, max_retries=most), asked := request())
    assert error is BUSY
    assert parts["a"].opened == 1 + most
    assert retried(asking) == most
    await at_rest(asking, parts, asked)


async def test_it_is_so_often_of_all_deployments_together() -> None:
    parts: dict[str, Scripted] = {"a": fails(99, BUSY), "b": fails(99, BUSY)}
    await failure(pool(parts, max_retries=2), asked := request())
    assert [kind for _, kind, _ in voices(asked)] == ["first", "failover", "retry", "retry"]


async def test_a_tenth_of_all_requests_may() -> None:
    parts: dict[str, Scripted] = {"a": fails(10_000, BUSY)}
    asking = pool(parts)
    [standing] = asking.learned.of("a")
    for _ in range(1_000):
        await failure(asking, request())
        standing.operate("reset")
    assert 100 <= retried(asking) <= 110
    assert parts["a"].opened == 1_000 + retried(asking)


async def test_requests_that_need_none_pay_for_those_that_do() -> None:
    parts: dict[str, Scripted] = {"a": Scripted()}
    asking = pool(parts)
    for _ in range(300):
        await heard(asking, request())
    parts["a"].steps = [BUSY]
    for _ in range(20):
        await failure(asking, request())
        asking.learned.of("a")[0].operate("reset")
    assert 10 <= retried(asking) <= 12  # no more than ten are ever saved up


# --- How soon ---------------------------------------------------------------------------------------------------


async def test_the_pauses_are_as_long_as_they_are_said_to_be() -> None:
    """A tenth of a second at the least, and twice as long the next time."""
    parts: dict[str, Scripted] = {"a": fails(99, BUSY)}
    await failure(pool(parts), request())
    opened = [call.opened for call in parts["a"].calls]
    first, second = opened[1] - opened[0], opened[2] - opened[1]
    assert 0.1 <= first <= 0.15
    assert 0.2 <= second <= 0.3


@pytest.mark.parametrize("kind", [ProviderOverloaded, ProviderLimited, ProviderUnreachable])
async def test_a_provider_that_says_when_is_not_asked_before(kind: type[ProviderError]) -> None:
    parts: dict[str, Scripted] = {"a": fails(1, kind("later", retry_after=3.0))}
    said, error = await heard(pool(parts), request())
    assert (error, texts(said)) == (None, ["at last"])
    assert 3.0 <= parts["a"].calls[1].opened <= 3.3


@pytest.mark.parametrize("whole", BOTH)
async def test_what_would_come_after_the_deadline_is_not_waited_for(whole: bool) -> None:
    late = ProviderOverloaded("later", retry_after=3.0)
    parts: dict[str, Scripted] = {"a": fails(1, late)}
    asking = pool(parts)
    assert await failure(asking, request(whole=whole, deadline=3.0)) is late
    assert now() == 0.0
    assert retried(asking) == 0


async def test_what_is_not_waited_for_is_not_paid_for() -> None:
    parts: dict[str, Scripted] = {"a": fails(40, ProviderOverloaded("later", retry_after=60.0))}
    asking = pool(parts)
    before = asking.learned.retries.tokens
    await failure(asking, request())
    assert asking.learned.retries.tokens >= before


async def test_a_caller_may_leave_in_the_pause() -> None:
    parts: dict[str, Scripted] = {"a": fails(1, ProviderOverloaded("later", retry_after=3.0))}
    asking, asked = pool(parts), request()
    task = asyncio.create_task(heard(asking, asked))
    await asyncio.sleep(1.0)
    task.cancel()
    await asyncio.wait({task})
    assert now() == 1.0
    assert parts["a"].opened == 1
    await at_rest(asking, parts, asked)


# --- Before and after whom --------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", BOTH)
async def test_others_of_its_tier_are_asked_first(whole: bool) -> None:
    parts: dict[str, Scripted] = {"a": fails(1, BUSY), "b": fails(1, ProviderRefused("no"))}
    said, error = await heard(pool(parts), asked := request(whole=whole))
    assert (error, texts(said)) == (None, ["at last"])
    assert voices(asked) == [
        ("a", "first", "PROVIDER_OVERLOADED"), ("b", "failover", "PROVIDER_REFUSED"), ("a", "retry", "ok"),
    ]  # fmt: skip


async def test_the_one_that_can_be_asked_soonest_is_asked_again() -> None:
    parts: dict[str, Scripted] = {"a": fails(1, ProviderOverloaded("later", retry_after=3.0)), "b": fails(1, BUSY)}
    await heard(pool(parts), asked := request())
    assert voices(asked)[-1] == ("b", "retry", "ok")
    assert now() < 0.2


@pytest.mark.parametrize("whole", BOTH)
async def test_the_fallback_is_asked_after_the_retries(whole: bool) -> None:
    parts: dict[str, Scripted] = {"a": fails(99, BUSY), "b": Scripted(*answer("in short"))}
    said, error = await heard(pool(parts, tables={"b": {"fallback": True}}), asked := request(whole=whole))
    assert (error, texts(said)) == (None, ["in short"])
    assert voices(asked) == [
        ("a", "first", "PROVIDER_OVERLOADED"), ("a", "retry", "PROVIDER_OVERLOADED"),
        ("a", "retry", "PROVIDER_OVERLOADED"), ("b", "failover", "ok"),
    ]  # fmt: skip


async def test_no_pause_takes_the_fallbacks_time() -> None:
    parts: dict[str, Scripted] = {"a": fails(99, ProviderOverloaded("later", retry_after=1.9)), "b": Scripted()}
    await heard(pool(parts, tables={"b": {"fallback": True}}), asked := request(deadline=2.0))
    assert [kind for _, kind, _ in voices(asked)] == ["first", "failover"]
    assert now() == 0.0


@pytest.mark.parametrize("others", ["fallback", "unhealthy"])
@pytest.mark.parametrize(("told", "waited_for"), [(1.8, True), (2.1, False)])
async def test_nobody_waits_longer_than_two_seconds_while_somebody_else_is_left(
    others: str, told: float, waited_for: bool
) -> None:
    parts: dict[str, Scripted] = {"a": fails(1, ProviderOverloaded("later", retry_after=told)), "b": Scripted()}
    asking = pool(parts, tables={"b": {"fallback": others == "fallback"}}, states={"b": "unhealthy"})
    await heard(asking, asked := request())
    assert [(name, kind) for name, kind, _ in voices(asked)][1:] == [
        ("a", "retry") if waited_for else ("b", "failover")
    ]
    assert (now() > 0) == waited_for
    assert retried(asking) == waited_for


async def test_who_is_only_open_is_nobody_to_go_to() -> None:
    parts: dict[str, Scripted] = {"a": fails(1, ProviderOverloaded("later", retry_after=4.0)), "b": Scripted()}
    asking = pool(parts)
    asking.learned.of("b")[0].operate("open")
    said, error = await heard(asking, request())
    assert (error, texts(said)) == (None, ["at last"])
    assert now() >= 4.0


@pytest.mark.parametrize(("told", "waited_for"), [(4.5, True), (5.1, False)])
async def test_nobody_waits_longer_than_five_seconds_but_is_told_when_to_come_back(
    told: float, waited_for: bool
) -> None:
    parts: dict[str, Scripted] = {"a": fails(1, ProviderOverloaded("later", retry_after=told))}
    said, error = await heard(pool(parts), request())
    assert (texts(said) == ["at last"]) == (error is None) == waited_for
    assert (now() > 0) == waited_for
    assert waited_for or (error is not None and error.retry_after == told)


async def test_one_whose_breaker_has_opened_meanwhile_is_not_asked() -> None:
    parts: dict[str, Scripted] = {"a": fails(1, ProviderOverloaded("later", retry_after=3.0))}
    asking = pool(parts)
    [standing] = asking.learned.of("a")
    asyncio.get_running_loop().call_at(1.0, lambda: standing.operate("open"))
    error = await failure(asking, request())
    assert isinstance(error, ProviderOverloaded)
    assert parts["a"].opened == 1


async def test_where_a_breaker_has_opened_meanwhile_the_other_one_that_failed_is_asked_again() -> None:
    """It may be asked, and there is time."""
    parts: dict[str, Scripted] = {
        "a": fails(1, ProviderOverloaded("later", retry_after=3.0)),
        "b": fails(1, ProviderOverloaded("later", retry_after=4.0)),
    }
    asking = pool(parts)
    [standing] = asking.learned.of("a")
    asyncio.get_running_loop().call_at(1.0, lambda: standing.operate("open"))
    said, error = await heard(asking, request())
    assert (error, texts(said)) == (None, ["at last"])


async def test_one_that_a_failure_has_opened_leaves_the_retry_to_the_other() -> None:
    parts: dict[str, Scripted] = {"a": fails(99, BUSY), "b": fails(1, BUSY)}
    asking = pool(parts)
    [standing] = asking.learned.of("a")
    for at in (0.0, 0.4, 0.8, 1.2):
        await asyncio.sleep(at - now())
        breaker, permit = standing.begin("chat", tokens=0, panic=False), None
        breaker[0].ended(breaker[1], "failure")
        standing.load.end()
        assert permit is None
    said, error = await heard(asking, asked := request())  # whose failure is the fifth in a row, and opens it
    assert (error, texts(said)) == (None, ["at last"])
    assert voices(asked)[-1] == ("b", "retry", "ok")


async def test_the_error_of_the_last_try_is_told() -> None:
    last = ProviderUnreachable("gone")
    parts: dict[str, Scripted] = {"a": fails(99, BUSY), "b": fails(99, last)}
    error = await failure(pool(parts), request())
    assert isinstance(error, AllProvidersFailed)
    assert error.details == {"a": "PROVIDER_OVERLOADED", "b": "PROVIDER_UNREACHABLE"}
    assert error.retry_after is None


async def test_where_several_failed_the_soonest_time_that_was_named_is_told() -> None:
    parts: dict[str, Scripted] = {
        "a": fails(99, ProviderOverloaded("later", retry_after=40.0)),
        "b": fails(99, ProviderOverloaded("later", retry_after=20.0)),
        "c": fails(99, ProviderRefused("no")),
    }
    error = await failure(pool(parts), request())
    assert isinstance(error, AllProvidersFailed)
    assert error.retry_after == 20.0
