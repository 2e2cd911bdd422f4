"""Server-sent events: frames as a door words them, a ping when a model is silent, an error after the first byte.

Headers are held until the first event or the first ping, so that what fails before has a status of its own.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Self

import orjson
from aiohttp import web
from aiohttp.http import StreamWriter

from llm_pool.core.errors import CallerLeft

if TYPE_CHECKING:
    from types import TracebackType

PING_EVERY = 15.0  # seconds; load balancers commonly cut what is silent for 30 to 60
DRAINED_EVERY = 64 * 1024  # bytes, as aiohttp itself does
LAST_WORDS = 0.05  # seconds that a caller who does not read gets to take the error of a stream

HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


def frame(name: str, data: object) -> bytes:
    """One event with a name. `data` is written as JSON."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(data))


class Sse(AbstractAsyncContextManager["Sse"]):
    """What is sent before the sender next waits goes out in one write: a model that is read in one piece is told in one
    piece, at a tenth of the cost.
    """

    def __init__(self, request: web.Request, *, headers: dict[str, str], ping_every: float = PING_EVERY) -> None:
        self._request = request
        self.response = web.StreamResponse(headers={**HEADERS, **headers})
        self._every = ping_every
        self._loop = asyncio.get_running_loop()
        self._wrote = self._loop.time()
        self._pinging: asyncio.Task[None] | None = None
        self._writer: StreamWriter | None = None
        self._waiting: list[bytes] = []  # frames for the next write
        self._flushing: asyncio.Handle | None = None
        self._undrained = 0  # bytes written since the caller was last waited for
        self._gone = False

    @property
    def begun(self) -> bool:
        return self.response.prepared

    async def send(self, frames: bytes) -> None:
        """Whole frames, maybe none. Waits while the caller reads slowly. Raises CallerLeft."""
        if not frames:
            return
        if self._pinging is not None:
            # A ping whose caller is gone fails; the write that follows then says so in the owner's task.
            await asyncio.gather(self._pinging, return_exceptions=True)
            self._pinging = None
        if self._gone:
            raise CallerLeft("the caller has gone")
        if self._writer is None or self._undrained > DRAINED_EVERY:
            await self._ready()
        self._wrote = self._loop.time()
        self._waiting.append(frames)
        self._undrained += len(frames)
        if self._flushing is None:
            self._flushing = self._loop.call_soon(self._flush)

    async def fail(self, frame: bytes) -> None:
        """The error that ends a stream. A caller who does not read loses it, and the connection."""
        try:
            async with asyncio.timeout(LAST_WORDS):
                await self.send(frame)
                await self.end()
        except (TimeoutError, CallerLeft):
            if self._request.transport is not None:
                self._request.transport.abort()

    async def end(self) -> None:
        """The end of the body. Waits for what the caller has not read yet. Raises CallerLeft."""
        self._flush()
        try:
            await self.response.write_eof()
        except ConnectionError:
            raise CallerLeft("the caller has gone") from None

    async def __aenter__(self) -> Self:
        self._timer = self._loop.call_later(self._every, self._tick)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._flushing is not None:
            self._flushing.cancel()
        if self._pinging is not None:
            self._pinging.cancel()
            await asyncio.gather(self._pinging, return_exceptions=True)

    async def _ready(self) -> StreamWriter:
        """The writer, once headers are out and the caller has read enough. Raises CallerLeft."""
        try:
            if self._writer is None:
                writer = await self.response.prepare(self._request)
                assert isinstance(writer, StreamWriter)  # noqa: S101 - what an HTTP/1 response is written to
                self._writer = writer
            if self._undrained > DRAINED_EVERY:
                self._undrained = 0
                self._flush()
                await self._writer.drain()
        except ConnectionError:
            raise CallerLeft("the caller has gone") from None
        return self._writer

    def _flush(self) -> None:
        """Write what waits. Never suspends, so it may be called by the loop."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        if not self._waiting or self._writer is None:
            return
        data = b"".join(self._waiting)
        self._waiting.clear()
        writing = self._writer.write(data, drain=False)
        try:
            writing.send(None)
        except StopIteration:  # all of it is with the transport
            pass
        except ConnectionError:
            self._gone = True

    async def _ping(self) -> None:
        await self._ready()
        self._wrote = self._loop.time()
        self._waiting.append(b": ping\n\n")
        self._flush()

    def _tick(self) -> None:
        """A timer, not a task: most streams are never silent long enough to need one."""
        quiet = self._loop.time() - self._wrote
        if quiet >= self._every and (self._pinging is None or self._pinging.done()):
            self._pinging = self._loop.create_task(self._ping())
            quiet = 0.0
        self._timer = self._loop.call_later(max(self._every - quiet, 0.001), self._tick)
