"""Messages with parts, tools and schemas: what they are in the core, and what is wrong by the name of its field."""

from __future__ import annotations

import base64
import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.core.errors import InvalidRequest
from llm_pool.core.types import (
    Image,
    Message,
    Part,
    Reasoning,
    Request,
    Role,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from llm_pool.edges.account import Account
from llm_pool.edges.bodies import InferBody, checked, parsed
from llm_pool.edges.conversation import messages_of
from llm_pool.edges.grpc.translate import fields
from llm_pool.edges.wire import to_request
from llm_pool.v1 import pool_service_pb2 as pb
from tests.edges.both import in_proto
from tests.scripted import Scripted, pool_of

# --- There and back ---------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NAMED = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
ROLES: st.SearchStrategy[Role] = st.sampled_from(["system", "user", "assistant", "tool"])
TEXTS = st.builds(Text, TEXT)
DETAIL = st.sampled_from(["", "low", "high", "auto"])
IMAGES = st.builds(
    Image, st.sampled_from(["image/png", "image/svg+xml"]), st.binary(min_size=1, max_size=8), detail=DETAIL
) | st.builds(Image, st.sampled_from(["", "image/png"]), url=st.just("https://example.org/a.png"), detail=DETAIL)
CALLS = st.builds(ToolCall, NAMED, NAMED, TEXT)
THOUGHTS = st.builds(Reasoning, TEXT, TEXT, st.booleans(), TEXT)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    """Any that may be sent: what calls come to stands behind them."""
    called: list[str] = []
    messages = []
    for role in draw(st.lists(ROLES, min_size=1, max_size=5)):
        kinds: list[st.SearchStrategy[Part]] = [TEXTS]
        if role == "user":
            kinds.append(IMAGES)
        if role == "assistant":
            kinds += [CALLS, THOUGHTS]
        if role in {"user", "tool"} and called:
            told = st.builds(ToolResult, st.sampled_from(called), TEXTS.map(lambda text: (text,)), st.booleans())
            kinds.append(told)
        parts = draw(st.lists(st.one_of(kinds), min_size=1, max_size=4))
        called += [part.id for part in parts if isinstance(part, ToolCall)]
        messages.append(Message(role, tuple(parts)))
    return tuple(messages)


def body_of(message: Message) -> dict[str, Any]:
    return {"role": message.role, "parts": [part_of(part) for part in message.parts]}


def part_of(part: Part) -> dict[str, Any]:
    told: dict[str, Any]
    match part:
        case Text():
            return {"text": part.text}
        case Image():
            data = None if part.data is None else base64.b64encode(part.data).decode()
            told = {"media_type": part.media_type, "data": data, "url": part.url, "detail": part.detail}
            return {"image": {name: value for name, value in told.items() if value}}
        case ToolCall():
            return {"tool_call": {"id": part.id, "name": part.name, "arguments": part.arguments}}
        case ToolResult():
            return {"tool_result": {"call_id": part.call_id, "content": part.text, "is_error": part.is_error}}
        case Reasoning():
            told = {"text": part.text, "opaque": part.opaque, "redacted": part.redacted, "provider": part.provider}
            return {"reasoning": told}


@given(conversations())
def test_a_conversation_is_the_same_in_json_and_in_the_core(messages: tuple[Message, ...]) -> None:
    """And in protobuf, on its wire: text, bytes and order are untouched."""
    body = {"messages": [body_of(message) for message in messages]}
    assert messages_of(parsed(orjson.dumps(body)).messages or ()) == messages
    sent = pb.InferRequest.FromString(pb.InferRequest(**in_proto(body)).SerializeToString())
    assert messages_of(checked(InferBody, fields(sent)).messages or ()) == messages


# --- What it comes to -------------------------------------------------------------------------------------------

WEATHER: dict[str, Any] = {
    "name": "weather",
    "description": "Now",
    "parameters": {"type": "object", "properties": {"days": {"type": "integer", "maximum": 9007199254740993}}},
    "strict": True,
}


async def asked(body: dict[str, Any]) -> Request:
    pool = pool_of({"a": Scripted()})
    account = Account("http", "/v1/infer", metrics=pool.metrics, now=pool.now)
    return to_request(parsed(orjson.dumps(body)), pool, account, whole=False)


def hi(**more: Any) -> dict[str, Any]:
    return {"prompt": "hi", **more}


async def test_sampling_is_what_was_said_and_nothing_else() -> None:
    told: dict[str, Any] = {"max_tokens": 7, "temperature": 0.5, "top_p": 0.9, "top_k": 40, "seed": -5}
    told |= {"frequency_penalty": -2.0, "presence_penalty": 2.0, "logprobs": 0, "effort": "low", "thinking_tokens": 0}
    assert (await asked(hi(**told, stop=["a", "b"]))).sampling == Sampling(**told, stop=("a", "b"))
    assert (await asked(hi(seed=3))).sampling == Sampling(seed=3)
    assert (await asked(hi(stop=["\n"]))).sampling == Sampling(stop=("\n",))
    assert (await asked(hi(seed=None, stop=None))).sampling == Sampling()


async def test_tools_keep_their_schema_as_it_is() -> None:
    request = await asked(hi(tools=[WEATHER, {"name": "now"}], tool_choice={"mode": "named", "name": "now"}))
    assert request.tools == (Tool("weather", "Now", WEATHER["parameters"], strict=True), Tool("now"))
    assert (request.tool_choice.mode, request.tool_choice.name, request.tool_choice.parallel) == ("named", "now", None)


async def test_a_schema_of_the_caller_is_what_the_answer_must_fit() -> None:
    """Also where it is `{}`, which every JSON value fits."""
    spec = (await asked(hi(response_schema={"type": "object", "required": ["km"]}))).spec
    assert spec is not None
    assert (spec.problem({"km": 1}), bool(spec.problem({}))) == ("", True)
    anything = (await asked(hi(response_schema={}))).spec
    assert anything is not None
    assert anything.problem(7) == ""


# --- What is wrong ----------------------------------------------------------------------------------------------

CALL = {"role": "assistant", "parts": [{"tool_call": {"id": "c1", "name": "weather", "arguments": "{}"}}]}


def said(role: str, *parts: Any) -> dict[str, Any]:
    return {"messages": [{"role": role, "parts": list(parts)}]}


def result(call_id: str) -> dict[str, Any]:
    return {"tool_result": {"call_id": call_id, "content": "x"}}


def image(**told: Any) -> dict[str, Any]:
    return said("user", {"image": told})


PART = "messages.0.parts.0"
# What is asked, the field that is named, and part of the message.
REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "neither content nor parts": (
        {"messages": [{"role": "user"}]},
        "messages.0.content",
        "give either content or parts",
    ),
    "content and parts": (
        {"messages": [{"role": "user", "content": "", "parts": [{"text": "x"}]}]},
        "messages.0.content",
        "give either content or parts",
    ),
    "no part": ({"messages": [{"role": "user", "parts": []}]}, "messages.0.parts", "at least 1 item"),
    "an empty part": (said("user", {}), PART, "must have exactly one of text, image, tool_call"),
    "a part of null": (said("user", {"text": None}), PART, "must have exactly one of"),
    "two parts in one": (said("user", {"text": "a", "image": {"url": "http://a/"}}), PART, "must have exactly one of"),
    "a part of another kind": (said("user", {"video": {}}), f"{PART}.video", "unknown field"),
    "an unknown field of a part": (image(url="http://a/", alt="x"), f"{PART}.image.alt", "unknown field"),
    "a system's image": (said("system", {"image": {"url": "http://a/"}}), f"{PART}.image", "of the role user only"),
    "a user's call": (said("user", CALL["parts"][0]), f"{PART}.tool_call", "of the role assistant only"),
    "a user's thought": (said("user", {"reasoning": {"text": "x"}}), f"{PART}.reasoning", "of the role assistant only"),
    "an assistant's result": (said("assistant", result("c1")), f"{PART}.tool_result", "of the role tool or user only"),
    "a result of no call": (
        {"messages": [CALL, {"role": "tool", "parts": [{"text": "y"}, result("c2")]}]},
        "messages.1.parts.1.tool_result.call_id",
        "no tool_call before it has this id",
    ),
    "a result before its call": (
        {"messages": [{"role": "tool", "parts": [result("c1")]}, CALL]},
        f"{PART}.tool_result.call_id",
        "no tool_call before it has this id",
    ),
    "a call without a name": (
        said("assistant", {"tool_call": {"id": "c", "arguments": "{}"}}),
        f"{PART}.tool_call.name",
        "field required",
    ),
    "arguments that are no text": (
        said("assistant", {"tool_call": {"id": "c", "name": "n", "arguments": {}}}),
        f"{PART}.tool_call.arguments",
        "valid string",
    ),
    "an image of nothing": (image(media_type="image/png"), f"{PART}.image", "give either data or url"),
    "an image twice": (
        image(media_type="image/png", data="aGk=", url="http://a/"),
        f"{PART}.image",
        "give either data or url",
    ),
    "an image of no kind": (image(data="aGk="), f"{PART}.image.media_type", "must be given with data"),
    "a page as image": (image(media_type="text/html", data="aGk="), f"{PART}.image.media_type", "pattern"),
    "an image that is not base64": (image(media_type="image/png", data="a?"), f"{PART}.image.data", "must be base64"),
    "an empty image": (image(media_type="image/png", data=""), f"{PART}.image.data", "at least 1 byte"),
    "an address of a file": (image(url="file:///etc/passwd"), f"{PART}.image.url", "pattern"),
    "a close look": (image(url="http://a/", detail="closely"), f"{PART}.image.detail", "'low', 'high' or 'auto'"),
    "no tools": (hi(tools=[]), "tools", "at least 1 item"),
    "a tool with a blank": (hi(tools=[{"name": "a b"}]), "tools.0.name", "pattern"),
    "a tool with an end of line": (hi(tools=[{"name": "a\n"}]), "tools.0.name", "pattern"),
    "two tools of one name": (hi(tools=[{"name": "a"}, {"name": "a"}]), "tools.1.name", "another tool has this name"),
    "parameters that are no object": (hi(tools=[{"name": "a", "parameters": []}]), "tools.0.parameters", "object"),
    "a number of no JSON": (
        hi(tools=[{"name": "a", "parameters": {"maximum": 10**30}}]),
        "tools.0.parameters",
        "a number that JSON cannot express",
    ),
    "no number": (
        hi(tools=[{"name": "a", "parameters": {"maximum": float("nan")}}]),
        "tools.0.parameters",
        "a number that JSON cannot express",
    ),
    "large parameters": (
        hi(tools=[{"name": "a", "parameters": {"x": "x" * 262_144}}]),
        "tools.0.parameters",
        "at most 256 KB",
    ),
    "a choice of nothing": (hi(tool_choice={"mode": "none"}), "tool_choice", "needs tools"),
    "a choice of nobody": (
        hi(tools=[{"name": "a"}], tool_choice={"mode": "named"}),
        "tool_choice.name",
        'with the mode "named", and only then',
    ),
    "a name too many": (
        hi(tools=[{"name": "a"}], tool_choice={"mode": "auto", "name": "a"}),
        "tool_choice.name",
        'with the mode "named", and only then',
    ),
    "a choice of another": (
        hi(tools=[{"name": "a"}], tool_choice={"mode": "named", "name": "b"}),
        "tool_choice.name",
        "no tool has this name",
    ),
    "no schema": (hi(response_schema={"type": "nope"}), "response_schema.type", "is no JSON Schema"),
    "a schema that leads nowhere": (
        hi(response_schema={"$ref": "http://127.0.0.1:9/x"}),
        "response_schema",
        "cannot fetch",
    ),
    "a large schema": (
        hi(response_schema={"description": "x" * 262_144}),
        "response_schema",
        "at most 256 KB of JSON",
    ),
    "an empty stop": (hi(stop=["a", ""]), "stop.1", "at least 1 character"),
    "many stops": (hi(stop=["a"] * 17), "stop", "at most 16 items"),
    "too likely": (hi(top_p=1.5), "top_p", "less than or equal to 1"),
    "none of them": (hi(top_k=0), "top_k", "greater than or equal to 1"),
    "a large seed": (hi(seed=2**63), "seed", "less than"),
    "a heavy penalty": (hi(frequency_penalty=2.1), "frequency_penalty", "less than or equal to 2"),
    "a light penalty": (hi(presence_penalty=-2.1), "presence_penalty", "greater than or equal to -2"),
    "all the others": (hi(logprobs=21), "logprobs", "less than or equal to 20"),
    "an effort of many words": (hi(effort="very high"), "effort", "pattern"),
    "less than no thought": (hi(thinking_tokens=-1), "thinking_tokens", "greater than or equal to 0"),
}


@pytest.mark.parametrize(("body", "field", "says"), REFUSED.values(), ids=REFUSED)
async def test_what_is_wrong_is_named(body: dict[str, Any], field: str, says: str) -> None:
    raw = json.dumps(body).encode()
    with pytest.raises(InvalidRequest) as refused:
        pool = pool_of({"a": Scripted()})
        to_request(parsed(raw), pool, Account("http", "r", metrics=pool.metrics, now=pool.now), whole=True)
    assert refused.value.field == field
    assert refused.value.message.startswith(f"{field}: ")
    assert says in refused.value.message
