"""Anthropic's official client, pointed at the pool: whole answers, streams, counts and models, as it knows them."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from anthropic import Anthropic
from pydantic import BaseModel

from llm_pool.core.types import (
    Finished,
    Image,
    ReasoningDelta,
    Started,
    Text,
    TextDelta,
    ToolCallDelta,
    Warning,
)
from tests.edges.anthropic.asking import ASK, USAGE, WEATHER, client_of, pool_saying
from tests.running import SIM, running_pool
from tests.scripted import Scripted, answer

if TYPE_CHECKING:
    from anthropic.types import Message

    from llm_pool.core.streams import Answering
    from llm_pool.core.types import Request
    from tests.scripted import Step

pytestmark = pytest.mark.real_time

START, END = Started("sim/m", "a"), Finished("stop", USAGE)
PNG = base64.b64decode("iVBORw0KGgo=")

THINKING: list[Step] = [
    ReasoningDelta("Let me ", provider="anthropic"),
    ReasoningDelta("see.", "EqQB+/=", provider="anthropic"),
    ReasoningDelta("", "EmwK", redacted=True, provider="anthropic"),
]
FOREIGN: list[Step] = [
    ReasoningDelta("Hm", provider="openrouter"),
    ReasoningDelta("", '[{"x":1}]', provider="openrouter"),
]
PARALLEL: list[Step] = [
    ToolCallDelta(0, "call_0", "weather", '{"city":'),
    ToolCallDelta(1, "call_1", "time", ""),
    ToolCallDelta(0, "", "", ' "Lisbon"}'),
    ToolCallDelta(1, "", "", "{}"),
]
ANSWERS: dict[str, list[Step]] = {
    "text": [START, TextDelta("Hello, "), TextDelta("wörld \U0001f600"), END],
    "nothing": [START, END],
    "stop sequence": [START, TextDelta("1, 2"), Finished("stop", USAGE, "3")],
    "cut": [START, TextDelta("Once upon"), Finished("length", USAGE)],
    "refusal": [START, Finished("content_filter", USAGE)],
    "thinking": [START, *THINKING, TextDelta("Done."), END],
    "foreign thinking": [START, *FOREIGN, TextDelta("Done."), END],
    "tools": [START, *THINKING, TextDelta("I ask."), *PARALLEL, Finished("tool_calls", USAGE)],
    "warning": [START, Warning("parameter_ignored", "seed: one ignores it"), TextDelta("Hi"), END],
}


def told(message: Message) -> dict[str, Any]:
    """What it says, without what differs from call to call."""
    plain = message.to_dict()
    assert str(plain.pop("id")).startswith("msg_")
    return plain


# --- Answers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", ANSWERS.values(), ids=list(ANSWERS))
async def test_a_stream_comes_to_the_message_that_is_told_whole(steps: list[Step]) -> None:
    async with pool_saying(*steps) as (up, provider), client_of(up) as client:
        whole = await client.messages.create(**ASK)
        async with client.messages.stream(**ASK) as stream:
            final = await stream.get_final_message()
    assert [request.whole for request in provider.requests] == [True, False]
    warned = told(whole).pop("llm_pool", None)
    assert told(final) == {key: value for key, value in told(whole).items() if key != "llm_pool"}
    assert (warned is not None) == any(isinstance(step, Warning) for step in steps)


async def test_an_answer_says_who_gave_it_and_what_it_cost() -> None:
    async with pool_saying(*ANSWERS["tools"]) as (up, _), client_of(up) as client:
        message = await client.messages.create(**ASK)
        lines = await up.lines(1)
    assert message._request_id == lines[0]["request_id"]
    assert message.id == f"msg_{message._request_id}"
    assert (message.model, message.role, message.stop_reason) == ("sim/m", "assistant", "tool_use")
    assert [block.type for block in message.content] == [
        "thinking",
        "redacted_thinking",
        "text",
        "tool_use",
        "tool_use",
    ]
    assert [block.input for block in message.content if block.type == "tool_use"] == [{"city": "Lisbon"}, {}]
    assert (message.usage.input_tokens, message.usage.output_tokens) == (7, 13)
    assert (message.usage.cache_read_input_tokens, message.usage.cache_creation_input_tokens) == (5, 3)


async def test_a_stream_says_each_word_when_it_is_said() -> None:
    async with pool_saying(*ANSWERS["text"]) as (up, _), client_of(up) as client:
        async with client.messages.stream(**ASK) as stream:
            assert [text async for text in stream.text_stream] == ["Hello, ", "wörld \U0001f600"]
            assert stream.request_id == up.access[0]["request_id"]
        events = [event.type async for event in await client.messages.create(**ASK, stream=True)]
    assert events == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


async def test_the_client_without_an_event_loop_works_as_well() -> None:
    def ask(address: str) -> tuple[dict[str, Any], dict[str, Any], list[str], int]:
        with Anthropic(base_url=f"http://{address}", api_key="x", max_retries=0) as client:
            whole = client.messages.create(**ASK)
            with client.messages.stream(**ASK) as stream:
                texts = list(stream.text_stream)
                final = stream.get_final_message()
            count = client.messages.count_tokens(model=ASK["model"], messages=ASK["messages"])
        return told(whole), told(final), texts, count.input_tokens

    async with pool_saying(*ANSWERS["text"]) as (up, _):
        whole, final, texts, count = await asyncio.to_thread(ask, up.http_address)
    assert whole == final
    assert "".join(texts) == whole["content"][0]["text"]
    assert count > 0


async def test_the_simulated_provider_answers_too() -> None:
    async with running_pool(SIM) as up, client_of(up) as client:
        message = await client.messages.create(**ASK)
        async with client.messages.stream(**ASK) as stream:
            assert await stream.get_final_text() == "One two three four five."
    assert [block.to_dict() for block in message.content] == [{"type": "text", "text": "One two three four five."}]


# --- Questions --------------------------------------------------------------------------------------------------


async def test_a_question_arrives_as_it_was_asked() -> None:
    image = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(PNG).decode()}
    content = [{"type": "text", "text": "What is this?"}, {"type": "image", "source": image}]
    ask: dict[str, Any] = {**ASK, "messages": [{"role": "user", "content": content}], "tools": [WEATHER]}
    async with pool_saying() as (up, provider), client_of(up) as client:
        await client.messages.create(**ask, system="Be brief.", metadata={"user_id": "ann"}, extra_body={"top_k": 3})
    (request,) = provider.requests
    system, question = request.messages
    assert system.parts == (Text("Be brief."),)
    assert question.parts == (Text("What is this?"), Image("image/png", PNG))
    assert (request.model, request.task, request.verbatim) == ("m", "chat", True)
    assert (request.sampling.max_tokens, request.sampling.top_k) == (64, 3)
    assert [tool.name for tool in request.tools] == ["weather"]
    assert request.meta == {"user": "ann"}


async def test_how_long_a_client_waits_is_how_long_the_pool_tries() -> None:
    async with pool_saying() as (up, provider), client_of(up) as client:
        before = up.pool.time()
        await client.with_options(timeout=7.0).messages.create(**ASK)
    assert 6.5 < provider.requests[0].deadline - before < 7.5


async def test_an_answer_of_a_wanted_shape_is_parsed() -> None:
    class River(BaseModel):
        name: str
        km: int

    async with pool_saying(*answer('{"name": "Tejo", "km": 1007}')) as (up, provider), client_of(up) as client:
        message = await client.messages.parse(**ASK, output_format=River)
        async with client.messages.stream(**ASK, output_format=River) as stream:
            final = await stream.get_final_message()
    assert message.parsed_output == final.parsed_output == River(name="Tejo", km=1007)
    spec = provider.requests[0].spec
    assert spec is not None
    assert spec.problem({"name": "Tejo"})


async def test_an_answer_that_is_not_of_the_wanted_shape_is_none() -> None:
    async with pool_saying(*answer('{"name": 1}')) as (up, _):
        schema = {"type": "object", "properties": {"name": {"type": "string"}}}
        ask = {**ASK, "output_config": {"format": {"type": "json_schema", "schema": schema}}}
        async with up.http.post("/v1/messages", json=ask) as response:
            assert response.status == 502


async def test_what_clients_of_the_beta_send_is_taken_and_told_of() -> None:
    """As command-line agents do: unknown to other providers, and without it the answer is the same."""
    edits = {"edits": [{"type": "clear_tool_uses_20250919"}]}
    async with pool_saying() as (up, _), client_of(up) as client:
        ask: Any = {**ASK, "context_management": edits, "betas": ["context-management-2025-06-27"]}
        message = await client.beta.messages.create(**ask)
        async with client.beta.messages.stream(**ask) as stream:
            deltas = [event.to_dict() async for event in stream if event.type == "message_delta"]
    warning = {"code": "parameter_ignored", "message": "context_management: is ignored by the pool"}
    assert message.to_dict()["llm_pool"] == deltas[0]["llm_pool"] == {"warnings": [warning]}


async def test_whoever_says_no_version_is_answered() -> None:
    async with pool_saying() as (up, _), up.http.post("/v1/messages", json=ASK) as response:
        assert (response.status, response.content_type) == (200, "application/json")
        assert response.headers["request-id"] == response.headers["x-request-id"]
        assert orjson.loads(await response.read())["type"] == "message"


# --- Beside answers ---------------------------------------------------------------------------------------------


class Counting(Scripted):
    """A provider that counts by itself."""

    def count(self, request: Request) -> Answering:
        self.steps = [START, Finished("stop", USAGE, counted=2041)]
        return self.chat(request)


COUNT: dict[str, Any] = {"model": "sim/m", "messages": ASK["messages"], "system": "Be brief.", "tools": [WEATHER]}


async def test_the_provider_counts_tokens_where_it_can() -> None:
    async with pool_saying(provider=Counting()) as (up, provider), client_of(up) as client:
        count = await client.messages.count_tokens(**COUNT)
    assert count.input_tokens == 2041
    assert provider.requests[0].operation == "count"
    assert [tool.name for tool in provider.requests[0].tools] == ["weather"]


async def test_else_tokens_are_estimated_and_the_more_is_asked_the_more_they_are() -> None:
    async with pool_saying() as (up, provider), client_of(up) as client:
        few = await client.messages.count_tokens(model="sim/m", messages=ASK["messages"])
        more = await client.messages.count_tokens(**COUNT)
    assert 0 < few.input_tokens < more.input_tokens
    assert provider.opened == 0


async def test_the_models_of_the_pool_are_listed() -> None:
    async with pool_saying() as (up, _), client_of(up) as client:
        models = [model async for model in client.models.list()]
        one = await client.models.retrieve("sim/m")
    assert one.id == "sim/m"
    assert {"sim/m", "pool/fastest", "task/chat"} <= {model.id for model in models}
    assert all(model.display_name and model.created_at for model in models)
