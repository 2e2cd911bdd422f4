"""What models of Anthropic's are asked to do: each is sent only what it takes, and what it is not sent is warned of."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from llm_pool.config.schemas import spec_of
from llm_pool.core.errors import Unsupported
from llm_pool.core.types import Message, Reasoning, Request, Sampling, Text, Tool, ToolCall, ToolChoice, ToolResult
from llm_pool.providers.anthropic.models import COMPATIBLE, traits_of
from llm_pool.providers.anthropic.translate import count_wire
from tests.providers.anthropic.asking import NEW, NEWEST, OLD, WHO, request, said, warnings, wire

OLDEST = "claude-3-5-haiku-20241022"
BETWEEN = "claude-opus-4-6"  # takes both ways of thinking
OTHERS = "qwen3:8b"
SHOWN = {"type": "adaptive", "display": "summarized"}


def sampling(model: str = OLD, **more: Any) -> Request:
    return request("hi", model=model, sampling=Sampling(**more))


# --- Models -----------------------------------------------------------------------------------------------------


def test_models_are_told_apart_by_their_names_whatever_a_platform_adds() -> None:
    assert traits_of("claude-opus-4-5@20251101") == traits_of("us.anthropic.claude-opus-4-5-20251101-v1:0")
    assert traits_of("claude-sonnet-4-20250514") == traits_of("claude-sonnet-4-0")
    assert traits_of("claude-sonnet-4-20250514") != traits_of("claude-sonnet-4-5-20250929")
    assert not traits_of("claude-3-5-sonnet-latest").budgets
    assert traits_of("claude-3-7-sonnet-20250219").budgets
    assert traits_of(OTHERS) == traits_of("gpt-oss") == COMPATIBLE


@pytest.mark.parametrize(
    ("model", "adaptive", "budgets", "off", "forced"),
    [
        ("claude-haiku-4-5", False, True, "disabled", True),
        ("claude-opus-4-6", True, True, "disabled", True),
        ("claude-opus-4-8", True, False, "disabled", True),
        ("claude-sonnet-5", True, False, "disabled", True),
        ("claude-sonnet-5-5", True, False, "between_tools", False),
        ("claude-haiku-5-5", True, False, "disabled", True),
        ("claude-opus-5", True, False, "disabled", True),
        ("claude-opus-5-5", True, False, None, False),
        ("claude-fable-5", True, False, None, True),
        ("claude-fable-5-1", True, False, None, False),
        ("claude-mythos-preview", True, True, None, True),
        ("claude-opus-7", True, False, None, False),
        ("claude-saga-7", True, False, None, False),
    ],
)
def test_each_model_takes_what_the_documentation_says(
    model: str, adaptive: bool, budgets: bool, off: str | None, forced: bool
) -> None:
    traits = traits_of(model)
    assert (traits.adaptive, traits.budgets, traits.off, traits.forced) == (adaptive, budgets, off, forced)


# --- Sampling ---------------------------------------------------------------------------------------------------


def test_sampling_goes_under_their_names() -> None:
    asked = sampling(max_tokens=9, temperature=0.5, top_k=3, stop=("a", "b"))
    body = wire(asked)
    assert (body["max_tokens"], body["temperature"], body["top_k"]) == (9, 0.5, 3)
    assert body["stop_sequences"] == ["a", "b"]
    assert warnings(asked) == []
    assert wire(sampling(top_p=0.9))["top_p"] == 0.9


@pytest.mark.parametrize("name", ["seed", "frequency_penalty", "presence_penalty", "logprobs"])
def test_what_the_api_does_not_have_is_warned_of(name: str) -> None:
    settings: dict[str, Any] = {name: 0}
    asked = sampling(**settings)
    assert warnings(asked) == [name]
    assert wire(asked) == wire(sampling())


def test_a_temperature_above_theirs_is_theirs_and_blank_stops_are_left_out() -> None:
    assert (wire(sampling(temperature=1.7))["temperature"], warnings(sampling(temperature=1.7))) == (1, ["temperature"])
    assert wire(sampling(stop=(" ", "a", "")))["stop_sequences"] == ["a"]
    assert "stop_sequences" not in wire(sampling(stop=("\n",)))
    assert warnings(sampling(stop=("\n", " "))) == ["stop"]


def test_newer_models_take_no_sampling_and_the_default_is_not_worth_a_word() -> None:
    asked = sampling(NEW, temperature=0.2, top_p=0.9, top_k=3)
    assert not {"temperature", "top_p", "top_k"} & set(wire(asked))
    assert warnings(asked) == ["temperature", "top_p", "top_k"]
    assert warnings(sampling(NEW, temperature=1.0, top_p=1.0)) == []
    assert [traits_of(f"claude-opus-{version}").samples for version in ("4-6", "4-7", "5")] == [True, False, False]


def test_claude_4_takes_one_of_temperature_and_top_p() -> None:
    asked = sampling(OLD, temperature=0.2, top_p=0.9)
    assert "top_p" not in wire(asked)
    assert warnings(asked) == ["top_p"]
    for model in (OLDEST, OTHERS):
        assert warnings(sampling(model, temperature=0.2, top_p=0.9)) == []


# --- Thinking ---------------------------------------------------------------------------------------------------


def budget(asked: Request) -> tuple[int, int]:
    body = wire(asked)
    assert body["thinking"]["type"] == "enabled"
    return body["thinking"]["budget_tokens"], body["max_tokens"]


def test_a_budget_is_sent_as_it_is_where_there_is_room() -> None:
    for model in (OLD, BETWEEN, OTHERS):
        assert budget(sampling(model, thinking_tokens=2000, max_tokens=2001)) == (2000, 2001)
        assert budget(sampling(model, thinking_tokens=5000)) == (5000, 5000 + 4096)
        assert warnings(sampling(model, thinking_tokens=5000)) == []


def test_a_budget_is_made_to_fit_below_the_callers_limit() -> None:
    assert budget(sampling(thinking_tokens=9000, max_tokens=4000)) == (2000, 4000)
    assert budget(sampling(thinking_tokens=4000, max_tokens=4000)) == (2000, 4000)
    assert budget(sampling(thinking_tokens=1, max_tokens=1500)) == (1024, 1500)
    for tokens, most in ((9000, 4000), (1, 1500), (9000, 1024)):
        assert warnings(sampling(thinking_tokens=tokens, max_tokens=most)) == ["thinking_tokens"]
    assert "thinking" not in wire(sampling(thinking_tokens=9000, max_tokens=1024))


def test_models_that_decide_for_themselves_are_given_no_budget() -> None:
    asked = sampling(NEW, thinking_tokens=20_000)
    assert wire(asked)["thinking"] == SHOWN
    assert wire(asked)["max_tokens"] == 24_096
    assert warnings(asked) == ["thinking_tokens"]
    assert warnings(sampling(OLDEST, thinking_tokens=2000)) == ["thinking_tokens"]
    assert "thinking" not in wire(sampling(OLDEST, thinking_tokens=2000))


def test_effort_is_a_word_for_newer_models_and_a_budget_for_older_ones() -> None:
    asked = sampling(NEW, effort="xhigh")
    assert (wire(asked)["thinking"], wire(asked)["output_config"]) == (SHOWN, {"effort": "xhigh"})
    assert wire(asked)["max_tokens"] == 16_384
    assert warnings(asked) == []
    assert budget(sampling(OLD, effort="medium")) == (8192, 8192 + 4096)
    assert budget(sampling(OLD, effort="high", max_tokens=3000)) == (1500, 3000)
    assert "output_config" not in wire(sampling(OLD, effort="medium"))
    assert wire(sampling("claude-opus-4-5", effort="high"))["output_config"] == {"effort": "high"}


@pytest.mark.parametrize(
    ("model", "asked", "sent"),
    [(NEW, "minimal", "low"), (BETWEEN, "xhigh", "high"), (BETWEEN, "max", "max"), ("claude-fable-5", "max", "max")],
)
def test_an_effort_that_a_model_does_not_know_is_the_nearest(model: str, asked: str, sent: str) -> None:
    assert wire(sampling(model, effort=asked))["output_config"] == {"effort": sent}
    assert warnings(sampling(model, effort=asked)) == (["effort"] if asked != sent else [])


def test_an_effort_that_nobody_knows_is_warned_of() -> None:
    for model in (OLD, NEW, OLDEST, OTHERS):
        asked = sampling(model, effort="heroic")
        assert warnings(asked) == ["effort"]
        assert "output_config" not in wire(asked)


@pytest.mark.parametrize("off", [{"effort": "none"}, {"thinking_tokens": 0}])
def test_thinking_is_turned_off_in_each_models_way(off: dict[str, Any]) -> None:
    for model in (OLD, NEW, OTHERS, "claude-opus-5"):
        assert wire(sampling(model, **off))["thinking"] == {"type": "disabled"}
        assert warnings(sampling(model, **off)) == []
    assert wire(sampling("claude-sonnet-5-5", **off))["thinking"] == {"type": "between_tools"}
    always = sampling(NEWEST, **off)
    assert "thinking" not in wire(always)
    assert wire(always)["output_config"] == {"effort": "low"}
    assert warnings(always) == list(off)


def test_more_than_high_effort_is_not_asked_of_who_is_not_to_think() -> None:
    asked = sampling("claude-opus-5", thinking_tokens=0, effort="max")
    assert wire(asked)["output_config"] == {"effort": "high"}
    assert warnings(asked) == ["effort"]


def test_models_that_think_unasked_have_the_room_for_it() -> None:
    assert wire(sampling(NEWEST))["max_tokens"] == 16_384
    assert wire(sampling(NEW))["max_tokens"] == 4096
    assert wire(sampling("claude-sonnet-5", effort="none"))["max_tokens"] == 4096
    assert "thinking" not in wire(sampling(NEWEST))


def test_sampling_that_is_refused_while_thinking_is_left_out() -> None:
    asked = sampling(OLD, effort="low", temperature=0.2, top_k=3, top_p=0.5)
    assert not {"temperature", "top_k", "top_p"} & set(wire(asked))
    assert warnings(asked) == ["temperature", "top_p", "top_k"]
    kept = sampling(OLD, effort="low", temperature=1.0, top_p=0.97)
    assert (wire(kept)["top_p"], warnings(kept)) == (0.97, [])


def test_nobody_is_made_to_think_in_the_middle_of_a_turn_that_began_without_a_thought() -> None:
    """As happens when the turn began at another provider: the API would refuse it."""
    call, found = ToolCall("t", "f", "{}"), Message("tool", (ToolResult("t", (Text("x"),)),))
    thought = Reasoning("hm", "sig")
    effort = Sampling(effort="low")
    mine = said(call)
    for turn in ([mine, found], [mine, found, said(thought, call), found], [said(Text("The answer"))]):
        asked = request("go", *turn, sampling=effort)
        assert "thinking" not in wire(asked)
        assert warnings(asked) == ["effort"]
        assert wire(request("go", *turn, sampling=effort, model=BETWEEN))["thinking"] == SHOWN
    again = Message.of("user", "next")
    for turn in ([said(thought, call), found, mine, found], [mine, found, said(Text("done")), again]):
        assert wire(request("go", *turn, sampling=effort))["thinking"]["type"] == "enabled"


# --- Tools ------------------------------------------------------------------------------------------------------

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
TOOLS = (Tool("f", "does f", SCHEMA), Tool("g", keep="5m"))


def choosing(mode: Any = "auto", model: str = OLD, **more: Any) -> Request:
    choice = ToolChoice(mode, "f" if mode == "named" else "", more.pop("parallel", None))
    return request("hi", model=model, tools=TOOLS, tool_choice=choice, **more)


def test_tools_have_a_schema_even_where_they_take_nothing() -> None:
    assert wire(choosing())["tools"] == [
        {"name": "f", "description": "does f", "input_schema": SCHEMA},
        {"name": "g", "input_schema": {"type": "object", "properties": {}}, "cache_control": {"type": "ephemeral"}},
    ]
    assert "tool_choice" not in wire(choosing())


@pytest.mark.parametrize(
    ("mode", "parallel", "sent"),
    [
        ("auto", False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("required", None, {"type": "any"}),
        ("required", True, {"type": "any", "disable_parallel_tool_use": False}),
        ("named", False, {"type": "tool", "name": "f", "disable_parallel_tool_use": True}),
        ("none", False, {"type": "none"}),
    ],
)
def test_the_choice_of_tools_is_sent_in_their_words(mode: str, parallel: bool | None, sent: dict[str, Any]) -> None:
    assert wire(choosing(mode, parallel=parallel))["tool_choice"] == sent
    assert warnings(choosing(mode, parallel=parallel)) == []


def test_a_call_is_not_forced_where_the_api_would_refuse_it() -> None:
    thinks = Sampling(effort="low")
    for asked in (choosing("required", NEWEST), choosing("named", OLD, sampling=thinks)):
        assert "tool_choice" not in wire(asked)
        assert warnings(asked) == ["tool_choice"]
    assert wire(choosing("required", NEW, sampling=thinks))["tool_choice"] == {"type": "any"}


def test_no_call_can_be_forced_where_no_tool_is_offered() -> None:
    with pytest.raises(Unsupported):
        wire(request("hi", tool_choice=ToolChoice("required")))


def test_tools_that_were_called_are_known_but_not_offered_again() -> None:
    call, found = ToolCall("t", "f", "{}"), Message("tool", (ToolResult("t", (Text("x"),)),))
    asked = request("hi", said(call), found)
    assert wire(asked)["tools"] == [{"name": "f", "input_schema": {"type": "object"}}]
    assert wire(asked)["tool_choice"] == {"type": "none"}


def test_compatible_servers_are_shown_no_tool_that_is_not_to_be_called() -> None:
    """llama-server takes "none" for "auto"."""
    call, found = ToolCall("t", "f", "{}"), Message("tool", (ToolResult("t", (Text("x"),)),))
    for asked in (choosing("none", OTHERS), request("hi", said(call), found, model=OTHERS)):
        assert not {"tools", "tool_choice"} & set(wire(asked))


def test_a_strict_tool_is_strict_where_its_schema_can_be() -> None:
    (tool,) = wire(request("hi", tools=(Tool("f", parameters=SCHEMA, strict=True),)))["tools"]
    assert tool["strict"] is True
    assert tool["input_schema"]["additionalProperties"] is False
    loose = request("hi", tools=(Tool("f", parameters={"additionalProperties": {"type": "string"}}, strict=True),))
    assert "strict" not in wire(loose)["tools"][0]
    assert warnings(loose) == warnings(request("hi", tools=(Tool("f", strict=True),), model=OTHERS)) == ["strict"]


def test_no_more_schemas_are_tried_than_the_api_takes() -> None:
    misfits = tuple(Tool(f"m{number}", parameters={"not": {}}, strict=True) for number in range(20))
    for tools, strict in ((misfits[1:], 1), (misfits, 0)):
        body = wire(request("hi", tools=(*tools, Tool("f", parameters=SCHEMA, strict=True))))
        assert sum("strict" in tool for tool in body["tools"]) == strict


def test_no_more_tools_are_strict_than_the_api_takes() -> None:
    tools = tuple(Tool(f"f{number}", parameters=SCHEMA, strict=True) for number in range(25))
    asked = request("hi", tools=tools)
    assert sum("strict" in tool for tool in wire(asked)["tools"]) == 20
    assert warnings(asked) == ["strict"]


# --- Schemas and counts -----------------------------------------------------------------------------------------


def test_the_schema_of_an_answer_is_sent_beside_the_effort() -> None:
    spec = spec_of(SCHEMA)
    sent = {"type": "json_schema", "schema": SCHEMA | {"additionalProperties": False}}
    assert wire(request("hi", spec=spec))["output_config"] == {"format": sent}
    asked = request("hi", spec=spec, model=NEW, sampling=Sampling(effort="low"), tools=TOOLS)
    assert wire(asked)["output_config"] == {"effort": "low", "format": sent}
    assert warnings(asked) == []


def test_a_model_that_is_not_kept_to_a_schema_is_told_it() -> None:
    free = {"type": "object", "additionalProperties": {"type": "integer"}}
    for asked in (request("hi", spec=spec_of(SCHEMA), model=OTHERS), request("hi", spec=spec_of(free), model=NEW)):
        body = wire(asked)
        assert "output_config" not in body
        assert asked.spec is not None
        assert orjson.dumps(asked.spec.schema).decode() in body["system"][-1]["text"]


def test_a_count_is_asked_for_what_is_counted_only() -> None:
    system = Message.of("system", "s")
    drawn = Sampling(max_tokens=9000, temperature=1.5, seed=1, stop=("a",), effort="low")
    asked = request(system, "hi", tools=TOOLS, tool_choice=ToolChoice("none"), sampling=drawn)
    counting = count_wire(asked, who=WHO, provider="anthropic")
    names = {"model", "system", "messages", "tools", "tool_choice", "thinking"}
    assert counting.path == "/v1/messages/count_tokens"
    assert set(counting.body) == names
    assert {name: counting.body[name] for name in names} == {name: wire(asked)[name] for name in names}
    assert counting.warnings == ()
