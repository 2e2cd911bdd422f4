"""Anthropic's Messages API as a script tells it to answer, on a real socket and in the real server's shapes.

    async with FakeAnthropic({"claude-haiku-4-5": Script.saying("Hello.", stall_after=1)}) as fake:
        ...  # something talks to fake.url
        assert fake.open_streams == 0

A model may have several scripts: its first answer, its second, and so on; the last one stays. What it is sent is looked
at as the real server does (`anthropic_rules.py`): thinking must come back as it was given, or the answer is 400.
Written from the public documentation; `test_fake_is_true.py` drives it with the official client.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import orjson
from aiohttp import web

from tests.fakes.anthropic_rules import Invalid, Rules

Json = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
DROPPED = web.RequestKey("dropped", bool)

TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
    404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error", 504: "timeout_error",
    529: "overloaded_error",
}  # fmt: skip
UNCOUNTED = {"max_tokens", "stream", "stop_sequences", "temperature", "top_p", "top_k", "metadata", "service_tier"}


def frame(event: Json) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (event["type"].encode(), orjson.dumps(event))


def error(kind: str, message: str = "secret") -> Json:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


@dataclass(frozen=True, slots=True)
class Script:
    """One answer: `content` are its blocks as the API has them. Pieces are words, or five characters of arguments."""

    content: tuple[Json, ...] = ({"type": "text", "text": "Hello there, how are you?"},)
    stop_reason: str = "end_turn"
    stop_sequence: str | None = None
    usage: Mapping[str, Any] = field(default_factory=lambda: {"input_tokens": 7})  # of `message_start`
    last_usage: Mapping[str, Any] = field(default_factory=lambda: {"output_tokens": 5})  # of `message_delta`
    headers_after: float = 0.0  # seconds of silence before the response's first byte
    stall_after: int | None = None  # pieces, then silence for ever (0: after `message_start`; -1: not even headers)
    cut_after: int | None = None  # pieces, then the connection drops
    cut_after_bytes: int | None = None
    inserted: bytes = b""  # sent as it is, after `inserted_after` pieces; -1: before `message_start`
    inserted_after: int = 0
    stop: bool = True  # False: the body ends without `message_stop`
    stall_at_end: bool = False
    streams: bool = True  # False: answers in one piece whatever it is asked
    status: int = 200  # with `body`, or when not 200: this answer instead
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def saying(cls, text: str, **more: Any) -> Script:
        return cls(({"type": "text", "text": text},), **more)

    @classmethod
    def failing(cls, status: int, message: str = "secret", kind: str = "", **headers: str) -> Script:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        body = orjson.dumps(error(kind or TYPES.get(status, "api_error"), message))
        return cls(status=status, body=body, headers=names | {"Content-Type": "application/json"})

    def events(self, model: str = "claude-x", number: int = 1) -> Iterator[Json]:
        """All of the stream, as the API sends it."""
        message: Json = {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": model, "content": []}
        message |= {"stop_reason": None, "stop_sequence": None, "usage": {"output_tokens": 1} | dict(self.usage)}
        yield {"type": "message_start", "message": message}
        for index, block in enumerate(self.content):
            empty, deltas = _pieces(block)
            yield {"type": "content_block_start", "index": index, "content_block": empty}
            if index == 0:
                yield {"type": "ping"}
            for delta in deltas:
                yield {"type": "content_block_delta", "index": index, "delta": delta}
            yield {"type": "content_block_stop", "index": index}
        ending = {"stop_reason": self.stop_reason, "stop_sequence": self.stop_sequence}
        yield {"type": "message_delta", "delta": ending, "usage": dict(self.last_usage)}
        if self.stop:
            yield {"type": "message_stop"}

    def stream(self) -> bytes:
        return b"".join(map(frame, self.events()))

    def whole(self, model: str = "claude-x", number: int = 1) -> Json:
        message: Json = {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": model}
        message |= {"content": list(self.content), "usage": {**self.usage, **self.last_usage}}
        return message | {"stop_reason": self.stop_reason, "stop_sequence": self.stop_sequence}


def _pieces(block: Json) -> tuple[Json, list[Json]]:
    """A block as it begins, and the deltas that make it whole."""
    match block:
        case {"type": "text", "text": text}:
            return {"type": "text", "text": ""}, [{"type": "text_delta", "text": word} for word in _words(text)]
        case {"type": "thinking", "thinking": text, "signature": signature}:
            deltas = [{"type": "thinking_delta", "thinking": word} for word in _words(text)]
            signed = [{"type": "signature_delta", "signature": signature}] if signature else []
            return {"type": "thinking", "thinking": "", "signature": ""}, deltas + signed
        case {"type": "tool_use", "input": given}:
            text = orjson.dumps(given).decode() if given else ""
            pieces = ["", *re.findall(r"(?s).{1,5}", text)]
            return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
        case _:
            return block, []


def _words(text: str) -> list[str]:
    return re.findall(r"\s*\S+|\s+$", text)


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came in; header names in lower case."""

    path: str
    headers: Mapping[str, str]
    body: Any
    query: Mapping[str, str]


