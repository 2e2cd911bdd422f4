"""How the tests of the simulated provider ask."""

from __future__ import annotations

import math
from typing import Any

from llm_pool.config.tables import Sim
from llm_pool.core.trace import Trace
from llm_pool.core.types import Message, Request, Sampling


def request(text: str = "Why is the sky blue?", *, max_tokens: int | None = None, **changes: Any) -> Request:
    """A question to the model "m"; `changes` are fields of `Request`."""
    sampling = Sampling(max_tokens=max_tokens)
    fields = {"messages": (Message.of("user", text),), "model": "m", "sampling": sampling, **changes}
    return Request(id="r", deadline=math.inf, trace=Trace(0.0), **fields)


def sim(**keys: Any) -> Sim:
    """Settings as a configuration file would give them."""
    return Sim.model_validate(keys)
