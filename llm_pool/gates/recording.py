"""Count what happened to every request that passed an edge: outermost of the gates, whatever the way out."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from llm_pool.core.outcome import OK, outcome_of
from llm_pool.core.streams import Events
from llm_pool.telemetry.metrics import Ended

if TYPE_CHECKING:
    from types import TracebackType

    from llm_pool.core.clock import Clock
    from llm_pool.core.streams import Answering, Ask
    from llm_pool.core.types import Request
    from llm_pool.telemetry.metrics import Metrics
    from llm_pool.telemetry.traces import TraceFile


class Recording:
    def __init__(self, metrics: Metrics, *, now: Clock, traces: TraceFile | None = None) -> None:
        self._metrics = metrics
        self._now = now
        self._traces = traces

    def open(self, request: Request, then: Ask) -> Answering:
        return _Recorded(self, request, then)

    def begun(self) -> None:
        self._metrics.in_flight += 1

    def ended(self, request: Request, error: BaseException | None) -> None:
        trace = request.trace
        winner = trace.winner()
        word = OK
        if error is not None or winner is None:
            late = asyncio.get_running_loop().time() >= request.deadline
            word = outcome_of(error, answered=winner is not None, late=late)
        took = self._now() - trace.started
        waited = 0.0
        for attempt in trace.attempts:
            waited += (attempt.ended or attempt.started) - attempt.started
        self._metrics.in_flight -= 1
        if self._traces is not None:
            self._traces.note(request)
        self._metrics.request_ended(
            Ended(
                # The request's own word is a caller's text and must not become a label.
                task=trace.task or "unknown",
                strategy=trace.strategy,
                outcome=word,
                took=took,
                overhead=max(0.0, took - waited),
                winner=winner.deployment if winner and word == OK else "",
                degraded=winner is not None and bool(winner.degraded),
            )
        )


class _Recorded(AbstractAsyncContextManager[Events]):
    __slots__ = ("_inner", "_recording", "_request", "_then")

    def __init__(self, recording: Recording, request: Request, then: Ask) -> None:
        self._recording = recording
        self._request = request
        self._then = then

    async def __aenter__(self) -> Events:
        self._recording.begun()
        try:
            self._inner = self._then(self._request)
            return await self._inner.__aenter__()
        except BaseException as error:  # whatever ends it is counted
            self._recording.ended(self._request, error)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._inner.__aexit__(kind, error, trace)
        except BaseException as last:  # whatever comes out of the block is what is counted
            error = last
            raise
        finally:
            self._recording.ended(self._request, error)
