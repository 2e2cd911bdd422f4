"""A pool behind its HTTP edge, and the official clients that ask it, for all tests of OpenAI's doors."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, TypeVar

from openai import AsyncOpenAI, OpenAI

from llm_pool.core.types import Finished, Logprob, ReasoningDelta, Started, TextDelta, ToolCallDelta, Usage
from tests.running import pool_of, serving
from tests.scripted import Scripted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from llm_pool.core.types import FinishReason
    from tests.running import Up
    from tests.scripted import Step

Result = TypeVar("Result")

MODEL = "sim/m"
HI: list[Any] = [{"role": "user", "content": "hi"}]
USAGE = Usage(input=5, cache_read=3, cache_write=2, output=7, reasoning=4)
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "How it is",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def steps(*events: Step, reason: FinishReason = "stop", usage: Usage = USAGE) -> list[Step]:
    """A whole answer that says these."""
    return [Started(MODEL, "one"), *events, Finished(reason, usage)]


# Whole answers of every kind, by what is in them.
ANSWERS: dict[str, list[Step]] = {
    "text": steps(TextDelta("Hello"), TextDelta(", "), TextDelta("world")),
    "nothing": steps(),
    "an empty text": steps(TextDelta("")),
    "unicode": steps(TextDelta('Olá "\\\n\t\u2028'), TextDelta("日本語 👩‍👩‍👧"), TextDelta("\x00\x7f")),
    "a call": steps(
        ToolCallDelta(0, "call_1", "weather", ""),
        ToolCallDelta(0, "", "", '{"city":'),
        ToolCallDelta(0, "", "", '"Évora"}'),
        reason="tool_calls",
    ),
    "text and a call": steps(
        TextDelta("Let me see."), ToolCallDelta(0, "call_1", "weather", "{}"), reason="tool_calls"
    ),
    "parallel calls": steps(
        ToolCallDelta(0, "call_1", "weather", '{"a":'),
        ToolCallDelta(1, "call_2", "time", '{"b":'),
        ToolCallDelta(0, "", "", "1}"),
        ToolCallDelta(1, "", "", "2}"),
        reason="tool_calls",
    ),
    "a thought": steps(
        ReasoningDelta("Hmm, ", provider="sim"),
        ReasoningDelta("a greeting.", provider="sim"),
        ReasoningDelta("", opaque="c2lnbmF0dXJl+/=", provider="sim"),
        TextDelta("Hi"),
    ),
    "a thought without a signature": steps(ReasoningDelta("Hm", provider="sim"), TextDelta("Hi")),
    "only a thought": steps(ReasoningDelta("Hm", provider="sim")),
    "several thoughts": steps(
        ReasoningDelta("One", opaque="s1", provider="sim"),
        ReasoningDelta("", opaque="ciphered", redacted=True, provider="sim"),
        ReasoningDelta("Two ", provider="sim"),
        ReasoningDelta("three", opaque="s2", provider="sim"),
        ToolCallDelta(0, "call_1", "weather", "{}"),
        ReasoningDelta("Four", provider="sim"),
        TextDelta("Well"),
        reason="tool_calls",
    ),
}
LIKELY = Logprob("Hi", -0.25, (72, 105), (Logprob("Hi", -0.25, (72, 105)), Logprob("Ho", -1.5)))


@contextlib.asynccontextmanager
async def scripted(*said: Step, provider: Scripted | None = None, toml: str = "") -> AsyncIterator[tuple[Up, Scripted]]:
    """A pool whose one model `sim/m` says this."""
    one = provider or Scripted(*(said or ANSWERS["text"]))
    table = '[[providers]]\nname = "one"\ndriver = "sim"\nmodel = "m"\n'
    async with pool_of(toml + table, {"one": one}) as pool, serving(pool) as up:
        await pool.health.settled(within=5.0)
        yield up, one


@contextlib.asynccontextmanager
async def client_of(up: Up, **options: Any) -> AsyncIterator[AsyncOpenAI]:
    """The official client. It tries nothing twice unless it is told to."""
    async with AsyncOpenAI(base_url=f"http://{up.http_address}/v1", api_key="any", max_retries=0, **options) as client:
        yield client


@contextlib.contextmanager
def sync_client_of(up: Up, **options: Any) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"http://{up.http_address}/v1", api_key="any", max_retries=0, **options) as client:
        yield client


async def in_thread(up: Up, ask: Callable[[OpenAI], Result]) -> Result:
    """What the official client without asyncio gets."""

    def run() -> Result:
        with sync_client_of(up) as client:
            return ask(client)

    return await asyncio.to_thread(run)
