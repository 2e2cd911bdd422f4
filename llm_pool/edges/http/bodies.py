"""The body of a request: JSON, not encoded, of a bounded size, there within a bounded time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp.web import HTTPRequestEntityTooLarge, RequestPayloadError

from llm_pool.core.errors import BodyTooLarge, BodyTooSlow, InvalidRequest, UnsupportedMedia

if TYPE_CHECKING:
    from aiohttp import web

BODY_WITHIN = 30  # seconds; a deadline is known only when the body is


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
