"""An Ollama server that says what a script tells it to, on a real socket and in the real server's shapes.

    async with FakeOllama({"llama3:latest": Script(answer="Hello.", stall_after=1)}) as fake:
        ...  # something talks to fake.url
        assert fake.open_streams == 0

`test_fake_is_true.py` drives it with the official client. Plain attributes may be changed while it runs.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any, Self

import orjson
from aiohttp import web

Json = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
DROPPED = web.RequestKey("dropped", bool)

DIMENSIONS = 4  # of its vectors, where no fewer are asked for
CONTEXT = 1_000  # words that are embedded


@dataclass(frozen=True, slots=True)
class Script:
    """How one model answers. Tokens are words, counted over thinking and answer together; seconds throughout.

    `calls` are pairs of a tool's name and its arguments, one line each, made where tools are offered and the last
    message is no result of one; the answer is not said then. `call_ids`: False for older servers, which give none.
    """

    answer: str = "Hello there, how are you?"
    thinking: str = ""
    calls: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    call_ids: bool = True
    headers_after: float = 0.0  # silence before the response's first byte
    token_after: float = 0.0  # silence before each token
    stall_after: int | None = None  # tokens, then silence for ever (0: headers only; -1: not even headers)
    cut_after: int | None = None  # tokens, then the connection drops
    cut_after_bytes: int | None = None  # bytes of the body, then the connection drops
    line_after: int = 0  # tokens, then `line`, sent as it is: an error line, garbage, something over-long
    line: bytes = b""
    done: bool = True  # False: the body ends without a last chunk
    done_reason: str | None = "stop"
    counts: Mapping[str, int] | None = None  # of the last chunk; None: 7 prompt tokens and the tokens sent
    stall_at_end: bool = False  # after the last chunk the body stays open
    status: int = 200  # with `body`, or when not 200: this answer instead of a stream
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def failing(cls, status: int, text: str = "something went wrong", **headers: str) -> Script:
        """An HTTP error in Ollama's shape; `retry_after="3"` becomes the header `retry-after`."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(status=status, body=orjson.dumps({"error": text}), headers=names)

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


