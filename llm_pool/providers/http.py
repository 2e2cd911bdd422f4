"""Ask a model server over HTTP: all I/O of the providers that do. Their `translate.py` know the words of each wire.

1. Time belongs to dispatch: only connecting is limited here. Whoever leaves the block hangs up.
2. A connection is used again only after its answer was read to the end; otherwise it is aborted, for `close()` would
   first wait until what is left to send has been sent.
3. Foreign exceptions become ours where they enter: in `Wire`, or inside the event iterator (`Streamed`).
4. Nothing is read without a bound, nothing is decompressed, no redirect is followed: a key and a prompt go to
   `base_url` and nowhere else.
"""

from __future__ import annotations

import asyncio
import io
import time
from contextlib import AbstractAsyncContextManager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import orjson
from aiohttp.http import HttpProcessingError
from yarl import URL

from llm_pool.core.errors import ProviderError, ProviderGarbled, ProviderRefused, ProviderUnreachable, StreamBroken
from llm_pool.core.streams import Events
from llm_pool.core.types import Started
from llm_pool.providers.pushback import wait_said

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from aiohttp.client_proto import ResponseHandler

    from llm_pool.core.types import Event, Finished
    from llm_pool.providers.translating import Asked, Decoder, Failure

END_TIMEOUT = 0.05  # seconds that the end of the body may lag behind the last line, before reuse is given up
ANSWER_LIMIT = 32 * 1024 * 1024  # bytes
LISTING_LIMIT = 4 * 1024 * 1024  # bytes
ERROR_LIMIT = 64 * 1024  # bytes of the body of an error, which is looked at for what it says went wrong
ERROR_TIMEOUT = 0.5  # seconds that this body may take: the status alone says enough

JSON = {"Content-Type": "application/json"}
PIECE = 64 * 1024  # bytes

OK = 200

CONNECTED = ContextVar("CONNECTED", default=False)  # whether the call under way has opened a connection of its own

# What aiohttp, asyncio and the operating system raise for a connection or a peer. CancelledError is none of these.
FOREIGN = (aiohttp.ClientError, HttpProcessingError, OSError, asyncio.IncompleteReadError)

# How a connection fails that the server had closed while it lay idle in the pool.
STALE = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientConnectionResetError)


class Wire:
    """Connections to one server: foreign exceptions in, ours out. Messages name the deployment and no credential."""

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        driver: str,
        who: str,
        failure: Failure,
        connect_timeout: float,  # seconds
    ) -> None:
        """`who` is how messages name it: callers read them, and the address is not theirs to know."""
        self._base = base_url.rstrip("/")
        self._headers = headers
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect_timeout, sock_connect=connect_timeout)
        self._failure = failure
        self._urls: dict[str, URL] = {}  # by path: a handful
        parts = urlsplit(base_url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        self.host = f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
        self.who = who
        self.driver = driver

    def connect(self) -> None:
        self._pooled = self._session(reuse=True)
        # aiohttp cannot be told to take a new connection; a session that never keeps one always does.
        self._fresh = self._session(reuse=False)

    def _session(self, *, reuse: bool) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=_Connector(limit=0, force_close=not reuse),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            timeout=self._timeout,
            auto_decompress=False,
            trust_env=False,
        )

    async def close(self) -> None:
        try:
            await self._pooled.close()
        finally:
            await self._fresh.close()

    async def open(self, asked: Asked, failure: Failure | None = None) -> aiohttp.ClientResponse:
        """POST, up to a sound 200. `failure`: where another status means something else here. Raises ProviderError."""
        try:
            data = orjson.dumps(asked.body)
        except orjson.JSONEncodeError:
            raise ProviderRefused(
                "the request cannot be written as JSON: half a character, or too large a number"
            ) from None
        response = await self._send("POST", asked.path, data, asked.headers)
        try:
            await self._check(response, asked.model, failure or self._failure)
        except BaseException:  # whatever ends it: nobody else hangs up
            hang_up(response)
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
            hang_up(response)

    async def read(self, response: aiohttp.ClientResponse, *, limit: int = ANSWER_LIMIT) -> bytes:
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

    async def _check(self, response: aiohttp.ClientResponse, model: str, failure: Failure) -> None:
        """Raises ProviderError unless it is a sound 200."""
        if response.status == OK:
            self._refuse_encoding(response)
            return
        said = b""
        with suppress(*FOREIGN):  # the status says enough; TimeoutError is an OSError
            async with asyncio.timeout(ERROR_TIMEOUT):
                while len(said) < ERROR_LIMIT and (data := await response.content.readany()):
                    said += data
        wait = wait_said(response.headers, now=time.time())
        raise failure(response.status, said[:ERROR_LIMIT], who=self.who, model=model, wait=wait)

    async def _send(
        self, method: str, path: str, data: bytes | None, more: Mapping[str, str] | None = None
    ) -> aiohttp.ClientResponse:
        headers = None if data is None else JSON | dict(more or {})
        call: dict[str, Any] = {"headers": headers, "allow_redirects": False}
        CONNECTED.set(False)
        url = self._urls.get(path) or self._urls.setdefault(path, URL(self._base + path))
        try:
            try:
                return await self._pooled.request(method, url, data=_payload(data), **call)
            except STALE as error:
                if CONNECTED.get() or not _before_first_byte(error):
                    raise
            return await self._fresh.request(method, url, data=_payload(data), **call)
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


