"""Providers that fail in every way, over each wire, and what their failures say: the canary, which nobody may repeat.

A fault is the name of a model; what follows a `@` in it only makes it another one, of which nothing is known yet.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from tests.edges.hostile.rich import CANARY
from tests.fakes import anthropic, ollama, openai

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

STATUSES = (400, 401, 403, 404, 408, 413, 422, 500, 503, 529)
GARBAGE = f'{{"choices": [{{"{CANARY}": ]'.encode()
PAGE = f"<!doctype html>\n<title>{CANARY}</title>\n".encode()
ELSEWHERE = {"Location": "http://127.0.0.1:9/canary"}
LISTED = orjson.dumps([CANARY])


def _common(script: Callable[..., Any], failing: Callable[..., Any]) -> dict[str, Any]:
    """What is the same over every wire, but for the shape of an error."""
    return {
        **{str(status): failing(status, CANARY) for status in STATUSES},
        "429": failing(429, CANARY, retry_after="7"),
        "garbage": script(body=GARBAGE),
        "a list": script(body=LISTED),
        "a page": script(body=PAGE, headers={"Content-Type": "text/html"}),
        "a redirect": script(status=307, body=PAGE, headers=ELSEWHERE),
        "cut": script(cut_after_bytes=0),
        "silence": script(stall_after=-1),
    }


def _of_openai() -> dict[str, openai.Script]:
    failing, error = openai.Script.failing, {"message": CANARY, "type": CANARY, "code": 500}
    unnamed = partial(failing, error={"type": CANARY, "code": CANARY, "param": CANARY})
    return _common(openai.Script, unnamed) | {
        "too long": failing(400, f"maximum context length: {CANARY}", error={"code": "context_length_exceeded"}),
        "amid": openai.Script(frame_after=2, frame=openai.frame({"error": error})),
    }


def _of_anthropic() -> dict[str, anthropic.Script]:
    said = anthropic.frame(anthropic.error("api_error", CANARY))
    return _common(anthropic.Script, anthropic.Script.failing) | {
        "too long": anthropic.Script.failing(400, f"prompt is too long: {CANARY}"),
        "amid": anthropic.Script(inserted=said, inserted_after=2),
    }


def _of_ollama() -> dict[str, ollama.Script]:
    line = orjson.dumps({"error": CANARY})
    return _common(ollama.Script, ollama.Script.failing) | {
        "too long": ollama.Script.failing(400, f"the input length exceeds the context length: {CANARY}"),
        "amid": ollama.Script(line_after=2, line=line),
    }


SCRIPTS: dict[str, Callable[[], dict[str, Any]]] = {
    "openai": _of_openai,
    "anthropic": _of_anthropic,
    "ollama": _of_ollama,
}


# --- Vectors ----------------------------------------------------------------------------------------------------


class _OpenAI(openai.FakeOpenAI):
    async def _embeddings(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        return await _failed(request, self.scripts[body["model"]])


class _Ollama(ollama.FakeOllama):
    async def _embed(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        return await _failed(request, self.scripts[f"{body['model']}:latest"])


async def _failed(request: web.Request, script: openai.Script | ollama.Script) -> web.Response:
    """The same failures in the place of vectors. Where an answer would end in its middle, none begins."""
    if script.stall_after == -1:
        await asyncio.Event().wait()
    if script.body is None and request.transport is not None:
        request.transport.close()
    return web.Response(status=script.status, body=script.body, headers=script.headers)


# --- The fakes --------------------------------------------------------------------------------------------------


@asynccontextmanager
async def failing(driver: str, marks: Iterable[str]) -> AsyncIterator[str]:
    """A provider with a model for each fault and mark. Gives the table that makes it known to a pool."""
    fake: Any
    models = {f"{name}@{mark}": script for mark in marks for name, script in SCRIPTS[driver]().items()}
    match driver:
        case "openai":
            fake = _OpenAI(models)
        case "anthropic":
            fake = anthropic.FakeAnthropic(models)
        case _:
            fake = _Ollama({f"{name}:latest": script for name, script in models.items()})
    async with fake:
        table = {"name": driver, "driver": driver, "models": list(models), "base_url": fake.url}
        yield "[[providers]]\n" + "".join(f"{key} = {orjson.dumps(value).decode()}\n" for key, value in table.items())
