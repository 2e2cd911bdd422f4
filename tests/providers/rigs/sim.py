"""The rig of the simulated provider, which has no wire."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from llm_pool.config.tables import Sim
from llm_pool.providers.sim.client import Simulated
from tests.providers.contract import Bench, Can, Rig, Said, parsed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CAN: frozenset[Can] = frozenset({"tools", "images", "reasoning", "seal", "logprobs", "embed", "dimensions"})


class SimRig(Rig):
    name = driver = "sim"
    can = CAN

    @asynccontextmanager
    async def bench(self) -> AsyncIterator[Bench]:
        def say(said: Said) -> None:
            bench.provider = _made(said)

        bench = Bench("m", _made(Said()), say=say)
        yield bench


def _made(said: Said) -> Simulated:
    keys: dict[str, Any] = {
        "answers": [said.text],
        "reasoning": said.reasoning,
        "tool_calls": [{"name": call.name, "arguments": parsed(call.arguments)} for call in said.calls],
        "stall_rate": 0.0 if said.stall is None else 1.0,
    }
    return Simulated(Sim.model_validate(keys), provider="sim", models=("m",))
