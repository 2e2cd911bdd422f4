"""The alarm interrupts our own wait and nothing else, and is never in the way of a cancellation from elsewhere."""

from __future__ import annotations

import asyncio

import pytest

from llm_pool.core.alarm import Alarm, Rang


def now() -> float:
    return asyncio.get_running_loop().time()


def cancelling() -> int:
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


def ringing_at(instant: float) -> Alarm:
    loop = asyncio.get_running_loop()
    alarm = Alarm(loop)
    loop.call_at(instant, alarm.ring)
    return alarm


async def test_it_interrupts_our_own_wait_at_the_very_instant() -> None:
    alarm = ringing_at(3.0)
    with pytest.raises(Rang), alarm:
        await asyncio.sleep(10)
    assert (now(), cancelling()) == (3.0, 0)


async def test_it_never_rings_into_what_the_consumer_awaits() -> None:
    alarm = ringing_at(3.0)
    with alarm:
        await asyncio.sleep(1)
    await asyncio.sleep(9)
    with alarm:  # it was rung for a wait that was over
        await asyncio.sleep(10)
    assert now() == 20.0


async def test_start_and_stop_are_one_timed_wait() -> None:
    alarm = Alarm(asyncio.get_running_loop())
    alarm.start(3.0)
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError as error:
        with pytest.raises(Rang):
            alarm.stop(error)
    assert (now(), cancelling()) == (3.0, 0)
    alarm.start(5.0)
    await asyncio.sleep(1)
    alarm.stop(None)
    with alarm:
        await asyncio.sleep(10)
    assert (now(), cancelling()) == (14.0, 0)


async def test_what_the_wait_itself_raises_passes() -> None:
    mine = ValueError("mine")
    with pytest.raises(ValueError, match="mine") as caught, ringing_at(3.0):
        raise mine
    assert caught.value is mine


async def test_a_wait_that_swallows_the_interruption_leaves_no_cancellation_behind() -> None:
    with ringing_at(3.0):
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            answer = "all the same"
    assert (answer, cancelling()) == ("all the same", 0)


async def test_rung_twice_in_one_wait_it_leaves_no_cancellation_behind() -> None:
    alarm = ringing_at(3.0)
    asyncio.get_running_loop().call_at(3.0, alarm.ring)
    with pytest.raises(Rang), alarm:
        await asyncio.sleep(10)
    assert cancelling() == 0
    await asyncio.sleep(1)


async def test_a_cancellation_from_elsewhere_is_not_swallowed() -> None:
    async def waits() -> None:
        with ringing_at(3.0):
            await asyncio.sleep(10)

    task = asyncio.create_task(waits())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


@pytest.mark.parametrize("alarm_first", [True, False])
async def test_a_cancellation_at_the_same_instant_wins(alarm_first: bool) -> None:
    loop = asyncio.get_running_loop()
    alarm = Alarm(loop)

    async def waits() -> None:
        with alarm:
            await asyncio.sleep(10)

    task = asyncio.create_task(waits())
    for ends_it in (alarm.ring, task.cancel) if alarm_first else (task.cancel, alarm.ring):
        loop.call_at(3.0, ends_it)
    await asyncio.wait({task})
    assert (now(), task.cancelled()) == (3.0, True)


async def test_it_does_not_spoil_an_outer_timeout() -> None:
    async with asyncio.timeout(5):
        with pytest.raises(Rang), ringing_at(1.0):
            await asyncio.sleep(10)
        await asyncio.sleep(2)
    assert now() == 3.0
