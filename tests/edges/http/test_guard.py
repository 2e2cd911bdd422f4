"""Around every HTTP handler: one access line and one request id for each call, and no word of a bug to anybody."""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Self

import orjson
import pytest

from llm_pool.core.ports.provider import Health
from llm_pool.core.types import Event, Started, TextDelta
from tests.edges.both import http_stream
from tests.running import SIM, pool_of, raw, running_pool, serving

if TYPE_CHECKING:
    from llm_pool.core.streams import Answering, Events
    from llm_pool.core.types import Request

pytestmark = pytest.mark.real_time

MADE = re.compile("[0-9a-f]{32}")
PRIVATE = "sk-secret"


class Buggy(AbstractAsyncContextManager["Buggy"]):
    """A provider with a bug: it raises what no provider may, after these events, or, without any, at once."""

    def __init__(self, *events: Event) -> None:
        self._events = events

    def chat(self, request: Request) -> Answering:
        if not self._events:
            raise KeyError(PRIVATE)
        return _Answering(self._events)

    async def health(self) -> Health:
        return Health("healthy")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...


class _Answering(AbstractAsyncContextManager["Events"]):
    def __init__(self, events: tuple[Event, ...]) -> None:
        self._events = self._raise_after(events)

    async def __aenter__(self) -> Events:
        return self._events

    async def __aexit__(self, *_: object) -> None:
        await self._events.aclose()

    async def _raise_after(self, events: tuple[Event, ...]) -> Events:
        for event in events:
            yield event
        raise KeyError(PRIVATE)


@pytest.mark.parametrize("sent", ["mine-1", "a", "A.b_c:d-e", "x" * 128])
async def test_a_request_id_of_the_caller_comes_back(sent: str) -> None:
    """On answers, refusals and probes alike, and in the access line."""
    async with running_pool(SIM) as up:
        for method, path, body in (
            ("POST", "/v1/infer", {"prompt": "hi"}),
            ("POST", "/v1/infer", {"prompt": "hi", "stream": True}),
            ("POST", "/v1/infer", {}),
            ("GET", "/health", None),
            ("GET", "/nothing", None),
            ("PUT", "/v1/infer", None),
        ):
            async with up.http.request(method, path, json=body, headers={"x-request-id": sent}) as response:
                assert response.headers.getall("x-request-id") == [sent]
        assert {line["request_id"] for line in await up.lines(6)} == {sent}


