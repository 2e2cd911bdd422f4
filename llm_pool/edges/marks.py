"""Refuse JSON of more values than others can wait for, before it is read: no other thread runs while that is done."""

from __future__ import annotations

from llm_pool.core.errors import InvalidRequest

# Of objects, lists, names and values: a million take a second to read and to check. A hundred thousand messages have
# half of them, and so have the tokens of any request for vectors.
MOST = 600_000
_MARKS = (b"{", b"[", b":", b",")
_WINDOW = 1024 * 1024  # bytes that are looked through at a time


def bearable(raw: bytes, *, most: int = MOST) -> None:
    """Raises InvalidRequest. Takes 1 ms for each MB where there are fewer marks than that, even with those in texts."""
    if _marks(raw) <= most:
        return
    bare = raw.replace(rb"\\", b"").replace(rb"\"", b"")  # what is left of quotes begins and ends texts
    seen, inside = 0, False
    for start in range(0, len(bare), _WINDOW):
        pieces = bare[start : start + _WINDOW].split(b'"')
        seen += _marks(b"".join(pieces[inside::2]))
        if seen > most:
            raise InvalidRequest("the body holds too many values")
        inside ^= len(pieces) % 2 == 0


def _marks(raw: bytes) -> int:
    return sum(raw.count(mark) for mark in _MARKS)
