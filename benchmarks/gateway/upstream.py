"""The model server behind every gateway: knows one answer, which it says whole or in 20 chunks, and costs little.

It reads just enough of HTTP/1.1 to find the end of a request, and writes bytes that were made beforehand. A chat whose
model is `mock` is streamed at once, that of `mock-paced` a chunk each 5 ms. `python -m benchmarks.gateway.upstream`
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from typing import cast

import orjson
import uvloop

CHUNKS = 20
PACE = 0.005  # seconds between two chunks
AT_ONCE, PACED = "mock", "mock-paced"
PIECE = "The quick brown fox "
ANSWER = PIECE * CHUNKS
USAGE = {"prompt_tokens": 40, "completion_tokens": CHUNKS, "total_tokens": 40 + CHUNKS}

_COMMON = {"id": "chatcmpl-0123456789", "created": 1_700_000_000, "model": AT_ONCE}
_END = b"0\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_STREAM = re.compile(rb'"stream": ?true')
_USAGE = re.compile(rb'"include_usage": ?true')


def _whole(body: object) -> bytes:
    text = orjson.dumps(body)
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text)


def _chunk(choices: list[object], **more: object) -> bytes:
    said = orjson.dumps({**_COMMON, "object": "chat.completion.chunk", "choices": choices, **more})
    return _framed(b"data: " + said + b"\n\n")


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


_MODELS = _whole({"object": "list", "data": [{"id": name, "object": "model"} for name in (AT_ONCE, PACED)]})
_MESSAGE = {"role": "assistant", "content": ANSWER}
_CHAT = _whole({
    **_COMMON,
    "object": "chat.completion",
    "choices": [{"index": 0, "message": _MESSAGE, "finish_reason": "stop"}],
    "usage": USAGE,
})
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_DELTAS: list[dict[str, str]] = [{"role": "assistant", "content": PIECE}, *([{"content": PIECE}] * (CHUNKS - 1))]
_SAID = [_chunk([{"index": 0, "delta": delta, "finish_reason": None}]) for delta in _DELTAS]
_LAST = _chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}])
_COUNTED = _chunk([], usage=USAGE)
_DONE = _framed(b"data: [DONE]\n\n") + _END
_STREAMED = {usage: b"".join([_HEAD, *_SAID, _LAST, _COUNTED if usage else b"", _DONE]) for usage in (False, True)}


class Server(asyncio.Protocol):
    """One connection; requests on it come one after the other."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._held = b""

    def data_received(self, data: bytes) -> None:
        self._held += data
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            length = _body(self._held[: end + 2], self._held[end + 4 :])
            if length is None:
                return
            body, self._held = self._held[end + 4 : end + 4 + length], self._held[end + 4 + length :]
            self._answer(body)

    def _answer(self, body: bytes) -> None:
        if not body:
            self._transport.write(_MODELS)
        elif not _STREAM.search(body):
            self._transport.write(_CHAT)
        elif PACED.encode() not in body:
            self._transport.write(_STREAMED[bool(_USAGE.search(body))])
        else:
            self._transport.write(_HEAD)
            self._say(0, usage=bool(_USAGE.search(body)))

    def _say(self, number: int, *, usage: bool) -> None:
        if self._transport.is_closing():
            return
        if number < CHUNKS:
            self._transport.write(_SAID[number])
            asyncio.get_running_loop().call_later(PACE, lambda: self._say(number + 1, usage=usage))
        else:
            self._transport.write(_LAST + (_COUNTED if usage else b"") + _DONE)


def _body(head: bytes, rest: bytes) -> int | None:
    """How many bytes of the rest belong to this request; None while some are missing."""
    if found := _LENGTH.search(head):
        length = int(found[1])
        return length if len(rest) >= length else None
    if _CHUNKED.search(head):
        return rest.index(_END) + len(_END) if _END in rest else None
    return 0


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=1024)
    print(f"upstream ready: HTTP 127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with (
        suppress(KeyboardInterrupt, asyncio.CancelledError),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop,
    ):
        loop.run(serve())
