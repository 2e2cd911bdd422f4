"""One voice: the best deployment, made dependable by dispatch. Not a race of all."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llm_pool.core.streams import Answering, Ask
    from llm_pool.core.types import Request


class Fastest:
    def open(self, request: Request, then: Ask) -> Answering:
        return then(request)
