"""What every door has in common: read a body, ask the pool, say the answer whole or as server-sent events.

A door itself (`infer`, `openai/`, `anthropic/`) is words: bodies in, bytes out. It touches no socket.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from llm_pool.core.errors import CallerLeft, PoolError
from llm_pool.core.streams import replayed
from llm_pool.core.trace import Trace
from llm_pool.core.types import Started, replace
from llm_pool.edges import status
from llm_pool.edges.http import bodies
from llm_pool.edges.http.guard import ACCOUNT, json
from llm_pool.edges.http.sse import LAST_WORDS, Sse
from llm_pool.edges.marks import bearable
from llm_pool.telemetry.logs import fields

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiohttp import web
    from aiohttp.typedefs import Handler

    from llm_pool.core.streams import Answer
    from llm_pool.core.types import Event, Request
    from llm_pool.edges.account import Account
    from llm_pool.pool import Pool

log = logging.getLogger(__name__)

BUFFERED = 48 * 1024  # bytes: less than a connection buffers before a write waits
OFF_LOOP_BYTES = 256 * 1024  # parsing more than this would hold up everybody else

OFF_LOOP_NUMBERS = 50_000  # of vectors: laying out so many takes some milliseconds

Body = TypeVar("Body")


class Telling(Protocol):
    """One stream in a door's words."""

    def tell(self, event: Event, choice: int = 0) -> bytes:
        """The frames that say this event, b"" where this wire has no word for it. `choice`: of several answers."""
        ...

    def end(self) -> bytes:
        """What follows the last event."""
        ...

    def error(self, error: PoolError, request_id: str) -> bytes:
        """The last frame of a stream that broke after it had begun."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """What a door makes of a body. `answered` lays whole answers out, as many as there are `choices`."""

    request: Request
    answered: Callable[[Sequence[Answer]], Any]
    telling: Callable[[], Telling] | None  # None: the answer is wanted whole
    choices: int = 1
    headers: dict[str, str] = field(default_factory=dict)  # beside ours


class Door(Protocol[Body]):
    def parsed(self, raw: bytes) -> Body:
        """Check a body; in a thread where it is long. Raises InvalidRequest."""
        ...

    def question(self, body: Body, call: Call) -> Question:
        """Raises InvalidRequest, and whatever else refuses it."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """What a door may know of a call beside its body."""

    pool: Pool
    account: Account
    http: web.Request

    def patience(self, *, stream: bool) -> float | None:
        """How long the caller's client waits, in seconds, where it is one that says so. Of a stream that is how long it
        may be silent, so the whole of it may take what it takes without that.
        """
        said = self.http.headers.get("x-stainless-read-timeout", "")
        try:
            seconds = float(said)
        except ValueError:
            return None
        if not 0 < seconds < float("inf"):
            return None
        return max(seconds, self.pool.settings.qos.default_deadline_ms / 1000) if stream else seconds


def served(pool: Pool, door: Door[Any]) -> Handler:
    async def handle(http: web.Request) -> web.StreamResponse:
        account = http[ACCOUNT]
        raw = await bodies.read(http, limit=pool.settings.server.max_body_bytes)
        body = await asyncio.to_thread(_large, door, raw) if len(raw) > OFF_LOOP_BYTES else door.parsed(raw)
        question = door.question(body, Call(pool, account, http))
        if question.telling is not None:
            return await _stream(http, pool, question, account)
        answers = await _answers(pool, question)
        vectors = answers[0].vectors
        many = vectors and len(vectors) * len(vectors[0]) > OFF_LOOP_NUMBERS
        response = await asyncio.to_thread(_laid_out, question, answers) if many else _laid_out(question, answers)
        if isinstance(response.body, bytes) and len(response.body) > BUFFERED:
            await _deliver(http, response, account, by=question.request.deadline + LAST_WORDS)
        return response

    return handle


def _laid_out(question: Question, answers: Sequence[Answer]) -> web.Response:
    return json(question.answered(answers), headers={**question.headers, **_told(question.request)})


def _large(door: Door[Body], raw: bytes) -> Body:
    """Raises InvalidRequest."""
    bearable(raw)
    return door.parsed(raw)


async def _answers(pool: Pool, question: Question) -> Sequence[Answer]:
    if question.choices == 1:
        return [await pool.infer(question.request)]
    return await _several(pool, question.request, question.choices)


async def _several(pool: Pool, request: Request, count: int) -> Sequence[Answer]:
    """Ask so many times side by side: no provider needs to know of it, and each answer is as dependable as one.

    Raises what ended the first of them that failed. The trace of `request` tells of all.
    """
    asked = [request, *(_again(request, index) for index in range(1, count))]
    tasks = [asyncio.create_task(pool.infer(each), name="one of several answers") for each in asked]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for each in asked[1:]:
            request.trace.attempts.extend(each.trace.attempts)
            said = request.trace.warnings
            said.extend(warning for warning in each.trace.warnings if warning not in said)
    failed = [task for task in tasks if not task.cancelled() and task.exception() is not None]
    return [task.result() for task in failed or tasks]


def _again(request: Request, index: int) -> Request:
    """The same question for another answer: with the same seed it would be the same one."""
    seed = request.sampling.seed
    sampling = request.sampling if seed is None else dataclasses.replace(request.sampling, seed=seed + index)
    return replace(request, sampling=sampling, whole=True, trace=Trace(started=request.trace.started))


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


async def _stream(http: web.Request, pool: Pool, question: Question, account: Account) -> web.StreamResponse:
    assert question.telling is not None  # noqa: S101 - else it is not streamed
    telling = question.telling()
    async with Sse(http, headers={"x-request-id": account.id, **question.headers}) as sse:
        try:
            if question.choices > 1:
                answers = await _answers(pool, question)
                sse.response.headers.update(_told(question.request))
                await _each(http, sse, telling, answers, by=question.request.deadline + LAST_WORDS)
            else:
                async with pool.open(question.request) as events:
                    async for event in events:
                        if isinstance(event, Started):
                            sse.response.headers.update(_told(question.request))
                        await sse.send(telling.tell(event))
                    await sse.send(telling.end())
                    await sse.end()  # under the deadline, too
        except CallerLeft:
            raise
        except Exception as error:  # of us or of the providers: the stream has begun, so it is told in-band
            if not sse.begun:
                raise
            await sse.fail(telling.error(_in_band(error, account), account.id))
    return sse.response


async def _each(http: web.Request, sse: Sse, telling: Telling, answers: Sequence[Answer], *, by: float) -> None:
    """Several answers, one after the other: they are there already, and so nothing but this ends who does not read."""
    try:
        async with asyncio.timeout_at(by):
            for choice, answer in enumerate(answers):
                for event in replayed(answer):
                    await sse.send(telling.tell(event, choice))
            await sse.send(telling.end())
            await sse.end()
    except TimeoutError:
        if http.transport is not None:
            http.transport.abort()
        raise CallerLeft("the caller does not read") from None


def _in_band(error: Exception, account: Account) -> PoolError:
    """What a caller whose stream has begun is told. Closes the account."""
    if not isinstance(error, PoolError):
        log.error("unexpected error", exc_info=error, extra=fields(request_id=account.id))
        error = status.internal()
    account.close(status=200, outcome=error.reason, why=error.message)
    return error


def _told(request: Request) -> dict[str, str]:
    """Who answers, for doors whose bodies have no place for it. Our own says the same in its `decision`."""
    if not request.verbatim:
        return {}
    attempts = request.trace.attempts
    if not attempts:
        return {}
    last = request.trace.winner() or attempts[-1]
    told = {
        "x-llm-pool-provider": last.deployment,
        "x-llm-pool-model": last.model if printable(last.model) else "",
        "x-llm-pool-attempts": str(len(attempts)),
    }
    if last.degraded:
        told["x-llm-pool-degraded"] = last.degraded
    if request.trace.warnings:
        told["x-llm-pool-warnings"] = ", ".join(dict.fromkeys(each.code for each in request.trace.warnings))
    return told


def printable(text: str) -> bool:
    """Whether it may stand in a header: the names of models behind `models = ["*"]` are the caller's."""
    return text.isascii() and text.isprintable()
