"""Limits of slots: fixed, found out by trying, and replaced while calls are under way."""

from __future__ import annotations

import asyncio
from typing import Literal

import pytest

from llm_pool.dispatch.slots import Adaptive, Fixed, limit_of
from tests.dispatch.test_slots import Crowd, now, slots_of, turn


async def test_a_larger_limit_lets_the_waiting_in_at_once_and_a_smaller_one_ends_nothing() -> None:
    slots = slots_of(2)
    crowd = Crowd(slots)
    await crowd.joins("a", "b", "c")
    slots.limit = Fixed(4)
    await turn()
    assert [name for name, _ in crowd.served] == ["a", "b"]
    slots.limit = Fixed(1)
    assert (slots.used, slots.limit) == (4, 1)
    for _ in range(3):
        slots.leave()
        await turn()
    assert (slots.used, slots.waiting) == (1, 1)
    slots.leave()
    await crowd.is_gone()
    assert [name for name, _ in crowd.served] == ["a", "b", "c"]


async def test_a_reload_that_leaves_it_adaptive_keeps_what_was_learned() -> None:
    slots = slots_of(Adaptive(), taken=False)
    slots.pushed_back()
    slots.limit = Adaptive()
    assert slots.limit == 9
    slots.limit = Fixed(3)
    assert slots.limit == 3
    slots.limit = Adaptive()
    assert slots.limit == 10


async def test_a_fixed_limit_learns_nothing() -> None:
    slots = slots_of(3)
    for _ in range(20):
        slots.served()
        slots.pushed_back()
        await asyncio.sleep(1)
    assert slots.limit == 3


async def test_an_adaptive_limit_that_grows_lets_the_next_one_in() -> None:
    slots = slots_of(Adaptive())
    crowd = Crowd(slots)
    await crowd.joins("one")
    slots.served()
    await crowd.is_gone()
    assert (crowd.served, slots.used, slots.limit) == ([("one", 0.0)], 11, 11)


async def test_it_shrinks_to_nine_tenths_and_at_most_once_a_second() -> None:
    slots = slots_of(Adaptive(), taken=False)
    seen = []
    for _ in range(12):
        slots.pushed_back()
        slots.pushed_back()
        seen.append(slots.limit)
        await asyncio.sleep(1)
    assert seen == [9, 8, 7, 6, 5, 4, 3, 2, 1, 1, 1, 1]
    slots.pushed_back()
    await asyncio.sleep(1 - 1 / 64)
    slots.served()
    assert slots.limit == 1  # it rests
    await asyncio.sleep(1 / 64)
    slots.served()
    assert slots.limit == 2


def test_unless_half_of_it_is_used_it_does_not_grow() -> None:
    limit = Adaptive()
    for _ in range(100):
        limit.served(4, 0.0)  # of ten; a fifth may have left by now
    assert limit.calls == 10
    limit.served(5, 0.0)
    assert limit.calls == 11


def test_it_grows_with_each_answer_until_first_pushed_back_then_with_each_round() -> None:
    limit = Adaptive()
    for _ in range(10):
        limit.served(limit.calls, 1.0)
    assert limit.calls == 20
    limit.pushed_back(0.0)
    grown = []
    for _ in range(18 + 19):
        limit.served(limit.calls, 1.0)
        grown.append(limit.calls)
    assert grown == [18] * 17 + [19] * 19 + [20]


def test_a_push_back_begins_a_new_round() -> None:
    limit = Adaptive()
    limit.pushed_back(0.0)
    for _ in range(8):
        limit.served(9, 1.0)
    limit.pushed_back(1.0)
    limit.served(8, 2.0)
    assert limit.calls == 8


def test_it_does_not_grow_for_ever() -> None:
    limit = Adaptive()
    for _ in range(2_000):
        limit.served(limit.calls, 1.0)
    assert limit.calls == Adaptive.MOST


def test_one_at_a_time_is_enough_to_recover_from_one() -> None:
    limit = Adaptive()
    for second in range(20):
        limit.pushed_back(float(second))
    assert limit.calls == 1
    limit.served(0, 20.0)  # told after it has left
    assert limit.calls == 2


@pytest.mark.parametrize("takes", [0.25, 3.0, 20.0])
@pytest.mark.parametrize("bears", [4, 20, 60])
async def test_an_adaptive_limit_finds_out_what_the_other_side_bears(bears: int, takes: float) -> None:
    slots, under_way, seen = slots_of(Adaptive(), taken=False), 0, list[int]()

    async def call() -> None:
        nonlocal under_way
        if under_way >= bears:
            slots.pushed_back()
            await asyncio.sleep(0.05 * takes)
        else:
            under_way += 1
            await asyncio.sleep(takes)
            under_way -= 1
            slots.served()
        slots.leave()

    tasks = set[asyncio.Task[None]]()
    while now() < max(40.0, 40 * takes):  # as much is asked as may be
        while slots.enter_now():
            task = asyncio.create_task(call())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.sleep(takes / 10)
        if now() > max(20.0, 20 * takes):
            seen.append(slots.limit)
    await asyncio.gather(*tasks)
    assert 0.75 * bears <= sum(seen) / len(seen) <= 1.2 * bears
    assert max(seen) <= 1.5 * bears


@pytest.mark.parametrize(("setting", "calls"), [(1, 1), (256, 256), ("adaptive", 10)])
def test_a_limit_is_what_the_configuration_says(setting: int | Literal["adaptive"], calls: int) -> None:
    assert limit_of(setting).calls == calls


def test_without_a_setting_there_is_no_limit() -> None:
    assert limit_of(None) is None