@pytest.mark.parametrize(
    "sent", [b"", b"x" * 129, "grün".encode(), b"a b", b"-a", b"a\tb", b"a/../b", b'a"b', b"\xff", b"a=b;c"]
)
async def test_a_malformed_request_id_is_replaced(sent: bytes) -> None:
    """It goes into logs and headers, so what is not plain is not taken."""
    async with running_pool(SIM) as up, up.connect() as bare:
        await bare.say(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nx-request-id: ", sent, b"\r\n\r\n")
        reply = await bare.reply()
        lines = await up.lines(1)
    assert reply.status == 200
    assert MADE.fullmatch(reply.headers["x-request-id"])
    assert lines[0]["request_id"] == reply.headers["x-request-id"]


async def test_a_request_id_over_two_lines_gets_nothing_through() -> None:
    """A folded header (obsolete since RFC 7230) is refused or made one line, and never comes back."""
    async with running_pool(SIM) as up, up.connect() as bare:
        await bare.say(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nx-request-id: a\r\n set-cookie: b\r\n\r\n")
        reply = await bare.reply()
        await up.lines(1)
    assert "set-cookie" not in reply.headers
    assert "set-cookie" not in reply.headers.get("x-request-id", "")


async def test_the_body_s_request_id_wins_over_the_header_s() -> None:
    async with running_pool(SIM) as up:
        ask = {"prompt": "hi", "request_id": "body"}
        async with up.http.post("/v1/infer", json=ask, headers={"x-request-id": "header"}) as response:
            assert response.headers["x-request-id"] == "body"
            assert (await response.json())["request_id"] == "body"
        assert (await up.lines(1))[0]["request_id"] == "body"


async def test_an_odd_name_of_a_model_gets_into_no_header() -> None:
    """Where any model may be named, its name is the caller's."""
    anything = SIM.replace('model = "m"', 'models = ["*"]')
    async with running_pool(anything) as up:
        for model in ("sim/a-1:b", "sim/ü", "sim/a\r\nset-cookie: b"):
            async with up.http.post("/v1/infer", json={"prompt": "hi", "model": model}) as response:
                assert (await response.json())["winner_model"] == model
                assert "set-cookie" not in response.headers
                assert not any(model in value for value in response.headers.values())


async def test_an_access_line_tells_what_became_of_the_call() -> None:
    """Who, what, how long and how it ended; the trace id of the caller's tracing; never a word of the question."""
    async with running_pool(SIM) as up:
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        ask = {"prompt": "a very private question", "project_id": "p", "request_id": "r"}
        headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
        async with up.http.post("/v1/infer", json=ask, headers=headers) as response:
            assert response.status == 200
        [line] = await up.lines(1)
    assert line.pop("duration_ms") > 0
    assert line == {
        "request_id": "r",
        "edge": "http",
        "route": "/v1/infer",
        "status": 200,
        "outcome": "ok",
        "trace_id": trace,
        "tenant": "default",
        "project": "p",
        "task": "chat",
        "strategy": "fastest",
        "winner_model": "sim/m",
        "attempts": 1,
        "from_cache": False,
        "degraded": False,
        "input_tokens": 4,
        "output_tokens": 5,
    }


async def test_a_path_that_is_not_there_is_404_and_named_nowhere() -> None:
    async with running_pool(SIM) as up:
        for path in ("/nothing", "/v1/infer/", "/v1//infer", "/%2e%2e/etc/passwd", "/v1/infer%2f..%2fhealth"):
            async with up.connect() as bare:
                await bare.say(b"GET ", path.encode(), b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
                reply = await bare.reply()
            assert reply.status == 404
            assert orjson.loads(reply.body)["error"]["code"] == "NOT_FOUND"
            assert path.encode() not in reply.body
        lines = await up.lines(5)
        assert {(line["route"], line["outcome"]) for line in lines} == {("unmatched", "NOT_FOUND")}
        async with up.http.get("/metrics") as response:
            assert "passwd" not in await response.text()


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", "/v1/infer", "POST"), ("DELETE", "/v1/infer", "POST"), ("POST", "/health", "GET,HEAD")],
)
async def test_a_method_that_a_path_does_not_take_is_405_with_those_it_takes(
    method: str, path: str, allowed: str
) -> None:
    async with running_pool(SIM) as up:
        async with up.http.request(method, path) as response:
            error = (await response.json())["error"]
        lines = await up.lines(1)
    assert response.status == 405
    assert response.headers["Allow"] == allowed
    assert error["code"] == "METHOD_NOT_ALLOWED"
    assert MADE.fullmatch(response.headers["x-request-id"])
    assert (lines[0]["status"], lines[0]["outcome"]) == (405, "METHOD_NOT_ALLOWED")


MALFORMED = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03sk-secret\r\n\r\n",
    "an unknown method": b"SK-SECRET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "two lengths": b"POST /v1/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "a length that is none": b"POST /v1/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: sk-secret\r\n\r\n",
    "a header without a colon": b"GET / HTTP/1.1\r\nHost: localhost\r\nsk-secret\r\n\r\n",
    "a long header": b"GET / HTTP/1.1\r\nHost: localhost\r\nx: " + b"sk-secret" * 2000 + b"\r\n\r\n",
    "a long target": b"GET /" + b"sk-secret" * 2000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a NUL": b"GET / HTTP/1.1\r\nHost: localhost\r\nx: sk-secret\x00\r\n\r\n",
}


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED)
async def test_malformed_http_is_refused_in_few_words_and_written_down_once(
    sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """400 and the end of the connection; neither the parser's words nor the caller's bytes come back or are logged."""
    async with running_pool(SIM) as up, up.connect() as bare:
        await bare.say(sent)
        answer = await asyncio.wait_for(bare.reader.read(), 5)
        lines = await up.lines(1)
    assert answer.startswith((b"HTTP/1.1 400 Bad Request\r\n", b"HTTP/1.0 400 Bad Request\r\n"))
    assert (lines[0]["route"], lines[0]["status"], lines[0]["outcome"]) == ("malformed", 400, "INVALID_REQUEST")
    assert orjson.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "INVALID_REQUEST"
    assert b"secret" not in answer.lower()
    assert "secret" not in caplog.text.lower()
    assert b"x-request-id: " + lines[0]["request_id"].encode() in answer.lower()


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "stream"])
async def test_a_bug_is_500_and_a_request_id_and_nothing_else(whole: bool, caplog: pytest.LogCaptureFixture) -> None:
    """The log has the traceback under the same id."""
    async with pool_of(SIM, {"one": Buggy()}) as pool, serving(pool) as up:
        async with up.http.post("/v1/infer", json={"prompt": "hi", "stream": not whole}) as response:
            told = orjson.loads(await response.read())
        lines = await up.lines(1)
    request_id = response.headers["x-request-id"]
    assert response.status == 500
    assert told == {"error": {"code": "INTERNAL", "message": "internal error", "request_id": request_id, "details": {}}}
    assert (lines[0]["status"], lines[0]["outcome"]) == (500, "INTERNAL")
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.exc_info is not None
    assert vars(record)["fields"] == {"request_id": request_id}


async def test_a_bug_in_the_middle_of_a_stream_is_one_event_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    """The stream has begun, so its status stands; it has no end but the error."""
    buggy = Buggy(Started("m", "sim"), TextDelta("Hel"), TextDelta("lo"))
    async with pool_of(SIM, {"one": buggy}) as pool, serving(pool) as up:
        said = await http_stream(up, {"prompt": "hi"})
        lines = await up.lines(1)
    assert [name for name, _ in said.events] == ["started", "text", "text"]
    assert said.error == {"code": "INTERNAL", "message": "internal error", "details": {}}
    assert (lines[0]["status"], lines[0]["outcome"]) == (200, "INTERNAL")
    assert [record.exc_info is not None for record in caplog.records if record.levelno >= logging.ERROR] == [True]


async def test_no_answer_lets_another_site_read_it() -> None:
    """Without a configured origin there is no CORS header, whatever the page asks for."""
    async with running_pool(SIM) as up:
        headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
        for method, path in (("OPTIONS", "/v1/infer"), ("POST", "/v1/infer"), ("GET", "/health")):
            async with up.http.request(method, path, headers=headers) as response:
                assert not [name for name in response.headers if name.lower().startswith("access-control")]


async def test_two_requests_on_one_connection_are_two_lines() -> None:
    """Ids are not carried over from one to the next."""
    async with running_pool(SIM) as up, raw(up.http_address) as bare:
        await bare.say(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nx-request-id: first\r\n\r\n")
        first = await bare.reply()
        await bare.say(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        second = await bare.reply()
        await up.lines(2)
    assert first.headers["x-request-id"] == "first"
    assert MADE.fullmatch(second.headers["x-request-id"])
