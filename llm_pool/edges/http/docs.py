"""The document of the API: as `/openapi.json`, and as a page to read and to try out, which asks no other server.

The page is Swagger UI. Its two files are kept compressed, as nearly everybody wants them; nothing is read before it is
asked for, or kept.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from llm_pool.edges.http.guard import json

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

FILES = Path(__file__).parent / "static"
ZIPPED = ".gz"
_NEVER = re.compile(r"q=0(\.0*)?")

# What may be asked for. A caller's path is never a path of ours.
TYPES = {
    "docs.html": "text/html; charset=utf-8",
    "docs.css": "text/css; charset=utf-8",
    "docs.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
}
BESIDE = [name for name in TYPES if name != "docs.html"]

HEADERS = {
    # Nothing from elsewhere, nothing inline, in nobody's frame. Swagger UI has its icons in `data:`.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Kept, and asked for again each time with the ETag: who updates the pool never sees the page of the old one.
    "Cache-Control": "no-cache",
    "Vary": "Accept-Encoding",
}


async def openapi(_: web.Request) -> web.Response:
    # Made when it is first asked for, beside the event loop: its models take longer to import than a request to answer.
    document = await asyncio.to_thread(_document)
    return json(document, headers={"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"})


def _document() -> dict[str, object]:
    from llm_pool.edges.http.openapi import document  # noqa: PLC0415 - see `openapi`

    return document()


async def redoc(_: web.Request) -> web.Response:
    return web.Response(status=307, headers={"Location": "/docs"})


def asset(name: str) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        zipped = _takes_gzip(request.headers.get("Accept-Encoding", ""))
        body, tag, encoded = await asyncio.to_thread(_read, name, zipped=zipped)
        headers = {**HEADERS, "ETag": tag}
        if _knows(request, tag):
            return web.Response(status=304, headers=headers)
        headers |= {"Content-Type": TYPES[name]} | ({"Content-Encoding": "gzip"} if encoded else {})
        # As a file: aiohttp hands it to the connection piece by piece.
        return web.Response(body=io.BytesIO(body), headers=headers)

    return handle


def _read(name: str, *, zipped: bool) -> tuple[bytes, str, bool]:
    """The bytes of a file, their ETag, and whether they are compressed."""
    path = FILES / name
    encoded = not path.exists()
    body = (FILES / (name + ZIPPED)).read_bytes() if encoded else path.read_bytes()
    if encoded and not zipped:
        body, encoded = gzip.decompress(body), False
    return body, f'"{hashlib.sha256(body).hexdigest()[:32]}"', encoded


def _takes_gzip(accepted: str) -> bool:
    for each in accepted.lower().split(","):
        coding, _, weight = each.replace(" ", "").partition(";")
        if coding == "gzip":
            return _NEVER.fullmatch(weight) is None
    return False


def _knows(request: web.Request, tag: str) -> bool:
    """Whether the caller has just this already. A proxy that compresses marks a tag with `W/`."""
    tags = request.headers.get("If-None-Match", "").split(",")
    return tag in {each.strip().removeprefix("W/") for each in tags}
