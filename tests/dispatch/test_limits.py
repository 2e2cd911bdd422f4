"""Limits on one call: exact, never felt by the consumer, and never in the way of a cancellation from elsewhere."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from llm_pool.core.alarm import Alarm, Rang
from llm_pool.core.errors import ProviderTimeout
from llm_pool.core.streams import collect
from llm_pool.core.types import Event, Finished, Started, TextDelta, Warning
from llm_pool.dispatch.limits import Limits
from tests.scripted import USAGE, Scripted, Step, answer, pool_of, request

if TYPE_CHECKING:
    from llm_pool.core.streams import Answering

STARTED, WORD, END = Started("sim/m", "a"), TextDelta("word"), Finished("stop", USAGE)


def now() -> float:
    return asyncio.get_running_loop().time()


def limited(
    upstream: Scripted,
    *,
    speak_by: float | None = None,
    within: float | None = None,
    deadline: float = 30.0,
    whole: bool = False,
) -> Answering:
    return Limits("a", speak_by=speak_by, within=within).open(request(deadline=deadline, whole=whole), upstream)


async def read(answering: Answering, *, busy: float = 0.0) -> list[tuple[float, Event]]:
    """Everything said, and when. The consumer is busy for so many seconds after each event."""
    said = []
    async with answering as events:
        async for event in events:
            said.append((now(), event))
            await asyncio.sleep(busy)
    return said


# --- The alarm --------------------------------------------------------------------------------------------------


async def test_it_interrupts_our_own_wait_at_the_very_instant() -> None:
    alarm = Alarm(asyncio.get_running_loop())
    alarm.set(3.0)
    with pytest.raises(Rang), alarm:
        await asyncio.sleep(10)
    assert now() == 3.0
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


async def test_it_never_rings_into_what_the_consumer_awaits() -> None:
    alarm = Alarm(asyncio.get_running_loop())
    alarm.set(3.0)
    with alarm:
        await asyncio.sleep(1)
    await asyncio.sleep(9)  # the consumer's
    assert now() == 10.0
    with pytest.raises(Rang), alarm:  # it has rung meanwhile: no more waiting for the provider
        await asyncio.sleep(0)


async def test_one_timer_serves_many_waits_and_a_later_setting_replaces_it() -> None:
    alarm = Alarm(asyncio.get_running_loop())
    alarm.set(3.0)
    for _ in range(2):
        with alarm:
            await asyncio.sleep(1)
    alarm.set(6.0)
    with alarm:
        await asyncio.sleep(3)
    alarm.set(None)
    with alarm:
        await asyncio.sleep(100)
    assert now() == 105.0


async def test_what_the_wait_itself_raises_passes() -> None:
    alarm = Alarm(asyncio.get_running_loop())
    alarm.set(3.0)
    mine = ValueError("mine")
    with pytest.raises(ValueError, match="mine") as caught, alarm:
        raise mine
    assert caught.value is mine
    alarm.set(None)


async def test_a_cancellation_from_elsewhere_is_not_swallowed() -> None:
    alarm = Alarm(asyncio.get_running_loop())

    async def waits() -> None:
        with alarm:
            await asyncio.sleep(10)

    alarm.set(3.0)
    task = asyncio.create_task(waits())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    alarm.set(None)


@pytest.mark.parametrize("alarm_first", [True, False])
async def test_a_cancellation_at_the_same_instant_wins(alarm_first: bool) -> None:
    alarm = Alarm(asyncio.get_running_loop())

    async def waits() -> None:
        with alarm:
            await asyncio.sleep(10)

    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    loop = asyncio.get_running_loop()
    for mine in (alarm_first, not alarm_first):
        if mine:
            alarm.set(3.0)
        else:
            loop.call_at(3.0, task.cancel)
    await asyncio.wait({task})
    assert now() == 3.0
    assert task.cancelled()


async def test_it_does_not_spoil_an_outer_timeout() -> None:
    alarm = Alarm(asyncio.get_running_loop())
    alarm.set(1.0)
    async with asyncio.timeout(5):
        with pytest.raises(Rang), alarm:
            await asyncio.sleep(10)
        await asyncio.sleep(2)
    assert now() == 3.0


# --- The limits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("opening", "steps"),
    [(("stall",), ()), ((), ("stall",)), ((), (STARTED, "stall")), ((), (STARTED, 5.1, WORD))],
)
async def test_who_has_not_spoken_by_then_is_hung_up_on(opening: tuple[Step, ...], steps: tuple[Step, ...]) -> None:
    mine = Scripted(*steps, opening=opening)
    with pytest.raises(ProviderTimeout) as caught:
        await read(limited(mine, speak_by=5.0))
    assert caught.value.message == "a took longer than it may"
    assert mine.closed_at == [5.0]


async def test_started_and_a_warning_are_no_words() -> None:
    with pytest.raises(ProviderTimeout):
        await read(limited(Scripted(STARTED, Warning("code", "text"), 5.1, WORD), speak_by=5.0))
    assert now() == 5.0


async def test_who_has_spoken_by_then_may_take_its_time() -> None:
    said = await read(limited(Scripted(STARTED, 4.9, WORD, 20.0, END), speak_by=5.0))
    assert said == [(0.0, STARTED), (4.9, WORD), (24.9, END)]


async def test_of_a_whole_answer_all_must_be_there_by_then() -> None:
    said = await read(limited(Scripted(STARTED, 4.0, WORD, 0.9, END), speak_by=5.0, whole=True))
    assert said[-1] == (4.9, END)
    with pytest.raises(ProviderTimeout):
        await read(limited(Scripted(STARTED, 4.0, WORD, 20.0, END), speak_by=now() + 5.0, whole=True))
    assert now() == 4.9 + 5.0


@pytest.mark.parametrize("speak_by", [None, 1.0, 7.0])
async def test_a_whole_call_ends_within_its_time(speak_by: float | None) -> None:
    upstream = Scripted(STARTED, 0.5, WORD, 5.0, END)
    with pytest.raises(ProviderTimeout):
        await read(limited(upstream, speak_by=speak_by, within=5.0))
    assert upstream.closed_at == [5.0]


async def test_both_limits_hold_and_the_sooner_one_counts() -> None:
    with pytest.raises(ProviderTimeout):
        await read(limited(Scripted("stall"), speak_by=7.0, within=3.0))
    assert now() == 3.0
    with pytest.raises(ProviderTimeout):
        await read(limited(Scripted("stall"), speak_by=4.0, within=3.0))
    assert now() == 4.0


async def test_a_limit_beyond_the_deadline_is_left_to_the_deadline() -> None:
    upstream = Scripted(STARTED, 40.0, *answer()[1:])
    said = await read(limited(upstream, within=30.0, deadline=30.0))
    assert said[-1] == (40.0, END)


async def test_a_consumer_may_be_busy_past_the_time_to_the_first_word() -> None:
    said = await read(limited(Scripted(STARTED, WORD, END), speak_by=5.0), busy=3.0)
    assert said == [(0.0, STARTED), (3.0, WORD), (6.0, END)]


async def test_a_limit_never_interrupts_what_the_consumer_awaits() -> None:
    async with limited(Scripted(STARTED, WORD, END), speak_by=1.0, within=2.0) as events:
        await anext(events)
        await asyncio.sleep(20)
    assert now() == 20.0


async def test_a_consumer_who_has_left_is_not_called_back() -> None:
    async with limited(Scripted(STARTED, WORD, "stall"), speak_by=1.0, within=2.0) as events:
        await anext(events)
    await asyncio.sleep(20)
    assert now() == 20.0


# --- In a pool --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("steps", [("stall",), (STARTED, "stall"), (2.6, STARTED, WORD)])
async def test_timeout_ms_is_exact_and_another_deployment_answers(steps: tuple[Step, ...], whole: bool) -> None:
    slow, second = Scripted(*steps), Scripted()
    pool = pool_of({"a": slow, "b": second}, tables={"a": {"timeout_ms": 2500}})
    async with pool.open(asked := request(whole=whole)) as events:
        assert (await collect(events)).provider == "b"
    assert slow.closed_at == [2.5]
    assert second.calls[0].opened == 2.5
    first = asked.trace.attempts[0]
    assert (first.outcome, first.ended) == ("PROVIDER_TIMEOUT", 2.5)
    assert first.why == "a took longer than it may"


async def test_timeout_ms_ends_a_stream_that_has_spoken() -> None:
    pool = pool_of({"a": Scripted(STARTED, WORD, "stall"), "b": Scripted()}, tables={"a": {"timeout_ms": 2500}})
    with pytest.raises(ProviderTimeout):
        await read(pool.open(asked := request(whole=False)))
    assert now() == 2.5
    assert [attempt.outcome for attempt in asked.trace.attempts] == ["PROVIDER_TIMEOUT"]


async def test_a_whole_answer_that_is_there_is_not_taken_back() -> None:
    pool = pool_of({"a": Scripted()}, tables={"a": {"timeout_ms": 2500}})
    said = await read(pool.open(asked := request()), busy=5.0)
    assert [event for _, event in said] == [STARTED, TextDelta("hello"), END]
    assert asked.trace.attempts[0].outcome == "ok"


async def test_a_consumer_who_is_slow_does_not_make_the_deployment_look_slow() -> None:
    pool = pool_of({"a": Scripted(STARTED, WORD, WORD, END)}, tables={"a": {"timeout_ms": 2500}})
    asked = request(whole=False)
    async with pool.open(asked) as events:
        async for _ in events:
            await asyncio.sleep(2)
    assert asked.trace.attempts[0].outcome == "ok"


async def test_a_timeout_that_is_a_bug_of_a_driver_is_not_taken_for_ours() -> None:
    bug = TimeoutError("a bug of the driver")
    pool = pool_of({"a": Scripted(STARTED, bug), "b": Scripted()}, tables={"a": {"timeout_ms": 5000}})
    with pytest.raises(TimeoutError) as caught:
        await pool.infer(request())
    assert caught.value is bug
