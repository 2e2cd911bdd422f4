"""The connections of the HTTP edge: a caller who hangs up is noticed, and malformed HTTP refused in our words."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from llm_pool.core.errors import InvalidRequest, PoolError
from llm_pool.edges.account import Account
from llm_pool.edges.http.guard import refused
from llm_pool.edges.status import internal
from llm_pool.telemetry.logs import fields

if TYPE_CHECKING:
    from llm_pool.pool import Pool

log = logging.getLogger(__name__)


class Runner(web.AppRunner):
    """Serves an application over connections of ours; aiohttp has no other place to say so."""

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
