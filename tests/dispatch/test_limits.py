"""Limits on one call: exact, never felt by the consumer, and never in the way of a cancellation from elsewhere."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from llm_pool.core.errors import OutOfTime, ProviderTimeout, StreamBroken
from llm_pool.core.streams import collect
from llm_pool.core.types import Event, Finished, ReasoningDelta, Started, TextDelta, ToolCallDelta, Warning
from llm_pool.dispatch.limits import Limits, Watch
from llm_pool.dispatch.metering import Asking, Metering
from llm_pool.dispatch.router import Deployment
from llm_pool.telemetry.metrics import Metrics
from tests.scripted import USAGE, Scripted, Step, answer, pool_of, request, standing

if TYPE_CHECKING:
    from llm_pool.core.streams import Answering

STARTED, WORD, END = Started("sim/m", "a"), TextDelta("word"), Finished("stop", USAGE)
TOLD = Warning("code", "text")
STEADY: list[Step] = [1.9, WORD] * 50


def now() -> float:
    return asyncio.get_running_loop().time()


def limited(
    upstream: Scripted,
    *,
    first_token: float = 1000.0,
    idle: float = 1000.0,
    within: float | None = None,
    speak_by: float | None = None,
    deadline: float = 5000.0,
    whole: bool = False,
) -> Answering:
    """A call under limits, as it is metered."""
    limits = Limits(first_token=first_token, idle=idle, within=within)
    deployment = Deployment("a", "sim/m", "m", upstream, standing(), limits=limits)
    gate = Metering(deployment, Metrics(), now=now, asking=Asking(speak_by=speak_by))
    return gate.open(request(deadline=deadline, whole=whole), upstream)


def timers() -> int:
    """How many calls have one of their own. (The one that they share stays until it finds nobody.)"""
    loop: Any = asyncio.get_running_loop()
    timers = [timer._callback for timer in loop._scheduled if not timer.cancelled()]
    return sum(isinstance(getattr(callback, "__self__", None), Watch) for callback in timers)


def only(limit: str, seconds: float) -> Any:
    return {limit: seconds}


async def read(answering: Answering, *, busy: float = 0.0) -> list[tuple[float, Event]]:
    """Everything said, and when. The consumer is busy for so many seconds after each event."""
    said = []
    async with answering as events:
        async for event in events:
            said.append((now(), event))
            await asyncio.sleep(busy)
    return said


async def cut(answering: Answering, *, busy: float = 0.0) -> tuple[type[ProviderTimeout], str]:
    """What a limit says when it ends this."""
    with pytest.raises(ProviderTimeout) as caught:
        await read(answering, busy=busy)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    return type(caught.value), caught.value.message


# --- The first word ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(
    ("opening", "steps"),
    [
        (("stall",), ()),
        ((), ("stall",)),
        ((), (STARTED, "stall")),
        ((), (STARTED, 4.0, TOLD, 1.1, WORD)),
        ((3.0,), (STARTED, 2.1, WORD)),
    ],
)
async def test_who_says_no_word_is_hung_up_on(opening: tuple[Step, ...], steps: tuple[Step, ...], whole: bool) -> None:
    mine = Scripted(*steps, opening=opening)
    assert await cut(limited(mine, first_token=5.0, whole=whole)) == (
        ProviderTimeout,
        "a said nothing for 5 s (first_token_timeout_ms)",
    )
    assert mine.closed_at == [5.0]


@pytest.mark.parametrize("word", [WORD, ReasoningDelta("hm"), ToolCallDelta(0, "1", "f", ""), END])
@pytest.mark.parametrize("whole", [True, False])
async def test_any_word_ends_the_wait_for_the_first(word: Event, whole: bool) -> None:
    said = await read(limited(Scripted(STARTED, 4.9, word, 20.0, END), first_token=5.0, whole=whole))
    assert said == [(0.0, STARTED), (4.9, word), (24.9, END)]


async def test_a_shorter_idle_limit_does_not_shorten_the_wait_for_the_first_word() -> None:
    said = await read(limited(Scripted(STARTED, 4.9, WORD, END), first_token=5.0, idle=2.0))
    assert said[-1] == (4.9, END)
    until = now()
    assert await cut(limited(Scripted("stall"), first_token=5.0, idle=2.0)) == (
        ProviderTimeout,
        "a said nothing for 5 s (first_token_timeout_ms)",
    )
    assert now() == until + 5.0


# --- Between two words ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [True, False])
async def test_who_falls_silent_is_hung_up_on(whole: bool) -> None:
    mine = Scripted(STARTED, 3.0, WORD, 1.9, WORD, "stall")
    assert await cut(limited(mine, idle=2.0, whole=whole)) == (
        ProviderTimeout,
        "a fell silent for 2 s (idle_timeout_ms)",
    )
    assert mine.closed_at == [3.0 + 1.9 + 2.0]


async def test_who_speaks_on_may_speak_for_as_long_as_it_likes() -> None:
    said = await read(limited(Scripted(STARTED, *STEADY, END), idle=2.0))
    assert len(said) == 52
    assert now() == pytest.approx(95.0)


async def test_a_warning_does_not_end_a_silence() -> None:
    mine = Scripted(STARTED, WORD, 1.5, TOLD, 1.5, WORD)
    assert await cut(limited(mine, idle=2.0)) == (ProviderTimeout, "a fell silent for 2 s (idle_timeout_ms)")
    assert mine.closed_at == [2.0]


async def test_half_a_second_is_named_as_that() -> None:
    assert await cut(limited(Scripted(WORD, "stall"), idle=0.5)) == (
        ProviderTimeout,
        "a fell silent for 0.5 s (idle_timeout_ms)",
    )


async def test_a_silence_begins_where_we_begin_to_wait() -> None:
    mine = Scripted(WORD, 1.9, WORD, 2.1, WORD)
    assert await cut(limited(mine, idle=2.0), busy=10.0) == (ProviderTimeout, "a fell silent for 2 s (idle_timeout_ms)")
    assert mine.closed_at == [10.0 + 1.9 + 10.0 + 2.0]


async def test_the_time_that_the_caller_takes_in_a_silence_is_not_part_of_it() -> None:
    mine = Scripted(WORD, 1.5, TOLD, 0.4, WORD, 1.5, TOLD, 0.6, WORD)
    assert await cut(limited(mine, idle=2.0), busy=10.0) == (ProviderTimeout, "a fell silent for 2 s (idle_timeout_ms)")
    assert mine.closed_at == [pytest.approx(10.0 + 1.5 + 10.0 + 0.4 + 10.0 + 1.5 + 10.0 + 0.5)]


async def test_a_timer_that_fires_while_the_caller_is_busy_is_set_anew_once() -> None:
    """The caller reads two words within one look at the clock, and a long time later the rest."""
    upstream = Scripted(WORD, 1.0, WORD, 1.9, WORD, 1.9, END)
    said = []
    async with limited(upstream, idle=2.0) as events:
        said.append(await anext(events))
        said.append(await anext(events))
        await asyncio.sleep(50)
        async for event in events:
            said.append(event)
    assert said == [WORD, WORD, WORD, END]
    assert now() == pytest.approx(54.8)


# --- In all -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("speak_by", [None, 1.0, 7.0])
@pytest.mark.parametrize("whole", [True, False])
async def test_a_call_ends_within_its_time(speak_by: float | None, whole: bool) -> None:
    mine = Scripted(STARTED, 0.5, WORD, 1.0, WORD, "stall")
    if whole and speak_by == 1.0:
        ended = (1.0, "a was not done in the time that was left for it")
    else:
        ended = (5.0, "a took longer than 5 s (timeout_ms)")
    assert await cut(limited(mine, speak_by=speak_by, within=5.0, whole=whole)) == (OutOfTime, ended[1])
    assert mine.closed_at == [ended[0]]


async def test_speaking_does_not_lengthen_the_time_in_all() -> None:
    mine = Scripted(STARTED, *STEADY, END)
    assert await cut(limited(mine, idle=2.0, within=30.0)) == (OutOfTime, "a took longer than 30 s (timeout_ms)")
    assert mine.closed_at == [30.0]


@pytest.mark.parametrize(("first_token", "idle", "within"), [(3.0, 9.0, 8.0), (8.0, 2.0, 3.0), (3.0, 3.0, 3.0)])
async def test_of_several_limits_the_soonest_counts(first_token: float, idle: float, within: float) -> None:
    mine = Scripted("stall")
    await cut(limited(mine, first_token=first_token, idle=idle, within=within, speak_by=6.0))
    assert mine.closed_at == [3.0]


async def test_where_two_are_reached_at_once_the_providers_own_fault_is_named() -> None:
    assert (await cut(limited(Scripted("stall"), first_token=3.0, within=3.0, speak_by=3.0)))[0] is ProviderTimeout
    assert (await cut(limited(Scripted(WORD, "stall"), idle=3.0, within=3.0)))[0] is ProviderTimeout


# --- By an instant ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("opening", "steps"),
    [(("stall",), ()), ((), (STARTED, "stall")), ((), (STARTED, TOLD, 5.1, WORD))],
)
async def test_who_has_not_spoken_by_then_is_hung_up_on(opening: tuple[Step, ...], steps: tuple[Step, ...]) -> None:
    mine = Scripted(*steps, opening=opening)
    ended = await cut(limited(mine, idle=2.0, speak_by=5.0))
    assert ended == (OutOfTime, "a had not spoken in the time that was left for it")
    assert mine.closed_at == [5.0]


async def test_who_has_spoken_by_then_may_take_its_time() -> None:
    said = await read(limited(Scripted(STARTED, 4.9, WORD, 20.0, END), speak_by=5.0))
    assert said == [(0.0, STARTED), (4.9, WORD), (24.9, END)]


async def test_of_a_whole_answer_all_must_be_there_by_then() -> None:
    said = await read(limited(Scripted(STARTED, 4.0, WORD, 0.9, END), speak_by=5.0, whole=True))
    assert said[-1] == (4.9, END)
    mine = Scripted(STARTED, 4.0, WORD, 20.0, END)
    ended = await cut(limited(mine, speak_by=now() + 5.0, whole=True))
    assert ended == (OutOfTime, "a was not done in the time that was left for it")
    assert mine.closed_at == [4.9 + 5.0]


async def test_an_instant_that_is_past_leaves_what_is_ready_at_once() -> None:
    await asyncio.sleep(10)
    assert [event for _, event in await read(limited(Scripted(STARTED, WORD, END), speak_by=5.0))] == [
        STARTED,
        WORD,
        END,
    ]
    await cut(limited(Scripted(STARTED, 1.0, WORD), speak_by=5.0))
    assert now() == 10.0


# --- Nobody else is interrupted ---------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", ["first_token", "idle", "within", "speak_by"])
async def test_a_consumer_may_be_busy_past_any_limit(limit: str) -> None:
    upstream = Scripted(STARTED, WORD, WORD, END)
    said = await read(limited(upstream, **only(limit, 5.0)), busy=30.0)
    assert said == [(0.0, STARTED), (30.0, WORD), (60.0, WORD), (90.0, END)]


@pytest.mark.parametrize("limit", ["first_token", "idle", "within", "speak_by"])
async def test_a_consumer_who_has_left_is_not_called_back(limit: str) -> None:
    async with limited(Scripted(STARTED, WORD, "stall"), **only(limit, 1.0)) as events:
        await anext(events)
    assert timers() == 0
    await asyncio.sleep(20)
    assert now() == 20.0


@pytest.mark.parametrize("opening", [(StreamBroken("it broke"),), ()])
async def test_what_the_provider_raises_passes_and_no_timer_stays_behind(opening: tuple[Step, ...]) -> None:
    mine = Scripted(StreamBroken("it broke"), opening=opening)
    with pytest.raises(StreamBroken):
        await read(limited(mine, first_token=5.0))
    assert (timers(), mine.open) == (0, 0)


@pytest.mark.parametrize("steps", [("stall",), (WORD, "stall")])
@pytest.mark.parametrize("opening", [("stall",), ()])
@pytest.mark.parametrize("limit", [3.0, 50.0])
async def test_a_cancellation_from_elsewhere_is_not_swallowed(
    steps: tuple[Step, ...], opening: tuple[Step, ...], limit: float
) -> None:
    mine = Scripted(*steps, opening=opening)
    task = asyncio.create_task(read(limited(mine, first_token=limit, idle=limit)))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_at(3.0, task.cancel)
    await asyncio.wait({task})
    assert task.cancelled()
    assert mine.closed_at == [3.0]


async def test_what_cannot_pass_before_the_deadline_is_not_watched() -> None:
    asked = request(deadline=30.0)
    assert Limits(first_token=30.0, idle=30.0, within=30.0).watch("a", asked, speak_by=30.0) is None
    assert Limits(first_token=40.0, idle=50.0).watch("a", asked) is None
    for limit in ("first_token", "idle", "within"):
        watch = Limits(**({"first_token": 99.0, "idle": 99.0} | only(limit, 29.9))).watch("a", asked)
        assert watch is not None
        watch.leave()
    watch = Limits(first_token=99.0, idle=99.0).watch("a", asked, speak_by=29.9)
    assert watch is not None
    watch.leave()
    assert timers() == 0


async def test_what_would_pass_at_the_deadline_is_left_to_the_deadline() -> None:
    """The second look finds that nothing can pass any more."""
    mine = Scripted(STARTED, 40.0, *answer()[1:])
    said = await read(limited(mine, first_token=30.0, idle=20.0, deadline=30.0))
    assert said[-1] == (40.0, END)


async def test_a_call_has_at_most_one_timer_however_much_is_said() -> None:
    async with limited(Scripted(STARTED, *[WORD] * 100, END), idle=2.0, within=90.0) as events:
        async for _ in events:
            assert timers() == 0
    async with limited(Scripted(STARTED, *[WORD] * 100, END), idle=2.0, within=90.0) as events:
        await anext(events)
        await asyncio.sleep(50)
        async for _ in events:
            assert timers() <= 1
        assert timers() == 1
    assert timers() == 0


# --- In a pool --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("steps", [("stall",), (STARTED, "stall"), (1.6, STARTED, WORD)])
async def test_timeout_ms_is_exact_and_another_deployment_answers(steps: tuple[Step, ...], whole: bool) -> None:
    slow, second = Scripted(*steps), Scripted()
    pool = pool_of({"a": slow, "b": second}, tables={"a": {"timeout_ms": 1500}})
    async with pool.open(asked := request(whole=whole)) as events:
        assert (await collect(events)).provider == "b"
    assert slow.closed_at == [1.5]
    assert second.calls[0].opened == 1.5
    first = asked.trace.attempts[0]
    assert (first.outcome, first.ended) == ("PROVIDER_TIMEOUT", 1.5)
    assert first.why == "a took longer than 1.5 s (timeout_ms)"


async def test_timeout_ms_ends_a_stream_that_has_spoken() -> None:
    pool = pool_of({"a": Scripted(STARTED, WORD, "stall"), "b": Scripted()}, tables={"a": {"timeout_ms": 1500}})
    with pytest.raises(ProviderTimeout):
        await read(pool.open(asked := request(whole=False)))
    assert now() == 1.5
    assert [attempt.outcome for attempt in asked.trace.attempts] == ["PROVIDER_TIMEOUT"]


@pytest.mark.parametrize("whole", [True, False])
async def test_a_deployment_without_a_first_word_is_replaced_by_another(whole: bool) -> None:
    slow = Scripted(STARTED, "stall")
    pool = pool_of({"a": slow, "b": Scripted()}, tables={"a": {"first_token_timeout_ms": 1500}})
    async with pool.open(asked := request(whole=whole)) as events:
        assert (await collect(events)).provider == "b"
    assert slow.closed_at == [1.5]
    assert asked.trace.attempts[0].why == "a said nothing for 1.5 s (first_token_timeout_ms)"


async def test_a_whole_answer_that_stops_half_way_is_asked_of_another() -> None:
    slow = Scripted(STARTED, 1.0, WORD, "stall")
    pool = pool_of({"a": slow, "b": Scripted()}, tables={"a": {"idle_timeout_ms": 500}})
    assert (await pool.infer(asked := request())).provider == "b"
    assert slow.closed_at == [1.5]
    assert asked.trace.attempts[0].why == "a fell silent for 0.5 s (idle_timeout_ms)"


async def test_a_whole_answer_that_is_there_is_not_taken_back() -> None:
    pool = pool_of({"a": Scripted()}, tables={"a": {"timeout_ms": 1500}})
    said = await read(pool.open(asked := request()), busy=5.0)
    assert [event for _, event in said] == [STARTED, TextDelta("hello"), END]
    assert asked.trace.attempts[0].outcome == "ok"


async def test_a_consumer_who_is_slow_does_not_make_the_deployment_look_slow() -> None:
    pool = pool_of({"a": Scripted(STARTED, WORD, WORD, END)}, tables={"a": {"timeout_ms": 1500}})
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
