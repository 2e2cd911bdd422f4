"""Tools, images, thoughts, schemas and probabilities are the same over HTTP and gRPC: asked, answered and refused."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from llm_pool.core.types import (
    Finished,
    Image,
    Logprob,
    ReasoningDelta,
    Started,
    Text,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from tests.edges.both import Said, grpc_stream, grpc_whole, http_stream, http_whole
from tests.edges.document import fits, schema_of
from tests.running import SIM, pool_of, serving
from tests.scripted import Scripted

if TYPE_CHECKING:
    from llm_pool.core.types import Request
    from tests.scripted import Step

pytestmark = pytest.mark.real_time

PNG = base64.b64encode(b"\x89PNG\xff").decode()
WEATHER = {
    "name": "weather",
    "parameters": {"type": "object", "properties": {"days": {"type": "integer", "maximum": 9007199254740993}}},
}
BEGUN: list[Step] = [Started("sim/m", "one")]
DONE: list[Step] = [Finished("stop", Usage(3, output=2))]
SAID: list[Step] = [*BEGUN, TextDelta("Hello"), *DONE]
CALLING: list[Step] = [
    *BEGUN,
    ReasoningDelta("Let me ", provider="anthropic"),
    ReasoningDelta("see", provider="anthropic"),
    ReasoningDelta("", opaque="sig==", provider="anthropic"),
    ReasoningDelta("", opaque="hidden", redacted=True, provider="anthropic"),
    TextDelta("I look."),
    ToolCallDelta(0, "c1", "weather", ""),
    ToolCallDelta(1, "c2", "now", "{}"),
    ToolCallDelta(0, "", "", '{"days"'),
    ToolCallDelta(0, "", "", ": 2}"),
    Finished("tool_calls", Usage(3, output=2, reasoning=4)),
]
THINKING: list[Step] = [*BEGUN, ReasoningDelta("Hm.", provider="ollama"), TextDelta("Yes."), *DONE]
LIKELY: list[Step] = [
    *BEGUN,
    TextDelta("Hé", (Logprob("H", -0.25, (72,), (Logprob("H", -0.25, (72,)), Logprob("J", -2.5))),)),
    TextDelta("", (Logprob("\\xc3", -1.5, (0xC3,)), Logprob("?", -1.5))),
    *DONE,
]
STOPPED: list[Step] = [*BEGUN, TextDelta("One"), Finished("stop", Usage(1, output=1), stopped_by=" two")]
JSON: list[Step] = [*BEGUN, TextDelta('{"km": '), TextDelta("1007}"), *DONE]


@dataclass(frozen=True)
class Case:
    """A question, how it is answered, and some of what both edges must say to it."""

    ask: dict[str, Any]
    steps: list[Step] = field(default_factory=lambda: SAID)
    told: dict[str, Any] = field(default_factory=dict)
    refused: str = ""  # the field that is wrong


def hi(**more: Any) -> dict[str, Any]:
    return {"prompt": "hi", **more}


THOUGHTS = [
    {"text": "Let me see", "opaque": "sig==", "redacted": False, "provider": "anthropic"},
    {"text": "", "opaque": "hidden", "redacted": True, "provider": "anthropic"},
]
CALLS = [
    {"id": "c1", "name": "weather", "arguments": '{"days": 2}'},
    {"id": "c2", "name": "now", "arguments": "{}"},
]
LOOP = [
    {"role": "user", "content": "How is it?"},
    {
        "role": "assistant",
        "parts": [*({"reasoning": thought} for thought in THOUGHTS), *({"tool_call": call} for call in CALLS)],
    },
    {
        "role": "tool",
        "parts": [
            {"tool_result": {"call_id": "c2", "content": "noon"}},
            {"tool_result": {"call_id": "c1", "content": "", "is_error": True}},
        ],
    },
]
CASES = {
    "tools": Case(
        hi(tools=[WEATHER, {"name": "now", "description": "The time", "strict": False}]),
        CALLING,
        {
            "finish_reason": "tool_calls",
            "content": "I look.",
            "reasoning": "Let me see",
            "reasoning_parts": THOUGHTS,
            "tool_calls": CALLS,
        },
    ),
    "a choice of tools": Case(
        hi(tools=[WEATHER], tool_choice={"mode": "named", "name": "weather", "parallel": False}),
        told={"tool_calls": [], "reasoning_parts": []},
    ),
    "a choice of tools with nothing said": Case(hi(tools=[WEATHER], tool_choice={})),
    "a loop of tools": Case({"messages": LOOP, "tools": [WEATHER]}, told={"content": "Hello"}),
    "an image": Case({
        "messages": [
            {
                "role": "user",
                "parts": [
                    {"text": ""},
                    {"image": {"media_type": "image/png", "data": PNG, "detail": "low"}},
                    {"image": {"url": "https://example.org/a.png"}},
                ],
            }
        ]
    }),
    "a thought that nobody wants back": Case(hi(), THINKING, {"reasoning": "Hm.", "reasoning_parts": []}),
    "a schema": Case(hi(response_schema={"type": "object", "required": ["km"]}), JSON, {"content": '{"km": 1007}'}),
    "sampling": Case(
        hi(
            top_p=0.5,
            top_k=7,
            seed=-(2**62),
            stop=["a", "b"],
            frequency_penalty=-1.5,
            presence_penalty=0.0,
            effort="low",
            thinking_tokens=0,
        )
    ),
    "logprobs": Case(
        hi(logprobs=2),
        LIKELY,
        {
            "content": "Hé",
            "logprobs": [
                {
                    "token": "H",
                    "logprob": -0.25,
                    "bytes": "SA==",
                    "top": [
                        {"token": "H", "logprob": -0.25, "bytes": "SA=="},
                        {"token": "J", "logprob": -2.5, "bytes": ""},
                    ],
                },
                {"token": "\\xc3", "logprob": -1.5, "bytes": "ww==", "top": []},
                {"token": "?", "logprob": -1.5, "bytes": "", "top": []},
            ],
        },
    ),
    "a stop that is told": Case(hi(stop=[" two"]), STOPPED, {"stopped_by": " two"}),
    # Refused.
    "a result of no call": Case({"messages": LOOP[2:]}, refused="messages.0.parts.0.tool_result.call_id"),
    "content beside parts": Case(
        {"messages": [{"role": "user", "content": "a", "parts": [{"text": "b"}]}]}, refused="messages.0.content"
    ),
    "an empty part": Case({"messages": [{"role": "user", "parts": [{}]}]}, refused="messages.0.parts.0"),
    "a choice without tools": Case(hi(tool_choice={"mode": "none"}), refused="tool_choice"),
    "a tool twice": Case(hi(tools=[WEATHER, WEATHER]), refused="tools.1.name"),
    "a choice of another tool": Case(
        hi(tools=[WEATHER], tool_choice={"mode": "named", "name": "x"}), refused="tool_choice.name"
    ),
    "a schema that is none": Case(hi(response_schema={"type": 7}), refused="response_schema.type"),
    "a number that is none": Case(hi(response_schema={"maximum": 10**40}), refused="response_schema"),
    "an image in capitals": Case(
        {"messages": [{"role": "user", "parts": [{"image": {"media_type": "image/PNG", "data": PNG}}]}]},
        refused="messages.0.parts.0.image.media_type",
    ),
    "an empty stop": Case(hi(stop=[""]), refused="stop.0"),
    "too likely": Case(hi(top_p=2.0), refused="top_p"),
}


async def test_equal_questions_ask_and_get_the_same(subtests: pytest.Subtests) -> None:
    """Each question four times; the provider is asked the same each time."""
    provider = Scripted()
    async with pool_of(SIM, {"one": provider}) as pool, serving(pool) as up:
        for name, case in CASES.items():
            provider.steps = case.steps
            with subtests.test(case=name):
                provider.calls.clear()
                by_http, by_grpc = await http_whole(up, case.ask), await grpc_whole(up, case.ask)
                assert by_http == by_grpc
                matches(case, by_http)
                streamed, over_grpc = await http_stream(up, case.ask), await grpc_stream(up, case.ask)
                assert streamed == over_grpc
                matches(case, added_up(streamed))
                questions = [question(request) for request in provider.requests]
                assert questions == questions[:1] * (0 if case.refused else 4)


def question(request: Request) -> dict[str, Any]:
    """What a provider sees of it."""
    names = ("messages", "sampling", "tools", "tool_choice")
    return {name: getattr(request, name) for name in names} | {"schema": request.spec and request.spec.schema}


def matches(case: Case, said: Said) -> None:
    if case.refused:
        assert said.error is not None
        assert (said.status, said.error["details"]) == (400, {"field": case.refused})
        return
    assert said.answer is not None
    assert {name: said.answer[name] for name in case.told} == case.told


def added_up(said: Said) -> Said:
    """A stream as the whole answer that it is."""
    if said.error is not None:
        return said
    data = {kind: [data for name, data in said.events if name == kind] for kind, _ in said.events}
    calls: dict[int, dict[str, str]] = {}
    for piece in data.get("tool_call", []):
        call = calls.setdefault(piece["index"], {"id": "", "name": "", "arguments": ""})
        for name in call:
            call[name] += piece[name]
    return Said(
        answer={
            **data["finished"][0],
            "content": "".join(piece["text"] for piece in data.get("text", [])),
            "logprobs": [each for piece in data.get("text", []) for each in piece["logprobs"]],
            "reasoning": "".join(piece["text"] for piece in data.get("reasoning", [])),
            "reasoning_parts": thoughts(data.get("reasoning", [])),
            "tool_calls": list(calls.values()),
        }
    )


def thoughts(pieces: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Blocks, each of which ends with its opaque piece; none where there is no such piece."""
    blocks, text = [], ""
    for piece in pieces:
        text += piece["text"]
        if piece["opaque"]:
            blocks.append({**piece, "text": text})
            text = ""
    return blocks


