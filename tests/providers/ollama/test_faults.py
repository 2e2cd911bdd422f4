"""Whatever goes wrong with an Ollama server or on the way to it is one error of ours, and nothing stays open."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from llm_pool.core.errors import (
    ProviderError,
    ProviderGarbled,
    ProviderLimited,
    ProviderMisconfigured,
    ProviderOverloaded,
    ProviderRefused,
    ProviderUnreachable,
    RequestRefused,
    StreamBroken,
)
from llm_pool.core.ports.provider import Health
from llm_pool.core.types import (
    Event,
    Started,
    TextDelta,
    Usage,
)
from llm_pool.providers.ollama.client import Ollama
from tests.fakes.ollama import FakeOllama, Script
from tests.providers.ollama.asking import ask, hear, provider, raw_server, request, until

pytestmark = pytest.mark.real_time


@pytest.mark.parametrize(
    ("script", "kind", "words"),
    [
        (Script(cut_after=0), ProviderUnreachable, 0),
        (Script(cut_after=3), StreamBroken, 3),
        (Script(cut_after=5), StreamBroken, 5),
        (Script(cut_after_bytes=40), ProviderUnreachable, 0),
        (Script(done=False), StreamBroken, 5),
        (Script(answer="", done=False), ProviderUnreachable, 0),
        (Script(line=b'{"error": "secret"}', line_after=2), StreamBroken, 2),
        (Script(line=b'{"error": "secret"}'), ProviderError, 0),
        (Script(line=b"{]", line_after=2), ProviderGarbled, 2),
        (Script(line=b'{"message": {"content": 5}}', line_after=1), ProviderGarbled, 1),
        (Script(line=b"x" * 2_000_000, line_after=1), ProviderGarbled, 1),
        (Script.html(), ProviderGarbled, 0),
        (Script.gzipped(), ProviderGarbled, 0),
        (Script.redirecting("/api/other"), ProviderRefused, 0),
        (Script.failing(400, "secret"), RequestRefused, 0),
        (Script.failing(403, "secret"), ProviderMisconfigured, 0),
        (Script.failing(500, "secret"), ProviderError, 0),
        (Script.failing(429, "secret", retry_after="2"), ProviderLimited, 0),
        (Script.failing(503, "secret", x_ratelimit_remaining="0", x_ratelimit_reset="2s"), ProviderOverloaded, 0),
    ],
)
async def test_every_fault_is_an_error_of_ours_after_the_words_that_came(
    script: Script, kind: type[ProviderError], words: int
) -> None:
    async with FakeOllama({"llama3:latest": script}) as fake:
        seen: list[Event] = []
        with pytest.raises(ProviderError) as failed:
            await hear(provider(fake, api_key="k1"), seen)
        assert type(failed.value) is kind
        assert failed.value.retry_after == (2.0 if script.status in {429, 503} else None)
        assert "127.0.0.1" not in failed.value.message, "the address is not the callers' to know"
        assert "secret" not in failed.value.message
        assert "k1" not in failed.value.message
        assert seen[:1] == ([Started("llama3", "ollama")] if words else [])
        assert [type(event) for event in seen[1:]] == [TextDelta] * words
        assert len(fake.asked()) == 1
        await until(lambda: fake.open_streams == 0)


async def test_a_stream_cut_at_any_byte_is_never_taken_for_an_answer() -> None:
    script = Script(answer="Hé you")
    async with FakeOllama({"llama3:latest": script}) as fake, provider(fake) as ollama:
        for cut in range(1, 400, 3):
            fake.scripts["llama3:latest"] = Script(answer="Hé you", cut_after_bytes=cut)
            with pytest.raises((StreamBroken, ProviderUnreachable)):
                await ask(ollama)
        await until(lambda: fake.open_streams == 0)
        assert fake.left_at == []


async def test_a_missing_model_says_how_to_install_it() -> None:
    async with FakeOllama() as fake, provider(fake) as ollama:
        with pytest.raises(ProviderMisconfigured, match='model "other" is not installed: run "ollama pull other"'):
            await ask(ollama, request(model="other"))


async def test_nobody_listening_is_unreachable_and_only_health_names_the_address() -> None:
    async with FakeOllama() as fake:
        url = fake.url
    async with Ollama(base_url=url, models=("llama3",)) as ollama:
        with pytest.raises(ProviderUnreachable, match="Ollama does not answer") as caught:
            await ask(ollama)
        assert "127.0.0.1" not in caught.value.message
        assert await ollama.health() == Health("unhealthy", "no answer at " + url.removeprefix("http://"))


async def test_who_does_not_take_the_connection_in_time_is_unreachable() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)  # room for one, whom nobody answers; the others wait at the door
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with socket.create_connection(deaf.getsockname()):
            async with Ollama(base_url=url, models=("llama3",), connect_timeout=0.05) as ollama, asyncio.timeout(2):
                with pytest.raises(ProviderUnreachable):
                    await ask(ollama)


async def test_text_that_no_json_can_carry_is_refused_before_anything_is_sent() -> None:
    async with FakeOllama() as fake, provider(fake) as ollama:
        with pytest.raises(ProviderRefused):
            await ask(ollama, request("\ud800"))
        assert not fake.received


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
PART = b'{"message":{"role":"assistant","content":"Hi"},"done":false}\n'
LONG = b'{"message":{"content":""},"padding":"' + b"x" * 500_000 + b'"}\n'
LAST = b'{"message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","eval_count":1}'


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", ProviderGarbled),
        (b"HTTP/1.1 200", ProviderUnreachable),
        (b"", ProviderUnreachable),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nwhat\r\n", ProviderGarbled),
        (HEAD + b"Content-Length: 999\r\n\r\n" + PART, StreamBroken),
        (HEAD + b"Connection: close\r\n\r\n" + PART, StreamBroken),
        (HEAD + b"Connection: close\r\n\r\n" + PART + LAST[:-5], StreamBroken),
        (HEAD + b"Connection: close\r\n\r\n" + LAST[:-5], ProviderUnreachable),
        (HEAD + b"Connection: close\r\n\r\n" + LONG * 80, ProviderGarbled),
    ],
)
async def test_broken_http_is_an_error_of_ours(answer: bytes, kind: type[ProviderError]) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            writer.write(answer)
            await writer.drain()

    async with raw_server(talk) as url, Ollama(base_url=url, models=("llama3",)) as ollama:
        with pytest.raises(ProviderError) as failed:
            await ask(ollama)
        assert type(failed.value) is kind


async def test_an_error_whose_body_does_not_come_is_told_by_its_status_alone() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 99\r\nRetry-After: 2\r\n\r\n{")
        await asyncio.Event().wait()

    async with raw_server(talk) as url, Ollama(base_url=url, models=("llama3",)) as ollama, asyncio.timeout(2):
        with pytest.raises(ProviderOverloaded) as failed:
            await ask(ollama)
        assert failed.value.retry_after == 2.0


async def test_a_last_line_without_a_line_end_counts_when_it_is_whole() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"Connection: close\r\n\r\n" + PART + LAST)
        await writer.drain()

    async with raw_server(talk) as url, Ollama(base_url=url, models=("llama3",)) as ollama:
        answer = await ask(ollama)
        assert (answer.content, answer.usage) == ("Hi", Usage(output=1, estimated=True))


async def test_a_kept_connection_that_the_server_dropped_is_replaced_once_unnoticed() -> None:
    async with FakeOllama() as fake, provider(fake) as ollama:
        await ask(ollama)
        fake.drops_reused = True
        assert (await ask(ollama)).content == "Hello there, how are you?"
        assert (len(fake.asked()), len(fake.connections)) == (3, 2)
        assert fake.open_streams == 0


async def test_a_fresh_connection_that_is_dropped_is_not_asked_again() -> None:
    asked = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await reader.readuntil(b"\r\n\r\n")
        asked += 1

    async with raw_server(talk) as url, Ollama(base_url=url, models=("llama3",)) as ollama:
        with pytest.raises(ProviderUnreachable):
            await ask(ollama)
        assert asked == 1
