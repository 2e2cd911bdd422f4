"""Slots: never lost or doubled, a short line, the newest first when it does not empty, and honest refusals."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llm_pool.core.errors import Overloaded
from llm_pool.dispatch.slots import Fixed, Slots
from tests.virtual import VirtualLoop

if TYPE_CHECKING:
    from llm_pool.dispatch.slots import Limit

LATE = 1_000.0  # a deadline that never matters


def now() -> float:
    return asyncio.get_running_loop().time()


def slots_of(limit: int | Limit, *, patience: float = 1.0, taken: bool = True) -> Slots:
    """Slots of the running loop, every one of them taken."""
    slots = Slots(Fixed(limit) if isinstance(limit, int) else limit, now=now, patience=patience)
    while taken and slots.enter_now():
        pass
    return slots


class Crowd:
    """Callers that wait by name. `served` has those that were given a slot, `refused` the others, both with when."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.served: list[tuple[str, float]] = []
        self.refused: list[tuple[str, float]] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def joins(self, *names: str, deadline: float = LATE) -> None:
        """They stand in line when this returns."""
        for name in names:
            self.tasks[name] = asyncio.create_task(self._waits(name, deadline))
            await asyncio.sleep(0)

    async def _waits(self, name: str, deadline: float) -> None:
        try:
            await self.slots.wait(deadline=deadline)
        except Overloaded:
            self.refused.append((name, now()))
        else:
            self.served.append((name, now()))

    async def is_gone(self) -> None:
        """Nobody waits any more; cancelled ones included."""
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        assert not [task for task in self.tasks.values() if not task.cancelled() and task.exception()]


