"""Around every handler: the account, the host check, and the one place where errors become answers."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import orjson
from aiohttp import web

from llm_pool.core import errors
from llm_pool.edges import status
from llm_pool.edges.account import Account, left
from llm_pool.edges.http import refusals
from llm_pool.telemetry.logs import fields

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from aiohttp.typedefs import Middleware

    from llm_pool.core.errors import PoolError
    from llm_pool.edges.http.hosts import Hosts
    from llm_pool.edges.http.refusals import Shape
    from llm_pool.edges.readiness import Lifecycle
    from llm_pool.pool import Pool

log = logging.getLogger(__name__)

ACCOUNT = web.RequestKey("account", Account)

_OF_AIOHTTP: dict[int, type[PoolError]] = {
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    413: errors.BodyTooLarge,
    415: errors.UnsupportedMedia,
}


def guard(pool: Pool, lifecycle: Lifecycle, hosts: Hosts, shapes: Mapping[str, Shape]) -> Middleware:
    """`shapes`: how errors of a route look, by its template."""

    @web.middleware
    async def guarded(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        account = request[ACCOUNT] = Account(
            "http",
            _route(request),
            metrics=pool.metrics,
            now=pool.now,
            request_id=request.headers.get("x-request-id", ""),
            traceparent=request.headers.get("traceparent", ""),
        )
        try:
            hosts.check(request.headers.getall("Host", []))
            response = await handler(request)
        except (asyncio.CancelledError, errors.CallerLeft):
            ended = left(account, lifecycle)
            account.close(status=status.status(ended).http, outcome=ended.reason)
            # Nobody is there to be answered: aiohttp closes what is cancelled.
            raise asyncio.CancelledError from None
        except errors.PoolError as error:
            response = refused(error, account, shape=_shape(request, account.route, shapes))
        except web.HTTPException as error:
            shape = _shape(request, account.route, shapes)
            told = _translated(error, request.path, shapes)
            response = refused(told, account, shape=shape, allow=error.headers.get("Allow", ""))
        except Exception:  # the last stop: whatever it is, the caller learns the request id and nothing else
            log.exception("unexpected error", extra=fields(request_id=account.id))
            response = refused(status.internal(), account, shape=_shape(request, account.route, shapes))
        if not response.prepared:
            response.headers["x-request-id"] = account.id
        account.close(status=response.status)
        return response

    return guarded


def refused(error: PoolError, account: Account, *, shape: Shape = refusals.ours, allow: str = "") -> web.Response:
    """The answer to a call that failed before its first byte. Closes the account."""
    code = status.status(error).http
    headers = refusals.headers(error, code) | ({"Allow": allow} if allow else {})
    if shape is refusals.anthropic:  # whose clients look for it under this name
        headers["request-id"] = account.id
    account.close(status=code, outcome=error.reason, why=error.message)
    return json(shape(error, code, account.id), status=code, headers=headers)


def _shape(request: web.Request, route: str, shapes: Mapping[str, Shape]) -> Shape:
    """Who says which version of Anthropic's protocol it speaks reads that protocol's errors, on every path."""
    if "anthropic-version" in request.headers:
        return refusals.anthropic
    return shapes.get(route, refusals.ours)


def json(value: object, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=orjson.dumps(value), status=status, headers={"Content-Type": "application/json", **(headers or {})}
    )


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unmatched"


def _translated(error: web.HTTPException, path: str, known: Iterable[str]) -> PoolError:
    match _OF_AIOHTTP.get(error.status):
        case None:
            return errors.InvalidRequest("the request cannot be understood")
        case errors.NotFound as kind:
            near = errors.nearest(path, known)
            return kind("no such path" + (f"; did you mean {near}?" if near else ""))
        case errors.MethodNotAllowed as kind:
            return kind(f"this path takes {error.headers.get('Allow', 'another method')}")
        case kind:
            return kind(error.reason)
