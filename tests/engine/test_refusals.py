"""What goes wrong upstream, as the official clients see it, and that nobody works on for a caller who has left."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import anthropic
import openai
import pytest

from tests.engine.models import CHAIN, GIBBERISH, TEXT, TOOL
from tests.engine.pooled import WIRES, Pooled, Wire, before, pooled
from tests.engine.server import KEY, several

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anthropic.types import MessageParam
    from openai.types.chat import ChatCompletionMessageParam

pytestmark = [pytest.mark.engine, pytest.mark.real_time, pytest.mark.parametrize("wire", WIRES)]

SAID: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hi"}]
SAID_TO_ANTHROPIC: list[MessageParam] = [{"role": "user", "content": "hi"}]
LONG = "too much " * 200
FREED = 0.25  # seconds


async def refused(
    up: Pooled, text: str = "hi", *, stream: bool = False
) -> tuple[openai.APIStatusError, anthropic.APIStatusError]:
    """What each client raises."""
    async with up.openai() as one, up.anthropic() as other:
        with pytest.raises(openai.APIStatusError) as first:
            await one.chat.completions.create(
                model=up.model, messages=[{"role": "user", "content": text}], stream=stream
            )
        with pytest.raises(anthropic.APIStatusError) as second:
            await other.messages.create(
                model=up.model, max_tokens=20, messages=[{"role": "user", "content": text}], stream=stream
            )
    return first.value, second.value


@pytest.mark.parametrize("stream", [False, True])
async def test_a_question_that_does_not_fit_is_the_callers_mistake(wire: Wire, *, stream: bool) -> None:
    async with pooled(CHAIN, wire=wire, context=256) as up:
        one, other = await refused(up, LONG, stream=stream)
        async with up.openai() as client:
            with pytest.raises(openai.BadRequestError) as third:
                await client.responses.create(model=up.model, input=LONG, store=False)
    assert isinstance(one, openai.BadRequestError)
    assert (one.code, one.type) == ("context_length_exceeded", "invalid_request_error")
    assert third.value.code == "context_length_exceeded"
    assert isinstance(other, anthropic.BadRequestError)
    assert isinstance(other.body, dict)
    assert other.body["error"]["type"] == "invalid_request_error"
    for error in (one, other, third.value):
        assert "try increasing it" not in str(error)  # the engine's words


async def test_a_key_that_the_engine_does_not_take_is_our_bad_gateway(wire: Wire) -> None:
    async with pooled(CHAIN, wire=wire, key="an-old-one") as up:
        one, other = await refused(up)
        for error in (one, other):
            assert error.status_code == 502
            for secret in ("Invalid API Key", "an-old-one", KEY, up.engine.url.rpartition("/")[2]):
                assert secret not in str(error)
                assert secret not in error.response.text
        assert isinstance(one, openai.InternalServerError)
        assert isinstance(other, anthropic.InternalServerError)


async def test_a_model_that_the_pool_does_not_know_is_not_found(wire: Wire) -> None:
    async with pooled(CHAIN, wire=wire) as up, up.openai() as one, up.anthropic() as other:
        with pytest.raises(openai.NotFoundError) as first:
            await one.chat.completions.create(model=f"{wire}/other", messages=SAID)
        with pytest.raises(anthropic.NotFoundError) as second:
            await other.messages.create(model=f"{wire}/other", max_tokens=9, messages=SAID_TO_ANTHROPIC)
        known = [model.id async for model in one.models.list()]
    assert first.value.code == "model_not_found"
    assert isinstance(second.value.body, dict)
    assert second.value.body["error"]["type"] == "not_found_error"
    assert up.model in known


async def test_a_model_that_the_engine_does_not_have_is_never_an_answer(wire: Wire) -> None:
    """This engine says 400 to it, where others say 404."""
    async with several(CHAIN, TOOL) as engine:
        async with before(engine, wire, "gone") as up:
            for error in await refused(up):
                assert error.status_code in {400, 502}
                assert "not found" not in str(error)
        async with before(engine, wire, "chain") as up, up.openai() as client:
            answer = await client.chat.completions.create(model=up.model, messages=SAID)
            assert answer.choices[0].message.content == TEXT


async def test_a_caller_who_leaves_a_stream_frees_the_slot(wire: Wire) -> None:
    async with pooled(GIBBERISH, wire=wire) as up, up.openai() as one, up.anthropic() as other:
        chat = await one.chat.completions.create(model=up.model, messages=SAID, stream=True, max_tokens=4000)
        await until_it_works(up, chat)
        await chat.close()
        await up.engine.idle(within=FREED)

        messages = await other.messages.create(model=up.model, max_tokens=4000, messages=SAID_TO_ANTHROPIC, stream=True)
        await until_it_works(up, messages)
        await messages.close()
        await up.engine.idle(within=FREED)


async def test_a_caller_who_no_longer_waits_frees_the_slot(wire: Wire) -> None:
    """Of whole answers nothing has been sent when they leave."""
    async with pooled(GIBBERISH, wire=wire) as up, up.openai() as client:
        asked = asyncio.ensure_future(client.chat.completions.create(model=up.model, messages=SAID, max_tokens=4000))
        await up.engine.working()
        began = time.monotonic()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await up.engine.idle(within=FREED - (time.monotonic() - began))


async def until_it_works(up: Pooled, stream: AsyncIterator[object]) -> None:
    async for _ in stream:
        if await up.engine.busy():
            return
    pytest.fail("the answer ended before anybody could leave")
