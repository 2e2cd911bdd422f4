"""Admission and turns: each slot comes back whatever the way out, and who is refused asks nobody."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from llm_pool.core.errors import DeadlineExceeded, Overloaded, PoolError, ProviderTimeout, ProviderUnavailable
from llm_pool.core.streams import collect
from llm_pool.dispatch.admission import Admission, Turns
from llm_pool.dispatch.slots import Fixed, Slots
from tests.conform import CHECKS, Check, Subject
from tests.scripted import Scripted, answer, request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from llm_pool.core.streams import Answering, Ask, Events
    from llm_pool.core.types import Request
    from llm_pool.telemetry.metrics import Metrics


def slots_of(limit: int, *, used: int = 0) -> Slots:
    slots = Slots(Fixed(limit), now=asyncio.get_running_loop().time)
    for _ in range(used):
        assert slots.enter_now()
    return slots


def admission(slots: Slots) -> Admission:
    return Admission(slots)


def turns(slots: Slots) -> Admission:
    return Turns(slots, "a")


both = pytest.mark.parametrize("make", [admission, turns])


async def asked(gate: Admission, upstream: Scripted, *, deadline: float = 30.0) -> str:
    async with gate.open(request(deadline=deadline), upstream) as events:
        return (await collect(events)).content


# --- In and out -------------------------------------------------------------------------------------------------


@both
async def test_an_answer_holds_its_slot_from_before_it_is_asked_until_it_is_left(
    make: Callable[[Slots], Admission],
) -> None:
    slots = slots_of(1)
    seen = list[int]()

    @asynccontextmanager
    async def upstream(asked: Request) -> AsyncIterator[Events]:
        seen.append(slots.used)
        async with Scripted()(asked) as events:
            yield events
        seen.append(slots.used)

    async with make(slots).open(request(), upstream) as events:
        assert (await collect(events)).content == "hello"
        seen.append(slots.used)
    assert (seen, slots.used) == ([1, 1, 1], 0)


@both
async def test_the_slot_comes_back_whatever_the_way_out(make: Callable[[Slots], Admission]) -> None:
    slots = slots_of(1)
    gate = make(slots)
    for upstream in (Scripted(opening=[ProviderTimeout("slow")]), Scripted(*answer()[:1], ProviderTimeout("slow"))):
        with pytest.raises(ProviderTimeout):
            await asked(gate, upstream)
        assert slots.used == 0
    with pytest.raises(KeyError):
        async with gate.open(request(), Scripted()):
            raise KeyError("mine")
    assert slots.used == 0
    with pytest.raises(ValueError, match="a bug"):
        await gate.open(request(), broken).__aenter__()
    assert slots.used == 0


def broken(_: Request) -> Answering:
    raise ValueError("a bug")


@both
async def test_the_slot_comes_back_even_if_leaving_fails(make: Callable[[Slots], Admission]) -> None:
    slots = slots_of(1)
    with pytest.raises(ProviderTimeout):
        await asked(make(slots), Scripted(closing=[ProviderTimeout("slow")]))
    assert slots.used == 0


@both
async def test_the_next_request_is_asked_when_one_is_answered(make: Callable[[Slots], Admission]) -> None:
    gate, upstream = make(slots_of(2)), Scripted(1.5, *answer())
    assert await asyncio.gather(*(asked(gate, upstream) for _ in range(3))) == ["hello"] * 3
    assert [call.opened for call in upstream.calls] == [0.0, 0.0, 1.5]
    assert (gate.slots.used, gate.slots.waiting) == (0, 0)


# --- Refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (admission, Overloaded, "its turn did not come in time"),
        (turns, ProviderUnavailable, "a is as busy as it may be"),
    ],
)
async def test_who_gets_no_turn_asks_nobody_and_is_told_when_to_come_back(
    make: Callable[[Slots], Admission], kind: type[PoolError], message: str
) -> None:
    slots, upstream = slots_of(1, used=1), Scripted()
    with pytest.raises(kind) as caught:
        await asked(make(slots), upstream)
    assert caught.value.message == message
    assert caught.value.retry_after == 3.0  # one call is before it, and none was seen to end
    assert asyncio.get_running_loop().time() == 2.0
    assert (upstream.opened, slots.used, slots.waiting) == (0, 1, 0)


@both
async def test_a_full_line_refuses_at_once(make: Callable[[Slots], Admission]) -> None:
    gate, upstream, refused = make(slots_of(1, used=1)), Scripted(), list[float]()

    async def one() -> None:
        with pytest.raises(Overloaded if make is admission else ProviderUnavailable):
            await asked(gate, upstream)
        refused.append(asyncio.get_running_loop().time())

    await asyncio.gather(one(), one(), one())
    assert (refused, upstream.opened) == ([0.0, 2.0, 2.0], 0)


@both
@pytest.mark.parametrize("used", [0, 1])
async def test_a_deadline_that_has_passed_asks_nobody(make: Callable[[Slots], Admission], used: int) -> None:
    slots, upstream = slots_of(1, used=used), Scripted()
    with pytest.raises(DeadlineExceeded):
        await asked(make(slots), upstream, deadline=0.0)
    assert (upstream.opened, slots.used) == (0, used)


@both
async def test_a_deadline_that_passes_in_line_is_no_overload(make: Callable[[Slots], Admission]) -> None:
    slots, upstream = slots_of(1, used=1), Scripted()
    with pytest.raises(DeadlineExceeded):
        await asked(make(slots), upstream, deadline=0.5)
    assert asyncio.get_running_loop().time() == 0.5
    assert (upstream.opened, slots.used, slots.waiting) == (0, 1, 0)


@pytest.mark.parametrize(
    ("by", "deadline", "until", "kind"),
    [
        (0.25, 30.0, 0.25, ProviderUnavailable),
        (9.0, 30.0, 2.0, ProviderUnavailable),
        (9.0, 0.5, 0.5, DeadlineExceeded),
    ],
)
async def test_a_turn_that_must_come_sooner_is_waited_for_no_longer(
    by: float, deadline: float, until: float, kind: type[PoolError]
) -> None:
    with pytest.raises(kind):
        await asked(Turns(slots_of(1, used=1), "a", by=by), Scripted(), deadline=deadline)
    assert asyncio.get_running_loop().time() == until


# --- Cancelled --------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("used", [0, 1])
@pytest.mark.parametrize("after", range(12))
async def test_cancelled_at_any_await_it_gives_its_slot_back(
    make: Callable[[Slots], Admission], used: int, after: int
) -> None:
    slots = slots_of(1, used=used)
    upstream = Scripted(0, *answer(), opening=(0, 0), closing=(0, 0))
    task = asyncio.create_task(asked(make(slots), upstream))
    for each in range(after):
        if used and each == 2:
            slots.leave()  # now it is its turn
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    if used and after <= 2:
        slots.leave()
    assert (slots.used, slots.waiting, upstream.open) == (0, 0, 0)


# --- The rules of a gate ----------------------------------------------------------------------------------------


def waiting(make: Callable[[Slots], Admission]) -> Callable[[Scripted, Metrics], Ask]:
    """A gate that finds no slot free, and is handed one after two turns of the loop."""

    def built(upstream: Scripted, _: Metrics) -> Ask:
        slots = slots_of(1, used=1)
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, slots.leave)
        return lambda asked: make(slots).open(asked, upstream)

    return built


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "stream"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@both
async def test_a_gate_keeps_the_rules_also_where_it_waits(
    make: Callable[[Slots], Admission], check: Check, whole: bool
) -> None:
    """Where it enters at once, `test_gates_conform.py` sees to it."""
    await check(Subject(make.__name__, waiting(make)), whole=whole)