async def test_what_is_sent_reaches_the_provider_as_it_is() -> None:
    provider = Scripted(*SAID)
    async with pool_of(SIM, {"one": provider}) as pool, serving(pool) as up:
        for asking in (http_whole, grpc_whole):
            await asking(up, CASES["an image"].ask)
            await asking(up, CASES["a loop of tools"].ask)
    seen, loop = provider.requests[:2]
    data = Image("image/png", b"\x89PNG\xff", detail="low")
    assert seen.messages[-1].parts == (Text(""), data, Image("", url="https://example.org/a.png"))
    assert [tool.parameters for tool in loop.tools] == [WEATHER["parameters"]], "integers stay integers"


async def test_every_such_answer_is_as_the_document_says(subtests: pytest.Subtests) -> None:
    """Whole and as a stream; and what the pool takes the document takes."""
    provider = Scripted()
    async with pool_of(SIM, {"one": provider}) as pool, serving(pool) as up:
        for name, case in CASES.items():
            provider.steps = case.steps
            for body in (case.ask, {**case.ask, "stream": True}):
                with subtests.test(case=name, stream="stream" in body):
                    async with up.http.post("/v1/infer", json=body) as told:
                        model = await fits(told, "/v1/infer")
                    expected = "StreamEvent" if "stream" in body else "Answer"
                    assert model == ("Error" if case.refused else expected)
                    if not case.refused:
                        schema_of("InferBody").validate(body)


async def test_an_answer_of_text_says_nothing_of_what_it_has_not() -> None:
    """So that who asks for text gets the same bytes as ever."""
    async with pool_of(SIM, {"one": Scripted(*SAID)}) as pool, serving(pool) as up:
        async with up.http.post("/v1/infer", json=hi()) as response:
            whole = set(await response.json())
        async with up.http.post("/v1/infer", json=hi(stream=True)) as response:
            streamed = await response.text()
    assert not whole & {"reasoning", "reasoning_parts", "tool_calls", "logprobs", "stopped_by"}
    assert 'event: text\ndata: {"text":"Hello"}\n\n' in streamed
    assert "stopped_by" not in streamed
