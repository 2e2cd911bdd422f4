"""Conversations over `POST /v1/responses`: loops of tools that keep their thoughts, and what ends them early."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from pydantic import BaseModel

from llm_pool.core import errors
from llm_pool.core.types import (
    Finished,
    Message,
    Reasoning,
    ReasoningDelta,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolResult,
    Usage,
)
from tests.edges.openai.responding import MODEL, STARTED, WEATHER, asking
from tests.running import until

pytestmark = pytest.mark.real_time

HI: Any = {"model": MODEL, "input": "hi"}
SEAL = "EqQBCkgIARABGAIiQL8K+/=="

TURNS = (
    (
        STARTED,
        ReasoningDelta("Where is\n", provider="sim"),
        ReasoningDelta("it?", SEAL, provider="sim"),
        TextDelta("I will look."),
        ToolCallDelta(0, "call_1", "weather", '{"place": "Faro"}'),
        ToolCallDelta(1, "call_2", "weather", '{"place":"Évora" }'),
        Finished("tool_calls", Usage()),
    ),
    (
        STARTED,
        ReasoningDelta("", "cmVkYWN0ZWQ=", True, "sim"),
        ReasoningDelta("Again.", provider="sim"),
        ToolCallDelta(0, "call_3", "weather", '{"place": "Faro"}'),
        Finished("tool_calls", Usage()),
    ),
    (STARTED, TextDelta("Sunny."), Finished("stop", Usage())),
)
FIRST = (
    Reasoning("Where is\nit?", SEAL, provider="sim"),
    Text("I will look."),
    ToolCall("call_1", "weather", '{"place": "Faro"}'),
    ToolCall("call_2", "weather", '{"place":"Évora" }'),
)
SECOND = (
    Reasoning("", "cmVkYWN0ZWQ=", redacted=True, provider="sim"),
    Reasoning("Again.", provider="sim"),
    ToolCall("call_3", "weather", '{"place": "Faro"}'),
)


class GetWeather(BaseModel):
    """The weather of a place"""

    place: str


def results(output: Any) -> list[Any]:
    return [
        {"type": "function_call_output", "call_id": item.call_id, "output": "sun"}
        for item in output
        if item.type == "function_call"
    ]


async def _create(client: openai.AsyncOpenAI, said: list[Any]) -> list[Any]:
    return [*(await client.responses.create(model=MODEL, input=said, tools=[WEATHER])).output]


async def _dumped(client: openai.AsyncOpenAI, said: list[Any]) -> list[Any]:
    """As those do it who keep their history as plain dicts."""
    plain = [each if isinstance(each, dict) else each.model_dump() for each in said]
    return await _create(client, plain)


async def _streamed(client: openai.AsyncOpenAI, said: list[Any]) -> list[Any]:
    async with client.responses.stream(model=MODEL, input=said, tools=[WEATHER]) as stream:
        return [*(await stream.get_final_response()).output]


async def _items_done(client: openai.AsyncOpenAI, said: list[Any]) -> list[Any]:
    """As those do it who keep each item when it is done."""
    stream = await client.responses.create(model=MODEL, input=said, tools=[WEATHER], stream=True)
    return [event.item async for event in stream if event.type == "response.output_item.done"]


async def _parsed(client: openai.AsyncOpenAI, said: list[Any]) -> list[Any]:
    return [*(await client.responses.parse(model=MODEL, input=said, tools=[WEATHER])).output]


@pytest.mark.parametrize("ask", [_create, _dumped, _streamed, _items_done, _parsed])
async def test_thoughts_survive_three_turns_of_tools_byte_for_byte(ask: Any) -> None:
    said: list[Any] = [{"role": "user", "content": "How is Faro?"}]
    async with asking() as asked:
        for turn in TURNS:
            asked.provider.steps = turn
            output = await ask(asked.client, said)
            said += [*output, *results(output)]
        *_, request = asked.provider.requests
    sun = (Text("sun"),)
    assert request.messages == (
        Message.of("user", "How is Faro?"),
        Message("assistant", FIRST),
        Message("tool", (ToolResult("call_1", sun),)),
        Message("tool", (ToolResult("call_2", sun),)),
        Message("assistant", SECOND),
        Message("tool", (ToolResult("call_3", sun),)),
    )
    assert output[0].content[0].text == "Sunny."


async def test_a_tool_made_of_a_class_is_offered_and_its_arguments_are_parsed() -> None:
    call = ToolCallDelta(0, "call_1", "GetWeather", '{"place": "Faro"}')
    async with asking(STARTED, call, Finished("tool_calls", Usage())) as asked:
        tools: Any = [openai.pydantic_function_tool(GetWeather)]
        response = await asked.client.responses.parse(**HI, tools=tools)
        (request,) = asked.provider.requests
    (item,) = response.output
    assert item.type == "function_call"
    assert item.parsed_arguments == GetWeather(place="Faro")
    assert [(tool.name, tool.strict) for tool in request.tools] == [("GetWeather", True)]


# --- Errors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "kind", "status", "code"),
    [
        (errors.ContextTooLong("too long"), openai.BadRequestError, 400, "context_length_exceeded"),
        (errors.RequestRefused("refused"), openai.BadRequestError, 400, "refused_by_provider"),
        (errors.Unsupported("no images"), openai.BadRequestError, 400, "unsupported_by_provider"),
        (errors.ProviderMisconfigured("our key"), openai.InternalServerError, 502, "provider_misconfigured"),
        (errors.ProviderError("failed"), openai.InternalServerError, 502, "provider_failed"),
        (errors.DeadlineExceeded("late"), openai.InternalServerError, 504, "deadline_exceeded"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_fails_before_the_first_word_raises_what_it_should(
    failure: errors.PoolError, kind: type[openai.APIStatusError], status: int, code: str, stream: bool
) -> None:
    async with asking(failure) as asked:
        with pytest.raises(kind) as raised:
            await asked.client.responses.create(**HI, stream=stream)
    assert (raised.value.status_code, raised.value.code) == (status, code)


@pytest.mark.parametrize(
    ("asks", "kind", "param"),
    [
        ({"model": "sim/mm"}, openai.NotFoundError, "model"),
        ({"tools": [{"type": "web_search"}]}, openai.BadRequestError, "tools.0"),
        ({"previous_response_id": "resp_1"}, openai.BadRequestError, "previous_response_id"),
        ({"temperature": 3}, openai.BadRequestError, "temperature"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, openai.BadRequestError, "input.0"),
    ],
)
async def test_what_the_caller_got_wrong_raises_and_names_the_field(asks: Any, kind: Any, param: str) -> None:
    async with asking() as asked:
        for ask in (asked.client.responses.create(**{**HI, **asks}), asked.sync(lambda client: _wrong(client, asks))):
            with pytest.raises(kind) as raised:
                await ask
            assert raised.value.param == param
        assert asked.provider.opened == 0


def _wrong(client: openai.OpenAI, asks: Any) -> object:
    return client.responses.create(**{**HI, **asks})


async def test_the_provider_is_left_when_the_caller_hangs_up() -> None:
    async with asking(STARTED, TextDelta("One "), "stall") as asked:
        stream = await asked.client.responses.create(**HI, stream=True)
        async for event in stream:
            if event.type == "response.output_text.delta":
                break
        assert asked.provider.open == 1
        await stream.close()
        await until(lambda: asked.provider.open == 0, within=0.25)
