"""A provider that takes as long, and fails, as it is told to. Its words say nothing."""

from __future__ import annotations

import asyncio
import math
from contextlib import AbstractAsyncContextManager
from functools import cache
from typing import TYPE_CHECKING, Self

from llm_pool.core.errors import ProviderLimited, ProviderOverloaded
from llm_pool.core.ports.provider import Health
from llm_pool.core.streams import Events
from llm_pool.core.types import Finished, Started, Text, TextDelta, Usage
from llm_pool.simulate.calls import NO_BOUNDS, QUOTA_WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from llm_pool.core.streams import Answering
    from llm_pool.core.types import Request
    from llm_pool.simulate.calls import Bounds, Call, Draw

WORD = "word"  # of four characters, which is what a token is taken for where tokens are not counted
AT_LEAST = 0.5  # seconds between two pieces: nobody reads along, and every piece costs time
REFUSAL = 0.02  # seconds that a provider takes to say no


class Replayed:
    """A `Provider`, on the running loop. A request's id is its number, its `max_tokens` how long its answer is."""

    def __init__(self, draw_of: Callable[[str], Draw], bounds: Bounds = NO_BOUNDS) -> None:
        """`draw_of` a model, by the provider's own name of it."""
        self._draw_of = cache(draw_of)
        self._asked: dict[tuple[str, str | None], int] = {}  # by request and model
        self._bounds = bounds
        self._slots = asyncio.Semaphore(bounds.slots) if bounds.slots is not None else None
        self._waiting = 0
        self._window = 0  # that the quota is counted in
        self._spent = 0

    def chat(self, request: Request) -> Answering:
        return _Answering(self, request)

    async def health(self) -> Health:
        return Health("healthy")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close: it has no connection."""

    async def turn(self) -> None:
        """Wait for a slot, and take it. Raises ProviderLimited, ProviderOverloaded."""
        if (rest := self._spend(asyncio.get_running_loop().time())) > 0:
            await asyncio.sleep(REFUSAL)
            raise ProviderLimited("the replayed provider's quota is spent", retry_after=rest)
        if self._slots is None:
            return
        if self._slots.locked() and self._waiting >= self._bounds.line:
            await asyncio.sleep(REFUSAL)
            raise ProviderOverloaded("the replayed provider bears no more calls")
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1

    def over(self) -> None:
        """Give the slot back."""
        if self._slots is not None:
            self._slots.release()

    def call(self, request: Request) -> Call:
        """What becomes of this call. Each of a request's own is another one."""
        key = (request.id, request.model)
        again = self._asked.get(key, 0)
        self._asked[key] = again + 1
        return self._draw_of(request.model or "")(asyncio.get_running_loop().time(), int(request.id), again)

    def _spend(self, now: float) -> float:
        """Take one call of the quota, or give the seconds after which there will be one."""
        if self._bounds.quota is None:
            return 0.0
        window = int(now // QUOTA_WINDOW)
        if window != self._window:
            self._window, self._spent = window, 0
        if self._spent >= self._bounds.quota:
            return max(1.0, math.ceil((window + 1) * QUOTA_WINDOW - now))
        self._spent += 1
        return 0.0


class _Answering(AbstractAsyncContextManager[Events]):
    __slots__ = ("_events", "_provider", "_request")

    def __init__(self, provider: Replayed, request: Request) -> None:
        self._provider = provider
        self._request = request

    async def __aenter__(self) -> Events:
        await self._provider.turn()
        self._events = _said(self._provider.call(self._request), self._request)
        return self._events

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._provider.over()
        await self._events.aclose()


async def _said(call: Call, request: Request) -> Events:
    """First the wait, then a word, then pieces of half a second each."""
    yield Started(request.model or "", "replayed")
    elapsed = min(call.first_token, call.fails_after)
    if math.isinf(elapsed):
        await asyncio.get_running_loop().create_future()
    await asyncio.sleep(elapsed)
    if call.fails_after <= call.first_token:
        raise call.error("the replayed call failed")
    yield TextDelta(WORD)
    tokens = request.sampling.max_tokens or 1
    said = 1
    most = max(1, int(AT_LEAST / call.per_token)) if call.per_token > 0 else tokens
    while said < tokens:
        piece = min(most, tokens - said)
        lasts = piece * call.per_token
        if elapsed + lasts > call.fails_after:
            await asyncio.sleep(call.fails_after - elapsed)
            break
        if lasts > 0:
            await asyncio.sleep(lasts)
        said, elapsed = said + piece, elapsed + lasts
        yield TextDelta(WORD * piece)
    if not math.isinf(call.fails_after):  # however short this answer is: the call did not end well
        raise call.error("the replayed call failed after its first word")
    asked = sum(len(part.text) for message in request.messages for part in message.parts if isinstance(part, Text))
    yield Finished("stop", Usage(input=-(-asked // len(WORD)), output=tokens))
