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
    from collections.abc import Awaitable, Callable

    from llm_pool.pool import Pool

    Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

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
            _without_expectations(made.request_handler, pool),
            request_factory=made.request_factory,
            # Without this a caller who hangs up would leave its handler running to the end. A half-closed connection
            # counts as hung up.
            handler_cancellation=True,
            **made._kwargs,  # noqa: SLF001 - what AppRunner was given
        )
        self._pool = pool

    def __call__(self) -> RequestHandler:
        return _Connection(self, self._pool, loop=self._loop, **self._kwargs)


def _without_expectations(handler: Handler, pool: Pool) -> Handler:
    """aiohttp answers an unknown Expect itself, before any handler, and repeats it."""

    async def refuse() -> web.StreamResponse:
        return _malformed(InvalidRequest("Expect: only 100-continue is known", field="Expect"), pool)

    def handle(request: web.BaseRequest) -> Awaitable[web.StreamResponse]:
        known = request.headers.get("Expect", "100-continue").lower() == "100-continue"
        return handler(request) if known else refuse()

    return handle


def _malformed(error: PoolError, pool: Pool) -> web.Response:
    """An answer outside of the guard: with an account of its own, and the connection closed."""
    account = Account("http", "malformed", metrics=pool.metrics, now=pool.now)
    response = refused(error, account)
    response.headers["x-request-id"] = account.id
    response.force_close()
    return response


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
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:  # not the caller's: something failed outside of the guard
            response = _malformed(internal(), self._pool)
            log.error("unexpected error", exc_info=exc, extra=fields(request_id=response.headers["x-request-id"]))
            return response
        return _malformed(InvalidRequest("this is not well-formed HTTP"), self._pool)
