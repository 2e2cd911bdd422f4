"""The client and what an answer has beside its text: calls of tools, thoughts that go back, probabilities."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from llm_pool.client import Answer, Client, ClientError
from llm_pool.core.types import (
    Finished,
    Logprob,
    Reasoning,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from tests.client.test_http import SSE, saying
from tests.running import SIM, pool_of, serving
from tests.scripted import Scripted, Step

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.real_time

STEPS: list[Step] = [
    Started("sim/m", "one"),
    ReasoningDelta("Hm", "", provider="anthropic"),
    ReasoningDelta(".", "sig", provider="anthropic"),
    TextDelta("Hé", (Logprob("Hé", -0.5, (72, 195, 169), (Logprob("J", -2.0),)),)),
    ToolCallDelta(0, "c1", "weather", '{"city"'),
    ToolCallDelta(1, "c2", "now", "{}"),
    ToolCallDelta(0, "", "", ': "Lisbon"}'),
    Finished("tool_calls", Usage(3, output=2), stopped_by="x"),
]


@contextlib.asynccontextmanager
async def talking(provider: Scripted) -> AsyncIterator[Client]:
    async with pool_of(SIM, {"one": provider}) as pool, serving(pool) as up, Client(up.http_address) as client:
        yield client


async def test_a_whole_answer_and_a_stream_added_up_are_the_same() -> None:
    async with talking(Scripted(*STEPS)) as client:
        whole = await client.infer(prompt="hi", logprobs=1)
        async with client.stream(prompt="hi", logprobs=1) as events:
            *deltas, last = [event async for event in events]
    assert deltas == STEPS[:-1]
    assert isinstance(last, Answer)
    assert whole.content == "Hé"
    assert whole.tool_calls == (ToolCall("c1", "weather", '{"city": "Lisbon"}'), ToolCall("c2", "now", "{}"))
    assert (whole.reasoning, whole.reasoning_parts) == ("Hm.", (Reasoning("Hm.", "sig", provider="anthropic"),))
    assert whole.logprobs == (Logprob("Hé", -0.5, (72, 195, 169), (Logprob("J", -2.0),)),)
    assert (whole.finish_reason, whole.stopped_by) == ("tool_calls", "x")
    for name in ("content", "reasoning", "reasoning_parts", "tool_calls", "logprobs", "stopped_by"):
        assert getattr(last, name) == getattr(whole, name)
        assert last.raw[name] == whole.raw[name]


async def test_everything_that_a_pool_takes_can_be_asked() -> None:
    """A loop of tools: what was answered goes back as it came."""
    provider = Scripted(*STEPS)
    tools = [{"name": "weather", "parameters": {"type": "object"}}]
    async with talking(provider) as client:
        first = await client.infer(prompt="hi", tools=tools, tool_choice={"mode": "auto"}, stop=["x"], top_p=0.5)
        said = [{"reasoning": part} for part in first.raw["reasoning_parts"]]
        said += [{"tool_call": call} for call in first.raw["tool_calls"]]
        results = [{"tool_result": {"call_id": call.id, "content": "22"}} for call in first.tool_calls]
        await client.infer(
            messages=[{"role": "assistant", "parts": said}, {"role": "tool", "parts": results}], tools=tools
        )
    asked, again = provider.requests
    assert (asked.sampling.top_p, asked.sampling.stop, asked.tools[0].name) == (0.5, ("x",), "weather")
    assert again.messages[-2].parts == (*first.reasoning_parts, *first.tool_calls)


GARBLED = {
    "calls that are none": b'event: finished\ndata: {"tool_calls": [1]}\n\n',
    "a thought of a number": b'event: reasoning\ndata: {"opaque": 1}\n\n',
    "bytes that are none": b'event: text\ndata: {"logprobs": [{"bytes": "a"}]}\n\n',
    "a probability in words": b'event: text\ndata: {"logprobs": [{"logprob": "high"}]}\n\n',
}


@pytest.mark.parametrize("body", GARBLED.values(), ids=GARBLED)
async def test_what_no_pool_says_is_refused(body: bytes) -> None:
    async with saying(SSE + body) as url, Client(url) as client:
        with pytest.raises(ClientError) as broken:
            async with client.stream(prompt="hi") as events:
                async for _ in events:
                    pass
    assert broken.value.code == "STREAM_BROKEN"


async def test_endless_pieces_of_a_call_end() -> None:
    """What is kept of a stream is bounded, whatever it consists of."""
    piece = b'event: tool_call\ndata: {"index": 0, "arguments": "%b"}\n\n' % (b"x" * 1024 * 1024)
    async with saying(SSE + piece * 65) as url, Client(url) as client:
        with pytest.raises(ClientError, match="larger than any should be"):
            async with client.stream(prompt="hi") as events:
                async for _ in events:
                    pass
