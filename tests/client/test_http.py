"""The client asks a real pool, and makes of every failure one error of its own."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from llm_pool.client import Answer, Client, ClientError, Unreachable
from llm_pool.core.types import Started, TextDelta
from tests.running import SIM, running_pool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.real_time

ENDLESS = SIM + "sim.per_token.median_ms = 60_000.0\n"
FALLBACK = SIM + "fallback = true\n"
SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


@contextlib.asynccontextmanager
async def saying(reply: bytes, *, close: bool = True) -> AsyncIterator[str]:
    """A server that says this to everybody; gives its address."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(reply)
            await writer.drain()
            if not close:
                await reader.read(-1)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"


def http(status: str, body: bytes, *headers: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status}".encode(), b"content-length: %d" % len(body), b"connection: close", *headers]
    return b"\r\n".join([*lines, b"", body])


async def test_a_whole_answer_has_everything_that_the_pool_told() -> None:
    async with running_pool(FALLBACK) as up, Client(f"http://{up.http_address}") as client:
        answer = await client.infer(task="chat", prompt="hi", request_id="one", meta={"a": "b"})
    assert answer.content == "One two three four five."
    assert (answer.request_id, answer.winner_model, answer.strategy_used) == ("one", "sim/m", "fastest")
    assert (answer.finish_reason, answer.from_cache, answer.usage.output) == ("stop", False, 5)
    assert answer.decision.degraded
    assert answer.decision.why == "fallback"
    [voice] = answer.decision.voices
    assert (voice.provider, voice.outcome) == ("one", "ok")
    assert answer.raw["content"] == answer.content
    assert answer.duration_ms > 0


async def test_a_stream_is_events_and_at_last_the_whole_answer() -> None:
    async with running_pool(SIM) as up, Client(up.http_address) as client:
        async with client.stream(messages=[{"role": "user", "content": "hi"}], request_id="two") as events:
            assert events.request_id == "two"
            first, *deltas, last = [event async for event in events]
        again = await client.infer(prompt="hi")
    assert first == Started("sim/m", "one")
    assert again.content == "One two three four five.", "a client outlives its answers"
    assert deltas == [TextDelta(word) for word in ("One ", "two ", "three ", "four ", "five.")]
    assert isinstance(last, Answer)
    assert (last.content, last.request_id, last.usage.output) == ("One two three four five.", "two", 5)


async def test_leaving_the_block_hangs_up() -> None:
    """The pool notices at once, in the middle of an answer and before its first word."""
    async with running_pool(ENDLESS) as up, Client(f"http://{up.http_address}") as client:
        async with client.stream(prompt="hi") as events:
            assert isinstance(await anext(events), Started)
        await up.lines(1)
        whole = asyncio.create_task(client.infer(prompt="hi"))
        await asyncio.sleep(0.05)  # until it is being answered
        whole.cancel()
        with pytest.raises(asyncio.CancelledError):
            await whole
        lines = await up.lines(2)
    assert [line["outcome"] for line in lines] == ["CANCELLED", "CANCELLED"]


async def test_it_lists_models_and_tells_how_the_pool_is() -> None:
    async with running_pool(SIM) as up, Client(f"http://{up.http_address}/") as client:
        assert "sim/m" in await client.models()
        assert (await client.health())["providers"]["one"]["state"] == "healthy"


# --- Errors -----------------------------------------------------------------------------------------------------


async def test_an_error_has_the_code_and_the_details_of_the_pool() -> None:
    async with running_pool(SIM) as up, Client(f"http://{up.http_address}") as client:
        with pytest.raises(ClientError) as refused:
            await client.infer(prompt="hi", model="sim/n", request_id="three")
        with pytest.raises(ClientError) as opened:
            async with client.stream(prompt="hi", task="chatt"):
                pass
    assert (refused.value.code, refused.value.status) == ("UNKNOWN_MODEL", 404)
    assert refused.value.request_id == "three"
    assert refused.value.details["nearest"] == "sim/m"
    assert str(refused.value) == 'unknown model "sim/n"; did you mean "sim/m"?'
    assert opened.value.code == "UNKNOWN_TASK"


async def test_an_error_in_the_middle_of_a_stream_is_the_same_error() -> None:
    async with running_pool(SIM + "sim.break_rate = 1.0\n") as up, Client(f"http://{up.http_address}") as client:
        said = []
        with pytest.raises(ClientError) as broken:
            async with client.stream(prompt="hi") as events:
                async for event in events:
                    said.append(event)
    assert said
    assert (broken.value.code, broken.value.status) == ("STREAM_BROKEN", 200)
    assert broken.value.request_id