class Streamed(AbstractAsyncContextManager[Events]):
    """An open answer that comes piece by piece."""

    __slots__ = ("_asked", "_decoder", "_events", "_response", "_wire")

    def __init__(self, wire: Wire, asked: Asked, decoder: Decoder) -> None:
        self._wire = wire
        self._asked = asked
        self._decoder = decoder

    async def __aenter__(self) -> Events:
        self._response = await self._wire.open(self._asked)
        self._events = self._read()
        return self._events

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._events.aclose()
            if self._decoder.done and kind is None:
                await self._read_end()
        finally:
            hang_up(self._response)

    async def _read(self) -> Events:
        wire, decoder, content = self._wire, self._decoder, self._response.content
        size = 0
        opening: tuple[Event, ...] = (Started(self._asked.model, wire.driver), *self._asked.warnings)
        while True:
            try:
                # aiohttp 3.14 waits here for ever when the framing of chunks breaks; dispatch's limits end that, too.
                data = await content.readany()
            except FOREIGN as error:
                raise self._cut() from error
            size += len(data)
            if size > ANSWER_LIMIT:
                raise ProviderGarbled(f"{wire.who} sent an answer longer than {ANSWER_LIMIT} bytes")
            for event in decoder.feed(data) if data else decoder.end():
                for first in opening:
                    yield first
                opening = ()
                yield event
            if decoder.began:  # a sound piece may hold no event
                for first in opening:
                    yield first
                opening = ()
            if decoder.done:
                return
            if not data:
                raise self._cut()

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


class Once(AbstractAsyncContextManager[Events]):
    """An answer that comes in one piece. `decode` reads its body, and raises ProviderGarbled."""

    __slots__ = ("_asked", "_decode", "_events", "_failure", "_response", "_wire")

    def __init__(
        self, wire: Wire, asked: Asked, decode: Callable[[bytes], Finished], failure: Failure | None = None
    ) -> None:
        self._wire = wire
        self._asked = asked
        self._decode = decode
        self._failure = failure

    async def __aenter__(self) -> Events:
        self._response = await self._wire.open(self._asked, self._failure)
        self._events = self._read()
        return self._events

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._events.aclose()
        finally:
            hang_up(self._response)

    async def _read(self) -> Events:
        finished = self._decode(await self._wire.read(self._response))
        yield Started(self._asked.model, self._wire.driver)
        for warning in self._asked.warnings:
            yield warning
        yield finished


def headers(ours: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """What is sent with every call: ours win over what a table adds. Nothing is to be compressed."""
    said = {"Accept-Encoding": "identity", **ours}
    taken = {name.lower() for name in said}
    return {name: value for name, value in extra.items() if name.lower() not in taken} | said


class _Connector(aiohttp.TCPConnector):
    """Notes that a connection is a new one. aiohttp's tracing says so, too, and costs every call 17 us."""

    async def _create_connection(self, *arguments: Any) -> ResponseHandler:
        CONNECTED.set(True)
        return await super()._create_connection(*arguments)


def _payload(data: bytes | None) -> io.BytesIO | bytes | None:
    """A long body goes out in pieces, so that it waits for a slow reader instead of filling a buffer."""
    return data if data is None or len(data) <= PIECE else io.BytesIO(data)


def _before_first_byte(error: Exception) -> bool:
    """aiohttp puts the beginning of a response, where there was one, in the place of the text."""
    return not isinstance(error, aiohttp.ServerDisconnectedError) or isinstance(error.message, str)


def hang_up(response: aiohttp.ClientResponse) -> None:
    """Give the connection back where its answer was read to the end, else abort it (rule 2)."""
    connection = response.connection
    if response.content.at_eof():
        response.release()
    else:
        if connection is not None and connection.transport is not None:
            connection.transport.abort()
        response.close()
