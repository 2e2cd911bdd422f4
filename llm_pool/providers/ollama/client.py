"""Ask an Ollama server, over its native API. All I/O of this provider is here; `translate.py` knows the wire's words.

1. Time belongs to dispatch: only connecting is limited here. Whoever leaves the block hangs up.
2. A connection is used again only after its answer was read to the end; otherwise it is aborted, for `close()` would
   first wait until what is left to send has been sent.
3. Foreign exceptions become ours where they enter: opening (`_Wire`), or inside the event iterator (`_Chat`).
4. Nothing is read without a bound, nothing is decompressed, no redirect is followed: a key and a prompt go to
   `base_url` and nowhere else.
"""

from __future__ import annotations

import asyncio
import io
import logging
import time
from contextlib import AbstractAsyncContextManager, suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import aiohttp
import orjson
from aiohttp.http import HttpProcessingError

from llm_pool.core.errors import ProviderError, ProviderGarbled, ProviderRefused, ProviderUnreachable, StreamBroken
from llm_pool.core.ports.provider import Health
from llm_pool.core.streams import Answering, Events
from llm_pool.core.types import Started
from llm_pool.providers.ndjson import Lines
from llm_pool.providers.ollama.translate import Decoder, failure, load_wire, model_names, state, to_wire
from llm_pool.providers.pushback import wait_said

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from llm_pool.core.types import Request

DEFAULT_URL = "http://127.0.0.1:11434"
ANY_MODEL = ("*",)

HEALTH_TIMEOUT = 2.0  # seconds, for all that one look at its health asks
END_TIMEOUT = 0.05  # seconds that the end of the body may lag behind the last line, before reuse is given up
ANSWER_LIMIT = 32 * 1024 * 1024  # bytes
LISTING_LIMIT = 4 * 1024 * 1024  # bytes

PIECE = 64 * 1024  # bytes

OK = 200
REFUSES_KEY = (401, 403)

# What aiohttp, asyncio and the operating system raise for a connection or a peer. CancelledError is none of these.
FOREIGN = (aiohttp.ClientError, HttpProcessingError, OSError, asyncio.IncompleteReadError)

# How a connection fails that the server had closed while it lay idle in the pool.
STALE = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientConnectionResetError)

PRELOAD_AGAIN = 5.0  # seconds

log = logging.getLogger("llm_pool.providers.ollama")


class Ollama:
    """One Ollama server. `models` are its own names for what it serves; `("*",)` passes any name on.

    `api_key` goes out as `Authorization: Bearer`, for servers behind a proxy that wants one. `preload` loads the models
    in the background at start; health is `loading` meanwhile.
    """

    def __init__(
        self,
        *,
        models: tuple[str, ...],
        name: str = "",
        base_url: str = DEFAULT_URL,
        api_key: str | None = None,
        extra_headers: Mapping[str, str] | None = None,
        num_ctx: int | None = None,
        keep_alive: str | None = None,
        preload: bool = False,
        connect_timeout: float = 3.0,  # seconds
    ) -> None:
        self._models = () if models == ANY_MODEL else models
        self._keyed = api_key is not None
        self._settings: dict[str, Any] = {"num_ctx": num_ctx, "keep_alive": keep_alive}
        self._preload = preload
        self._preloading: asyncio.Task[None] | None = None
        self._loading: str | None = None
        headers = _headers(api_key, extra_headers or {})
        self._wire = _Wire(base_url, headers, name=name, connect_timeout=connect_timeout)

    async def __aenter__(self) -> Self:
        self._wire.connect()
        if self._preload and self._models:
            self._preloading = asyncio.create_task(self._load_all(), name="ollama preload")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._preloading is not None:
                self._preloading.cancel()
                await asyncio.wait({self._preloading})
                if not self._preloading.cancelled():
                    self._preloading.result()  # a bug must not become a silence
        finally:
            await self._wire.close()

    def chat(self, request: Request) -> Answering:
        return _Chat(self._wire, request, self._settings)

    async def health(self) -> Health:
        until = asyncio.get_running_loop().time() + HEALTH_TIMEOUT
        try:
            async with asyncio.timeout_at(until):
                status, body = await self._wire.get("/api/tags")
            if status in REFUSES_KEY:
                return Health(
                    "unhealthy", "it does not accept our key" if self._keyed else "it wants a key: set api_key"
                )
            if status != OK:
                return Health("unhealthy", f"{self._wire.who} answered {status}")
            installed = model_names(body, who=self._wire.who)
        except (TimeoutError, ProviderUnreachable):
            return Health("unhealthy", f"no answer at {self._wire.host}")
        except ProviderError as error:
            return Health("unhealthy", error.message)
        loaded = await self._loaded(until) if self._models else None
        return state(self._models, installed=installed, loaded=loaded, loading=self._loading)

    async def _loaded(self, until: float) -> frozenset[str] | None:
        """The models in memory; None where the server cannot say (old ones have no /api/ps)."""
        with suppress(TimeoutError, ProviderError):
            async with asyncio.timeout_at(until):
                status, body = await self._wire.get("/api/ps")
            if status == OK:
                return model_names(body, who=self._wire.who)
        return None

    async def _load_all(self) -> None:
        try:
            for model in self._models:
                self._loading = model
                while not await self._loads(model):  # noqa: ASYNC110 - who could set an event is another machine
                    await asyncio.sleep(PRELOAD_AGAIN)
        finally:
            self._loading = None

    async def _loads(self, model: str) -> bool:
        """Load a model; whether there is nothing more to try. A server that is not there yet may come."""
        try:
            await self._load(model)
        except ProviderUnreachable:
            return False
        except ProviderError as error:
            log.warning('could not preload "%s": %s', model, error.message)
        return True

    async def _load(self, model: str) -> None:
        response = await self._wire.open("/api/generate", load_wire(model, **self._settings), model=model)
        try:
            await self._wire.read(response, limit=LISTING_LIMIT)
        finally:
            _hang_up(response)


