"""The Ollama provider against a server on a real socket: its answers, its faults, and what is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from llm_pool.core.errors import (
    ProviderError,
    ProviderGarbled,
    ProviderMisconfigured,
    ProviderOverloaded,
    ProviderRefused,
    ProviderUnreachable,
    StreamBroken,
)
from llm_pool.core.ports.provider import Health, Provider
from llm_pool.core.streams import Answer, collect
from llm_pool.core.trace import Trace
from llm_pool.core.types import (
    Event,
    Finished,
    Message,
    ReasoningDelta,
    Request,
    Sampling,
    Started,
    TextDelta,
    Usage,
)
from llm_pool.providers.ollama.client import Ollama
from tests.fakes.ollama import FakeOllama, Script

pytestmark = pytest.mark.real_time

Raw = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def request(text: str = "hi", model: str = "llama3", max_tokens: int | None = None) -> Request:
    return Request(
        "r", (Message.of("user", text),), 60.0, Trace(0.0), model=model, sampling=Sampling(max_tokens=max_tokens)
    )


def provider(fake: FakeOllama, *models: str, **settings: Any) -> Ollama:
    return Ollama(base_url=fake.url, models=models or ("llama3",), **settings)


async def ask(ollama: Provider, asked: Request | None = None) -> Answer:
    async with ollama.chat(asked or request()) as events:
        return await collect(events)


async def hear(closed: Ollama, seen: list[Event]) -> None:
    """Ask, and note what comes before an error, if one comes."""
    async with closed as ollama, ollama.chat(request()) as events:
        async for event in events:
            seen.append(event)  # noqa: PERF401 - a comprehension would lose all at the error


async def until(true: Callable[[], bool], within: float = 0.25) -> None:
    """Wait for it: what hangs up is seen by the other side a moment later."""
    async with asyncio.timeout(within):
        while not true():  # noqa: ASYNC110 - the fake has no event to wait for
            await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def raw_server(talk: Raw) -> AsyncIterator[str]:
    """A server that speaks bytes, for what no web framework would say. Gives its URL."""
    talks: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.append(task := asyncio.ensure_future(_talk(reader, writer)))
        await asyncio.wait({task})

    async def _talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


# --- Answers ----------------------------------------------------------------------------------------------------


async def test_an_answer_streams_through_word_by_word() -> None:
    async with FakeOllama({"llama3:latest": Script(answer="Hello you.", thinking="Hm.")}) as fake:
        async with provider(fake) as ollama, ollama.chat(request()) as events:
            seen: list[Event] = [event async for event in events]
        assert seen == [
            Started("llama3", "ollama"),
            ReasoningDelta("Hm."),
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
            "options": {"num_predict": 2, "num_ctx": 4096},
            "keep_alive": -1,
        }
        assert received.headers["x-team"] == "a"
        assert received.headers["authorization"] == "Bearer k1"
        assert received.headers["accept-encoding"] == "identity"
        assert "cookie" not in received.headers
        assert fake.open_streams == 0


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
        await until(lambda: fake.open_streams == 0)
        assert len(fake.left_at) == 1


async def test_a_consumers_own_error_passes_unchanged_and_hangs_up() -> None:
    async with FakeOllama({"llama3:latest": Script(stall_after=2)}) as fake, provider(fake) as ollama:

        async def stumble() -> None:
            async with ollama.chat(request()) as events:
                await anext(events)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await stumble()
        await until(lambda: fake.open_streams == 0)
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
        await until(lambda: fake.open_streams == 0)
        assert len(fake.left_at) == 1


async def test_a_body_that_never_ends_holds_nobody_after_the_last_line() -> None:
    async with FakeOllama({"llama3:latest": Script(stall_at_end=True)}) as fake, provider(fake) as ollama:
        async with asyncio.timeout(0.25):
            answer = await ask(ollama)
        assert answer.usage == Usage(input=7, output=5)
        await until(lambda: fake.open_streams == 0)


async def test_leaving_aborts_a_prompt_that_the_server_does_not_read() -> None:
    closed = asyncio.Event()

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while await reader.read(65536):
                pass
        closed.set()

    async with raw_server(deaf) as url, Ollama(base_url=url, models=("llama3",)) as ollama:
        async with ollama.chat(request("x" * 20_000_000)):
            pass
        async with asyncio.timeout(0.25):
            await closed.wait()


# --- Faults -----------------------------------------------------------------------------------------------------


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
        (Script.failing(400, "secret"), ProviderRefused, 0),
        (Script.failing(403, "secret"), ProviderMisconfigured, 0),
        (Script.failing(500, "secret"), ProviderError, 0),
        (Script.failing(503, "secret", retry_after="2"), ProviderOverloaded, 0),
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
        assert failed.value.retry_after == (2.0 if script.status == 503 else None)
        assert fake.url.removeprefix("http://") in failed.value.message
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


async def test_nobody_listening_is_unreachable_and_the_address_is_named() -> None:
    async with FakeOllama() as fake:
        url = fake.url
    async with Ollama(base_url=url, models=("llama3",)) as ollama:
        with pytest.raises(ProviderUnreachable, match=r"no answer at 127\.0\.0\.1:"):
            await ask(ollama)
        assert await ollama.health() == Health("unhealthy", "no answer at " + url.removeprefix("http://"))


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


async def test_chunks_that_stop_making_sense_break_the_stream() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(PART) + PART + b"\r\n")
        await asyncio.sleep(0.05)
        writer.write(b"zz\r\n")
        await reader.read()

    seen: list[Event] = []
    async with raw_server(talk) as url:
        with pytest.raises(StreamBroken):
            await hear(Ollama(base_url=url, models=("llama3",)), seen)
    assert seen == [Started("llama3", "ollama"), TextDelta("Hi")]


# --- Health and preload -----------------------------------------------------------------------------------------


async def test_health_tells_installed_loaded_and_missing_apart() -> None:
    async with FakeOllama({"a:latest": Script(), "b:7b": Script()}, cold=("b:7b",)) as fake:
        for models, expected in [
            (("a",), Health("healthy")),
            (("*",), Health("healthy")),
            (("a", "b:7b"), Health("loading", "not in memory yet, the next answer loads it: b:7b")),
            (("a", "c"), Health("degraded", 'model "c" is not installed: run "ollama pull c"')),
            (("c",), Health("unhealthy", 'model "c" is not installed: run "ollama pull c"')),
        ]:
            async with provider(fake, *models) as ollama:
                assert await ollama.health() == expected
        fake.statuses["/api/ps"] = 404
        async with provider(fake, "a", "b:7b") as ollama:
            assert await ollama.health() == Health("healthy")


async def test_health_names_a_refused_key_a_failing_server_and_a_stranger() -> None:
    async with FakeOllama() as fake, provider(fake, api_key="wrong") as ollama:
        fake.key = "right"
        assert await ollama.health() == Health("unhealthy", "it does not accept our key")
        fake.key = None
        fake.statuses["/api/tags"] = 500
        assert (await ollama.health()).why == f"Ollama at {fake.url.removeprefix('http://')} answered 500"

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>")
        await writer.drain()

    async with raw_server(talk) as url, Ollama(base_url=url, models=("llama3",)) as stranger:
        health = await stranger.health()
        assert (health.state, "as Ollama does" in health.why) == ("unhealthy", True)


async def test_a_look_at_its_health_can_be_cancelled() -> None:
    async with FakeOllama() as fake, provider(fake) as ollama:
        fake.delays["/api/tags"] = 5.0
        looking = asyncio.create_task(ollama.health())
        await until(lambda: bool(fake.received))
        looking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await looking


async def test_a_preload_loads_in_the_background_and_health_says_so() -> None:
    async with FakeOllama({"llama3:latest": Script()}, cold=("llama3:latest",)) as fake:
        fake.load_time = 0.1
        async with provider(fake, preload=True, num_ctx=512, keep_alive="-1") as ollama:
            await until(lambda: bool(fake.asked("/api/generate")))
            assert await ollama.health() == Health("loading", 'model "llama3" is being loaded')
            await asyncio.sleep(0.15)
            assert await ollama.health() == Health("healthy")
        (received,) = fake.asked("/api/generate")
        assert received.body == {"model": "llama3", "stream": False, "options": {"num_ctx": 512}, "keep_alive": -1}


async def test_a_preload_that_fails_is_a_warning_and_the_next_model_is_loaded(caplog: pytest.LogCaptureFixture) -> None:
    fake = FakeOllama({"b:latest": Script()}, cold=("b:latest",))
    async with fake, provider(fake, "a", "b", preload=True) as ollama:
        await until(lambda: "b:latest" in fake.loaded)
        assert (await ollama.health()).state == "degraded"
    (record,) = [record for record in caplog.records if record.name == "llm_pool.providers.ollama"]
    assert record.levelno == logging.WARNING
    assert 'run "ollama pull a"' in record.getMessage()


async def test_a_preload_ends_with_its_owner() -> None:
    async with FakeOllama() as fake:
        fake.load_time = 5.0
        async with provider(fake, preload=True):
            await until(lambda: bool(fake.asked("/api/generate")))
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "ollama preload"]