async def turn() -> None:
    """Let what was woken run."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


# --- Room -------------------------------------------------------------------------------------------------------


async def test_so_many_enter_and_no_more() -> None:
    slots = slots_of(2, taken=False)
    assert [slots.enter_now() for _ in range(3)] == [True, True, False]
    assert (slots.used, slots.waiting, slots.limit) == (2, 0, 2)
    slots.leave()
    assert slots.used == 1
    assert slots.enter_now()


async def test_who_may_wait_and_need_not_does_not() -> None:
    slots = slots_of(1, taken=False)
    await slots.wait(deadline=LATE)
    assert (slots.used, now()) == (1, 0.0)


async def test_a_slot_given_back_is_the_next_ones_at_once_and_cannot_be_snatched() -> None:
    slots = slots_of(1)
    crowd = Crowd(slots)
    await crowd.joins("first")
    slots.leave()
    assert (slots.used, slots.waiting) == (1, 0)
    assert not slots.enter_now()
    await crowd.is_gone()
    assert crowd.served == [("first", 0.0)]


# --- The line ---------------------------------------------------------------------------------------------------


async def test_a_short_lived_line_is_served_in_order_of_arrival() -> None:
    slots = slots_of(1)
    crowd = Crowd(slots)
    await crowd.joins("first", "second")
    await asyncio.sleep(2.0 - 1 / 64)
    slots.leave()
    await asyncio.sleep(1 / 128)
    slots.leave()
    await crowd.is_gone()
    assert [name for name, _ in crowd.served] == ["first", "second"]


async def test_in_a_line_that_does_not_empty_the_newest_is_served_first() -> None:
    slots = slots_of(3)
    crowd = Crowd(slots)
    await crowd.joins("one")
    await asyncio.sleep(1.9)
    await crowd.joins("two")
    await asyncio.sleep(0.2)  # "one" has given up at 2.0, and the line was never empty
    await crowd.joins("three", "four")
    assert crowd.refused == [("one", 2.0)]
    for _ in range(3):
        slots.leave()
    await crowd.is_gone()
    assert [name for name, _ in crowd.served] == ["four", "three", "two"]


async def test_a_line_that_was_empty_in_between_is_short_lived_again() -> None:
    slots = slots_of(1)
    crowd = Crowd(slots)
    await crowd.joins("one")
    await asyncio.sleep(1.5)
    slots.leave()
    await turn()
    await crowd.joins("two")
    await asyncio.sleep(0.1)
    await crowd.joins("three")
    await asyncio.sleep(1.8)  # 3.4: since 1.5 it is not empty, since 0.0 it was
    slots.leave()
    await turn()
    assert [name for name, _ in crowd.served] == ["one", "two"]
    slots.leave()
    await crowd.is_gone()


async def test_once_the_line_does_not_empty_nobody_waits_longer_than_patience() -> None:
    slots = slots_of(4)
    crowd = Crowd(slots)
    for name in ("0.0", "0.5", "1.5", "3.0", "3.25"):
        await asyncio.sleep(float(name) - now())
        await crowd.joins(name)
        if name == "1.5":
            await asyncio.sleep(0.75)
            await crowd.joins("2.25")
    await crowd.is_gone()
    # The first two may stay until the line has lasted two seconds; a burst is over by then.
    assert dict(crowd.refused) == {"0.0": 2.0, "0.5": 2.0, "1.5": 2.5, "2.25": 3.25, "3.0": 4.0, "3.25": 4.25}
    assert slots.waiting == 0


@pytest.mark.parametrize(("patience", "ended"), [(0.25, 2.0), (5.0, 5.0)])
async def test_patience_may_be_longer_than_a_burst(patience: float, ended: float) -> None:
    crowd = Crowd(slots_of(1, patience=patience))
    await crowd.joins("one")
    await crowd.is_gone()
    assert crowd.refused == [("one", ended)]


async def test_a_line_of_twice_the_limit_is_full_and_refuses_at_once() -> None:
    slots = slots_of(2)
    crowd = Crowd(slots)
    await crowd.joins("a", "b", "c", "d")
    assert (slots.waiting, crowd.refused) == (4, [])
    await crowd.joins("e")
    assert crowd.refused == [("e", 0.0)]
    slots.leave()
    await crowd.joins("f")
    assert slots.waiting == 4
    await crowd.is_gone()


# --- Deadlines --------------------------------------------------------------------------------------------------


async def test_nobody_waits_beyond_the_deadline() -> None:
    crowd = Crowd(slots_of(1))
    await crowd.joins("one", deadline=0.5)
    await crowd.is_gone()
    assert crowd.refused == [("one", 0.5)]


async def test_who_comes_too_late_takes_no_slot_even_if_one_is_free() -> None:
    slots = slots_of(1, taken=False)
    await asyncio.sleep(3)
    with pytest.raises(Overloaded):
        await slots.wait(deadline=3.0)
    assert slots.used == 0


async def test_who_expired_while_the_loop_was_busy_is_passed_over() -> None:
    slots = slots_of(1)
    crowd = Crowd(slots)
    await crowd.joins("late", deadline=0.5)
    await crowd.joins("in time")
    hold_up(0.75)  # the timer of "late" has had no chance
    slots.leave()
    await crowd.is_gone()
    assert (crowd.served, crowd.refused) == ([("in time", 0.75)], [("late", 0.75)])
    assert slots.used == 1


async def test_who_was_given_a_slot_and_woke_too_late_hands_it_on() -> None:
    slots = slots_of(1)
    crowd = Crowd(slots)
    await crowd.joins("late", deadline=0.5)
    await crowd.joins("in time")
    slots.leave()
    hold_up(0.75)
    await crowd.is_gone()
    assert (crowd.served, crowd.refused) == ([("in time", 0.75)], [("late", 0.75)])
    assert slots.used == 1


def hold_up(seconds: float) -> None:
    """The loop is busy for so long."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop._set_time(loop.time() + seconds)


# --- Leaving the line -------------------------------------------------------------------------------------------


