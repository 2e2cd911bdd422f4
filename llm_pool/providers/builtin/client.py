"""The embedded engine: a provider without weights, network or configuration, for when no model server is there."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Self

from llm_pool.core.errors import ProviderMisconfigured, shown
from llm_pool.core.ports.provider import Health
from llm_pool.core.streams import Events
from llm_pool.core.types import Finished, Started, TextDelta, Usage
from llm_pool.providers.builtin.lacking import lacking

if TYPE_CHECKING:
    from types import TracebackType

    from llm_pool.core.streams import Answering
    from llm_pool.core.types import Request, Warning
    from llm_pool.providers.builtin.answer import Reply

MODEL = "extractive"


class Builtin:
    """A `Provider`. Equal questions get equal answers; nothing is kept between them."""

    def __init__(self, *, models: tuple[str, ...] = (MODEL,)) -> None:
        """Raises ValueError on other models than the only one."""
        if models != (MODEL,):
            raise ValueError(f'the builtin provider has only the model "{MODEL}"')

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close: it has no connection."""

    async def health(self) -> Health:
        return Health("healthy")

    def chat(self, request: Request) -> Answering:
        """Answer in a thread. Raises `ProviderMisconfigured` for another model; `Unsupported` for images, for a call
        of a tool that must be, and for a schema that its answer does not fit.
        """
        return _Answering(request)


class _Answering(AbstractAsyncContextManager[Events]):
    __slots__ = ("_events", "_request")

    def __init__(self, request: Request) -> None:
        self._request = request

    async def __aenter__(self) -> Events:
        if self._request.model != MODEL:
            raise ProviderMisconfigured(f'the builtin provider has no model "{shown(str(self._request.model))}"')
        self._events = self._answer(lacking(self._request))
        return self._events

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._events.aclose()

    async def _answer(self, warnings: tuple[Warning, ...]) -> Events:
        # Whoever is cancelled here leaves at once; the thread ends its work by itself, which is bounded (text.MOST).
        answer = await asyncio.to_thread(_reply, self._request)
        yield Started(model=MODEL, provider="builtin")
        for warning in warnings:
            yield warning
        for piece in answer.pieces:
            yield TextDelta(piece)
        yield Finished(answer.reason, Usage(input=answer.read, output=answer.written))


def _reply(request: Request) -> Reply:
    """The answer. The first call imports the engine; the import's own lock makes others that come meanwhile wait."""
    from llm_pool.providers.builtin.answer import reply  # noqa: PLC0415 - 3.5 MB of tables that most servers never need

    return reply(request)
