"""Server-sent events: their frames and headers, what comes before the first and what may follow the last."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import orjson
import pytest
from aiohttp import ClientSession, web

from llm_pool.edges.http.sse import PING_EVERY, Sse, frame
from tests.fakes.ollama import FakeOllama, Script
from tests.running import SIM, Up, running_pool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

pytestmark = pytest.mark.real_time

ASK = {"prompt": "hi", "stream": True}


def upstream(fake: FakeOllama) -> str:
    return f'[[providers]]\nname = "one"\ndriver = "ollama"\nmodel = "llama3"\nbase_url = "{fake.url}"\n'


async def frames(up: Up) -> list[str]:
    async with up.http.post("/v1/infer", json=ASK) as response:
        assert response.status == 200
        return (await response.text()).split("\n\n")


async def test_a_stream_is_one_json_event_per_frame() -> None:
    async with running_pool(SIM) as up:
        *told, rest = await frames(up)
        await up.lines(1)
    assert rest == ""
    names, data = zip(*(frame.split("\n") for frame in told), strict=True)
    assert names == ("event: started", *["event: text"] * 5, "event: finished")
    texts = [orjson.loads(line.removeprefix("data: ")) for line in data[1:-1]]
    assert texts == [{"text": word} for word in ("One ", "two ", "three ", "four ", "five.")]


async def test_a_stream_s_headers_keep_proxies_from_holding_it_back() -> None:
    async with running_pool(SIM) as up, up.http.post("/v1/infer", json=ASK) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-cache"
        assert response.headers["X-Accel-Buffering"] == "no"
        assert "x-request-id" in response.headers


async def test_each_word_is_sent_when_it_is_said() -> None:
    """The first is here before the provider has the second."""
    script = Script(answer="One two", stall_after=1)
    async with (
        FakeOllama({"llama3:latest": script}) as fake,
        running_pool(upstream(fake)) as up,
        up.http.post("/v1/infer", json=ASK) as response,
    ):
        async with asyncio.timeout(2):
            assert (await response.content.readuntil(b"\n\n")).startswith(b"event: started\n")
            assert await response.content.readuntil(b"\n\n") == b'event: text\ndata: {"text":"One"}\n\n'
        assert fake.open_streams == 1


@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        (Script.failing(503), 502, "PROVIDER_OVERLOADED"),
        (Script.failing(401), 502, "PROVIDER_MISCONFIGURED"),
        (Script.html(), 502, "PROVIDER_GARBLED"),
        (Script(stall_after=-1), 504, "DEADLINE_EXCEEDED"),
        (Script(stall_after=0), 504, "DEADLINE_EXCEEDED"),
    ],
    ids=["busy", "our key", "no JSON", "no headers", "no word"],
)
async def test_what_fails_before_the_first_word_has_its_own_status(script: Script, status: int, code: str) -> None:
    """The headers wait for it; and nothing of what the provider said comes through."""
    async with FakeOllama({"llama3:latest": script}) as fake, running_pool(upstream(fake)) as up:
        async with up.http.post("/v1/infer", json={**ASK, "deadline_ms": 150}) as response:
            told = await response.json()
        lines = await up.lines(1)
    assert response.status == lines[0]["status"] == status
    assert told["error"]["code"] == lines[0]["outcome"] == code
    assert "went wrong" not in told["error"]["message"]


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (Script(answer="One two three", cut_after=2), "STREAM_BROKEN"),
        (Script(answer="One two three", line_after=2, line=b'{"error":"sk-secret"}'), "STREAM_BROKEN"),
        (Script(answer="One two three", line_after=2, line=b"garbage"), "STREAM_BROKEN"),
        (Script(answer="One two three", done=False), "STREAM_BROKEN"),
        (Script(answer="One two three", stall_after=2), "DEADLINE_EXCEEDED"),
    ],
    ids=["cut", "an error", "garbage", "no end", "silence"],
)
async def test_what_fails_after_the_first_word_is_one_event_and_then_the_end(script: Script, code: str) -> None:
    """No `finished`, and the connection is closed in good order: the error is the last thing said."""
    async with FakeOllama({"llama3:latest": script}) as fake, running_pool(upstream(fake)) as up:
        async with up.http.post("/v1/infer", json={**ASK, "deadline_ms": 300}) as response:
            *told, rest = (await response.text()).split("\n\n")
        lines = await up.lines(1)
    assert (response.status, rest) == (200, "")
    assert told[0].startswith("event: started\n")
    assert not [frame for frame in told if frame.startswith("event: finished")]
    name, _, data = told[-1].partition("\n")
    error = orjson.loads(data.removeprefix("data: "))["error"]
    assert name == "event: error"
    assert error["request_id"] == response.headers["x-request-id"]
    assert "secret" not in told[-1]
    assert (error["code"], lines[0]["status"], lines[0]["outcome"]) == (lines[0]["outcome"], 200, error["code"])
    assert error["code"] == code or (code == "STREAM_BROKEN" and error["code"] == "PROVIDER_GARBLED")


# --- Pings ------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def door(talk: Callable[[Sse], Awaitable[None]], *, ping_every: float = 0.03) -> AsyncIterator[str]:
    """A server whose only handler speaks through an `Sse`. Gives its URL."""

    async def handle(request: web.Request) -> web.StreamResponse:
        async with Sse(request, headers={"x-request-id": "r"}, ping_every=ping_every) as sse:
            await talk(sse)
            await sse.end()
        return sse.response

    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def heard(url: str) -> bytes:
    async with ClientSession() as session, session.get(url) as response:
        assert response.headers["x-request-id"] == "r"
        return await response.read()


async def test_a_silent_stream_pings_before_and_between_its_words() -> None:
    """So that no load balancer takes it for dead; a ping is a comment, which clients skip."""

    async def talk(sse: Sse) -> None:
        await asyncio.sleep(0.1)
        assert sse.begun  # by a ping
        await sse.send(frame("text", {"text": "Hi"}))
        await asyncio.sleep(0.1)
        await sse.send(frame("text", {"text": "Ho"}))

    async with door(talk) as url:
        before, between = (await heard(url)).split(b'event: text\ndata: {"text":"Hi"}\n\n')
    between, word, after = between.partition(b'event: text\ndata: {"text":"Ho"}\n\n')
    for pings in (before, between):
        assert 1 <= pings.count(b": ping\n\n") <= 4
        assert pings.replace(b": ping\n\n", b"") == b""
    assert (bool(word), after) == (True, b"")


async def test_a_stream_that_talks_does_not_ping() -> None:
    async def talk(sse: Sse) -> None:
        for _ in range(20):
            await sse.send(frame("text", {"text": "word"}))
            await asyncio.sleep(0.005)

    async with door(talk, ping_every=0.06) as url:
        assert b"ping" not in await heard(url)


async def test_a_stream_that_ends_leaves_no_ping_behind() -> None:
    """The census after this test counts tasks; this one counts what is written."""
    ended: list[bool] = []

    async def talk(sse: Sse) -> None:
        await asyncio.sleep(0.05)
        await sse.send(frame("text", {}))
        ended.append(True)

    async with door(talk) as url:
        told = await heard(url)
        await asyncio.sleep(0.1)
    assert ended
    assert told.endswith(b"event: text\ndata: {}\n\n")


async def test_the_pool_pings_at_least_every_fifteen_seconds() -> None:
    assert PING_EVERY <= 15