class FakeAnthropic:
    """`budgets`: whether its models think on a budget; else they are newer, and refuse that and sampling."""

    def __init__(
        self, models: Mapping[str, Script | tuple[Script, ...]] | None = None, *, budgets: bool = True
    ) -> None:
        scripts = {"claude-haiku-4-5": Script()} if models is None else models
        self.scripts = {name: deque((one,) if isinstance(one, Script) else one) for name, one in scripts.items()}
        self.budgets = budgets
        self.tokens = 42  # what everything counts
        self.key: str | None = None  # when set: what `x-api-key` must carry
        self.statuses: dict[str, int] = {}  # path -> status that every request to it gets
        self.delays: dict[str, float] = {}  # path -> seconds before it is looked at
        self.listing: Json | None = None  # what /v1/models says instead
        self.received: deque[Received] = deque(maxlen=10_000)
        self.answered: list[tuple[Json, ...]] = []  # the content of every answer
        self.open_streams = 0  # answers under way now
        self.left_at: list[float] = []  # loop.time() of each answer that its client left
        self.connections: set[tuple[str, int]] = set()
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application(middlewares=[self._gate], client_max_size=64 * 1024 * 1024)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/messages", self._chat)
        app.router.add_post("/v1/messages/count_tokens", self._count)
        # handler_cancellation: a handler is cancelled as soon as its client hangs up.
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.05)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def asked(self, path: str = "/v1/messages") -> list[Received]:
        return [request for request in self.received if request.path == path]

    @web.middleware
    async def _gate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.received.append(Received(request.path, headers, orjson.loads(body) if body else None, dict(request.query)))
        await asyncio.sleep(self.delays.get(request.path, 0.0))
        if request.transport is not None:
            self.connections.add(request.transport.get_extra_info("peername")[:2])
        if self.key is not None and headers.get("x-api-key") != self.key:
            return _refused(401, "invalid x-api-key")
        if (status := self.statuses.get(request.path, 200)) != 200:
            return _refused(status, "scripted")
        if "anthropic-version" not in headers:
            return _refused(400, "anthropic-version: header is required")
        return await handler(request)

    async def _models(self, request: web.Request) -> web.Response:
        shape = {"type": "model", "display_name": "Claude", "created_at": "2025-10-01T00:00:00Z"}
        data = [shape | {"id": name} for name in self.scripts]
        return _json(self.listing or {"data": data, "has_more": False, "first_id": None, "last_id": None})

    async def _count(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        problem = next((f"{name}: Extra inputs are not permitted" for name in body if name in UNCOUNTED), "")
        problem = problem or self._problem({"max_tokens": 64_000} | body)
        return _refused(400, problem) if problem else _json({"input_tokens": self.tokens})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        scripts = self.scripts.get(body.get("model"))
        if scripts is None:
            return _refused(404, f"model: {body.get('model')}")
        if problem := self._problem(body):
            return _refused(400, problem)
        script = scripts.popleft() if len(scripts) > 1 else scripts[0]
        self.open_streams += 1
        try:
            return await self._answer(request, body, script)
        except (asyncio.CancelledError, ConnectionResetError):
            if DROPPED not in request:
                self.left_at.append(asyncio.get_running_loop().time())
            raise
        finally:
            self.open_streams -= 1

    def _problem(self, body: Json) -> str:
        try:
            Rules(body, self.answered, budgets=self.budgets).check()
        except Invalid as wrong:
            return str(wrong)
        return ""

    async def _answer(self, request: web.Request, body: Json, script: Script) -> web.StreamResponse:
        await asyncio.sleep(script.headers_after)
        if script.stall_after == -1:
            await _for_ever()
        if script.body is not None or script.status != 200:
            return web.Response(status=script.status, body=script.body, headers=script.headers)
        self.answered.append(script.content)
        if not body.get("stream", False) or not script.streams:
            return _json(script.whole(body["model"], len(self.answered)))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        left = script.cut_after_bytes
        for piece in self._said(body, script):
            if piece is None:
                await (_drop(request) if script.stall_after is None and not script.stall_at_end else _for_ever())
                continue
            await response.write(piece[:left])
            if left is not None and (left := left - len(piece)) <= 0:
                await _drop(request)
        await response.write_eof()
        return response

    def _said(self, body: Json, script: Script) -> Iterator[bytes | None]:
        """What goes over the line; None where the script says that it ends."""
        sent = -1
        for event in script.events(body["model"], len(self.answered)):
            counts = sent < 0 or event["type"] in {"content_block_delta", "message_delta"}
            if script.inserted and script.inserted_after == sent and counts:
                yield script.inserted
            if sent in {script.stall_after, script.cut_after} and counts:
                yield None
            yield frame(event)
            sent += counts
        if script.stall_at_end:
            yield None


def _json(body: Json, *, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")


def _refused(status: int, message: str) -> web.Response:
    return _json(error(TYPES.get(status, "api_error"), message), status=status)


async def _drop(request: web.Request) -> None:
    """Close the connection once what was written is out, in the middle of whatever it is."""
    request[DROPPED] = True  # so that the cancellation which follows is not taken for the client's leaving
    if request.transport is not None:
        request.transport.close()
    await _for_ever()


async def _for_ever() -> None:
    await asyncio.Event().wait()
