"""The HTTP edge: limits, and a listener that lives as long as its block."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from llm_pool.config.settings import split_address
from llm_pool.edges.http.connection import Runner
from llm_pool.edges.http.guard import guard
from llm_pool.edges.http.hosts import Hosts
from llm_pool.edges.http.routes import routes, shapes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from llm_pool.edges.readiness import Lifecycle
    from llm_pool.pool import Pool


AT_ONCE = 0.01  # seconds; aiohttp takes 0 for "no limit"


def application(pool: Pool, lifecycle: Lifecycle, *, bound: str) -> web.Application:
    server = pool.settings.server
    hosts = Hosts(server.allowed_hosts, bound=bound)
    app = web.Application(middlewares=[guard(pool, lifecycle, hosts, shapes())], client_max_size=server.max_body_bytes)
    app.add_routes(routes(pool, lifecycle))
    return app


class Edge:
    """A running HTTP server."""

    def __init__(self, runner: web.AppRunner, lifecycle: Lifecycle, *, drain: float) -> None:
        self.address = ""
        self._runner = runner
        self._lifecycle = lifecycle
        self._drain = drain

    async def stop(self) -> None:
        """No new connections; then wait for what is in flight, at most `drain_ms`, and cancel the rest."""
        self._lifecycle.cut_at = min(self._lifecycle.cut_at, asyncio.get_running_loop().time() + self._drain)
        await self._runner.cleanup()

    async def cut(self) -> None:
        """Cancel what is in flight. `stop` may have been called, and cancelled."""
        self._lifecycle.cut_at = asyncio.get_running_loop().time()
        if self._runner.server is not None:
            await self._runner.server.shutdown(AT_ONCE)


@asynccontextmanager
async def serve(pool: Pool, lifecycle: Lifecycle) -> AsyncIterator[Edge]:
    """Listen on `server.http_addr` for the length of the block. Raises OSError where that is not possible."""
    settings = pool.settings.server
    host, port = split_address(settings.http_addr)
    runner = Runner(
        application(pool, lifecycle, bound=host),
        pool,
        auto_decompress=False,
        access_log=None,
        shutdown_timeout=settings.drain_ms / 1000,
    )
    await runner.setup()
    shown = f"[{host}]" if ":" in host else host
    edge = Edge(runner, lifecycle, drain=settings.drain_ms / 1000)
    try:
        await web.TCPSite(runner, host, port, backlog=1024).start()
        edge.address = f"{shown}:{runner.addresses[0][1]}"
        yield edge
    finally:
        await edge.stop()