async def test_a_waiter_who_is_cancelled_leaves_the_line() -> None:
    slots = slots_of(1)
    crowd = Crowd(slots)
    await crowd.joins("one", "two")
    crowd.tasks["one"].cancel()
    await turn()
    assert slots.waiting == 1
    slots.leave()
    await crowd.is_gone()
    assert crowd.served == [("two", 0.0)]


async def test_a_waiter_cancelled_just_before_its_turn_is_passed_over() -> None:
    slots = slots_of(1)
    crowd = Crowd(slots)
    await crowd.joins("one", "two")
    crowd.tasks["one"].cancel()
    slots.leave()
    await crowd.is_gone()
    assert crowd.served == [("two", 0.0)]
    assert (slots.used, slots.waiting) == (1, 0)


async def test_a_waiter_cancelled_just_after_it_was_given_a_slot_hands_it_on() -> None:
    slots = slots_of(1)
    crowd = Crowd(slots)
    await crowd.joins("one", "two")
    slots.leave()
    crowd.tasks["one"].cancel()
    await crowd.is_gone()
    assert crowd.served == [("two", 0.0)]
    slots.leave()
    assert (slots.used, slots.waiting) == (0, 0)


async def test_a_waiter_cancelled_just_after_it_was_refused_gives_nothing_back() -> None:
    slots = slots_of(1)
    crowd = Crowd(slots)
    await crowd.joins("one", deadline=0.5)
    asyncio.get_running_loop().call_at(0.5, crowd.tasks["one"].cancel)
    await crowd.is_gone()
    assert (slots.used, slots.waiting) == (1, 0)


async def test_a_slot_that_is_freed_at_the_very_instant_of_giving_up_is_had() -> None:
    slots, wrong = slots_of(1), list[object]()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: wrong.append(context))
    loop.call_at(2.0, slots.leave)
    crowd = Crowd(slots)
    await crowd.joins("one")
    await crowd.is_gone()
    assert (crowd.served, crowd.refused, wrong) == ([("one", 2.0)], [], [])


async def test_no_timer_stays_behind() -> None:
    slots = slots_of(1)
    crowd = Crowd(slots)
    await crowd.joins("one", "two")
    crowd.tasks["two"].cancel()
    slots.leave()
    await crowd.is_gone()
    await asyncio.sleep(0)
    assert all(timer.cancelled() for timer in asyncio.get_running_loop()._scheduled)  # type: ignore[attr-defined]


@settings(max_examples=60)
@example(0, 1)
@given(seed=st.integers(0, 2**32), limit=st.integers(1, 5))
def test_whatever_happens_no_slot_is_lost_or_doubled(seed: int, limit: int) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(a_wild_day(Random(seed), limit))


async def a_wild_day(random: Random, limit: int) -> None:
    """Callers come, are served, expire and are cancelled, at instants that often coincide; the limit changes, too."""
    slots, inside, highest = slots_of(limit, taken=False), 0, limit

    async def call() -> None:
        nonlocal inside
        if not slots.enter_now():
            await slots.wait(deadline=now() + random.choice((0.25, 1.0, 9.0)))
        inside += 1
        try:
            assert inside <= slots.used <= highest
            await asyncio.sleep(random.choice((0.0, 0.25, 1.0)))
        finally:
            inside -= 1
            slots.leave()

    tasks = []
    for _ in range(60):
        tasks.append(asyncio.create_task(call()))
        if random.random() < 0.4:
            random.choice(tasks).cancel()
        if random.random() < 0.1:
            larger = random.randint(1, 5)
            highest = max(highest, larger)
            slots.limit = Fixed(larger)
        if random.random() < 0.5:
            await asyncio.sleep(random.choice((0.0, 0.0, 0.25, 0.5)))
        assert slots.used >= slots.limit or not waits(slots), "a slot is free and somebody waits"
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert not [each for each in ended if not isinstance(each, Overloaded | asyncio.CancelledError | None)]
    assert (slots.used, slots.waiting) == (0, 0)


def waits(slots: Slots) -> bool:
    return any(not turn.done() for turn in slots._line)
