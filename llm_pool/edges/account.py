"""The account of one call at an edge: its id, what became of it, and exactly one access line."""

from __future__ import annotations

import asyncio
import logging
import random
import re
from typing import TYPE_CHECKING

from llm_pool.core.errors import CallerLeft, DeadlineExceeded, ShuttingDown
from llm_pool.core.outcome import OK, OUTRUN
from llm_pool.telemetry.logs import line

if TYPE_CHECKING:
    from llm_pool.core.clock import Clock
    from llm_pool.core.errors import PoolError
    from llm_pool.core.trace import Trace
    from llm_pool.core.types import Request
    from llm_pool.edges.readiness import Lifecycle
    from llm_pool.telemetry.metrics import Metrics

log = logging.getLogger("llm_pool.access")

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}", re.ASCII)
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?", re.ASCII)


def well_formed(request_id: str) -> bool:
    return _ID.fullmatch(request_id) is not None


def made() -> str:
    """128 random bits. They only tell requests apart, so they need not cost a call of the system."""
    return f"{random.getrandbits(128):032x}"


def left(account: Account, lifecycle: Lifecycle) -> PoolError:
    """What a cancellation at an edge means: our own end, the deadline, or a caller who has gone."""
    request, now = account.request, asyncio.get_running_loop().time()
    if now >= lifecycle.cut_at:
        return ShuttingDown("the pool is shutting down")
    if request is not None and now >= request.deadline:
        return DeadlineExceeded("the deadline passed before the answer was complete")
    return CallerLeft("the caller has gone")


class Account:
    """Opened when a call arrives; `close` may be called more than once, and only the first counts."""

    __slots__ = ("_closed", "_metrics", "_now", "edge", "id", "request", "route", "started", "trace_id")

    def __init__(
        self, edge: str, route: str, *, metrics: Metrics, now: Clock, request_id: str = "", traceparent: str = ""
    ) -> None:
        self.edge = edge
        self.route = route  # a configured template, never the caller's path
        self.id = request_id if request_id and well_formed(request_id) else made()
        trace = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
        self.trace_id = trace[1] if trace else ""
        self.started = now()
        self.request: Request | None = None
        self._metrics = metrics
        self._now = now
        self._closed = False

    @property
    def elapsed_ms(self) -> float:
        return round((self._now() - self.started) * 1000, 3)

    def close(self, *, status: int | str, outcome: str = OK, why: str = "") -> None:
        """`why` is what the caller was told of a refusal."""
        if self._closed:
            return
        self._closed = True
        told: dict[str, object] = {
            "request_id": self.id,
            "edge": self.edge,
            "route": self.route,
            "status": status,
            "outcome": outcome,
            "duration_ms": self.elapsed_ms,
        }
        if why:
            told["why"] = why
        if self.trace_id:
            told["trace_id"] = self.trace_id
        if self.request is None:
            if outcome not in {OK, CallerLeft.reason, DeadlineExceeded.reason}:
                self._metrics.rejected(self.edge, outcome).inc()
        else:
            told |= _told(self.request)
        line(log, "request", told)


def _told(request: Request) -> dict[str, object]:
    trace = request.trace
    winner = trace.winner()
    usage = trace.usage()
    failed = [
        f"{attempt.deployment} {attempt.outcome}" for attempt in trace.attempts if attempt.outcome not in {OK, OUTRUN}
    ]
    return {
        "tenant": request.caller.tenant,
        "project": request.caller.project,
        "task": trace.task,
        "strategy": trace.strategy,
        "winner_model": winner.model if winner else "",
        "attempts": len(trace.attempts),
        **({"failed": failed} if failed else {}),
        **({"hedged": _hedge(trace)} if trace.hedged() else {}),
        "from_cache": trace.from_cache,
        "degraded": winner is not None and bool(winner.degraded),
        "input_tokens": usage.input,
        "output_tokens": usage.output,
    }


def _hedge(trace: Trace) -> dict[str, object]:
    """Who was asked beside whom, who won, and what the others cost."""
    winner = trace.winner()
    lost = [attempt for attempt in trace.attempts if attempt.outcome == OUTRUN]
    return {
        "to": [attempt.deployment for attempt in trace.attempts if attempt.beside],
        "won": winner is not None and winner.beside,
        "lost_tokens": sum(attempt.usage.input + attempt.usage.output for attempt in lost),
    }
