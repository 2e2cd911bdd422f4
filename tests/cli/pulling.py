"""An Ollama that models can be fetched into: the lines of `/api/pull`, in the shapes of the real server."""

from __future__ import annotations

import asyncio
from typing import Any, Self

import orjson
from aiohttp import web

DIGEST = "sha256:633fc5be925f9a484b61d6f9b9a78021eeb462100bd557309f01ba84cac26adf"
LAYER = {"status": f"pulling {DIGEST[7:19]}", "digest": DIGEST, "total": 2_176_177_120}

PULLED: tuple[dict[str, Any], ...] = (
    {"status": "pulling manifest"},
    LAYER,
    {**LAYER, "completed": 241_970},
    {**LAYER, "completed": 2_176_177_120},
    {"status": "verifying sha256 digest"},
    {"status": "writing manifest"},
    {"status": "success"},
)
UNKNOWN: tuple[dict[str, Any], ...] = (
    {"status": "pulling manifest"},
    {"error": "pull model manifest: file does not exist"},
)


class Pulling:
    """`installed`: what is there. A model called `nobody` does not exist, `slow` never ends, `cut` breaks off."""

    def __init__(self, *installed: str) -> None:
        self.installed = list(installed)
        self.pulled: list[str] = []
        self.keys: set[str] = set()  # every Authorization that came
        self.left = 0  # pulls whose client hung up
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/api/tags", self._tags)
        app.router.add_post("/api/pull", self._pull)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.05)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _tags(self, request: web.Request) -> web.Response:
        self.keys.add(request.headers.get("authorization", ""))
        models = [{"name": name, "model": name, "size": 1, "digest": "a" * 64} for name in self.installed]
        return web.Response(body=orjson.dumps({"models": models}), content_type="application/json")

    async def _pull(self, request: web.Request) -> web.StreamResponse:
        name = orjson.loads(await request.read())["model"]
        self.keys.add(request.headers.get("authorization", ""))
        self.pulled.append(name)
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        lines = UNKNOWN if name == "nobody" else PULLED[:3] if name in {"slow", "cut"} else PULLED
        for line in lines:
            await response.write(orjson.dumps(line) + b"\n")
        try:
            if name == "slow":
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.left += 1
            raise
        return response
