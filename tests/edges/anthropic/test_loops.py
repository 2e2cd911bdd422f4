"""Conversations with tools: what a model thought and called comes back to it as it said it, turn by turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from anthropic import beta_async_tool

from llm_pool.core.types import (
    Finished,
    Reasoning,
    ReasoningDelta,
    Started,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolResult,
)
from tests.edges.anthropic.asking import ASK, USAGE, WEATHER, client_of, pool_saying

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from anthropic.types import Message

    from llm_pool.core.types import Part
    from tests.scripted import Step

pytestmark = pytest.mark.real_time

START = Started("sim/m", "a")
TURNS = 3

# Of each provider: its events, and the same as it must see them again.
THOUGHTS: dict[str, tuple[list[Step], list[Part]]] = {
    "anthropic": (
        [
            ReasoningDelta("Let me ", provider="anthropic"),
            ReasoningDelta("sée.\n", "EqQB+/=", provider="anthropic"),
            ReasoningDelta("", "Emw\u00fcK", redacted=True, provider="anthropic"),
        ],
        [
            Reasoning("Let me sée.\n", "EqQB+/=", provider="anthropic"),
            Reasoning("", "Emw\u00fcK", redacted=True, provider="anthropic"),
        ],
    ),
    "openrouter": (
        [ReasoningDelta("Hm.", provider="openrouter"), ReasoningDelta("", '[{"x": "ü"}]', provider="openrouter")],
        [Reasoning("Hm.", '[{"x": "ü"}]', provider="openrouter")],
    ),
    "without a signature": ([ReasoningDelta("Hm.", provider="ollama")], [Reasoning("Hm.", provider="ollama")]),
}


def calls(turn: int) -> list[Step]:
    """Two calls at a time, whose pieces come in turns."""
    return [
        ToolCallDelta(0, f"call_{turn}.0", "weather", '{"city":'),
        ToolCallDelta(1, f"call_{turn}.1", "weather", "{"),
        ToolCallDelta(0, "", "", f'"{turn}"}}'),
        ToolCallDelta(1, "", "", "}"),
    ]


async def said(client: AsyncAnthropic, ask: dict[str, Any], *, stream: bool) -> Message:
    if not stream:
        answer: Message = await client.messages.create(**ask)
        return answer
    async with client.messages.stream(**ask) as told:
        return await told.get_final_message()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("thoughts", THOUGHTS.values(), ids=list(THOUGHTS))
async def test_thoughts_and_calls_come_back_as_they_were_said(
    thoughts: tuple[list[Step], list[Part]], stream: bool
) -> None:
    """The client hands back `content` as it got it, as its documentation tells everybody to."""
    events, parts = thoughts
    messages: list[Any] = [{"role": "user", "content": "hi"}]
    expected: list[tuple[str, list[Part]]] = [("user", [Text("hi")])]
    async with pool_saying() as (up, provider), client_of(up) as client:
        for turn in range(TURNS):
            provider.steps = [START, *events, TextDelta("I ask."), *calls(turn), Finished("tool_calls", USAGE)]
            answer = await said(client, {**ASK, "messages": messages, "tools": [WEATHER]}, stream=stream)
            assert [(message.role, list(message.parts)) for message in provider.requests[-1].messages] == expected
            results = [
                {"type": "tool_result", "tool_use_id": block.id, "content": f"{turn} °C"}
                for block in answer.content
                if block.type == "tool_use"
            ]
            messages += [{"role": "assistant", "content": answer.content}, {"role": "user", "content": results}]
            made = [
                ToolCall(f"call_{turn}.0", "weather", f'{{"city":"{turn}"}}'),
                ToolCall(f"call_{turn}.1", "weather", "{}"),
            ]
            expected.append(("assistant", [*parts, Text("I ask."), *made]))
            expected.append(("tool", [ToolResult(call.id, (Text(f"{turn} °C"),)) for call in made]))
    assert provider.opened == TURNS


async def test_the_client_s_own_runner_of_tools_comes_to_an_end() -> None:
    """It asks to go on with a conversation that the server kept, learns that there is none, and sends all of it."""
    asked: list[str] = []

    @beta_async_tool
    async def weather(city: str) -> str:
        """Of a city, now."""
        asked.append(city)
        return "22 °C"

    async with pool_saying() as (up, provider), client_of(up) as client:
        provider.steps = [START, *calls(0)[:1], ToolCallDelta(0, "", "", '"Lisbon"}'), Finished("tool_calls", USAGE)]
        ends: list[str | None] = []
        async for message in client.beta.messages.tool_runner(**ASK, tools=[weather]):
            ends.append(message.stop_reason)
            if len(ends) == TURNS:
                provider.steps = [START, TextDelta("Warm."), Finished("stop", USAGE)]
    assert asked == ["Lisbon"] * TURNS
    assert ends == [*["tool_use"] * TURNS, "end_turn"]
    assert [message.role for message in provider.requests[-1].messages] == ["user", *["assistant", "tool"] * TURNS]
    assert [tool.name for tool in provider.requests[-1].tools] == ["weather"]


async def test_a_conversation_that_the_server_is_to_keep_is_sent_as_a_whole() -> None:
    async with pool_saying() as (up, provider), client_of(up) as client:
        thread = client.beta.messages.thread(model="sim/m", max_tokens=64, system="Be brief.")
        for _ in range(TURNS):
            await thread.send({"role": "user", "content": "hi"})
        lines = up.access
    assert [message.role for message in provider.requests[-1].messages] == [
        "system",
        *["user", "assistant"] * (TURNS - 1),
        "user",
    ]
    assert [line["status"] for line in lines] == [200, 404, 200, 404, 200]
