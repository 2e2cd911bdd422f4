"""Make one voice dependable: ask the next deployment when one fails before its first word.

Failover is free and asks each deployment at most once. It ends at the first word: what has spoken is never swapped
for another voice. A `whole` request is spoken only when everything is there, so it survives a line that drops
half-way; and where it has a `spec`, an answer that does not fit is one more failure before the first word, unless it
can be mended. The fallback tier is asked when every other candidate has failed, and also when none has said a word (of
a `whole` request: all of them) by `FALLBACK_RESERVE` before the deadline.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, TypeAlias

from llm_pool.core.errors import AllProvidersFailed, InvalidOutput, NoProvider, ProviderError
from llm_pool.core.streams import Ask, Events
from llm_pool.core.types import WORDS, Event, Warning, replace
from llm_pool.dispatch.router import Deployment
from llm_pool.dispatch.validation import held

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from llm_pool.core.streams import Answering
    from llm_pool.core.types import Request
    from llm_pool.dispatch.router import Router
    from llm_pool.telemetry.metrics import Metrics

FALLBACK_RESERVE = 0.1  # seconds before the deadline

# How to ask one deployment, which must have spoken by an instant of `loop.time()`.
Line: TypeAlias = Callable[[Deployment, float | None], Ask]


class Attempts:
    """`ask` is what a strategy's `then` ends in."""

    def __init__(self, router: Router, metrics: Metrics, *, line: Line) -> None:
        self.router = router
        self.metrics = metrics
        self.line = line

    def ask(self, request: Request) -> Answering:
        return _Dependable(self, request)


class _Dependable(AbstractAsyncContextManager[Events]):
    __slots__ = ("_attempts", "_inner", "_out", "_request")

    def __init__(self, attempts: Attempts, request: Request) -> None:
        self._attempts = attempts
        self._request = request
        self._inner: Answering | None = None

    async def __aenter__(self) -> Events:
        request, attempts = self._request, self._attempts
        candidates = attempts.router.candidates(request)
        # Only where somebody stands behind the others is their silence cut short.
        reserve = None
        if len(candidates) > 1 and any(each.fallback for each in candidates):
            left = request.deadline - asyncio.get_running_loop().time()
            reserve = request.deadline - min(FALLBACK_RESERVE, left / 2)  # a short deadline is shared
        failures: list[tuple[Deployment, ProviderError]] = []
        for deployment in candidates:
            speak_by = None if deployment.fallback else reserve
            if speak_by is not None and asyncio.get_running_loop().time() >= speak_by:
                continue
            if failures:
                attempts.metrics.failovers(failures[-1][0].name).inc()
            try:
                return await self._ask(deployment, speak_by)
            except ProviderError as error:
                failures.append((deployment, error))
        raise _summary(request, failures)

    async def _ask(self, deployment: Deployment, speak_by: float | None) -> Events:
        """Open one deployment and read until it has spoken, or, for a whole request, until it has ended."""
        request, warnings = _capped(self._request, deployment)
        inner = self._attempts.line(deployment, speak_by)(request)
        events = await inner.__aenter__()
        head: list[Event] = []
        try:
            async for event in events:
                head.append(event)
                if not request.whole and isinstance(event, WORDS):
                    break
            if request.spec is not None:
                head, done = held(head, request.spec, who=deployment.name)
                if done:
                    request.trace.notes.append(f"the answer of {deployment.name} was {done}")
        except BaseException as error:  # whatever ends it: what was entered is left, and told why
            await inner.__aexit__(type(error), error, error.__traceback__)
            raise
        self._request.trace.warnings.extend(warnings)
        head[1:1] = warnings  # after `Started`
        if request.whole:
            await inner.__aexit__(None, None, None)  # nothing more comes: its connection is free for others
            self._out = _said(head)
        else:
            self._inner = inner
            self._out = _continued(head, events)
        return self._out

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._out.aclose()
        finally:
            if self._inner is not None:
                await self._inner.__aexit__(kind, error, trace)


async def _said(head: list[Event]) -> Events:
    for event in head:
        yield event


async def _continued(head: list[Event], rest: Events) -> Events:
    for event in head:
        yield event
    async for event in rest:
        yield event


def _capped(request: Request, deployment: Deployment) -> tuple[Request, list[Warning]]:
    """Never ask a deployment for more tokens than it may be asked for, and never in silence."""
    asked, most = request.sampling.max_tokens, deployment.max_tokens
    if most is None or asked is None or asked <= most:
        return request, []
    told = Warning("max_tokens_reduced", f"{deployment.name} may be asked for {most} tokens, not {asked}")
    return replace(request, sampling=dataclasses.replace(request.sampling, max_tokens=most)), [told]


def _summary(request: Request, failures: Sequence[tuple[Deployment, ProviderError]]) -> Exception:
    """One failure speaks for itself; several are named one by one."""
    if not failures:
        return NoProvider(f"no provider is configured for task {request.task}")
    if len(failures) == 1:
        return failures[0][1]
    names = [deployment.name for deployment, _ in failures]
    details = {
        each.name if names.count(each.name) == 1 else f"{each.name} {each.model}": error.reason
        for each, error in failures
    }
    if any(isinstance(error, InvalidOutput) for _, error in failures):
        return InvalidOutput(f"no answer fits the schema of task {request.task}", details=details)
    return AllProvidersFailed(f"all {len(failures)} providers failed", details=details)
