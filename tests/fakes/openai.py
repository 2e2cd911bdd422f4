"""An OpenAI-compatible server that says what a script tells it to, on a real socket and in the real servers' shapes.

    async with FakeOpenAI({"gpt": Script(answer="Hello.", stall_after=1)}) as fake:
        ...  # something talks to fake.url
        assert fake.open_streams == 0

`tests/providers/openai/test_fake_is_true.py` drives it with the official client. Plain attributes may be changed while
it runs. `stream_of` gives the bytes of an answer without a socket.
"""

from __future__ import annotations

import asyncio
import gzip
import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Literal, Self

import orjson
from aiohttp import web

Json = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
DROPPED = web.RequestKey("dropped", bool)
CREATED = 1_750_000_000


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: str = "{}"
    id: str = "call_1"


@dataclass(frozen=True, slots=True)
class Script:
    """How one model answers. Tokens are words, counted over thinking and answer together; seconds throughout."""

    answer: str = "Hello there, how are you?"
    thinking: str = ""
    thinking_as: str = "reasoning_content"  # or `reasoning`, as OpenRouter and newer vLLM call it
    details: tuple[Json, ...] = ()  # `reasoning_details`, each with a chunk of its own after the thinking
    calls: tuple[Call, ...] = ()  # made where tools are offered and no result has come yet; interleaved
    calls_as: Literal["pieces", "whole", "whole without index"] = "pieces"
    refusal: str = ""
    finish_reason: str | None = "stop"
    usage: Literal["own chunk", "last chunk", "twice", "never"] = "own chunk"
    counts: Mapping[str, Any] | None = None  # None: 7 prompt tokens and the tokens sent
    done: bool = True  # False: the body ends without `[DONE]`
    comment: bytes = b""  # before the first chunk and between others, such as b": OPENROUTER PROCESSING"
    streams: bool = True  # False: it passes over `stream`, as some do
    bytes_at_once: int = 0  # a write takes no more: cuts frames and characters
    headers_after: float = 0.0  # silence before the response's first byte
    token_after: float = 0.0  # silence before each token, and before whatever comes after the last
    stall_after: int | None = None  # tokens, then silence for ever (0: headers only; -1: not even headers)
    cut_after: int | None = None  # tokens, then the connection drops
    cut_after_bytes: int | None = None  # bytes of the body, then the connection drops
    frame_after: int = 0  # tokens, then `frame`, sent as it is: an error, garbage, something over-long
    frame: bytes = b""
    stall_at_end: bool = False  # after the last chunk the body stays open
    status: int = 200  # with `body`, or when not 200: this answer instead of a stream
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def failing(
        cls, status: int, text: str = "something went wrong", *, error: Json | None = None, **headers: str
    ) -> Script:
        """An HTTP error in OpenAI's shape; `retry_after="3"` becomes the header `retry-after`."""
        said = {"message": text, "type": "invalid_request_error", "param": None, "code": None} | (error or {})
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(status=status, body=orjson.dumps({"error": said}), headers=names)

    @classmethod
    def redirecting(cls, location: str) -> Script:
        return cls(status=307, body=b"", headers={"Location": location})

    @classmethod
    def html(cls) -> Script:
        """What a proxy's error page looks like."""
        return cls(body=b"<!doctype html>\n<title>Welcome</title>\n", headers={"Content-Type": "text/html"})

    @classmethod
    def gzipped(cls, size: int = 1_000_000) -> Script:
        return cls(body=gzip.compress(b" " * size), headers={"Content-Encoding": "gzip"})


