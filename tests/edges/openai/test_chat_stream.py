"""The chunks of a streamed chat completion, byte by byte, and how a stream ends that breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openai
import orjson
import pytest

from llm_pool.core.errors import ContextTooLong, StreamBroken
from llm_pool.core.types import Started, TextDelta
from tests.edges.openai.asking import ANSWERS, HI, LIKELY, MODEL, client_of, in_thread, scripted, steps

if TYPE_CHECKING:
    from openai import OpenAI

    from tests.running import Up
    from tests.scripted import Step

pytestmark = pytest.mark.real_time

ASK: dict[str, Any] = {"model": MODEL, "messages": HI, "stream": True}
BREAKS: list[Step] = [Started(MODEL, "one"), TextDelta("Hel"), TextDelta("lo"), StreamBroken("one broke off")]


async def frames(up: Up, **words: Any) -> list[str]:
    async with up.http.post("/v1/chat/completions", json={**ASK, **words}) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        *told, rest = (await response.text()).split("\n\n")
    assert rest == ""
    assert all(frame.startswith("data: ") for frame in told)
    return [frame.removeprefix("data: ") for frame in told]


def deltas(chunks: list[Any]) -> list[Any]:
    return [chunk["choices"][0]["delta"] for chunk in chunks]


async def test_chunks_begin_with_the_role_and_end_with_the_reason_and_done() -> None:
    async with scripted(*ANSWERS["text"]) as (up, _):
        *told, done = await frames(up)
    chunks = [orjson.loads(frame) for frame in told]
    assert done == "[DONE]"
    assert deltas(chunks) == [
        {"role": "assistant", "content": None, "refusal": None},
        *({"content": text} for text in ("Hello", ", ", "world")),
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, None, None, "stop"]
    (common,) = {orjson.dumps({name: chunk[name] for name in chunk if name != "choices"}) for chunk in chunks}
    assert set(orjson.loads(common)) == {"id", "object", "created", "model", "system_fingerprint"}
    assert orjson.loads(common)["object"] == "chat.completion.chunk"
    assert all(set(chunk["choices"][0]) == {"index", "delta", "logprobs", "finish_reason"} for chunk in chunks)


async def test_usage_is_one_more_chunk_where_it_is_asked_for_and_null_before() -> None:
    async with scripted(*ANSWERS["text"]) as (up, _):
        *others, last, _ = await frames(up, stream_options={"include_usage": True, "include_obfuscation": False})
        unasked = await frames(up, stream_options={"include_usage": False})
    assert all(orjson.loads(each)["usage"] is None for each in others)
    assert orjson.loads(last)["choices"] == []
    assert orjson.loads(last)["usage"]["total_tokens"] == 21
    assert not any("usage" in frame for frame in unasked)


async def test_what_was_likely_is_told_of_a_token_without_text_too() -> None:
    """It may be half of a character. Such a chunk has no text, for there may be only calls."""
    async with scripted(*steps(TextDelta("", (LIKELY,)))) as (up, _):
        told = [orjson.loads(frame)["choices"][0] for frame in (await frames(up, logprobs=True))[1:-2]]
        unasked = await frames(up)
    assert [(choice["delta"], choice["logprobs"]["content"][0]["token"]) for choice in told] == [({}, "Hi")]
    assert len(unasked) == 3  # the role, the end, and [DONE]


async def test_a_call_has_its_id_and_name_once() -> None:
    async with scripted(*ANSWERS["parallel calls"]) as (up, _):
        told = [orjson.loads(frame) for frame in (await frames(up))[1:-2]]
    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"a":'}}
    second = {"index": 1, "id": "call_2", "type": "function", "function": {"name": "time", "arguments": '{"b":'}}
    assert [delta["tool_calls"] for delta in deltas(told)] == [
        [first],
        [{"index": 0, "function": {"arguments": "1}"}}],
        [second],  # which began before: clients take a call for whole where another begins
        [{"index": 1, "function": {"arguments": "2}"}}],
    ]


async def test_a_thought_says_once_whose_it_is_and_ends_with_its_signature() -> None:
    async with scripted(*ANSWERS["a thought"]) as (up, _):
        told = [orjson.loads(frame) for frame in (await frames(up))[1:4]]
    kind = {"type": "reasoning.text", "index": 0}
    assert deltas(told) == [
        {
            "reasoning_content": "Hmm, ",
            "reasoning_details": [{**kind, "text": "Hmm, ", "signature": None, "format": "sim"}],
        },
        {"reasoning_content": "a greeting.", "reasoning_details": [{**kind, "text": "a greeting."}]},
        {"reasoning_details": [{**kind, "signature": "c2lnbmF0dXJl+/="}]},
    ]


async def test_each_piece_is_sent_when_it_is_said() -> None:
    """The first is here while the provider is silent for ever."""
    async with scripted(Started(MODEL, "one"), TextDelta("One"), "stall") as (up, provider):
        async with client_of(up) as client:
            stream = await client.chat.completions.create(**ASK)
            chunks = aiter(stream)
            assert [(await anext(chunks)).choices[0].delta.content for _ in range(2)] == [None, "One"]
            assert provider.open == 1
            await stream.close()
        await up.lines(1)
        assert provider.open == 0


async def test_a_stream_that_breaks_ends_with_an_error_and_without_an_end() -> None:
    async with scripted(*BREAKS) as (up, _):
        *before, last = await frames(up)
        lines = await up.lines(1)
    assert [delta.get("content") for delta in deltas([orjson.loads(frame) for frame in before])] == [None, "Hel", "lo"]
    error = orjson.loads(last)
    assert set(error) == {"error"}
    assert error["error"]["code"] == "stream_broken"
    assert error["error"]["type"] == "server_error"
    assert set(error["error"]) == {"message", "type", "param", "code"}
    assert not any('"finish_reason":"' in frame for frame in before)
    assert lines[0]["outcome"] == "STREAM_BROKEN"


async def test_the_clients_raise_when_a_stream_breaks() -> None:
    async with scripted(*BREAKS) as (up, _), client_of(up) as client:
        heard: list[str | None] = []
        with pytest.raises(openai.APIError) as raised:
            async for chunk in await client.chat.completions.create(**ASK):
                heard.append(chunk.choices[0].delta.content)
        assert heard == [None, "Hel", "lo"]
        assert raised.value.code == "stream_broken"
        with pytest.raises(openai.APIError, match="broke off"):
            await in_thread(up, _read)


def _read(client: OpenAI) -> None:
    with client.chat.completions.stream(model=MODEL, messages=HI) as stream:
        stream.until_done()


async def test_what_fails_before_the_first_word_of_a_stream_has_its_own_status() -> None:
    async with scripted(ContextTooLong("it is too long")) as (up, _), client_of(up) as client:
        with pytest.raises(openai.BadRequestError) as raised:
            await client.chat.completions.create(**ASK)
    assert raised.value.code == "context_length_exceeded"


async def test_of_several_answers_the_last_chunk_alone_says_what_was_not_done() -> None:
    async with scripted(*ANSWERS["text"]) as (up, _):
        *others, last, _ = await frames(up, n=2, store=True)
    assert orjson.loads(last)["llm_pool"]["warnings"][0]["code"] == "parameter_ignored"
    assert not any("llm_pool" in frame for frame in others)


async def test_several_answers_with_usage_are_told_one_after_the_other() -> None:
    async with scripted(*ANSWERS["text"]) as (up, _):
        told = [orjson.loads(frame) for frame in (await frames(up, n=2, stream_options={"include_usage": True}))[:-1]]
    indexes = [choice["index"] for chunk in told for choice in chunk["choices"]]
    assert indexes == [0] * 3 + [1] * 3  # role, text, end: they were there already
    assert told[-1]["usage"]["total_tokens"] == 42
