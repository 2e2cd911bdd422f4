"""Server-sent events out of bytes, whatever the chunks they come in. Pure: no socket is touched here.

As https://html.spec.whatwg.org/multipage/server-sent-events.html says: lines end with CR, LF or both; a line that
begins with a colon is a comment; `data` lines are joined by newlines; an event without data, or without the empty line
that ends it, is none. `id` and `retry` serve reconnecting, which a question that costs tokens must not do by itself.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MOST_BYTES = 16 * 1024 * 1024  # of one event

_END = re.compile(rb"\r\n|\n|\r")
_MARK = b"\xef\xbb\xbf"  # a byte order mark may stand at the very beginning


class Frame(NamedTuple):
    name: str
    data: str


class TooLong(ValueError):
    """One event is longer than anybody would send in good faith."""


class Parser:
    def __init__(self, *, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._line = bytearray()  # what there is of the line that has not ended
        self._returned = False  # the last byte was CR: an LF that follows belongs to it
        self._begun = False
        self._name = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[Frame]:
        """The events that are complete now. Raises TooLong."""
        if not chunk:
            return []
        if self._returned and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._returned = False
            if not chunk:
                return []
        self._returned = chunk.endswith(b"\r")
        frames = []
        first, *others = _END.split(chunk)
        self._line += first
        for piece in others:
            if frame := self._take(bytes(self._line)):
                frames.append(frame)
            self._line = bytearray(piece)
        if self._size + len(self._line) > self._most:
            raise TooLong(f"an event of more than {self._most} bytes")
        return frames

    def _take(self, line: bytes) -> Frame | None:
        if not self._begun:
            line = line.removeprefix(_MARK)
            self._begun = True
        if not line:
            return self._ended()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            self._size += len(value) + 1
        elif field == b"event":
            self._name = value
        return None

    def _ended(self) -> Frame | None:
        name, data = self._name, self._data
        self._name, self._data, self._size = b"", [], 0
        if not data:
            return None
        return Frame(name.decode(errors="replace") or "message", b"\n".join(data).decode(errors="replace"))