class Do(Enum):
    STALL = auto()
    CUT = auto()


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came in; header names in lower case, `body` None where there was none."""

    path: str
    headers: Mapping[str, str]
    body: Any


class FakeOpenAI:
    """`models`: what is listed, and how each answers. Paths are below `/v1`, which `url` ends with."""

    def __init__(self, models: Mapping[str, Script] | None = None, *, owner: str = "fake") -> None:
        self.scripts: dict[str, Script] = dict(models if models is not None else {"gpt": Script()})
        self.owner = owner  # "llamacpp": lists to everybody, takes any name, and looks at keys elsewhere
        self.key: str | None = None  # when set: what `Authorization: Bearer` must carry
        self.public: set[str] = set()  # paths that want no key, such as OpenRouter's /models
        self.loading = False  # as a llama-server that is: everything but its listing answers 503
        self.statuses: dict[str, int] = {}  # path -> status that every request to it gets
        self.delays: dict[str, float] = {}  # path -> seconds before it is looked at
        self.listing: bytes | None = None  # instead of the answer of /models
        self.vectors: bytes | None = None  # instead of the answer of /embeddings
        self.drops_reused = False  # drop a connection at its second request, without a word

        self.received: deque[Received] = deque(maxlen=10_000)
        self.open_streams = 0  # /chat/completions answers under way now
        self.left_at: list[float] = []  # loop.time() of each /chat/completions that its client left
        self.connections: set[tuple[str, int]] = set()  # every peer address that ever sent a request
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application(middlewares=[self._gate], client_max_size=64 * 1024 * 1024)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/v1/key", self._key)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/embeddings", self._embeddings)
        # handler_cancellation: a handler is cancelled as soon as its client hangs up.
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.05)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def asked(self, path: str = "/chat/completions") -> list[Received]:
        return [request for request in self.received if request.path == path]

    # --- Routes -------------------------------------------------------------------------------------------------

    @web.middleware
    async def _gate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        body, path = await request.read(), request.path.removeprefix("/v1")
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.received.append(Received(path, headers, orjson.loads(body) if body else None))
        await asyncio.sleep(self.delays.get(path, 0.0))
        peer = request.transport.get_extra_info("peername")[:2] if request.transport else ("", 0)
        if self.drops_reused and peer in self.connections:
            await _drop(request)
        self.connections.add(peer)
        public = path in self.public or (path == "/models" and self.owner == "llamacpp")
        if self.key is not None and not public and headers.get("authorization") != f"Bearer {self.key}":
            return _error(401, "Incorrect API key provided: sk-secret.", "invalid_request_error", "invalid_api_key")
        if self.loading and path != "/models":
            return _error(503, "Loading model", "unavailable_error", 503)
        if (status := self.statuses.get(path, 200)) != 200:
            return _error(status, f"scripted {status}", "scripted_error")
        return await handler(request)

    async def _models(self, request: web.Request) -> web.Response:
        if self.listing is not None:
            return web.Response(body=self.listing, content_type="application/json")
        listed = [{"id": name, "object": "model", "created": CREATED, "owned_by": self.owner} for name in self.scripts]
        return _json({"object": "list", "data": listed})

    async def _key(self, request: web.Request) -> web.Response:
        return _json({"data": {"label": "sk-or-v1-abc...123", "usage": 25.5, "limit": 100, "is_free_tier": False}})

    async def _embeddings(self, request: web.Request) -> web.Response:
        """A vector says how long its input is, and which of them it is. They come in reverse, with their index."""
        if self.vectors is not None:
            return web.Response(body=self.vectors, content_type="application/json")
        body = orjson.loads(await request.read())
        inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
        size = body.get("dimensions", 3)
        data = [
            {
                "object": "embedding",
                "index": index,
                "embedding": ([float(len(each)), index + 0.5] + [0.0] * size)[:size],
            }
            for index, each in reversed(list(enumerate(inputs)))
        ]
        usage = {"prompt_tokens": sum(map(len, inputs)), "total_tokens": sum(map(len, inputs))}
        return _json({"object": "list", "data": data, "model": body["model"], "usage": usage})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        if not body.get("messages"):
            return _error(400, "you must provide messages", "invalid_request_error", param="messages")
        if "tool_choice" in body and not body.get("tools"):
            return _error(400, "'tool_choice' is only allowed with tools", "invalid_request_error", param="tool_choice")
        script = self.scripts.get(body["model"])
        if self.owner == "llamacpp":
            script = next(iter(self.scripts.values()))
        if script is None:
            text = f"The model `{body['model']}` does not exist or you do not have access to it."
            return _error(404, text, "invalid_request_error", "model_not_found")
        self.open_streams += 1
        try:
            return await self._answer(request, body, script)
        except (asyncio.CancelledError, ConnectionResetError):
            if DROPPED not in request:
                self.left_at.append(asyncio.get_running_loop().time())
            raise
        finally:
            self.open_streams -= 1

    # --- One answer ---------------------------------------------------------------------------------------------

    async def _answer(self, request: web.Request, body: Json, script: Script) -> web.StreamResponse:
        await asyncio.sleep(script.headers_after)
        if script.stall_after == -1:
            await _for_ever()
        if script.body is not None or script.status != 200:
            headers = {"Content-Type": "application/json"} | dict(script.headers)
            return web.Response(status=script.status, body=script.body, headers=headers)
        if not (body.get("stream") and script.streams):
            return _json(_added_up(body, script))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"} | dict(script.headers))
        await response.prepare(request)
        left = script.cut_after_bytes
        for step in _steps(body, script):
            match step:
                case float():
                    await asyncio.sleep(step)
                case Do.STALL:
                    await _for_ever()
                case Do.CUT:
                    await _drop(request)
                case bytes():
                    await _write(response, step[:left], script.bytes_at_once)
                    if left is not None and (left := left - len(step)) <= 0:
                        await _drop(request)
        await response.write_eof()
        return response


async def _write(response: web.StreamResponse, data: bytes, at_once: int) -> None:
    size = at_once or len(data) or 1
    for start in range(0, len(data), size):
        await response.write(data[start : start + size])


def stream_of(script: Script, body: Json | None = None) -> bytes:
    """The bytes of an answer."""
    asked: Json = {"model": "gpt", "messages": [{"role": "user", "content": "hi"}], "tools": [{}]}
    asked["stream_options"] = {"include_usage": True}
    return b"".join(step for step in _steps(body or asked, script) if isinstance(step, bytes))


def frame(data: object) -> bytes:
    return b"data: " + orjson.dumps(data) + b"\n\n"


def chunk_of(delta: Json | None, *, model: str = "gpt", **more: Any) -> Json:
    """A chunk; without a delta one without choices. `finish_reason` and `logprobs` belong to the choice."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
    choice |= {key: more.pop(key) for key in ("finish_reason", "logprobs") if key in more}
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": CREATED, "model": model}
    return chunk | {"choices": [choice] if delta is not None else []} | more


