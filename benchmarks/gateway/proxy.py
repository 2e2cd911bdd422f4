"""The floor of what a gateway in Python can cost: aiohttp on both sides, bytes passed on unread. Nothing else.

`python -m benchmarks.gateway.proxy UPSTREAM`
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

import uvloop
from aiohttp import ClientSession, TCPConnector, web

JSON = {"Content-Type": "application/json"}
PATH = "/v1/chat/completions"


class Proxy:
    def __init__(self, upstream: str, session: ClientSession) -> None:
        self._url = upstream + PATH
        self._session = session

    async def relay(self, http: web.Request) -> web.StreamResponse:
        async with self._session.post(self._url, data=await http.read(), headers=JSON) as answer:
            if answer.content_type == "application/json":
                return web.Response(status=answer.status, body=await answer.read(), content_type=answer.content_type)
            out = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
            await out.prepare(http)
            async for data in answer.content.iter_any():
                await out.write(data)
            await out.write_eof()
            return out


async def serve(upstream: str) -> None:
    async with ClientSession(connector=TCPConnector(limit=0)) as session:
        app = web.Application()
        app.add_routes([web.post(PATH, Proxy(upstream, session).relay)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        print(f"proxy ready: HTTP 127.0.0.1:{runner.addresses[0][1]}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(serve(sys.argv[1]))
