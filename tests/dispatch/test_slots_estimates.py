"""What slots tell those whom they refuse: when it may be worth to come back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.core.errors import Overloaded
from tests.dispatch.test_slots import LATE, Crowd, now, slots_of
from tests.virtual import VirtualLoop

if TYPE_CHECKING:
    from llm_pool.dispatch.slots import Slots


async def refusal(slots: Slots) -> float:
    """Seconds, as told to one who is refused at once."""
    with pytest.raises(Overloaded) as caught:
        await slots.wait(deadline=now())
    assert caught.value.retry_after is not None
    return caught.value.retry_after


async def learned(slots: Slots, *, every: float) -> None:
    """One of the calls that take a slot ends after so many seconds, again and again, and another one waits for it."""
    for _ in range(100):
        waits = asyncio.create_task(slots.wait(deadline=LATE))
        await asyncio.sleep(every)
        slots.leave()
        await waits


async def test_a_refused_call_is_told_when_those_before_it_will_have_been_served() -> None:
    slots = slots_of(10)
    await learned(slots, every=0.5)  # ten at a time, one every half second: five seconds each
    assert await refusal(slots) == 1.0  # nobody else waits, so very soon
    crowd = Crowd(slots)
    await crowd.joins(*map(str, range(15)))
    assert await refusal(slots) == pytest.approx(16 * 0.5, rel=0.01)
    await crowd.is_gone()


async def test_the_pace_is_that_of_a_line_that_goes_on() -> None:
    slots = slots_of(2, patience=500.0)
    crowd = Crowd(slots)
    for name in map(str, range(60)):
        await crowd.joins(name)
        if slots.waiting > 2:
            await asyncio.sleep(4)  # two at a time: eight seconds each
            slots.leave()
    assert await refusal(slots) == pytest.approx(3 * 4.0, rel=0.05)
    slots.leave()
    slots.leave()
    await crowd.is_gone()


async def test_idle_time_says_nothing_about_the_pace() -> None:
    slots = slots_of(1)
    await asyncio.sleep(600)
    slots.leave()
    assert slots.enter_now()
    assert await refusal(slots) == 3.0
    crowd = Crowd(slots)
    await crowd.joins("one")
    assert await refusal(slots) == 2 * 3.0
    await crowd.is_gone()


async def test_while_nothing_ends_the_estimate_grows_but_not_for_ever() -> None:
    slots = slots_of(1, patience=500.0)
    crowd = Crowd(slots)
    await crowd.joins("one")
    told = []
    for _ in range(3):
        told.append(await refusal(slots))
        await asyncio.sleep(20)
    assert told == [2 * 3.0, 2 * 20.0, 60.0]
    crowd.tasks["one"].cancel()
    await crowd.is_gone()


@given(st.integers(1, 1_000), st.integers(0, 20))
def test_the_estimate_is_always_positive_and_bounded(limit: int, waiting: int) -> None:
    async def asked() -> float:
        slots = slots_of(limit)
        crowd = Crowd(slots)
        await crowd.joins(*map(str, range(waiting)))
        told = await refusal(slots)
        await crowd.is_gone()
        return told

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert 1.0 <= runner.run(asked()) <= 60.0
