"""What a provider can do beside answering: make vectors of texts, count tokens. Each has the shape of an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from llm_pool.core.streams import Answering
    from llm_pool.core.types import Request


@runtime_checkable
class Embedder(Protocol):
    def embed(self, request: Request) -> Answering:
        """The events are `Started`, then `Finished` with one vector for each of `request.inputs`, in their order."""
        ...


@runtime_checkable
class TokenCounter(Protocol):
    def count(self, request: Request) -> Answering:
        """The events are `Started`, then `Finished` with `counted`: how many tokens the messages and tools are."""
        ...
