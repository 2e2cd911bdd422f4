"""The strategy that a request names, among those that are built."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_pool.core.streams import Answering, Ask, Gate
    from llm_pool.core.types import Request


class Chosen:
    """`preparing` has resolved `request.strategy` to one of `strategies`."""

    def __init__(self, strategies: Mapping[str, Gate]) -> None:
        self._strategies = strategies

    def open(self, request: Request, then: Ask) -> Answering:
        return self._strategies[request.strategy or ""].open(request, then)
