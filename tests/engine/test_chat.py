"""Chat through both doors over both wires, as the official clients see it: what is said, how it ends, what counts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.engine.models import CHAIN, TEXT
from tests.engine.pooled import WIRES, Pooled, Wire, pooled

if TYPE_CHECKING:
    from anthropic.types import MessageParam
    from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

pytestmark = [pytest.mark.engine, pytest.mark.real_time, pytest.mark.parametrize("wire", WIRES)]

SAID: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Say what you always say."}]
SAID_TO_ANTHROPIC: list[MessageParam] = [{"role": "user", "content": "Say what you always say."}]
WORDS = TEXT.split()
OUTPUT = len(WORDS) + 1  # a token for each word, and the end
ROOM = 100  # tokens


async def chunks_of(up: Pooled, *, usage: bool) -> list[ChatCompletionChunk]:
    async with up.openai() as client:
        stream = await client.chat.completions.create(
            model=up.model, messages=SAID, stream=True, stream_options={"include_usage": usage}
        )
        return [chunk async for chunk in stream]


async def test_an_answer_is_the_models_to_the_letter(wire: Wire) -> None:
    async with pooled(CHAIN, wire=wire) as up, up.openai() as client:
        answer = await client.chat.completions.create(model=up.model, messages=SAID)
    [choice] = answer.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", TEXT, "stop")
    assert answer.object == "chat.completion"
    assert answer.model == up.model


async def test_the_same_through_the_other_door(wire: Wire) -> None:
    async with pooled(CHAIN, wire=wire) as up, up.anthropic() as client:
        answer = await client.messages.create(model=up.model, max_tokens=ROOM, messages=SAID_TO_ANTHROPIC)
    [block] = answer.content
    assert block.type == "text"
    assert (block.text, answer.stop_reason, answer.role, answer.type) == (TEXT, "end_turn", "assistant", "message")


async def test_the_clients_that_wait_get_it_too(wire: Wire) -> None:
    async with pooled(CHAIN, wire=wire) as up:

        def ask() -> list[str | None]:
            with up.openai_sync() as one, up.anthropic_sync() as other:
                whole = one.chat.completions.create(model=up.model, messages=SAID).choices[0].message.content
                chunks = one.chat.completions.create(model=up.model, messages=SAID, stream=True)
                pieces = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
                with other.messages.stream(model=up.model, max_tokens=ROOM, messages=SAID_TO_ANTHROPIC) as stream:
                    return [whole, pieces, "".join(stream.text_stream)]

        assert await asyncio.to_thread(ask) == [TEXT] * 3


async def test_a_stream_comes_word_by_word_and_adds_up(wire: Wire) -> None:
    async with pooled(CHAIN, wire=wire) as up:
        chunks = await chunks_of(up, usage=False)
    said = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content]
    assert "".join(said) == TEXT
    assert len(said) == len(WORDS)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert len({chunk.id for chunk in chunks}) == 1
    assert not any(chunk.usage for chunk in chunks)


async def test_usage_is_told_once_and_only_when_asked_for(wire: Wire) -> None:
    async with pooled(CHAIN, wire=wire) as up:
        chunks = await chunks_of(up, usage=True)
        asked = await up.engine.counted(SAID[0])
    assert [bool(chunk.choices) for chunk in chunks] == [True] * (len(chunks) - 1) + [False]
    [usage] = [chunk.usage for chunk in chunks if chunk.usage]
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (asked, OUTPUT, asked + OUTPUT)


async def test_what_the_engine_had_cached_counts_as_read_from_the_cache(wire: Wire) -> None:
    """The second time it computes only the last token of the question anew."""
    async with pooled(CHAIN, wire=wire) as up, up.openai() as client, up.anthropic() as other:
        asked = await up.engine.counted(SAID[0])
        for _ in range(2):
            answer = await client.chat.completions.create(model=up.model, messages=SAID)
        message = await other.messages.create(model=up.model, max_tokens=ROOM, messages=SAID_TO_ANTHROPIC)
    assert answer.usage
    assert answer.usage.prompt_tokens_details
    assert (answer.usage.prompt_tokens, answer.usage.prompt_tokens_details.cached_tokens) == (asked, asked - 1)
    assert answer.usage.total_tokens == asked + OUTPUT
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (1, asked - 1)
    assert message.usage.output_tokens == OUTPUT


async def test_the_helper_of_one_client_adds_up_to_the_unary_answer(wire: Wire) -> None:
    async with (
        pooled(CHAIN, wire=wire) as up,
        up.openai() as client,
        client.chat.completions.stream(model=up.model, messages=SAID) as stream,
    ):
        kinds = [event.type async for event in stream]
        final = await stream.get_final_completion()
    assert final.choices[0].message.content == TEXT
    assert final.choices[0].finish_reason == "stop"
    assert kinds.count("content.delta") == len(WORDS)
    assert kinds[-1] == "content.done"


async def test_the_helper_of_the_other_adds_up_as_well(wire: Wire) -> None:
    async with pooled(CHAIN, wire=wire) as up, up.anthropic() as client:
        asked = await up.engine.counted(SAID[0])
        async with client.messages.stream(model=up.model, max_tokens=ROOM, messages=SAID_TO_ANTHROPIC) as stream:
            said = [text async for text in stream.text_stream]
            final = await stream.get_final_message()
    assert said == ["Small", *(f" {word}" for word in WORDS[1:])]
    [block] = final.content
    assert block.type == "text"
    assert (block.text, final.stop_reason) == (TEXT, "end_turn")
    usage = final.usage
    assert usage.input_tokens + (usage.cache_read_input_tokens or 0) == asked
    assert usage.output_tokens == OUTPUT


async def test_an_answer_cut_short_says_so(wire: Wire) -> None:
    async with pooled(CHAIN, wire=wire) as up, up.openai() as client, up.anthropic() as other:
        answer = await client.chat.completions.create(model=up.model, messages=SAID, max_completion_tokens=3)
        message = await other.messages.create(model=up.model, max_tokens=3, messages=SAID_TO_ANTHROPIC)
    assert answer.choices[0].finish_reason == "length"
    assert answer.choices[0].message.content == " ".join(WORDS[:3])
    assert answer.usage
    assert answer.usage.completion_tokens == 3
    assert message.stop_reason == "max_tokens"


async def test_a_stop_sequence_ends_the_answer_before_it(wire: Wire) -> None:
    async with pooled(CHAIN, wire=wire) as up, up.openai() as client, up.anthropic() as other:
        answer = await client.chat.completions.create(model=up.model, messages=SAID, stop=["quickly"])
        message = await other.messages.create(
            model=up.model, max_tokens=ROOM, messages=SAID_TO_ANTHROPIC, stop_sequences=["quickly"]
        )
    assert (answer.choices[0].message.content or "").strip() == "Small models answer"
    assert answer.choices[0].finish_reason == "stop"
    assert message.content[0].type == "text"
    assert message.content[0].text.strip() == "Small models answer"
    # OpenAI's wire does not tell which sequence it was, nor that there was one.
    expected = ("stop_sequence", "quickly") if wire == "anthropic" else ("end_turn", None)
    assert (message.stop_reason, message.stop_sequence) == expected


async def test_two_answers_are_two_choices(wire: Wire) -> None:
    async with pooled(CHAIN, wire=wire) as up, up.openai() as client:
        answer = await client.chat.completions.create(model=up.model, messages=SAID, n=2)
    assert [(choice.index, choice.message.content) for choice in answer.choices] == [(0, TEXT), (1, TEXT)]
    assert answer.usage
    assert answer.usage.completion_tokens == 2 * OUTPUT
