"""The alarm interrupts our own wait and nothing else, and is never in the way of a cancellation from elsewhere."""

from __future__ import annotations

import asyncio

import pytest

from llm_pool.core.alarm import Alarm, Rang


def now() -> float:
    return asyncio.get_running_loop().time()


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


# --- Rung by somebody else --------------------------------------------------------------------------------------


def current() -> asyncio.Task[None]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def test_another_task_can_ring_it() -> None:
    alarm = Alarm(asyncio.get_running_loop())
    asyncio.get_running_loop().call_at(3.0, alarm.ring)
    with pytest.raises(Rang), alarm:
        await asyncio.sleep(10)
    assert now() == 3.0
    assert current().cancelling() == 0


async def test_rung_between_two_waits_it_interrupts_the_next_one_until_it_is_set_anew() -> None:
    alarm = Alarm(asyncio.get_running_loop())
    alarm.ring()
    await asyncio.sleep(1)
    for _ in range(2):
        with pytest.raises(Rang), alarm:
            await asyncio.sleep(10)
    alarm.set(None)
    with alarm:
        await asyncio.sleep(10)
    assert now() == 11.0


async def test_what_is_ready_at_once_is_had_even_when_it_is_due() -> None:
    alarm = Alarm(asyncio.get_running_loop())
    alarm.ring()
    with alarm:
        pass
    alarm.set(None)
    with alarm:
        await asyncio.sleep(1)
    assert current().cancelling() == 0


async def test_rung_twice_in_one_wait_it_is_one_interruption() -> None:
    alarm = Alarm(asyncio.get_running_loop())
    alarm.set(3.0)
    asyncio.get_running_loop().call_at(3.0, alarm.ring)
    with pytest.raises(Rang), alarm:
        await asyncio.sleep(10)
    assert current().cancelling() == 0
    await asyncio.sleep(1)


async def test_it_is_on_only_while_somebody_waits() -> None:
    alarm = Alarm(asyncio.get_running_loop())
    seen = []
    asyncio.get_running_loop().call_at(1.0, lambda: seen.append(alarm.on))
    seen.append(alarm.on)
    with alarm:
        await asyncio.sleep(2)
    seen.append(alarm.on)
    assert seen == [False, True, False]


async def test_a_wait_that_swallows_the_interruption_leaves_no_cancellation_behind() -> None:
    alarm = Alarm(asyncio.get_running_loop())
    alarm.set(3.0)
    alarm.begin()
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError:
        answer = "all the same"
    alarm.end()
    assert answer == "all the same"
    assert current().cancelling() == 0
    alarm.set(None)


async def test_begin_and_end_are_what_with_does() -> None:
    alarm = Alarm(asyncio.get_running_loop())
    alarm.set(3.0)
    alarm.begin()
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError as error:
        with pytest.raises(Rang):
            alarm.end(error)
    assert (now(), current().cancelling()) == (3.0, 0)


async def test_start_and_stop_are_one_timed_wait() -> None:
    alarm = Alarm(asyncio.get_running_loop())
    alarm.start(3.0)
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError as error:
        with pytest.raises(Rang):
            alarm.stop(error)
    alarm.start(5.0)
    await asyncio.sleep(1)
    alarm.stop(None)
    assert not alarm.on
    with alarm:
        await asyncio.sleep(10)
    assert (now(), current().cancelling()) == (14.0, 0)