class _Chat(AbstractAsyncContextManager[Events]):
    """An open answer."""

    __slots__ = ("_decoder", "_events", "_request", "_response", "_settings", "_wire")

    def __init__(self, wire: _Wire, request: Request, settings: dict[str, Any]) -> None:
        self._wire = wire
        self._request = request
        self._settings = settings
        self._decoder = Decoder(wire.who)

    async def __aenter__(self) -> Events:
        body = to_wire(self._request, **self._settings)
        self._response = await self._wire.open("/api/chat", body, model=body["model"])
        self._events = self._read(body["model"])
        return self._events

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._events.aclose()
            if self._decoder.done and kind is None:
                await self._read_end()
        finally:
            _hang_up(self._response)

    async def _read(self, model: str) -> Events:
        lines = Lines(self._wire.who)
        size = 0
        began = False
        while True:
            try:
                # aiohttp 3.14 waits here for ever when the framing of chunks breaks; dispatch's limits end that, too.
                data = await self._response.content.readany()
            except FOREIGN as error:
                raise self._cut() from error
            size += len(data)
            if size > ANSWER_LIMIT:
                raise ProviderGarbled(f"{self._wire.who} sent an answer longer than {ANSWER_LIMIT} bytes")
            for line in lines.feed(data) if data else self._last(lines):
                events = self._decoder.decode(line)
                if not began:
                    began = True
                    yield Started(model, "ollama")
                for event in events:
                    yield event
                if self._decoder.done:
                    return

    def _last(self, lines: Lines) -> list[bytes]:
        """The line that the end of the body left without a line end, if it is the last one of a whole answer."""
        rest = lines.close()
        if not rest or not _is_json(rest[0]):
            raise self._cut()
        return rest

    def _cut(self) -> ProviderError:
        if self._decoder.began:
            return StreamBroken(f"{self._wire.who} broke off in the middle of its answer")
        return ProviderUnreachable(f"{self._wire.who} broke off before it answered")

    async def _read_end(self) -> None:
        """Wait for the end of the body, which closely follows the last line, so that the connection can be reused."""
        content = self._response.content
        if not content.at_eof():
            with suppress(*FOREIGN):  # TimeoutError is an OSError
                async with asyncio.timeout(END_TIMEOUT):
                    await content.readany()


