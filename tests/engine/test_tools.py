"""A real tool call through both doors over both wires, and the answer to its result."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.models import ADD, MULTIPLY, SUM, TOOL, TOOLS
from tests.engine.pooled import WIRES, Pooled, Wire, pooled
from tests.engine.tools import ANTHROPIC, OPENAI, RESPONSES

if TYPE_CHECKING:
    from anthropic.types import Message, MessageParam
    from openai.types.chat import ChatCompletion, ChatCompletionMessageParam

pytestmark = [pytest.mark.engine, pytest.mark.real_time, pytest.mark.parametrize("wire", WIRES)]

QUESTION = "What is two and three?"
SAID: list[ChatCompletionMessageParam] = [{"role": "user", "content": QUESTION}]
SAID_TO_ANTHROPIC: list[MessageParam] = [{"role": "user", "content": QUESTION}]
ROOM = 200  # tokens


def calls_of(answer: ChatCompletion) -> list[tuple[str, Any]]:
    calls = answer.choices[0].message.tool_calls or []
    return [(call.function.name, json.loads(call.function.arguments)) for call in calls if call.type == "function"]


def uses_of(message: Message) -> list[tuple[str, Any]]:
    return [(block.name, block.input) for block in message.content if block.type == "tool_use"]


ONE = [("add", json.loads(ADD))]
BOTH = [*ONE, ("multiply", json.loads(MULTIPLY))]


async def unary(up: Pooled, messages: list[ChatCompletionMessageParam] = SAID) -> ChatCompletion:
    async with up.openai() as client:
        return await client.chat.completions.create(model=up.model, messages=messages, tools=OPENAI)


async def streamed(up: Pooled) -> ChatCompletion:
    async with (
        up.openai() as client,
        client.chat.completions.stream(model=up.model, messages=SAID, tools=OPENAI) as stream,
    ):
        return await stream.get_final_completion()


async def anthropic_unary(up: Pooled, messages: list[MessageParam] = SAID_TO_ANTHROPIC) -> Message:
    async with up.anthropic() as client:
        return await client.messages.create(model=up.model, max_tokens=ROOM, messages=messages, tools=ANTHROPIC)


async def anthropic_streamed(up: Pooled) -> Message:
    more: dict[str, Any] = {"max_tokens": ROOM, "tools": ANTHROPIC}
    async with (
        up.anthropic() as client,
        client.messages.stream(model=up.model, messages=SAID_TO_ANTHROPIC, **more) as stream,
    ):
        return await stream.get_final_message()


async def test_a_tool_is_called_whole_and_as_a_stream(wire: Wire) -> None:
    async with pooled(TOOL, wire=wire) as up:
        for answer in (await unary(up), await streamed(up)):
            assert calls_of(answer) == ONE
            assert answer.choices[0].finish_reason == "tool_calls"
            assert not answer.choices[0].message.content


async def test_a_tool_is_called_through_the_other_door(wire: Wire) -> None:
    async with pooled(TOOL, wire=wire) as up:
        for message in (await anthropic_unary(up), await anthropic_streamed(up)):
            assert uses_of(message) == ONE
            assert message.stop_reason == "tool_use"
            assert len(message.content) == 1


async def test_two_tools_at_once_keep_their_order_and_their_ids(wire: Wire) -> None:
    async with pooled(TOOLS, wire=wire) as up:
        for answer in (await unary(up), await streamed(up)):
            assert calls_of(answer) == BOTH
            assert len({call.id for call in answer.choices[0].message.tool_calls or []}) == 2
        for message in (await anthropic_unary(up), await anthropic_streamed(up)):
            assert uses_of(message) == BOTH
            assert len({block.id for block in message.content if block.type == "tool_use"}) == 2


async def test_the_pieces_of_two_calls_carry_their_index(wire: Wire) -> None:
    async with pooled(TOOLS, wire=wire) as up, up.openai() as client:
        stream = await client.chat.completions.create(model=up.model, messages=SAID, tools=OPENAI, stream=True)
        pieces = [piece async for chunk in stream for piece in chunk.choices[0].delta.tool_calls or []]
    first = {piece.index: piece for piece in reversed(pieces)}
    assert [(index, piece.type, piece.function and piece.function.name) for index, piece in sorted(first.items())] == [
        (0, "function", "add"),
        (1, "function", "multiply"),
    ]
    for index, arguments in ((0, ADD), (1, MULTIPLY)):
        told = "".join((piece.function and piece.function.arguments) or "" for piece in pieces if piece.index == index)
        assert json.loads(told) == json.loads(arguments)


async def test_the_result_of_a_tool_is_answered(wire: Wire) -> None:
    async with pooled(TOOL, wire=wire) as up:
        asked = (await unary(up)).choices[0].message
        [call] = asked.tool_calls or []
        told: list[ChatCompletionMessageParam] = [
            *SAID,
            {"role": "assistant", "tool_calls": [call.model_dump()]},  # type: ignore[list-item]
            {"role": "tool", "tool_call_id": call.id, "content": "5"},
        ]
        answer = await unary(up, told)
    assert answer.choices[0].message.content == SUM
    assert answer.choices[0].finish_reason == "stop"


async def test_the_result_of_a_tool_is_answered_through_the_other_door(wire: Wire) -> None:
    async with pooled(TOOL, wire=wire) as up:
        asked = await anthropic_unary(up)
        [use] = [block for block in asked.content if block.type == "tool_use"]
        answer = await anthropic_unary(
            up,
            [
                *SAID_TO_ANTHROPIC,
                {"role": "assistant", "content": asked.content},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "5"}]},
            ],
        )
    assert [block.text for block in answer.content if block.type == "text"] == [SUM]
    assert answer.stop_reason == "end_turn"


async def test_a_tool_is_called_through_responses(wire: Wire) -> None:
    async with pooled(TOOL, wire=wire) as up, up.openai() as client:
        whole = await client.responses.create(model=up.model, input=QUESTION, tools=RESPONSES, store=False)
        async with client.responses.stream(model=up.model, input=QUESTION, tools=RESPONSES, store=False) as stream:
            added = await stream.get_final_response()
        for response in (whole, added):
            [call] = [item for item in response.output if item.type == "function_call"]
            assert (call.name, json.loads(call.arguments)) == ONE[0]

        answer = await client.responses.create(
            model=up.model,
            tools=RESPONSES,
            store=False,
            input=[
                {"role": "user", "content": QUESTION},
                {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments},
                {"type": "function_call_output", "call_id": call.call_id, "output": "5"},
            ],
        )
    assert answer.output_text == SUM
