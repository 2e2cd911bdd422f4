"""Write down every provider call - when, how long, how many tokens, how it ended - whatever its way out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, assert_never

from llm_pool.core.errors import InvalidOutput, ProviderError
from llm_pool.core.outcome import OK, outcome_of
from llm_pool.core.streams import Events, Mapped
from llm_pool.core.trace import Attempt
from llm_pool.core.types import (
    WORDS,
    Finished,
    Phase,
    ReasoningDelta,
    Request,
    Started,
    Text,
    TextDelta,
    ToolCallDelta,
    Usage,
    Warning,
)

if TYPE_CHECKING:
    from types import TracebackType

    from llm_pool.core.clock import Clock
    from llm_pool.core.streams import Answering, Ask
    from llm_pool.dispatch.router import Deployment
    from llm_pool.telemetry.metrics import Metrics

CHARACTERS_PER_TOKEN = 4  # the usual rule of thumb for English; only for counts that a provider did not report


class Metering:
    """The gate around one deployment's provider."""

    def __init__(self, deployment: Deployment, metrics: Metrics, *, now: Clock) -> None:
        self.deployment = deployment
        self.metrics = metrics
        self.asked = metrics.asked
        self.degraded = deployment.degraded
        self.now = now

    def open(self, request: Request, then: Ask) -> Answering:
        return _Metered(self, request, then)


class _Metered(Mapped):
    __slots__ = ("_attempt", "_error", "_gate", "_said")

    def __init__(self, gate: Metering, request: Request, then: Ask) -> None:
        super().__init__(then, request)
        self._gate = gate
        self._said = 0
        self._error: ProviderError | None = None

    async def __aenter__(self) -> Events:
        gate = self._gate
        deployment = gate.deployment
        gate.asked[deployment.name] += 1
        self._attempt = Attempt(deployment.name, deployment.model, gate.degraded, gate.now())
        self._request.trace.attempts.append(self._attempt)
        try:  # what `Mapped` does, in one frame less: every call of every provider passes here
            self._inner = self._then(self._request)
            self._out = self._map(await self._inner.__aenter__())
            return self._out
        except BaseException as error:  # whatever ends it is written down
            self._close(error)
            raise

    async def _map(self, events: Events) -> Events:
        attempt, deployment = self._attempt, self._gate.deployment
        try:
            async for event in events:
                if isinstance(event, Started):
                    yield Started(deployment.model, deployment.name)
                    continue
                if attempt.first_token is None and isinstance(event, WORDS):
                    attempt.first_token = self._gate.now()
                match event:
                    case TextDelta() | ReasoningDelta():
                        self._said += len(event.text)
                    case ToolCallDelta():
                        self._said += len(event.arguments)
                    case Finished():
                        attempt.usage = event.usage
                        self._end(OK)  # now, so that who reads the last event reads a closed trace
                    case Warning():
                        self._request.trace.warnings.append(event)
                    case Phase():
                        pass
                    case _:
                        assert_never(event)
                yield event
        except ProviderError as error:
            # Kept, for a consumer may handle it inside its block and then leave as if nothing had been.
            self._error = error
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await super().__aexit__(kind, error, trace)
        finally:
            self._close(error)

    def _close(self, error: BaseException | None) -> None:
        """Close the attempt, unless `Finished` has: then all that can be wrong yet is what the answer says."""
        attempt = self._attempt
        if attempt.ended is None:
            error = self._error or error
            late = asyncio.get_running_loop().time() >= self._request.deadline
            attempt.why = error.message if isinstance(error, ProviderError) else ""
            if self._said:
                attempt.usage = self._estimate()
            self._end(outcome_of(error, answered=False, late=late))
        elif isinstance(error, InvalidOutput):
            attempt.outcome, attempt.why = error.reason, error.message
        self._gate.asked[attempt.deployment] -= 1
        self._gate.metrics.attempt_ended(attempt)

    def _end(self, outcome: str) -> None:
        self._attempt.ended = self._gate.now()
        self._attempt.outcome = outcome

    def _estimate(self) -> Usage:
        asked = sum(
            len(part.text) for message in self._request.messages for part in message.parts if isinstance(part, Text)
        )
        return Usage(
            input=-(-asked // CHARACTERS_PER_TOKEN), output=-(-self._said // CHARACTERS_PER_TOKEN), estimated=True
        )