def _steps(body: Json, script: Script) -> Iterator[bytes | float | Do]:
    """What happens on the line, in order: bytes to send, seconds to wait or what to do."""
    pieces, reason = _pieces(body, script)
    model, asks = body["model"], bool((body.get("stream_options") or {}).get("include_usage"))
    usage = None if script.usage == "never" or not asks else _usage(script, len(pieces))
    comment = script.comment and script.comment + b"\n\n"
    yield comment
    yield frame(chunk_of({"role": "assistant", "content": ""}, model=model))
    for sent, piece in enumerate([*pieces, None]):
        yield script.token_after
        if script.frame and sent == script.frame_after:
            yield script.frame
            yield script.token_after
        if sent == script.stall_after:
            yield Do.STALL
        if sent == script.cut_after:
            yield Do.CUT
        if piece is not None:
            yield frame(chunk_of(piece, model=model, logprobs=_logprobs(body, piece))) + comment
    if reason is not None:
        in_last = {"usage": usage} if usage and script.usage in {"last chunk", "twice"} else {}
        yield frame(chunk_of({}, model=model, finish_reason=reason, **in_last))
    if usage and script.usage in {"own chunk", "twice"}:
        yield frame(chunk_of(None, model=model, usage=usage))
    if script.done:
        yield b"data: [DONE]\n\n"
    if script.stall_at_end:
        yield Do.STALL


