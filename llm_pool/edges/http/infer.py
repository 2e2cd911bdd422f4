"""`POST /v1/infer`: our own door, whole or as a stream."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, assert_never

from llm_pool.core.errors import CallerLeft, PoolError
from llm_pool.core.types import (
    Event,
    Finished,
    Phase,
    ReasoningDelta,
    Request,
    Started,
    TextDelta,
    ToolCallDelta,
    Warning,
)
from llm_pool.edges import status
from llm_pool.edges.http import bodies
from llm_pool.edges.http.guard import ACCOUNT, json
from llm_pool.edges.http.sse import LAST_WORDS, Sse
from llm_pool.edges.wire import answer_json, finished_json, parsed, to_request
from llm_pool.telemetry.logs import fields

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.typedefs import Handler

    from llm_pool.edges.account import Account
    from llm_pool.edges.wire import InferBody
    from llm_pool.pool import Pool

log = logging.getLogger(__name__)

BUFFERED = 8 * 1024  # characters, of at most 6 bytes in JSON: what a connection buffers before a write waits
OFF_LOOP_BYTES = 256 * 1024  # parsing more than this would hold up everybody else


def infer(pool: Pool) -> Handler:
    async def handle(http: web.Request) -> web.StreamResponse:
        account = http[ACCOUNT]
        body = await _body(http, limit=pool.settings.server.max_body_bytes)
        request = to_request(body, pool, account, whole=not body.stream)
        if body.stream:
            return await _stream(http, pool, request, account)
        answer = await pool.infer(request)
        response = json(answer_json(request, account, answer))
        if len(answer.content) + len(answer.reasoning) > BUFFERED:
            await _deliver(http, response, account, by=request.deadline + LAST_WORDS)
        return response

    return handle


async def _deliver(http: web.Request, response: web.Response, account: Account, *, by: float) -> None:
    """Write an answer here instead of leaving it to aiohttp, which would wait for ever for who does not read."""
    response.headers["x-request-id"] = account.id
    try:
        async with asyncio.timeout_at(by):
            await response.prepare(http)
            await response.write_eof()
    except (TimeoutError, ConnectionError):
        if http.transport is not None:
            http.transport.abort()
        raise CallerLeft("the caller does not read") from None


async def _body(http: web.Request, *, limit: int) -> InferBody:
    raw = await bodies.read(http, limit=limit)
    if len(raw) > OFF_LOOP_BYTES:
        return await asyncio.to_thread(parsed, raw)
    return parsed(raw)


async def _stream(http: web.Request, pool: Pool, request: Request, account: Account) -> web.StreamResponse:
    async with Sse(http, headers={"x-request-id": account.id}) as sse:
        try:
            async with pool.open(request) as events:
                model = ""
                async for event in events:
                    if isinstance(event, Started):
                        model = event.model
                    await sse.send(*frame(event, request, account, model=model))
                await sse.end()  # under the deadline, too
        except CallerLeft:
            raise
        except Exception as error:  # of us or of the providers: the stream has begun, so it is told in-band
            if not sse.begun:
                raise
            await sse.fail(status.body(_in_band(error, account), account.id))
    return sse.response


def _in_band(error: Exception, account: Account) -> PoolError:
    """What a caller whose stream has begun is told. Closes the account."""
    if not isinstance(error, PoolError):
        log.error("unexpected error", exc_info=error, extra=fields(request_id=account.id))
        error = status.internal()
    account.close(status=200, outcome=error.reason, why=error.message)
    return error


def frame(event: Event, request: Request, account: Account, *, model: str) -> tuple[str, dict[str, object]]:
    """The name and the data of one server-sent event."""
    match event:
        case TextDelta():
            return "text", {"text": event.text}
        case ReasoningDelta():
            return "reasoning", {"text": event.text}
        case ToolCallDelta():
            return "tool_call", {"index": event.index, "id": event.id, "name": event.name, "arguments": event.arguments}
        case Started():
            return "started", {"model": event.model, "provider": event.provider, "request_id": request.id}
        case Phase():
            return "phase", {"name": event.name, "voice": event.voice}
        case Warning():
            return "warning", {"code": event.code, "message": event.message}
        case Finished():
            return "finished", finished_json(request, account, model=model, reason=event.reason, usage=event.usage)
        case _:
            assert_never(event)
