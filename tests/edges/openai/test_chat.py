"""Chat completions as the official clients get them: whole, streamed, parsed, and over several turns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openai
import pytest
from pydantic import BaseModel

from llm_pool.core.types import (
    Image,
    Message,
    Reasoning,
    ReasoningDelta,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolResult,
    Warning,
)
from tests.edges.openai.asking import ANSWERS, HI, LIKELY, MODEL, WEATHER, client_of, in_thread, scripted, steps
from tests.running import running_pool

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI
    from openai.types.chat import ChatCompletion, ChatCompletionMessage

    from tests.scripted import Scripted, Step

pytestmark = pytest.mark.real_time


class City(BaseModel):
    name: str
    country: str


async def test_an_answer_has_every_field_that_the_client_reads() -> None:
    async with scripted(*ANSWERS["text"]) as (up, _), client_of(up) as client:
        answer = await client.chat.completions.create(model=MODEL, messages=HI)
        lines = await up.lines(1)
    assert answer.id.startswith("chatcmpl-")
    assert answer._request_id == answer.id.removeprefix("chatcmpl-") == lines[0]["request_id"]
    assert (answer.object, answer.model, answer.system_fingerprint) == ("chat.completion", MODEL, None)
    (choice,) = answer.choices
    assert (choice.index, choice.finish_reason, choice.logprobs) == (0, "stop", None)
    assert (choice.message.role, choice.message.content, choice.message.refusal) == ("assistant", "Hello, world", None)
    assert choice.message.tool_calls is None
    assert "llm_pool" not in (answer.model_extra or {})


async def test_usage_is_told_as_openai_counts_it() -> None:
    """What was cached inside the prompt, what was thought inside the completion."""
    async with scripted(*ANSWERS["text"]) as (up, _), client_of(up) as client:
        usage = (await client.chat.completions.create(model=MODEL, messages=HI)).usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert usage.completion_tokens_details is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (10, 11, 21)
    assert (usage.prompt_tokens_details.cached_tokens, usage.prompt_tokens_details.cache_write_tokens) == (3, 2)
    assert usage.completion_tokens_details.reasoning_tokens == 4


@pytest.mark.parametrize("said", ANSWERS.values(), ids=ANSWERS)
async def test_a_stream_added_up_is_the_whole_answer(said: list[Step]) -> None:
    async with scripted(*said) as (up, _), client_of(up) as client:
        whole = await client.chat.completions.create(model=MODEL, messages=HI)
        async with client.chat.completions.stream(model=MODEL, messages=HI) as stream:
            streamed = await stream.get_final_completion()
        sync = await in_thread(up, _streamed)
    assert _told(streamed) == _told(sync) == _told(whole)


def _streamed(client: OpenAI) -> ChatCompletion:
    with client.chat.completions.stream(model=MODEL, messages=HI) as stream:
        return stream.get_final_completion()


def _told(completion: ChatCompletion) -> list[dict[str, Any]]:
    """The choices, without what a client makes of them."""
    choices = [choice.model_dump(exclude_none=True) for choice in completion.choices]
    for choice in choices:
        for call in choice["message"].get("tool_calls", []):
            call.pop("index", None)
            call["function"].pop("parsed_arguments", None)
    return choices


async def test_the_client_without_asyncio_gets_the_same() -> None:
    async with scripted(*ANSWERS["a thought"]) as (up, _), client_of(up) as client:
        theirs = await client.chat.completions.create(model=MODEL, messages=HI)
        sync = await in_thread(up, lambda client: client.chat.completions.create(model=MODEL, messages=HI))
        pieces = await in_thread(up, _pieces)
    assert _told(sync) == _told(theirs)
    assert "".join(pieces) == "Hi"


def _pieces(client: OpenAI) -> list[str]:
    chunks = client.chat.completions.create(model=MODEL, messages=HI, stream=True)
    return [chunk.choices[0].delta.content or "" for chunk in chunks]


async def test_content_is_null_only_where_there_are_calls_instead() -> None:
    for name, content in (
        ("a call", None),
        ("text and a call", "Let me see."),
        ("nothing", ""),
        ("only a thought", ""),
    ):
        async with scripted(*ANSWERS[name]) as (up, _), client_of(up) as client:
            answer = await client.chat.completions.create(model=MODEL, messages=HI)
        assert answer.choices[0].message.content == content, name


async def test_a_schema_reaches_the_provider_and_the_answer_is_parsed() -> None:
    said = steps(TextDelta('{"name":"Lisbon","country":"Portugal"}'))
    async with scripted(*said) as (up, provider), client_of(up) as client:
        answer = await client.chat.completions.parse(model=MODEL, messages=HI, response_format=City)
        async with client.chat.completions.stream(model=MODEL, messages=HI, response_format=City) as stream:
            streamed = await stream.get_final_completion()
    lisbon = City(name="Lisbon", country="Portugal")
    assert answer.choices[0].message.parsed == streamed.choices[0].message.parsed == lisbon
    for request in provider.requests:
        assert request.spec is not None
        assert request.spec.schema["required"] == ["name", "country"]


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_was_cut_short_is_told_so_instead_of_parsed(stream: bool) -> None:
    async with scripted(*steps(TextDelta('{"name":"Lis'), reason="length")) as (up, provider), client_of(up) as client:
        with pytest.raises(openai.LengthFinishReasonError) as raised:
            if stream:
                async with client.chat.completions.stream(model=MODEL, messages=HI, response_format=City) as events:
                    await events.until_done()
            else:
                await client.chat.completions.parse(model=MODEL, messages=HI, response_format=City)
    assert raised.value.completion.choices[0].message.content == '{"name":"Lis'
    assert provider.opened == 1


async def test_arguments_that_are_no_json_are_told_as_the_model_wrote_them() -> None:
    said = steps(ToolCallDelta(0, "call_1", "weather", '{"city": Lisbon'), reason="tool_calls")
    async with scripted(*said) as (up, _), client_of(up) as client:
        whole = await client.chat.completions.create(model=MODEL, messages=HI, tools=[WEATHER])
        chunks = await client.chat.completions.create(model=MODEL, messages=HI, tools=[WEATHER], stream=True)
        pieces = [call async for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
    calls = whole.choices[0].message.tool_calls
    assert calls
    (call,) = calls
    assert call.type == "function"
    assert call.function.arguments == '{"city": Lisbon'
    assert [piece.function and piece.function.arguments for piece in pieces] == ['{"city": Lisbon']


async def test_what_a_provider_withholds_is_text_that_ends_as_withheld() -> None:
    async with scripted(*steps(TextDelta("I will not."), reason="content_filter")) as (up, _), client_of(up) as client:
        (choice,) = (await client.chat.completions.create(model=MODEL, messages=HI)).choices
    told = (choice.message.content, choice.message.refusal, choice.finish_reason)
    assert told == ("I will not.", None, "content_filter")


async def test_json_mode_is_any_object() -> None:
    async with scripted(*steps(TextDelta('Sure: ```json\n{"a": 1}\n```'))) as (up, _), client_of(up) as client:
        answer = await client.chat.completions.create(model=MODEL, messages=HI, response_format={"type": "json_object"})
    assert answer.choices[0].message.content == '{"a": 1}'


async def test_with_tools_and_a_schema_a_call_is_an_answer() -> None:
    async with scripted(*ANSWERS["a call"]) as (up, _), client_of(up) as client:
        answer = await client.chat.completions.create(
            model=MODEL, messages=HI, tools=[WEATHER], response_format={"type": "json_object"}
        )
    assert answer.choices[0].finish_reason == "tool_calls"


async def test_several_answers_are_several_choices_and_cost_what_all_cost() -> None:
    async with scripted(*ANSWERS["text and a call"]) as (up, provider), client_of(up) as client:
        whole = await client.chat.completions.create(model=MODEL, messages=HI, n=3, seed=7)
        asked = [request.sampling.seed for request in provider.requests]
        async with client.chat.completions.stream(
            model=MODEL, messages=HI, n=3, stream_options={"include_usage": True}
        ) as stream:
            streamed = await stream.get_final_completion()
    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    assert sorted(seed or 0 for seed in asked) == [7, 8, 9]
    assert _told(streamed) == _told(whole)
    assert whole.usage is not None
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (30, 33)
    assert streamed.usage == whole.usage


async def test_logprobs_are_told_where_they_are_asked_for() -> None:
    said = steps(TextDelta("Hi", (LIKELY,)), TextDelta("!"))
    async with scripted(*said) as (up, provider), client_of(up) as client:
        plain = await client.chat.completions.create(model=MODEL, messages=HI)
        whole = await client.chat.completions.create(model=MODEL, messages=HI, logprobs=True, top_logprobs=2)
        async with client.chat.completions.stream(model=MODEL, messages=HI, logprobs=True, top_logprobs=2) as stream:
            streamed = await stream.get_final_completion()
        chunks = [each async for each in await client.chat.completions.create(model=MODEL, messages=HI, stream=True)]
    assert [request.sampling.logprobs for request in provider.requests] == [None, 2, 2, None]
    assert plain.choices[0].logprobs is None
    assert not any(choice.logprobs for chunk in chunks for choice in chunk.choices)
    told = whole.choices[0].logprobs
    assert told is not None
    assert streamed.choices[0].logprobs == told
    (token,) = told.content or []
    assert (token.token, token.logprob, token.bytes) == ("Hi", -0.25, [72, 105])
    assert [(top.token, top.bytes) for top in token.top_logprobs] == [("Hi", [72, 105]), ("Ho", None)]


async def test_a_warning_stands_beside_the_answer() -> None:
    said = steps(Warning("reasoning_dropped", "one: it was another's"), TextDelta("Hi"))
    async with scripted(*said) as (up, _), client_of(up) as client:
        whole = await client.chat.completions.create(model=MODEL, messages=HI, store=True)
        asked: list[Any] = [{}, {"stream_options": {"include_usage": True}}]
        streams = [
            await client.chat.completions.create(model=MODEL, messages=HI, stream=True, **each) for each in asked
        ]
        plain, with_usage = [[chunk async for chunk in stream] for stream in streams]
    dropped = {"code": "reasoning_dropped", "message": "one: it was another's"}
    ignored = {"code": "parameter_ignored", "message": "store has no effect here"}
    assert (whole.model_extra or {})["llm_pool"] == {"warnings": [ignored, dropped]}
    for chunks in (plain, with_usage):
        *others, last = chunks
        assert (last.model_extra or {})["llm_pool"] == {"warnings": [dropped]}
        assert not any("llm_pool" in (chunk.model_extra or {}) for chunk in others)


# --- Turns ------------------------------------------------------------------------------------------------------

TURNS: list[list[Step]] = [
    steps(
        ReasoningDelta("I need ", provider="sim"),
        ReasoningDelta("the weather.", opaque="Zm9v+/==\u00e9", provider="sim"),
        TextDelta("One moment."),
        ToolCallDelta(0, "call_1", "weather", '{"city": "Lisbon"}'),
        ToolCallDelta(1, "call_2", "weather", '{"city":"Porto"}'),
        reason="tool_calls",
    ),
    steps(
        ReasoningDelta("", opaque="ciphered+/=", redacted=True, provider="sim"),
        ReasoningDelta("And again.", opaque="c2ln", provider="sim"),
        ToolCallDelta(0, "call_3", "weather", "{}"),
        reason="tool_calls",
    ),
    steps(ReasoningDelta("Now I know.", opaque="ZW5k", provider="sim"), TextDelta("It rains.")),
]
REMEMBERED = [
    (
        Reasoning("I need the weather.", "Zm9v+/==\u00e9", provider="sim"),
        Text("One moment."),
        ToolCall("call_1", "weather", '{"city": "Lisbon"}'),
        ToolCall("call_2", "weather", '{"city":"Porto"}'),
    ),
    (
        Reasoning("", "ciphered+/=", redacted=True, provider="sim"),
        Reasoning("And again.", "c2ln", provider="sim"),
        ToolCall("call_3", "weather", "{}"),
    ),
    (Reasoning("Now I know.", "ZW5k", provider="sim"), Text("It rains.")),
]


async def _whole(client: AsyncOpenAI, messages: list[Any]) -> ChatCompletionMessage:
    answer = await client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER])
    return answer.choices[0].message


async def _by_stream(client: AsyncOpenAI, messages: list[Any]) -> ChatCompletionMessage:
    async with client.chat.completions.stream(model=MODEL, messages=messages, tools=[WEATHER]) as stream:
        return (await stream.get_final_completion()).choices[0].message


@pytest.mark.parametrize("ask", [_whole, _by_stream])
@pytest.mark.parametrize("dumped", [True, False], ids=["as a dict", "as it came"])
async def test_what_was_thought_comes_back_byte_equal_over_three_turns(ask: Any, dumped: bool) -> None:
    """The client appends the message as it got it, and what came of each call."""
    messages: list[Any] = [{"role": "user", "content": "How is the weather?"}]
    async with scripted() as (up, provider), client_of(up) as client:
        for turn in TURNS:
            provider.steps = turn
            message = await ask(client, messages)
            messages.append(message.model_dump() if dumped else message)
            messages += [
                {"role": "tool", "tool_call_id": call.id, "content": "rain"} for call in message.tool_calls or []
            ]
        messages.append({"role": "user", "content": "Thanks."})
        await ask(client, messages)
    assert _assistants(provider) == REMEMBERED
    assert provider.requests[-1].messages[2] == Message("tool", (ToolResult("call_1", (Text("rain"),)),))


def _assistants(provider: Scripted) -> list[tuple[object, ...]]:
    return [message.parts for message in provider.requests[-1].messages if message.role == "assistant"]


THINKS = """
[tasks.chat]
prompt = ""
[[providers]]
name = "one"
driver = "sim"
model = "m"
sim.reasoning = "I should look it up."
sim.answers = ["It rains."]
sim.tool_calls = [{ name = "weather", arguments = { city = "Lisbon" } }]
"""


@pytest.mark.parametrize("ask", [_whole, _by_stream])
async def test_a_model_that_refuses_a_changed_thought_takes_what_came_back(ask: Any) -> None:
    messages: list[Any] = [{"role": "user", "content": "How is the weather?"}]
    async with running_pool(THINKS) as up, client_of(up) as client:
        first = await ask(client, messages)
        (call,) = first.tool_calls
        assert call.function.arguments == '{"city":"Lisbon"}'
        messages += [first, {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
        second = await ask(client, messages)
        first.reasoning_details[0]["text"] = "I should guess."
        with pytest.raises(openai.BadRequestError, match="came back changed"):
            await ask(client, messages)
    assert second.content == "It rains."


async def test_an_image_reaches_the_provider_as_bytes() -> None:
    content: list[Any] = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw==", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://images.example.org/a.jpg"}},
    ]
    async with scripted() as (up, provider), client_of(up) as client:
        await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": content}])
    (message,) = provider.requests[0].messages
    assert message.parts == (
        Text("What is it?"),
        Image("image/png", data=b"\x89PNG", detail="low"),
        Image("", url="https://images.example.org/a.jpg"),
    )


async def test_an_end_user_is_kept_beside_the_request() -> None:
    async with scripted() as (up, provider), client_of(up) as client:
        await client.chat.completions.create(model=MODEL, messages=HI, user="u-17")
    assert provider.requests[0].meta == {"user": "u-17"}
