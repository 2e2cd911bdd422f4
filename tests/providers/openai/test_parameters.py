"""What else goes out: tools, schemas and sampling, in the words of each server; and what is to be embedded."""

from __future__ import annotations

from typing import Any

import pytest

from llm_pool.config.schemas import spec_of
from llm_pool.core.errors import ProviderRefused, Unsupported
from llm_pool.core.types import Sampling, Tool, ToolChoice
from llm_pool.providers.openai.translate import Dialect, embed_wire, to_wire
from tests.providers.openai.asking import COMPATIBLE, OFFICIAL, ROUTER, body, request, warned

F = Tool("f", "does f", {"type": "object", "properties": {"x": {"type": "integer"}}}, strict=True)

# --- Tools and schemas ------------------------------------------------------------------------------------------


def test_tools_go_out_whole() -> None:
    assert body(request(tools=(F, Tool("g"))))["tools"] == [
        {
            "type": "function",
            "function": {"name": "f", "description": "does f", "parameters": F.parameters, "strict": True},
        },
        {"type": "function", "function": {"name": "g", "parameters": {"type": "object", "properties": {}}}},
    ]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (ToolChoice(), {}),
        (ToolChoice("auto", parallel=False), {"parallel_tool_calls": False}),
        (ToolChoice("none"), {"tool_choice": "none"}),
        (ToolChoice("required", parallel=True), {"tool_choice": "required", "parallel_tool_calls": True}),
        (ToolChoice("named", "f"), {"tool_choice": {"type": "function", "function": {"name": "f"}}}),
    ],
)
def test_every_choice_of_tools_has_its_words(choice: ToolChoice, sent: dict[str, Any]) -> None:
    said = body(request(tools=(F,), tool_choice=choice))
    assert {key: said[key] for key in ("tool_choice", "parallel_tool_calls") if key in said} == sent


def test_a_choice_among_no_tools_is_not_sent_and_one_that_must_be_made_is_refused() -> None:
    for choice in (ToolChoice("none"), ToolChoice("auto", parallel=False)):
        assert body(request(tool_choice=choice)).keys() == {"model", "messages", "stream", "stream_options"}
    for choice in (ToolChoice("required"), ToolChoice("named", "f")):
        with pytest.raises(Unsupported, match="tool"):
            body(request(tool_choice=choice))


STRICT = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
LOOSE = {"type": "object", "required": ["a"]}


@pytest.mark.parametrize(("schema", "strict"), [(STRICT, True), (LOOSE, False)])
def test_the_schema_of_an_answer_goes_out_beside_the_tools(schema: dict[str, Any], strict: bool) -> None:
    said = body(request(spec=spec_of(schema), tools=(F,)))
    form = {"name": "answer", "schema": schema, "strict": strict}
    assert said["response_format"] == {"type": "json_schema", "json_schema": form}
    assert said["tools"]


def test_openai_takes_no_schema_of_an_answer_that_is_no_object_and_is_told_none() -> None:
    asked = request(spec=spec_of({"type": "array"}))
    assert "response_format" not in body(asked, OFFICIAL)
    assert "response_format" in warned(asked, OFFICIAL)[0][1]
    assert "response_format" in body(asked, COMPATIBLE)


# --- Sampling ---------------------------------------------------------------------------------------------------


ALL = Sampling(64, 0.0, 0.5, 40, ("a", "b"), 0, -1.0, 1.0, 3, "low", 512)
SAME = {
    "temperature": 0.0,
    "top_p": 0.5,
    "stop": ["a", "b"],
    "seed": 0,
    "frequency_penalty": -1.0,
    "presence_penalty": 1.0,
    "logprobs": True,
    "top_logprobs": 3,
}


@pytest.mark.parametrize(
    ("dialect", "sent", "ignored"),
    [
        (
            OFFICIAL,
            {"max_completion_tokens": 64, "reasoning_effort": "low"},
            ["anthropic-beta", "top_k", "thinking_tokens"],
        ),
        (COMPATIBLE, {"max_tokens": 64, "top_k": 40, "reasoning_effort": "low"}, ["anthropic-beta", "thinking_tokens"]),
        (ROUTER, {"max_tokens": 64, "top_k": 40, "reasoning": {"max_tokens": 512}}, ["anthropic-beta", "effort"]),
    ],
)
def test_every_parameter_is_sent_or_warned_of(dialect: Dialect, sent: dict[str, Any], ignored: list[str]) -> None:
    asked = request(sampling=ALL, betas=("one-2026-01-01", "two-2026-01-01"))
    said = body(asked, dialect)
    assert {key: said[key] for key in said.keys() - {"model", "messages", "stream", "stream_options"}} == SAME | sent
    assert warned(asked, dialect) == [
        ("parameter_ignored", f'{dialect.who} cannot take "{name}": it was left out') for name in ignored
    ]


def test_openrouter_is_told_how_much_to_think_in_its_own_words() -> None:
    for sampling, sent in (
        (Sampling(effort="high"), {"effort": "high"}),
        (Sampling(thinking_tokens=0), {"effort": "none"}),
    ):
        assert body(request(sampling=sampling), ROUTER)["reasoning"] == sent


def test_logprobs_without_alternatives_are_asked_for_without_their_number() -> None:
    said = body(request(sampling=Sampling(logprobs=0)))
    assert said["logprobs"] is True
    assert "top_logprobs" not in said


def test_a_request_without_a_model_is_refused() -> None:
    for wire in (to_wire, embed_wire):
        with pytest.raises(ProviderRefused, match="no model"):
            wire(request(model=None), COMPATIBLE)


# --- Embeddings -------------------------------------------------------------------------------------------------


def test_texts_and_tokens_to_embed_go_out_as_numbers_are_wanted_back() -> None:
    asked = embed_wire(request(inputs=("a", "b"), dimensions=8), OFFICIAL)
    assert asked.path == "/embeddings"
    assert asked.body == {"model": "gpt", "input": ["a", "b"], "encoding_format": "float", "dimensions": 8}
    assert embed_wire(request(inputs=((1, 2), (3,))), COMPATIBLE).body["input"] == [[1, 2], [3]]
    with pytest.raises(Unsupported, match="not both"):
        embed_wire(request(inputs=("a", (1,))), COMPATIBLE)
