"""Cut an HTTP byte stream into server-sent events, whatever the network's packets are.

As https://html.spec.whatwg.org/multipage/server-sent-events.html says: lines end with CR, LF or both; one that begins
with a colon is a comment; the `data` lines of an event are joined by LF; an empty line ends it; one without `data` is
none; other fields mean nothing here. No I/O, and no decoding: what a UTF-8 sequence is cut into does not matter.
"""

from __future__ import annotations

import re

from llm_pool.core.errors import ProviderGarbled

LINE_LIMIT = 1024 * 1024  # bytes; no honest line of an answer comes near it

_END = re.compile(rb"\r\n|\n|\r")
_MARK = b"\xef\xbb\xbf"  # a byte order mark may stand at the very beginning


class Frames:
    """Feed it pieces, get whole events: pairs of name (`b""` where it has none) and data.

    `who` is named when a line is longer than `limit` bytes (ProviderGarbled). How much one answer may be in all is
    for whoever reads the body to say.
    """

    __slots__ = ("_begun", "_data", "_limit", "_name", "_parts", "_returned", "_size", "_who")

    def __init__(self, who: str, limit: int = LINE_LIMIT) -> None:
        self._who = who
        self._limit = limit
        self._parts: list[bytes] = []  # of the line that has no end yet; joined once, so that long lines stay linear
        self._size = 0
        self._returned = False  # the last byte was CR: an LF that follows belongs to it
        self._begun = False  # the first line is behind us
        self._name = b""
        self._data: list[bytes] = []

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """The events that `data` completes."""
        if self._returned and data:
            self._returned = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._returned = data.endswith(b"\r")
            lines = _END.split(data)
        else:  # nearly always, and several times as fast
            lines = data.split(b"\n")
        tail = lines.pop()
        frames: list[tuple[bytes, bytes]] = []
        if lines:
            self._keep(lines[0])
            lines[0] = self._take()
            self._read(lines, frames)
        self._keep(tail)
        return frames

    def close(self) -> list[tuple[bytes, bytes]]:
        """The body ended: the event that lacks its end, if there is one. Whether it was cut is for its data to tell."""
        frames: list[tuple[bytes, bytes]] = []
        self._read([self._take(), b""], frames)
        return frames

    def _read(self, lines: list[bytes], frames: list[tuple[bytes, bytes]]) -> None:
        limit, data = self._limit, self._data
        if not self._begun:
            self._begun = True
            lines[0] = lines[0].removeprefix(_MARK)
        for line in lines:
            if not line:
                if data:
                    frames.append((self._name, data[0] if len(data) == 1 else b"\n".join(data)))
                    data.clear()
                self._name = b""
                continue
            if len(line) > limit:
                raise self._too_long()
            field, _, value = line.partition(b":")
            if field == b"data":
                data.append(value.removeprefix(b" "))
            elif field == b"event":
                self._name = value.removeprefix(b" ")

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self._limit:
            raise self._too_long()
        if part:
            self._parts.append(part)

    def _take(self) -> bytes:
        parts = self._parts
        line = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self._size = 0
        return line

    def _too_long(self) -> ProviderGarbled:
        return ProviderGarbled(f"{self._who} sent a line longer than {self._limit} bytes")
