"""The body of a request: JSON, not encoded, of a bounded size, there within a bounded time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp.web import HTTPRequestEntityTooLarge, RequestPayloadError

from llm_pool.core.errors import BodyTooLarge, BodyTooSlow, InvalidRequest, UnsupportedMedia

if TYPE_CHECKING:
    from aiohttp import web

BODY_WITHIN = 30  # seconds; a deadline is known only when the body is

# Of objects, lists, names and values, of which no other thread runs while they are read: a million takes a second. A
# hundred thousand messages have half of it, and the tokens of any request for vectors.
MOST_MARKS = 600_000
_MARKS = (b"{", b"[", b":", b",")
_WINDOW = 1024 * 1024  # bytes that are looked through at a time


async def read(http: web.Request, *, limit: int) -> bytes:
    """Raises UnsupportedMedia, BodyTooLarge, BodyTooSlow, InvalidRequest."""
    # (The property splits the header into its parts; most callers send just this.)
    if http.headers.get("Content-Type") != "application/json" and http.content_type != "application/json":
        raise UnsupportedMedia("the body must be application/json")
    if http.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("the body must not be encoded")
    too_large = BodyTooLarge(f"the body must be at most {limit} bytes")
    if (http.content_length or 0) > limit:
        raise too_large
    try:
        if http.content.is_eof():  # as of most: it came along with the headers
            return await http.read()
        async with asyncio.timeout(BODY_WITHIN):
            return await http.read()
    except TimeoutError:
        raise BodyTooSlow(f"the body must be there within {BODY_WITHIN} seconds") from None
    except HTTPRequestEntityTooLarge:
        raise too_large from None
    except RequestPayloadError:
        raise InvalidRequest("the body ended before it was complete") from None


def bearable(raw: bytes) -> None:
    """Raise InvalidRequest for a body of more values than the others can wait for. To be asked of large ones."""
    if _marks(raw) <= MOST_MARKS:
        return
    bare = raw.replace(rb"\\", b"").replace(rb"\"", b"")  # what is left of quotes begins and ends texts
    seen, inside = 0, False
    for start in range(0, len(bare), _WINDOW):
        pieces = bare[start : start + _WINDOW].split(b'"')
        seen += _marks(b"".join(pieces[inside::2]))
        if seen > MOST_MARKS:
            raise InvalidRequest("the body holds too many values")
        inside ^= len(pieces) % 2 == 0


def _marks(raw: bytes) -> int:
    return sum(raw.count(mark) for mark in _MARKS)