class FakeOllama:
    """`models`: what is installed, and how each answers. `cold`: installed ones that are not in memory yet."""

    def __init__(self, models: Mapping[str, Script] | None = None, *, cold: tuple[str, ...] = ()) -> None:
        self.scripts: dict[str, Script] = dict(models if models is not None else {"llama3:latest": Script()})
        self.loaded: set[str] = set(self.scripts) - set(cold)
        self.load_time: float = 0.0  # seconds that /api/generate takes to load a model
        self.key: str | None = None  # when set: what `Authorization: Bearer` must carry
        self.statuses: dict[str, int] = {}  # path -> status that every request to it gets
        self.delays: dict[str, float] = {}  # path -> seconds before it is looked at
        self.drops_reused = False  # drop a connection at its second request, without a word

        self.received: deque[Received] = deque(maxlen=10_000)
        self.open_streams = 0  # /api/chat answers under way now
        self.left_at: list[float] = []  # loop.time() of each /api/chat that its client left
        self.connections: set[tuple[str, int]] = set()  # every peer address that ever sent a request
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application(middlewares=[self._gate], client_max_size=64 * 1024 * 1024)
        app.router.add_get("/api/tags", self._tags)
        app.router.add_get("/api/ps", self._ps)
        app.router.add_get("/api/version", self._version)
        app.router.add_post("/api/chat", self._chat)
        app.router.add_post("/api/generate", self._generate)
        app.router.add_post("/api/embed", self._embed)
        # handler_cancellation: a handler is cancelled as soon as its client hangs up.
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.05)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def asked(self, path: str = "/api/chat") -> list[Received]:
        return [request for request in self.received if request.path == path]

    # --- Routes -------------------------------------------------------------------------------------------------

    @web.middleware
    async def _gate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.received.append(Received(request.path, headers, orjson.loads(body) if body else None))
        await asyncio.sleep(self.delays.get(request.path, 0.0))
        peer = request.transport.get_extra_info("peername")[:2] if request.transport else ("", 0)
        if self.drops_reused and peer in self.connections:
            await _drop(request)
        self.connections.add(peer)
        if self.key is not None and headers.get("authorization") != f"Bearer {self.key}":
            return _json({"error": "unauthorized"}, status=401)
        if (status := self.statuses.get(request.path, 200)) != 200:
            return _json({"error": f"scripted {status}"}, status=status)
        return await handler(request)

    async def _version(self, request: web.Request) -> web.Response:
        return _json({"version": "0.12.0"})

    async def _tags(self, request: web.Request) -> web.Response:
        return _json({"models": [_listed(name) | {"modified_at": _now()} for name in self.scripts]})

    async def _ps(self, request: web.Request) -> web.Response:
        extra = {"expires_at": "2318-01-01T00:00:00Z", "size_vram": 4_661_224_676, "context_length": 4096}
        return _json({"models": [_listed(name) | extra for name in sorted(self.loaded)]})

    async def _generate(self, request: web.Request) -> web.Response:
        """Only what loads a model: no prompt."""
        body = orjson.loads(await request.read())
        name = self._find(body)
        if isinstance(name, web.Response):
            return name
        await asyncio.sleep(self.load_time)
        self.loaded.add(name)
        chunk = {"model": body["model"], "created_at": _now(), "response": "", "done": True, "done_reason": "load"}
        return _json(chunk)

    async def _embed(self, request: web.Request) -> web.Response:
        """A vector says the lengths of its text's words, so that one can tell whose it is."""
        body = orjson.loads(await request.read())
        name = self._find(body)
        if isinstance(name, web.Response):
            return name
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        if not body.get("truncate", True) and any(len(text.split()) > CONTEXT for text in texts):
            return _json({"error": "the input length exceeds the context length"}, status=400)
        rows = [vector(text)[: body.get("dimensions") or DIMENSIONS] for text in texts]
        tokens = sum(len(text.split()) for text in texts)
        return _json(
            {"model": body["model"], "embeddings": rows, "total_duration": 14_143_917}
            | {"load_duration": 1_019_500, "prompt_eval_count": tokens}
        )

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        name = self._find(body)
        if isinstance(name, web.Response):
            return name
        if wrong := _wrong(body):
            return _json({"error": wrong}, status=400)
        script = self.scripts[name]
        self.open_streams += 1
        try:
            return await self._answer(request, body, script)
        except (asyncio.CancelledError, ConnectionResetError):
            if DROPPED not in request:
                self.left_at.append(asyncio.get_running_loop().time())
            raise
        finally:
            self.open_streams -= 1
            self.loaded.add(name)

    def _find(self, body: Json) -> str | web.Response:
        name = str(body["model"] if ":" in body["model"] else body["model"] + ":latest")
        if re.fullmatch(r"-?[0-9]+", str(body.get("keep_alive", ""))) and isinstance(body["keep_alive"], str):
            return _json({"error": f'time: missing unit in duration "{body["keep_alive"]}"'}, status=400)
        if name not in self.scripts:
            return _json({"error": f"model '{body['model']}' not found"}, status=404)
        return name

    # --- One answer ---------------------------------------------------------------------------------------------

    async def _answer(self, request: web.Request, body: Json, script: Script) -> web.StreamResponse:
        await asyncio.sleep(script.headers_after)
        if script.stall_after == -1:
            await _for_ever()
        if script.body is not None or script.status != 200:
            return web.Response(status=script.status, body=script.body, headers=script.headers)
        if not body.get("stream", True):
            return _json(_added_up(body, script))
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"} | dict(script.headers))
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
                    await response.write(step[:left])
                    if left is not None and (left := left - len(step)) <= 0:
                        await _drop(request)
        await response.write_eof()
        return response


def _steps(body: Json, script: Script) -> Iterator[bytes | float | Do]:
    """What happens on the line, in order: bytes to send, seconds to wait or what to do."""
    chunks, reason = _chunks(body, script)
    for sent, message in enumerate([*chunks, None]):
        if script.line and sent == script.line_after:
            yield script.line + b"\n"
        if sent == script.stall_after:
            yield Do.STALL
        if sent == script.cut_after:
            yield Do.CUT
        if message is not None:
            yield script.token_after
            yield _line(body, {"message": message, "done": False} | _likely(body, message))
    if script.done:
        yield _line(body, {"message": {"role": "assistant", "content": ""}} | _last(script, reason, len(chunks)))
    if script.stall_at_end:
        yield Do.STALL


