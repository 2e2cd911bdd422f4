"""Requests out and bounded answers in, over aiohttp; none of its exceptions leaves this file.

1. The address is what the caller said: no proxy of the environment, no redirect, no decompression.
2. Nothing is read without a bound, and no silence is waited out for ever.
3. A connection whose answer was not read to its end is closed, never used again: that is how a pool learns that its
   caller has left.
"""

from __future__ import annotations

import asyncio
import math
import os
import socket
import ssl
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp.http import HttpProcessingError

from llm_pool.client.answers import Garbled, parsed
from llm_pool.client.errors import ClientError, Unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from types import TracebackType

ANSWER_LIMIT = 64 * 1024 * 1024  # bytes
CONNECT_WITHIN = 5.0  # seconds
OK = 200

# What aiohttp, asyncio and the operating system raise for a connection or a peer. CancelledError is none of these.
FOREIGN = (aiohttp.ClientError, HttpProcessingError, OSError, TimeoutError, UnicodeError)


def checked(url: str) -> str:
    """`http://host:port`, with a path where a proxy has one; `host:port` is taken for http. Raises ValueError."""
    whole = url.strip() if "://" in url else f"http://{url.strip()}"
    try:
        parts = urlsplit(whole)
        port_fits = parts.port is None or parts.port > 0
    except ValueError:  # a port beyond 65535, or a bracket left open
        port_fits = False
    if not port_fits or parts.scheme not in {"http", "https"} or not parts.hostname or not whole.isprintable():
        raise ValueError("the URL must look like http://127.0.0.1:7071")
    if "@" in parts.netloc or parts.query or parts.fragment or " " in whole:
        raise ValueError("the URL must be only http://host:port, with no user, password, query or space")
    return whole.rstrip("/")


class Wire(AbstractAsyncContextManager["Wire"]):
    """One pool's address and the connections to it."""

    def __init__(self, url: str) -> None:
        """Raises ValueError where this is no URL."""
        self.url = checked(url)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity", "User-Agent": "llm-pool-client"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask(
        self, method: str, path: str, *, body: Mapping[str, Any] | None = None, within: float | None
    ) -> dict[str, Any]:
        """A whole JSON object, within so many seconds. Raises ClientError."""
        try:
            async with asyncio.timeout(within), self.open(method, path, body=body, silence=None) as response:
                raw = await self._whole(response)
        except TimeoutError:
            raise Unreachable(f"no answer from {self.url} within {within:g} s") from None
        try:
            return parsed(raw)
        except Garbled:
            raise self.stranger(OK) from None

    @asynccontextmanager
    async def open(
        self, method: str, path: str, *, body: Mapping[str, Any] | None = None, silence: float | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer that the pool has begun with success; leaving the block hangs up. Raises ClientError.

        `silence`: how many seconds may pass without a byte.
        """
        if self._session is None:
            raise RuntimeError("a client is opened by `async with`")
        try:
            response = await self._session.request(
                method,
                f"{self.url}{path}",
                json=body,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_WITHIN, sock_read=silence),
            )
        except FOREIGN as error:
            raise Unreachable(f"no pool at {self.url}: {_why(error)}") from None
        try:
            if response.status != OK:
                raise self._refused(response, await self._whole(response))
            yield response
        finally:
            response.close()

    async def _whole(self, response: aiohttp.ClientResponse) -> bytes:
        raw = bytearray()
        try:
            while chunk := await response.content.readany():
                raw += chunk
                if len(raw) > ANSWER_LIMIT:
                    raise ClientError("ANSWER_TOO_LARGE", f"the answer is larger than {ANSWER_LIMIT} bytes")
        except FOREIGN as error:
            raise Unreachable(f"the connection to {self.url} broke: {_why(error)}") from None
        return bytes(raw)

    def _refused(self, response: aiohttp.ClientResponse, raw: bytes) -> ClientError:
        try:
            told = parsed(raw).get("error")
        except Garbled:
            told = None
        if not isinstance(told, dict) or not isinstance(told.get("code"), str):
            return self.stranger(response.status)
        return told_error(told, status=response.status, retry_after=_retry_after(response.headers))

    def stranger(self, status: int) -> Unreachable:
        """Somebody answered, but not as a pool does."""
        return Unreachable(f"what answers at {self.url} is no LLM Pool (status {status})", status=status)


def told_error(told: Mapping[str, Any], *, status: int, retry_after: float | None = None) -> ClientError:
    """The pool's error object, in the body of an answer or in the last event of a stream."""
    details = told.get("details")
    return ClientError(
        str(told.get("code") or "INTERNAL"),
        str(told.get("message") or "the pool did not say why"),
        request_id=str(told.get("request_id") or ""),
        status=status,
        details={str(key): str(value) for key, value in details.items()} if isinstance(details, dict) else None,
        retry_after=retry_after,
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) / unit
        except (KeyError, ValueError):
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    return None


def _why(error: BaseException) -> str:
    """A few words; never what a library says."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    match cause:
        case socket.gaierror() | aiohttp.ClientConnectorDNSError() | aiohttp.InvalidURL() | UnicodeError():
            return "no such host"
        case ssl.SSLError() | ssl.CertificateError() | aiohttp.ClientSSLError():
            return "no secure connection"
        case TimeoutError():
            return "it does not answer"
        case OSError(errno=int(number)) if number > 0:
            return os.strerror(number).lower()
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            return "it closed the connection"
        case HttpProcessingError() | aiohttp.ClientResponseError():
            return "what answers does not speak HTTP"
        case _:
            return "no connection"
