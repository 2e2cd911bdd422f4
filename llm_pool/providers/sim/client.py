"""The fake that ships in the product: a provider that plays a script, for tests, benchmarks and trying things out."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Self

from llm_pool.core.errors import (
    ProviderError,
    ProviderGarbled,
    ProviderLimited,
    ProviderMisconfigured,
    ProviderOverloaded,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnreachable,
    StreamBroken,
    shown,
)
from llm_pool.core.ports.provider import Health
from llm_pool.core.streams import Events
from llm_pool.core.types import Finished, Started
from llm_pool.providers.sim.script import Script

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from llm_pool.config.tables import Sim
    from llm_pool.core.streams import Answering
    from llm_pool.core.types import Request
    from llm_pool.providers.sim.script import Play

_FAILURES: dict[str, type[ProviderError]] = {
    "unreachable": ProviderUnreachable,
    "timeout": ProviderTimeout,
    "overloaded": ProviderOverloaded,
    "limited": ProviderLimited,
    "refused": ProviderRefused,
    "misconfigured": ProviderMisconfigured,
    "garbled": ProviderGarbled,
}
_RETRY_AFTER = 1.0  # seconds, said with "overloaded" and "limited"


class Simulated:
    """A `Provider` without a model. It sleeps on the running loop's clock, so a test's clock may jump.

    `calls` counts the answers that were entered, `open` those that have not been left: tests read both.
    """

    def __init__(self, settings: Sim, *, provider: str, models: tuple[str, ...]) -> None:
        """`models` are the names it answers to, ("*",): to all. Raises ValueError on settings that cannot be played."""
        self.calls = 0
        self.open = 0
        self._script = Script(settings, provider=provider, models=models)
        self._failure = settings.fail_with
        self._provider = provider
        self._models = None if "*" in models else frozenset(models)
        self._load = settings.load_ms / 1000
        self._ready_at = 0.0  # instant of `loop.time()`

    async def __aenter__(self) -> Self:
        if self._load:
            self._ready_at = asyncio.get_running_loop().time() + self._load
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close: it has no connection."""

    async def health(self) -> Health:
        return Health("loading") if self.loading() > 0 else Health("healthy")

    def chat(self, request: Request) -> Answering:
        """Play the script. Raises `ProviderMisconfigured` for a model that it does not have, as a real one does.

        A call that is to fail does so before its first event; one that is to stall starts, and never says a word.
        """
        return _Answering(self, self._script.play, request)

    def embed(self, request: Request) -> Answering:
        """Unit vectors, equal ones for equal texts. Fails as `chat` does."""
        return _Answering(self, self._script.embed, request)

    def count(self, request: Request) -> Answering:
        """Count words. Fails as `chat` does."""
        return _Answering(self, self._script.count, request)

    def loading(self) -> float:
        """Seconds until the model is loaded, 0 or less when it is."""
        return self._ready_at - asyncio.get_running_loop().time() if self._load else 0.0

    def check(self, model: str | None) -> None:
        """Raise `ProviderMisconfigured` unless it has this model."""
        if self._models is not None and model not in self._models:
            raise ProviderMisconfigured(f'the simulated provider "{self._provider}" has no model "{shown(str(model))}"')

    def failure(self) -> ProviderError:
        """The error that `fail_with` names."""
        busy = self._failure in {"overloaded", "limited"}
        return _FAILURES[self._failure](
            f'the simulated provider "{self._provider}" fails as its script says',
            retry_after=_RETRY_AFTER if busy else None,
        )


class _Answering(AbstractAsyncContextManager[Events]):
    __slots__ = ("_decide", "_events", "_request", "_sim")

    def __init__(self, sim: Simulated, decide: Callable[[Request], Play], request: Request) -> None:
        self._sim = sim
        self._decide = decide
        self._request = request

    async def __aenter__(self) -> Events:
        self._sim.calls += 1
        self._sim.check(self._request.model)
        self._events = self._perform(self._decide(self._request))
        self._sim.open += 1
        return self._events

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sim.open -= 1
        await self._events.aclose()

    async def _perform(self, play: Play) -> Events:
        if (load := self._sim.loading()) > 0:
            await asyncio.sleep(load)
        # Never asleep for nothing: `sleep(0)` is a turn of the event loop.
        if play.fate == "fail":
            if play.first_token > 0:
                await asyncio.sleep(play.first_token)
            raise self._sim.failure()
        yield Started(model=self._request.model or "", provider="sim")
        for warning in play.warnings:
            yield warning
        if play.fate == "stall":
            await asyncio.get_running_loop().create_future()
        if play.first_token > 0:
            await asyncio.sleep(play.first_token)
        pieces = play.pieces[: play.break_after] if play.fate == "break" else play.pieces
        for delay, said in pieces:
            if delay:
                await asyncio.sleep(delay)
            yield said
        if play.fate == "break":
            raise StreamBroken("the simulated answer broke off as its script says")
        yield Finished(play.reason, play.usage, play.stopped_by, play.vectors, play.counted)
