"""Around every RPC: the account, undecodable bytes, and the one place where errors become statuses.

grpc.aio sends `str(exception)` to the client, also for bytes that do not decode. So this interceptor stands outermost,
and wraps the deserializer too.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from contextlib import aclosing
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NoReturn

import grpc

from llm_pool.core.errors import BodyTooLarge, CallerLeft, InvalidRequest, MethodNotAllowed, PoolError
from llm_pool.edges import status
from llm_pool.edges.account import Account, left
from llm_pool.edges.grpc.details import REQUEST_ID, trailers
from llm_pool.telemetry.logs import fields

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from llm_pool.edges.readiness import Lifecycle
    from llm_pool.pool import Pool

    Context = grpc.aio.ServicerContext[Any, Any]
    Behaviour = Callable[[Any, Context], Any]

log = logging.getLogger(__name__)

ACCOUNT: ContextVar[Account] = ContextVar("account")

LAST_WORDS = 0.05  # seconds that a caller who does not read gets to take the status of an RPC


class Guard(grpc.aio.ServerInterceptor):
    def __init__(self, pool: Pool, lifecycle: Lifecycle) -> None:
        self._pool = pool
        self._lifecycle = lifecycle
        self._wrapped: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
        self._unmatched: grpc.RpcMethodHandler[Any, Any] = grpc.unary_unary_rpc_method_handler(
            self._guarded("unmatched", _no_such_method, read=_decoded)
        )

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any]:
        method = handler_call_details.method
        wrapped = self._wrapped.get(method)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None:  # names are the caller's here: nothing is remembered of them
                return self._unmatched
            wrapped = self._wrapped[method] = self._wrap(method, handler)
        return wrapped

    def _wrap(self, method: str, handler: Any) -> grpc.RpcMethodHandler[Any, Any]:
        """The same handler behind the guard. Ours, health's and reflection's are of these three kinds."""
        kind = next(kind for kind in ("unary_unary", "unary_stream", "stream_stream") if getattr(handler, kind))
        make = getattr(grpc, f"{kind}_rpc_method_handler")
        decode = _tolerant(handler.request_deserializer, limit=self._pool.settings.server.max_body_bytes)
        guarded = self._guarded(
            method, getattr(handler, kind), read=_each_decoded if kind == "stream_stream" else _decoded
        )
        wrapped: grpc.RpcMethodHandler[Any, Any] = make(guarded, decode, handler.response_serializer)
        return wrapped

    def _guarded(self, method: str, behaviour: Behaviour, *, read: Callable[[Any], Any]) -> Behaviour:
        """`read` is told by the kind of method: to ask a message what it is costs 70 us, for it has no such field."""
        run = _writing(behaviour) if inspect.isasyncgenfunction(behaviour) else behaviour
        pool, lifecycle = self._pool, self._lifecycle

        async def guarded(request: Any, context: Context) -> Any:
            account = _opened(method, context, pool)
            ACCOUNT.set(account)
            made_or_sent = account.id
            context.set_trailing_metadata(((REQUEST_ID, made_or_sent),))
            try:
                response = await run(read(request), context)
            except grpc.aio.AbortError:  # the health service refuses so; an `Exception`, so it comes first
                code = _code(context)
                account.close(status=code, outcome=code)
                raise
            except asyncio.CancelledError:
                ended = left(account, lifecycle)
                account.close(status=status.status(ended).grpc, outcome=ended.reason)
                raise
            except PoolError as error:
                await _refuse(error, account, context)
            except Exception:  # the last stop: whatever it is, the caller learns the request id and nothing else
                if context.cancelled():  # writing to somebody who has gone
                    account.close(status=status.ROW[CallerLeft].grpc, outcome=CallerLeft.reason)
                    raise
                log.exception("unexpected error", extra=fields(request_id=account.id))
                await _refuse(status.internal(), account, context)
            if account.id != made_or_sent:  # the message named another one
                context.set_trailing_metadata(((REQUEST_ID, account.id),))
            account.close(status="OK")
            return response

        return guarded


def _opened(method: str, context: Context, pool: Pool) -> Account:
    request_id = traceparent = ""
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID:
            request_id = str(value)
        elif key == "traceparent":
            traceparent = str(value)
    return Account("grpc", method, metrics=pool.metrics, now=pool.now, request_id=request_id, traceparent=traceparent)


async def _refuse(error: PoolError, account: Account, context: Context) -> NoReturn:
    row = status.status(error)
    account.close(status=row.grpc, outcome=error.reason, why=error.message)
    code = grpc.StatusCode[row.grpc]
    try:
        async with asyncio.timeout(LAST_WORDS):
            await context.abort(code, error.message, trailers(code, error, account.id))
    except TimeoutError:
        # The status waits behind a message that the caller does not read; it follows if they ever do, without us.
        raise asyncio.CancelledError from None


def _code(context: Context) -> str:
    """The status that a service has set; grpc.aio gives it as a member or as its number."""
    code = context.code()
    return next((each.name for each in grpc.StatusCode if code in (each, each.value[0])), "UNKNOWN")


async def _no_such_method(request: Any, context: Context) -> NoReturn:
    raise MethodNotAllowed("no such method")


def _tolerant(decode: Callable[[bytes], Any] | None, *, limit: int) -> Callable[[bytes], Any] | None:
    def tolerant(raw: bytes) -> Any:
        if len(raw) > limit:
            return BodyTooLarge(f"the message must be at most {limit} bytes")
        try:
            return decode(raw) if decode else raw
        except Exception:  # noqa: BLE001 - garbage of a caller, in whatever way protobuf says so
            return InvalidRequest("the request message cannot be decoded")

    return tolerant if decode else None


def _decoded(request: Any) -> Any:
    """Raises what was wrong with the message."""
    if isinstance(request, PoolError):
        raise request
    return request


async def _each_decoded(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        yield _decoded(request)


def _writing(generator: Behaviour) -> Behaviour:
    """Write, do not yield: a generator that grpc.aio abandons is cleaned up in another task."""

    async def write(request: Any, context: Context) -> None:
        async with aclosing(generator(request, context)) as responses:
            async for response in responses:
                await context.write(response)

    return write
