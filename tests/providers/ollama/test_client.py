"""The Ollama provider against a server on a real socket: its answers, and what leaving one leaves behind."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from llm_pool.config.schemas import spec_of
from llm_pool.core.types import (
    Event,
    Finished,
    ReasoningDelta,
    Started,
    TextDelta,
    Usage,
    replace,
)
from llm_pool.providers.ollama.client import Ollama
from tests.fakes.ollama import FakeOllama, Script
from tests.providers.ollama.asking import ask, provider, raw_server, request, until

pytestmark = pytest.mark.real_time


# --- Answers ----------------------------------------------------------------------------------------------------


async def test_an_answer_streams_through_word_by_word() -> None:
    async with FakeOllama({"llama3:latest": Script(answer="Hello you.", thinking="Hm.")}) as fake:
        async with provider(fake) as ollama, ollama.chat(request()) as events:
            seen: list[Event] = [event async for event in events]
        assert seen == [
            Started("llama3", "ollama"),
            ReasoningDelta("Hm.", provider="ollama"),
            TextDelta("Hello"),
            TextDelta(" you."),
            Finished("stop", Usage(input=7, output=3)),
        ]
        assert fake.open_streams == 0
        assert fake.left_at == []


async def test_settings_and_headers_reach_the_server() -> None:
    async with FakeOllama() as fake:
        fake.key = "k1"
        headers = {"X-Team": "a", "authorization": "Bearer other", "Accept-Encoding": "gzip"}
        settings: dict[str, Any] = {"num_ctx": 4096, "keep_alive": "-1", "extra_headers": headers}
        async with provider(fake, api_key="k1", **settings) as ollama:
            answer = await ask(ollama, request(max_tokens=2))
        assert (answer.content, answer.reason) == ("Hello there,", "length")
        (received,) = fake.asked()
        assert received.body == {
            "model": "llama3",
            "messages": [{"role": "user", "content": "hi"}],
            "stream": True,
            "truncate": False,
            "options": {"num_predict": 2, "num_ctx": 4096},
            "keep_alive": -1,
        }
        assert received.headers["x-team"] == "a"
        assert received.headers["authorization"] == "Bearer k1"
        assert received.headers["accept-encoding"] == "identity"
        assert "cookie" not in received.headers
        assert fake.open_streams == 0


async def test_the_schema_of_an_answer_reaches_the_server() -> None:
    schema = {"type": "object", "required": ["a"]}
    async with FakeOllama({"llama3:latest": Script(answer='{"a": "x"}')}) as fake:
        async with provider(fake) as ollama:
            assert (await ask(ollama, replace(request(), spec=spec_of(schema)))).content == '{"a": "x"}'
            await ask(ollama)
        first, second = fake.asked()
        assert first.body["format"] == schema
        assert "format" not in second.body


async def test_one_connection_serves_many_answers_that_were_read_to_their_end() -> None:
    async with FakeOllama() as fake, provider(fake) as ollama:
        for _ in range(5):
            assert (await ask(ollama)).content == "Hello there, how are you?"
        assert len(fake.connections) == 1
        assert fake.open_streams == 0


async def test_many_answers_at_once_have_a_connection_each() -> None:
    async with FakeOllama({"llama3:latest": Script(headers_after=0.05)}) as fake, provider(fake) as ollama:
        await asyncio.gather(*(ask(ollama) for _ in range(120)))
        assert len(fake.connections) == 120
        assert fake.open_streams == 0


async def test_a_large_prompt_and_a_large_answer_pass() -> None:
    text = "é🙂 " * 300_000
    async with FakeOllama({"llama3:latest": Script(answer="word " * 5_000)}) as fake, provider(fake) as ollama:
        assert (await ask(ollama, request(text))).content == "word " * 5_000
        assert fake.asked()[0].body["messages"][0]["content"] == text


# --- Leaving ----------------------------------------------------------------------------------------------------


async def test_leaving_in_the_middle_hangs_up_at_once() -> None:
    async with FakeOllama({"llama3:latest": Script(stall_after=2)}) as fake, provider(fake) as ollama:
        async with ollama.chat(request()) as events:
            assert [await anext(events) for _ in range(3)][2] == TextDelta(" there,")
            assert fake.open_streams == 1
        await until(lambda: fake.open_streams == 0, within=0.25)
        assert len(fake.left_at) == 1


async def test_a_consumers_own_error_passes_unchanged_and_hangs_up() -> None:
    async with FakeOllama({"llama3:latest": Script(stall_after=2)}) as fake, provider(fake) as ollama:

        async def stumble() -> None:
            async with ollama.chat(request()) as events:
                await anext(events)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await stumble()
        await until(lambda: fake.open_streams == 0, within=0.25)
        assert len(fake.left_at) == 1


@pytest.mark.parametrize(
    "script",
    [Script(stall_after=-1), Script(stall_after=0), Script(stall_after=2), Script(stall_at_end=True)],
    ids=["before headers", "after headers", "between words", "after the last line"],
)
async def test_cancellation_at_any_point_hangs_up_at_once(script: Script) -> None:
    async with FakeOllama({"llama3:latest": script}) as fake, provider(fake) as ollama:
        asking = asyncio.create_task(ask(ollama))
        await until(lambda: fake.open_streams == 1)
        if script.stall_at_end:
            await asyncio.sleep(0.01)  # it now waits for the end of the body
        else:
            await asyncio.sleep(0.05)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(lambda: fake.open_streams == 0, within=0.25)
        assert len(fake.left_at) == 1


async def test_a_body_that_never_ends_holds_nobody_after_the_last_line() -> None:
    async with FakeOllama({"llama3:latest": Script(stall_at_end=True)}) as fake, provider(fake) as ollama:
        async with asyncio.timeout(0.25):
            answer = await ask(ollama)
        assert answer.usage == Usage(input=7, output=5)
        await until(lambda: fake.open_streams == 0, within=0.25)


async def test_leaving_ends_a_prompt_that_is_still_being_sent() -> None:
    """To somebody who does not read it: what waits to be sent would keep the connection open for ever."""

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await asyncio.Event().wait()

    async with raw_server(deaf) as url, Ollama(base_url=url, models=("llama3",)) as ollama:
        before = descriptors()
        async with ollama.chat(request("x" * 20_000_000)):
            assert descriptors() == before + 2
        await until(lambda: descriptors() == before + 1, within=0.25)  # the server's own end


def descriptors() -> int:
    """How many this process has open."""
    return len(list(Path("/dev/fd").iterdir()))


async def test_the_pieces_of_one_packet_are_one_where_nobody_sees_them() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        lines = b"".join(b'{"message":{"content":"%d"}}\n' % number for number in range(9)) + b'{"done":true}\n'
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(lines) + lines)
        await writer.drain()

    async with raw_server(talk) as url, Ollama(base_url=url, models=("llama3",)) as ollama:
        for whole, pieces in ((True, ["012345678"]), (False, [*"012345678"])):
            async with ollama.chat(replace(request(), whole=whole)) as events:
                assert [event.text async for event in events if isinstance(event, TextDelta)] == pieces
