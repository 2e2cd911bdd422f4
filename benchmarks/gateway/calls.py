"""Ask at a steady rate, and note when the first chunk came and when all was there.

Times run from the moment a request is sent: at these rates nobody waits in line here.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from benchmarks.overhead.server import NotServing

if TYPE_CHECKING:
    from benchmarks.gateway.started import Target

SPARE = 20.0  # seconds that an answer may take
NUMBER = b"0" * 10  # in a body: the number of the call takes its place

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Call:
    """Seconds from sending to the first chunk (of a whole answer: to its body) and to the end."""

    status: int
    first: float
    whole: float
    body: bytes  # as it was framed


class Connection(asyncio.Protocol):
    """One call at a time."""

    def __init__(self) -> None:
        self.free = True
        self._waiter: asyncio.Future[Call] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    async def ask(self, request: bytes) -> Call:
        """Raises OSError where it breaks off."""
        self.free = False
        self._waiter = asyncio.get_running_loop().create_future()
        self._held, self._first = b"", 0.0
        self._sent = time.perf_counter()
        self.transport.write(request)
        return await self._waiter

    def data_received(self, data: bytes) -> None:
        self._held += data
        now = time.perf_counter() - self._sent
        head, found, body = self._held.partition(b"\r\n\r\n")
        if not found:
            return
        length = _LENGTH.search(head)
        if not self._first and (body if length else b"data:" in body):
            self._first = now
        if len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n"):
            self._done(head, body, now, keep=not _CLOSE.search(head))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio fixes the signature
        self.free = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(ConnectionResetError("it hung up"))

    def _done(self, head: bytes, body: bytes, now: float, *, keep: bool) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(Call(int(head[9:12]), self._first or now, now, body))
        self.free = keep


def request_of(target: Target, body: bytes) -> bytes:
    url = urlsplit(target.url)
    lines = [f"POST {url.path} HTTP/1.1", f"Host: {url.netloc}", "Content-Type: application/json", *target.headers]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


async def steady(target: Target, body: bytes, *, rate: float, seconds: float) -> list[Call]:
    """All calls that began in this time. Raises NotServing where one breaks off."""
    request = request_of(target, body)
    host, port = urlsplit(target.url).hostname or "", urlsplit(target.url).port or 80
    loop = asyncio.get_running_loop()
    connections: list[Connection] = []

    async def one(number: int) -> Call:
        free = next((each for each in connections if each.free), None)
        if free is None:
            _, free = await loop.create_connection(Connection, host, port)
            connections.append(free)
        async with asyncio.timeout(SPARE):
            return await free.ask(request.replace(NUMBER, b"%010d" % number, 1))

    begun = time.monotonic()
    try:
        async with asyncio.TaskGroup() as group:
            tasks = []
            for number in range(int(rate * seconds)):
                await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
                tasks.append(group.create_task(one(number)))
    except* OSError as errors:  # TimeoutError is one
        raise NotServing(f"{target.name}: a call broke off: {errors.exceptions[0]!r}") from errors
    finally:
        for connection in connections:
            connection.transport.abort()
    return [task.result() for task in tasks]