def _chunks(body: Json, script: Script) -> tuple[list[Json], str | None]:
    if not body.get("messages"):
        return [], "load"
    thoughts: list[Json] = [{"role": "assistant", "content": "", "thinking": word} for word in _words(script.thinking)]
    if script.calls and body.get("tools") and body["messages"][-1]["role"] != "tool":
        chunks = thoughts + [
            {"role": "assistant", "content": "", "tool_calls": [_call(script, index)]}
            for index in range(len(script.calls))
        ]
        return chunks, script.done_reason
    chunks = thoughts + [{"role": "assistant", "content": word} for word in _words(script.answer)]
    most = body.get("options", {}).get("num_predict", -1)
    return (chunks[:most], "length") if 0 <= most < len(chunks) else (chunks, script.done_reason)


def _call(script: Script, index: int) -> Json:
    name, arguments = script.calls[index]
    call_id = {"id": f"call_{name}{index}"} if script.call_ids else {}
    return call_id | {"function": {"index": index, "name": name, "arguments": dict(arguments)}}


def _likely(body: Json, message: Json) -> Json:
    """What `logprobs` adds to a line: its token, and as many others as were asked for."""
    token = message["content"] or message.get("thinking", "")
    if not body.get("logprobs") or not token:
        return {}
    others = [_token(f"{token}{number}", -1.0 - number) for number in range(body.get("top_logprobs", 0))]
    return {"logprobs": [_token(token, -0.5) | ({"top_logprobs": others} if others else {})]}


def _token(token: str, logprob: float) -> Json:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


def _wrong(body: Json) -> str:
    """What the server refuses in a chat; "" where all is well."""
    if body.get("think") not in {None, True, False, "low", "medium", "high", "max"}:
        return f'invalid think value: "{body["think"]}" (must be "high", "medium", "low", "max", true, or false)'
    for message in body.get("messages") or ():
        for image in message.get("images", ()):
            try:
                base64.b64decode(image, validate=True)
            except ValueError:
                return "illegal base64 data at input byte 0"
        if any(not isinstance(call["function"]["arguments"], dict) for call in message.get("tool_calls", ())):
            return "json: cannot unmarshal string into Go struct field ToolCallFunction of type map[string]interface {}"
    return ""


def vector(text: str) -> list[float]:
    """The one that /api/embed makes of a text."""
    lengths = [len(word) for word in text.split()]
    return [float(number) for number in (lengths + [0] * DIMENSIONS)[:DIMENSIONS]]


def _last(script: Script, reason: str | None, tokens: int) -> Json:
    counts = {"prompt_eval_count": 7, "eval_count": tokens} if script.counts is None else script.counts
    times = {"total_duration": 4_883_583_458, "load_duration": 1_334_875, "eval_duration": 4_535_599_000}
    return {"done": True} | ({"done_reason": reason} if reason else {}) | times | dict(counts)


def _added_up(body: Json, script: Script) -> Json:
    chunks, reason = _chunks(body, script)
    message: Json = {"role": "assistant", "content": "".join(chunk["content"] for chunk in chunks)}
    if script.thinking:
        message["thinking"] = "".join(chunk.get("thinking", "") for chunk in chunks)
    if calls := [call for chunk in chunks for call in chunk.get("tool_calls", ())]:
        message["tool_calls"] = calls
    return {"model": body["model"], "created_at": _now(), "message": message} | _last(script, reason, len(chunks))


def _line(body: Json, chunk: Json) -> bytes:
    return orjson.dumps({"model": body["model"], "created_at": _now()} | chunk) + b"\n"


def _words(text: str) -> list[str]:
    return re.findall(r"\s*\S+|\s+$", text)


def _listed(name: str) -> Json:
    details = {"parent_model": "", "format": "gguf", "family": "llama", "families": ["llama"]}
    details |= {"parameter_size": "8.0B", "quantization_level": "Q4_0"}
    return {"name": name, "model": name, "size": 4_661_224_676, "digest": "a" * 64, "details": details}


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


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
