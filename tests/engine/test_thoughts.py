"""A thought comes before the call of a tool and goes back with it: the engine counts its tokens in the question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.models import ADD, SUM, THINKER, THOUGHT
from tests.engine.pooled import WIRES, Pooled, Wire, pooled
from tests.engine.tools import ANTHROPIC, OPENAI, RESPONSES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anthropic.types import ContentBlock, Message, MessageParam
    from pydantic import BaseModel

pytestmark = [pytest.mark.engine, pytest.mark.real_time, pytest.mark.parametrize("wire", WIRES)]

QUESTION = "What is two and three?"
ROOM = 200  # tokens


async def chat(up: Pooled, *messages: dict[str, Any]) -> Any:
    more: dict[str, Any] = {"messages": [{"role": "user", "content": QUESTION}, *messages], "tools": OPENAI}
    async with up.openai() as client:
        return await client.chat.completions.create(model=up.model, **more)


async def message(up: Pooled, *messages: MessageParam) -> Message:
    async with up.anthropic() as client:
        return await client.messages.create(
            model=up.model,
            max_tokens=ROOM,
            messages=[{"role": "user", "content": QUESTION}, *messages],
            tools=ANTHROPIC,
        )


async def streamed(up: Pooled) -> Message:
    more: dict[str, Any] = {"max_tokens": ROOM, "tools": ANTHROPIC}
    async with (
        up.anthropic() as client,
        client.messages.stream(model=up.model, messages=[{"role": "user", "content": QUESTION}], **more) as stream,
    ):
        return await stream.get_final_message()


def told(asked: Iterable[ContentBlock]) -> list[MessageParam]:
    """What was said, as it came, and the result of its call."""
    blocks = list(asked)
    [use] = [block for block in blocks if block.type == "tool_use"]
    return [
        {"role": "assistant", "content": blocks},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "5"}]},
    ]


def read(answer: Message) -> int:
    """Tokens of the question."""
    return answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0)


async def tokens_of(up: Pooled, thought: str) -> int:
    """What the thought adds to the conversation, by the engine's own count."""
    call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": ADD}}
    said: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": [call]}
    rest = {"role": "tool", "tool_call_id": "1", "content": "5"}
    asked = {"role": "user", "content": QUESTION}
    thoughtful = {**said, "reasoning_content": thought}
    return await up.engine.counted(asked, thoughtful, rest) - await up.engine.counted(asked, said, rest)


def goes_back(added: int, tokens: int, answer: BaseModel) -> None:
    """Over either wire, although this engine signs no thought."""
    assert tokens > len(THOUGHT.split())
    warnings = ((answer.model_extra or {}).get("llm_pool") or {}).get("warnings", [])
    assert (added, warnings) == (tokens, [])


async def test_a_thought_is_a_block_before_the_call(wire: Wire) -> None:
    async with pooled(THINKER, wire=wire) as up:
        for answer in (await message(up), await streamed(up)):
            thought, use = answer.content
            assert thought.type == "thinking"
            assert thought.thinking.strip() == THOUGHT
            assert use.type == "tool_use"
            assert answer.stop_reason == "tool_use"


async def test_a_thought_goes_back_with_its_call(wire: Wire) -> None:
    async with pooled(THINKER, wire=wire) as up:
        asked = (await message(up)).content
        answer = await message(up, *told(asked))
        forgetful = await message(up, *told(block for block in asked if block.type != "thinking"))
        [thought] = [block.thinking for block in asked if block.type == "thinking"]
        tokens = await tokens_of(up, thought)
    for each in (answer, forgetful):
        assert [block.text for block in each.content if block.type == "text"] == [SUM]
    goes_back(read(answer) - read(forgetful), tokens, answer)


async def test_chat_completions_carry_it_beside_the_words(wire: Wire) -> None:
    async with pooled(THINKER, wire=wire) as up:
        asked = (await chat(up)).choices[0].message
        assert asked.reasoning_content.strip() == THOUGHT
        result = {"role": "tool", "tool_call_id": asked.tool_calls[0].id, "content": "5"}
        said = asked.model_dump(exclude_none=True)
        answer = await chat(up, said, result)
        forgetful = await chat(up, {k: v for k, v in said.items() if not k.startswith("reasoning")}, result)
        tokens = await tokens_of(up, asked.reasoning_content)
    assert answer.choices[0].message.content == SUM
    goes_back(answer.usage.prompt_tokens - forgetful.usage.prompt_tokens, tokens, answer)


async def test_responses_carry_it_as_an_item(wire: Wire) -> None:
    async with pooled(THINKER, wire=wire) as up, up.openai() as client:
        more: dict[str, Any] = {"model": up.model, "tools": RESPONSES, "store": False}
        asked = await client.responses.create(input=QUESTION, **more)
        assert [item.type for item in asked.output] == ["reasoning", "function_call"]
        items = [item.model_dump(exclude_none=True) for item in asked.output]
        conversation: list[Any] = [{"role": "user", "content": QUESTION}, *items]
        conversation.append({"type": "function_call_output", "call_id": items[-1]["call_id"], "output": "5"})
        answer = await client.responses.create(input=conversation, **more)
        forgetful = await client.responses.create(input=[each for each in conversation if each is not items[0]], **more)
        tokens = await tokens_of(up, f"{THOUGHT}\n")
    assert answer.output_text == SUM
    assert answer.usage
    assert forgetful.usage
    goes_back(answer.usage.input_tokens - forgetful.usage.input_tokens, tokens, answer)
