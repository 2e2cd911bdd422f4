"""How many tokens a question is: by the provider's own count where it counts, else estimated. Nobody is asked for an
estimate, so neither breakers nor latencies learn from it, and nothing that is out of order stands in its way.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from llm_pool.core.errors import Unsupported
from llm_pool.core.outcome import OK
from llm_pool.core.streams import Events
from llm_pool.core.trace import Attempt
from llm_pool.core.types import Finished, Started, Usage, Warning
from llm_pool.dispatch.operations import tokens_of

if TYPE_CHECKING:
    from types import TracebackType

    from llm_pool.core.clock import Clock
    from llm_pool.core.streams import Answering
    from llm_pool.core.types import Request
    from llm_pool.dispatch.router import Deployment


class Counted(AbstractAsyncContextManager[Events]):
    """`counting` asks those that count; None where nobody does. `deployment` is whose model it is."""

    __slots__ = ("_counting", "_deployment", "_estimate", "_now", "_request")

    def __init__(self, request: Request, deployment: Deployment, counting: Answering | None, *, now: Clock) -> None:
        self._request = request
        self._deployment = deployment
        self._counting = counting
        self._now = now
        self._estimate: Events | None = None

    async def __aenter__(self) -> Events:
        if self._counting is not None:
            try:
                return await self._counting.__aenter__()
            except Unsupported:  # its protocol can count, and this server of it cannot
                self._counting = None
        self._estimate = self._estimated()
        return self._estimate

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._estimate is not None:
            await self._estimate.aclose()
        elif self._counting is not None:
            await self._counting.__aexit__(kind, error, trace)

    async def _estimated(self) -> Events:
        trace, deployment, now = self._request.trace, self._deployment, self._now()
        model = self._request.model or deployment.model
        attempt = Attempt(deployment.name, model, deployment.degraded, now, first_token=now, ended=now, outcome=OK)
        trace.attempts.append(attempt)
        warning = Warning("tokens_estimated", f"{deployment.name} does not count tokens: the pool has estimated them")
        trace.warnings.append(warning)
        yield Started(model, deployment.name)
        yield warning
        yield Finished("stop", Usage(), counted=tokens_of(self._request))
