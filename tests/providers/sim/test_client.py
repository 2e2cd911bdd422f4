"""The simulated provider on a clock that jumps: exact instants, every fate, and every way to leave."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from llm_pool.core import errors
from llm_pool.core.ports.provider import Health, Provider
from llm_pool.core.streams import collect
from llm_pool.core.types import Event, Finished, Request, Started, TextDelta, Usage
from llm_pool.providers.sim.client import Simulated
from tests.providers.sim.asking import request, sim

if TYPE_CHECKING:
    from collections.abc import Callable

PACE = {"first_token": {"median_ms": 500.0}, "per_token": {"median_ms": 125.0}, "answers": ["one two three"]}


def simulated(**keys: Any) -> Simulated:
    return Simulated(sim(**keys), provider="sim", models=("m",))


def now() -> float:
    return asyncio.get_running_loop().time()


async def played(provider: Provider, asked: Request | None = None) -> list[tuple[float, Event]]:
    """All events with their instants, up to the end or the error, which ends the list without being raised."""
    seen: list[tuple[float, Event]] = []
    async with provider.chat(asked or request()) as events:
        try:
            async for event in events:
                seen.append((now(), event))  # a comprehension would lose what came before an error
        except errors.ProviderError:
            pass
    return seen


async def test_a_whole_answer_without_latency_is_three_events_at_once() -> None:
    async with simulated(answers=["one two three"]) as provider:
        assert await played(provider) == [
            (0.0, Started("m", "sim")),
            (0.0, TextDelta("one two three")),
            (0.0, Finished("stop", Usage(input=5, output=3))),
        ]
        async with provider.chat(request(max_tokens=2)) as events:
            answer = await collect(events)
        assert (answer.content, answer.reason, answer.usage.output) == ("one two ", "length", 2)


async def test_without_latency_it_never_gives_up_its_turn() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with simulated() as provider:
        busy = asyncio.create_task(other())
        await played(provider, request(whole=False))
        assert turns == 0
        busy.cancel()


async def test_every_word_comes_at_its_instant() -> None:
    async with simulated(**PACE) as provider:
        assert await played(provider, request(whole=False)) == [
            (0.0, Started("m", "sim")),
            (0.5, TextDelta("one ")),
            (0.625, TextDelta("two ")),
            (0.75, TextDelta("three")),
            (0.75, Finished("stop", Usage(input=5, output=3))),
        ]


@pytest.mark.parametrize(
    ("word", "kind", "retry_after"),
    [
        ("unreachable", errors.ProviderUnreachable, None),
        ("timeout", errors.ProviderTimeout, None),
        ("overloaded", errors.ProviderOverloaded, 1.0),
        ("refused", errors.ProviderRefused, None),
        ("misconfigured", errors.ProviderMisconfigured, None),
        ("garbled", errors.ProviderGarbled, None),
    ],
)
async def test_a_call_that_fails_does_so_before_its_first_event(
    word: str, kind: type[errors.ProviderError], retry_after: float | None
) -> None:
    async with simulated(**PACE, fail_rate=1.0, fail_with=word) as provider:
        async with provider.chat(request()) as events:
            with pytest.raises(kind) as caught:
                await anext(events)
        assert type(caught.value) is kind
        assert caught.value.retry_after == retry_after
        assert now() == 0.5
        assert (provider.calls, provider.open) == (1, 0)


async def test_an_answer_that_breaks_has_said_something_and_never_finishes() -> None:
    async with simulated(**PACE, break_rate=1.0) as provider:
        for _ in range(20):
            seen = [event for _, event in await played(provider)]
            assert seen[:2] == [Started("m", "sim"), TextDelta("one ")]
            assert not isinstance(seen[-1], Finished)
        async with provider.chat(request()) as events:
            with pytest.raises(errors.StreamBroken):
                await collect(events)


async def test_a_call_that_stalls_starts_and_then_says_nothing() -> None:
    async with simulated(stall_rate=1.0) as provider:
        async with provider.chat(request()) as events:
            assert await anext(events) == Started("m", "sim")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(events), 3600)
        assert now() == 3600.0
        assert (provider.calls, provider.open) == (1, 0)


async def test_leaving_early_ends_the_answer() -> None:
    async with simulated(**PACE) as provider:
        async with provider.chat(request()) as events:
            async for event in events:
                assert provider.open == 1
                if isinstance(event, TextDelta):
                    break
        assert (provider.open, now()) == (0, 0.5)
        with pytest.raises(StopAsyncIteration):
            await anext(events)


async def test_leaving_without_a_look_ends_it_too() -> None:
    async with simulated(**PACE) as provider:
        async with provider.chat(request()):
            assert (provider.calls, provider.open) == (1, 1)
        assert (provider.open, now()) == (0, 0.0)


async def test_the_readers_own_error_passes_through() -> None:
    async with simulated(**PACE) as provider:

        async def read() -> None:
            async with provider.chat(request()) as events:
                await anext(events)
                raise LookupError("mine")

        with pytest.raises(LookupError, match="mine"):
            await read()
        assert provider.open == 0


@pytest.mark.parametrize("after", [0.25, 0.5, 0.5625, 0.625])
@pytest.mark.parametrize("keys", [{}, {"fail_rate": 1.0}, {"break_rate": 1.0}, {"stall_rate": 1.0}, {"load_ms": 300}])
async def test_a_reader_that_is_cancelled_leaves_nothing_open(after: float, keys: dict[str, Any]) -> None:
    async with simulated(**PACE, **keys) as provider:
        reader = asyncio.create_task(played(provider))
        await asyncio.sleep(after)
        reader.cancel()
        await asyncio.wait([reader])
        assert (provider.open, now()) == (0, after)


async def test_calls_and_open_count_what_runs_at_once() -> None:
    async with simulated(**PACE) as provider, AsyncExitStack() as answers:
        for count in range(1, 4):
            await answers.enter_async_context(provider.chat(request()))
            assert (provider.calls, provider.open) == (count, count)
        await answers.aclose()
        assert (provider.calls, provider.open) == (3, 0)


async def test_a_model_loads_once_and_the_first_call_waits_for_it() -> None:
    async with simulated(**PACE, load_ms=2000) as provider:
        assert await provider.health() == Health("loading")
        first, second = await asyncio.gather(played(provider), played(provider))
        assert [instant for instant, _ in first] == [2.0, 2.5, 2.625, 2.75, 2.75]
        assert second == first
        assert await provider.health() == Health("healthy")
        assert (await played(provider))[1][0] == 2.75 + 0.5


async def test_a_model_that_need_not_load_is_healthy_at_once() -> None:
    async with simulated(fail_rate=1.0) as provider:
        assert await provider.health() == Health("healthy")


async def test_it_answers_to_its_own_models_only() -> None:
    async with simulated() as provider:
        with pytest.raises(errors.ProviderMisconfigured, match='no model "other"'):
            async with provider.chat(request(model="other")):
                pass
        assert (provider.calls, provider.open) == (1, 0)
    async with (
        Simulated(sim(), provider="sim", models=("*",)) as any_model,
        any_model.chat(request(model="other")) as events,
    ):
        assert await anext(events) == Started("other", "sim")


def test_settings_that_cannot_be_played_are_refused_before_the_first_call() -> None:
    refusals: list[Callable[[], object]] = [
        lambda: simulated(json_schema={"format": "uuid"}),
        lambda: simulated(fail_rate=1.0, break_rate=1.0),
    ]
    for refused in refusals:
        with pytest.raises(ValueError, match=r"format|more than 1"):
            refused()


@pytest.mark.real_time
async def test_it_keeps_real_time_as_well() -> None:
    async with simulated(first_token={"median_ms": 20.0}) as provider:
        began = now()
        seen = await played(provider)
        assert isinstance(seen[-1][1], Finished)
        assert now() - began >= 0.019  # uvloop's clock has steps of 1 ms