class _Wire:
    """Connections to one server: foreign exceptions in, ours out. Messages name the deployment and no credential."""

    def __init__(self, base_url: str, headers: dict[str, str], *, name: str, connect_timeout: float) -> None:
        self._base = base_url.rstrip("/")
        self._headers = headers
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect_timeout, sock_connect=connect_timeout)
        parts = urlsplit(base_url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        self.host = f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
        self.who = f"Ollama ({name})" if name else "Ollama"  # callers read this; the address is not theirs to know

    def connect(self) -> None:
        tracing = aiohttp.TraceConfig()
        tracing.on_connection_reuseconn.append(_note_reuse)
        self._pooled = self._session(tracing, reuse=True)
        # aiohttp cannot be told to take a new connection; a session that never keeps one always does.
        self._fresh = self._session(tracing, reuse=False)

    def _session(self, tracing: aiohttp.TraceConfig, *, reuse: bool) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=not reuse),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            timeout=self._timeout,
            auto_decompress=False,
            trust_env=False,
            trace_configs=[tracing],
        )

    async def close(self) -> None:
        try:
            await self._pooled.close()
        finally:
            await self._fresh.close()

    async def open(self, path: str, body: dict[str, Any], *, model: str) -> aiohttp.ClientResponse:
        """POST, up to a sound 200. Raises ProviderError."""
        try:
            data = orjson.dumps(body)
        except orjson.JSONEncodeError:
            raise ProviderRefused(
                "the request cannot be written as JSON: half a character, or too large a number"
            ) from None
        response = await self._send("POST", path, data)
        try:
            if response.status != OK:
                wait = wait_said(response.headers, now=time.time())
                raise failure(response.status, who=self.who, model=model, wait=wait)
            self._refuse_encoding(response)
        except ProviderError:
            _hang_up(response)
            raise
        return response

    async def get(self, path: str) -> tuple[int, bytes]:
        """Status and, where it is 200, body. Raises ProviderError."""
        response = await self._send("GET", path, None)
        try:
            if response.status != OK:
                return response.status, b""
            self._refuse_encoding(response)
            return OK, await self.read(response, limit=LISTING_LIMIT)
        finally:
            _hang_up(response)

    async def read(self, response: aiohttp.ClientResponse, *, limit: int) -> bytes:
        """The whole body. Raises ProviderError."""
        parts: list[bytes] = []
        size = 0
        try:
            while data := await response.content.readany():
                size += len(data)
                if size > limit:
                    raise ProviderGarbled(f"{self.who} sent an answer longer than {limit} bytes")
                parts.append(data)
        except FOREIGN as error:
            raise self._unreachable(error) from error
        return b"".join(parts)

    async def _send(self, method: str, path: str, data: bytes | None) -> aiohttp.ClientResponse:
        headers = {"Content-Type": "application/json"} if data is not None else None
        note = SimpleNamespace(reused=False)
        call: dict[str, Any] = {"headers": headers, "allow_redirects": False, "trace_request_ctx": note}
        try:
            try:
                return await self._pooled.request(method, self._base + path, data=_payload(data), **call)
            except STALE as error:
                if not (note.reused and _before_first_byte(error)):
                    raise
            return await self._fresh.request(method, self._base + path, data=_payload(data), **call)
        except FOREIGN as error:
            raise self._unreachable(error) from error

    def _refuse_encoding(self, response: aiohttp.ClientResponse) -> None:
        if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise ProviderGarbled(f"{self.who} sent a compressed answer although none was asked for")

    def _unreachable(self, error: Exception) -> ProviderError:
        if isinstance(error, (aiohttp.ClientResponseError, HttpProcessingError)):
            return ProviderGarbled(f"{self.who} does not speak HTTP as it should")
        if isinstance(error, aiohttp.ClientSSLError):
            return ProviderUnreachable(f"{self.who}: no TLS connection")
        return ProviderUnreachable(f"{self.who} does not answer")


async def _note_reuse(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
    context.trace_request_ctx.reused = True


def _payload(data: bytes | None) -> io.BytesIO | bytes | None:
    """A long body goes out in pieces, so that it waits for a slow reader instead of filling a buffer."""
    return data if data is None or len(data) <= PIECE else io.BytesIO(data)


def _before_first_byte(error: Exception) -> bool:
    """aiohttp puts the beginning of a response, where there was one, in the place of the text."""
    return not isinstance(error, aiohttp.ServerDisconnectedError) or isinstance(error.message, str)


def _headers(api_key: str | None, extra: Mapping[str, str]) -> dict[str, str]:
    ours = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {api_key}"} if api_key else {})
    taken = {name.lower() for name in ours}
    return {name: value for name, value in extra.items() if name.lower() not in taken} | ours


def _is_json(line: bytes) -> bool:
    """A line that was cut is not."""
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True


def _hang_up(response: aiohttp.ClientResponse) -> None:
    """Give the connection back where its answer was read to the end, else abort it (rule 2)."""
    connection = response.connection
    if response.content.at_eof():
        response.release()
    else:
        if connection is not None and connection.transport is not None:
            connection.transport.abort()
        response.close()
