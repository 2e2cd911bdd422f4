"""The HTTP edge: routes, limits, and a listener that lives as long as its block."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from llm_pool.config.settings import split_address
from llm_pool.core.errors import InvalidRequest, PoolError
from llm_pool.edges.account import Account
from llm_pool.edges.http import probes
from llm_pool.edges.http.guard import guard, refused
from llm_pool.edges.http.hosts import Hosts
from llm_pool.edges.http.infer import infer
from llm_pool.edges.http.models import models
from llm_pool.edges.status import internal
from llm_pool.telemetry.logs import fields

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from llm_pool.edges.readiness import Lifecycle
    from llm_pool.pool import Pool


def application(pool: Pool, lifecycle: Lifecycle, *, bound: str) -> web.Application:
    server = pool.settings.server
    app = web.Application(
        middlewares=[guard(pool, Hosts(server.allowed_hosts, bound=bound))], client_max_size=server.max_body_bytes
    )
    app.add_routes([
        web.post("/v1/infer", infer(pool)),
        web.get("/v1/models", models(pool)),
        web.get("/health", probes.health(pool)),
        web.get("/health/detailed", probes.detailed(pool, lifecycle)),
        web.get("/api/v1/healthz", probes.live),
        web.get("/livez", probes.live),
        web.get("/readyz", probes.ready(pool, lifecycle)),
        web.get("/metrics", probes.metrics(pool)),
    ])
    return app


log = logging.getLogger(__name__)

AT_ONCE = 0.01  # seconds; aiohttp takes 0 for "no limit"


class Edge:
    """A running HTTP server."""

    def __init__(self, runner: web.AppRunner, address: str) -> None:
        self.address = address
        self._runner = runner

    async def stop(self) -> None:
        """No new connections; then wait for what is in flight, at most `drain_ms`, and cancel the rest."""
        await self._runner.cleanup()

    async def cut(self) -> None:
        """Cancel what is in flight. `stop` may have been called, and cancelled."""
        if self._runner.server is not None:
            await self._runner.server.shutdown(AT_ONCE)


@asynccontextmanager
async def serve(pool: Pool, lifecycle: Lifecycle) -> AsyncIterator[Edge]:
    """Listen on `server.http_addr` for the length of the block. Raises OSError where that is not possible."""
    settings = pool.settings.server
    host, port = split_address(settings.http_addr)
    runner = _Runner(
        application(pool, lifecycle, bound=host),
        pool,
        auto_decompress=False,
        access_log=None,
        shutdown_timeout=settings.drain_ms / 1000,
    )
    await runner.setup()
    shown = f"[{host}]" if ":" in host else host
    edge = Edge(runner, "")
    try:
        await web.TCPSite(runner, host, port, backlog=1024).start()
        edge.address = f"{shown}:{runner.addresses[0][1]}"
        yield edge
    finally:
        await edge.stop()


class _Runner(web.AppRunner):
    """Makes the server below instead of aiohttp's; it has no other place to say so."""

    def __init__(self, app: web.Application, pool: Pool, **options: Any) -> None:
        super().__init__(app, **options)
        self._pool = pool

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(made, self._pool)


class _Server(web.Server):
    def __init__(self, made: web.Server, pool: Pool) -> None:
        super().__init__(
            made.request_handler,
            request_factory=made.request_factory,
            # Without this a caller who hangs up would leave its handler running to the end. A half-closed connection
            # counts as hung up.
            handler_cancellation=True,
            **made._kwargs,  # noqa: SLF001 - what AppRunner was given
        )
        self._pool = pool

    def __call__(self) -> RequestHandler:
        return _Connection(self, self._pool, loop=self._loop, **self._kwargs)


class _Connection(RequestHandler):
    """Refuses malformed HTTP in our words: aiohttp's own would repeat the caller's bytes, in answer and log."""

    __slots__ = ("_pool",)

    def __init__(self, server: web.Server, pool: Pool, **options: Any) -> None:
        super().__init__(server, **options)
        self._pool = pool

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("the response has begun: it cannot become an error any more")
        account = Account("http", "malformed", metrics=self._pool.metrics, now=self._pool.now)
        error: PoolError = InvalidRequest("this is not well-formed HTTP")
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:  # not the caller's: something failed outside of the guard
            log.error("unexpected error", exc_info=exc, extra=fields(request_id=account.id))
            error = internal()
        response = refused(error, account)
        response.headers["x-request-id"] = account.id
        response.force_close()
        return response