async def test_a_deadline_that_passes_is_the_pools_error() -> None:
    async with running_pool(SIM + "sim.stall_rate = 1.0\n") as up, Client(f"http://{up.http_address}") as client:
        with pytest.raises(ClientError) as late:
            await client.infer(prompt="hi", deadline_ms=50)
    assert (late.value.code, late.value.status) == ("DEADLINE_EXCEEDED", 504)


async def test_when_to_come_back_is_told() -> None:
    body = b'{"error": {"code": "OVERLOADED", "message": "busy", "request_id": "r", "details": {}}}'
    async with saying(http("503 Busy", body, b"retry-after: 7")) as url, Client(url) as client:
        with pytest.raises(ClientError) as busy:
            await client.infer(prompt="hi")
    assert (busy.value.code, busy.value.retry_after, busy.value.request_id) == ("OVERLOADED", 7.0, "r")


STRANGERS = {
    "a web page": http("200 OK", b"<html></html>"),
    "another JSON": http("200 OK", b"[1]"),
    "JSON of other types": http("200 OK", b'{"content": 7}'),
    "a proxy's page": http("502 Bad Gateway", b"<html></html>"),
    "an error of others": http("400 Bad Request", b'{"error": "no"}'),
    "a redirect": http("307 Elsewhere", b"", b"location: http://127.0.0.1:1/"),
    "what is packed": http("200 OK", b"\x1f\x8b\x08", b"content-encoding: gzip"),
    "too deep": http("200 OK", b"[" * 100_000),
    "no HTTP": b"220 mail.example.org ESMTP\r\n\r\n",
    "nothing": b"",
    "half a body": b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{",
}


@pytest.mark.parametrize("reply", STRANGERS.values(), ids=STRANGERS)
async def test_what_is_no_pool_is_told_as_such(reply: bytes) -> None:
    """Whatever it says, as a whole answer and as a stream; the text of a library is never shown."""
    async with saying(reply) as url, Client(url) as client:
        with pytest.raises(Unreachable) as whole:
            await client.infer(prompt="hi")
        with pytest.raises(Unreachable) as streamed:
            async with client.stream(prompt="hi"):
                pass
    for error in (whole.value, streamed.value):
        assert url in error.message
        assert "Error" not in error.message


CUT = {
    "no end": b'event: text\ndata: {"text": "One"}\n\n',
    "half an event": b'event: text\ndata: {"te',
    "no JSON": b"event: text\ndata: {{\n\n",
    "another type": b'event: text\ndata: {"text": 1}\n\n',
    "without end": b"data: " + b"x" * (17 * 1024 * 1024),
}


@pytest.mark.parametrize("body", CUT.values(), ids=CUT)
async def test_a_stream_that_does_not_end_well_is_broken(body: bytes) -> None:
    async with saying(SSE + body) as url, Client(url) as client:
        with pytest.raises(ClientError) as broken:
            async with client.stream(prompt="hi") as events:
                async for _ in events:
                    pass
    assert (broken.value.code, broken.value.status) == ("STREAM_BROKEN", 200)


async def test_events_of_a_newer_pool_are_passed_over() -> None:
    body = b'event: hum\ndata: {"a": 1}\n\nevent: finished\ndata: {"winner_model": "m", "new": [1]}\n\n'
    async with saying(SSE + body) as url, Client(url) as client, client.stream(prompt="hi") as events:
        [answer] = [event async for event in events]
    assert isinstance(answer, Answer)
    assert (answer.winner_model, answer.raw["new"]) == ("m", [1])


async def test_nobody_there_is_unreachable() -> None:
    async with Client("http://127.0.0.1:9") as client:
        with pytest.raises(Unreachable, match=r"no pool at http://127\.0\.0\.1:9: connection refused"):
            await client.infer(prompt="hi")
    async with Client("http://no-such-host.invalid") as client:
        with pytest.raises(Unreachable, match="no such host"):
            await client.models()


async def test_patience_ends() -> None:
    async with saying(b"", close=False) as url, Client(url, patience=0.05) as client:
        with pytest.raises(Unreachable, match=r"within 0\.05 s"):
            await client.infer(prompt="hi")


@pytest.mark.parametrize(
    "url", ["", "ftp://x", "http://", "http://u:p@x", "http://x/?a=b", "http://x:99999", "http://[", "http://a b"]
)
def test_what_is_no_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ValueError, match="the URL must") as refused:
        Client(url)
    assert "u:p" not in str(refused.value)
