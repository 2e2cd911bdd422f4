"""Cut an HTTP byte stream into lines, one JSON value each (NDJSON), whatever the network's packets are.

A line ends with LF or CR LF; the last one may lack its end. Blank lines mean nothing and are skipped. No I/O here, and
no decoding: a UTF-8 sequence is never looked at before its whole line is there, so it may be cut anywhere.
"""

from __future__ import annotations

from llm_pool.core.errors import ProviderGarbled

LINE_LIMIT = 1024 * 1024  # bytes; no honest line of a chat comes near it


class Lines:
    """Feed it pieces, get whole lines. `who` is named when a line is longer than `limit` bytes (ProviderGarbled)."""

    __slots__ = ("_limit", "_parts", "_size", "_who")

    def __init__(self, who: str, *, limit: int = LINE_LIMIT) -> None:
        self._who = who
        self._limit = limit
        self._parts: list[bytes] = []  # of the line that has no end yet; joined once, so that long lines stay linear
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes."""
        head, *rest = data.split(b"\n")
        self._keep(head)
        if not rest:
            return []
        lines = [self._take()]
        *whole, tail = rest
        for line in whole:
            self._check(len(line))
            lines.append(line.strip())
        self._keep(tail)
        return [line for line in lines if line]

    def close(self) -> list[bytes]:
        """The stream ended: the last line, if it had no line end."""
        line = self._take()
        return [line] if line else []

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        self._check(self._size)
        if part:
            self._parts.append(part)

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise ProviderGarbled(f"{self._who} sent a line longer than {self._limit} bytes")

    def _take(self) -> bytes:
        line = b"".join(self._parts).strip()
        self._parts.clear()
        self._size = 0
        return line