def _pieces(body: Json, script: Script) -> tuple[list[Json], str | None]:
    """The deltas of an answer, and why it ends."""
    thoughts: list[Json] = [{script.thinking_as: word} for word in _words(script.thinking)]
    thoughts += [{"reasoning_details": [detail]} for detail in script.details]
    answered = "tool" in " ".join(message["role"] for message in body["messages"]).rpartition("assistant")[2]
    if script.calls and body.get("tools") and not answered:
        return thoughts + _call_pieces(script), "tool_calls"
    pieces = thoughts + [{"content": word} for word in _words(script.answer)]
    pieces += [{"refusal": word} for word in _words(script.refusal)]
    most = body.get("max_completion_tokens", body.get("max_tokens"))
    return (pieces[:most], "length") if most is not None and most < len(pieces) else (pieces, script.finish_reason)


def _call_pieces(script: Script) -> list[Json]:
    """Of every call its head, then of each a bit of its arguments in turn; or whole calls."""
    calls = [
        {
            "index": index,
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for index, call in enumerate(script.calls)
    ]
    if script.calls_as != "pieces":
        if script.calls_as == "whole without index":
            calls = [{key: value for key, value in call.items() if key != "index"} for call in calls]
        return [{"tool_calls": [call]} for call in calls]
    heads = [
        call | {"function": {"name": made.name, "arguments": ""}}
        for call, made in zip(calls, script.calls, strict=True)
    ]
    pieces: list[Json] = [{"tool_calls": [head]} for head in heads]
    bits = [re.findall(r".{1,4}", call.arguments, re.DOTALL) for call in script.calls]
    for turn in range(max(map(len, bits))):
        for index, each in enumerate(bits):
            if turn < len(each):
                pieces.append({"tool_calls": [{"index": index, "function": {"arguments": each[turn]}}]})
    return pieces


def _logprobs(body: Json, piece: Json) -> Json | None:
    if not body.get("logprobs") or "content" not in piece:
        return None
    token = {"token": piece["content"], "logprob": -0.25, "bytes": list(piece["content"].encode())}
    return {"content": [token | {"top_logprobs": [token] * body.get("top_logprobs", 0)}], "refusal": None}


def _usage(script: Script, tokens: int) -> Json:
    if script.counts is not None:
        return dict(script.counts)
    return {"prompt_tokens": 7, "completion_tokens": tokens, "total_tokens": 7 + tokens}


def _added_up(body: Json, script: Script) -> Json:
    pieces, reason = _pieces(body, script)
    message: Json = {"role": "assistant", "content": "".join(piece.get("content", "") for piece in pieces) or None}
    message["refusal"] = script.refusal or None
    if script.thinking:
        message[script.thinking_as] = script.thinking
    if reason == "tool_calls":
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in script.calls
        ]
    told = [each for piece in pieces if (likely := _logprobs(body, piece)) for each in likely["content"]]
    choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": {"content": told} if told else None}
    answer = {"id": "chatcmpl-1", "object": "chat.completion", "created": CREATED, "model": body["model"]}
    return answer | {"choices": [choice], "usage": _usage(script, len(pieces))}


def _words(text: str) -> list[str]:
    return re.findall(r"\s*\S+|\s+$", text)


def _error(status: int, text: str, kind: str, code: object = None, *, param: str | None = None) -> web.Response:
    return _json({"error": {"message": text, "type": kind, "param": param, "code": code}}, status=status)


def _json(body: Json, *, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")


async def _drop(request: web.Request) -> None:
    """Close the connection once what was written is out, in the middle of whatever it is."""
    request[DROPPED] = True  # so that the cancellation which follows is not taken for the client's leaving
    if request.transport is not None:
        request.transport.close()
    await _for_ever()


async def _for_ever() -> None:
    await asyncio.Event().wait()
