"""The replayed provider says what it is told to say, when it is told to, and not a word more."""

from __future__ import annotations

import asyncio
import dataclasses
import math

import pytest

from llm_pool.core.errors import ProviderError, ProviderLimited, ProviderUnreachable
from llm_pool.core.types import Event, Finished, Sampling, Started, TextDelta
from llm_pool.core.types import replace as changed
from llm_pool.simulate.calls import Bounds, Call
from llm_pool.simulate.provider import AT_LEAST, Replayed
from tests.scripted import request


async def heard(call: Call, *, tokens: int = 100) -> tuple[list[tuple[float, Event]], ProviderError | None]:
    """Every event with its instant, and the error at the end."""
    now = asyncio.get_running_loop().time
    told: list[tuple[float, Event]] = []
    asked = changed(request("12345678"), id="0", sampling=Sampling(max_tokens=tokens))
    try:
        async with Replayed(lambda _: lambda _at, _request, _again: call).chat(asked) as events:
            async for event in events:
                told.append((now(), event))
    except ProviderError as error:
        return told, error
    return told, None


async def test_the_first_word_comes_alone_and_the_others_in_pieces_of_half_a_second() -> None:
    told, error = await heard(Call(first_token=2.0, per_token=0.03125), tokens=100)
    assert error is None
    instants = [instant for instant, event in told if isinstance(event, TextDelta)]
    assert instants[:3] == [2.0, 2.0 + AT_LEAST, 2.0 + 2 * AT_LEAST]
    assert len(instants) == 1 + math.ceil(99 * 0.03125 / AT_LEAST)
    assert told[-1][0] == 2.0 + 99 * 0.03125
    finished = told[-1][1]
    assert isinstance(finished, Finished)
    assert (finished.usage.input, finished.usage.output) == (2, 100)
    assert sum(len(event.text) for _, event in told if isinstance(event, TextDelta)) == 4 * 100


@pytest.mark.parametrize("first_token", [math.inf, 5.0, 1.5])
async def test_a_call_that_fails_before_its_first_word_says_none(first_token: float) -> None:
    told, error = await heard(Call(first_token, fails_after=1.5, error=ProviderUnreachable))
    assert isinstance(error, ProviderUnreachable)
    assert [type(event) for _, event in told] == [Started]
    assert asyncio.get_running_loop().time() == 1.5


@pytest.mark.parametrize(("tokens", "ends"), [(1000, 3.25), (5, 1.4)])
async def test_a_call_that_breaks_off_does_so_at_its_instant_or_with_its_answer(tokens: int, ends: float) -> None:
    told, error = await heard(Call(first_token=1.0, per_token=0.1, fails_after=3.25), tokens=tokens)
    assert error is not None
    assert asyncio.get_running_loop().time() == pytest.approx(ends)
    assert isinstance(told[-1][1], TextDelta)


async def test_each_call_of_one_request_for_one_model_is_another_one() -> None:
    drawn: list[tuple[str, int, int]] = []

    def draw(model: str, at: float, number: int, again: int) -> Call:
        drawn.append((model, number, again))
        return Call()

    provider = Replayed(lambda model: lambda at, number, again: draw(model, at, number, again))
    for number, model in ((7, "m"), (7, "m"), (8, "m"), (7, "n"), (7, "m")):
        async with provider.chat(changed(request(model=model), id=str(number))) as events:
            assert [event async for event in events]
    assert drawn == [("m", 7, 0), ("m", 7, 1), ("m", 8, 0), ("n", 7, 0), ("m", 7, 2)]


async def test_who_leaves_gives_the_slot_back_and_who_waits_gets_it() -> None:
    provider = Replayed(lambda _: lambda _at, _request, _again: Call(math.inf), Bounds(slots=1, line=1))
    asked = dataclasses.replace(request(), id="0")
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1), provider.chat(asked) as events:
                await anext(events)
                await anext(events)
    async with provider.chat(asked):
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1), provider.chat(asked):
                    pass
    async with asyncio.timeout(1), provider.chat(asked):
        pass


async def test_a_spent_quota_says_when_there_will_be_more() -> None:
    provider = Replayed(lambda _: lambda _at, _request, _again: Call(), Bounds(quota=1))
    asked = dataclasses.replace(request(), id="0")
    await asyncio.sleep(13.0)
    async with provider.chat(asked):
        pass
    with pytest.raises(ProviderLimited) as refused:
        async with provider.chat(asked):
            pass
    assert refused.value.retry_after == 7.0
    await asyncio.sleep(refused.value.retry_after)
    async with provider.chat(asked):
        pass
