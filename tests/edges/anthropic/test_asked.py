"""What the door makes of a body: every word of it arrives in the core, or is named in a warning."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.core.types import AS_IT_LIKES, Image, Message, Reasoning, Text, ToolCall, ToolChoice, ToolResult
from llm_pool.edges.http.anthropic.asked import Asked, asked
from llm_pool.edges.http.anthropic.bodies import MessagesBody, checked
from tests.edges.anthropic.asking import ASK, WEATHER

if TYPE_CHECKING:
    from llm_pool.core.types import Sampling

PNG = base64.b64decode("iVBORw0KGgo=")
MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}


def words(**body: Any) -> Asked:
    return asked(*checked(orjson.dumps({**ASK, **body}), MessagesBody))


def said(role: str, content: object) -> tuple[Message, ...]:
    return words(messages=[{"role": role, "content": content}]).messages


def sampling(**body: Any) -> Sampling:
    return words(**body).sampling


def image(**source: str) -> dict[str, Any]:
    return {"type": "image", "source": source}


def test_a_string_is_one_text() -> None:
    assert said("user", "hi") == (Message.of("user", "hi"),)
    assert said("user", "hi") == said("user", [{"type": "text", "text": "hi"}])


def test_the_system_prompt_comes_first_and_others_where_they_stand() -> None:
    turns = [{"role": "user", "content": "hi"}, {"role": "system", "content": "Be brief."}]
    system = [{"type": "text", "text": "Be kind."}, {"type": "text", "text": "Be wise.", "cache_control": HOUR}]
    first, *rest = words(system=system, messages=turns).messages
    assert first == Message("system", (Text("Be kind."), Text("Be wise.", "1h")))
    assert [message.role for message in rest] == ["user", "system"]
    assert words(system="Be kind.").messages[0] == Message.of("system", "Be kind.")
    assert words(system="").messages == words().messages


def test_an_image_comes_by_value_or_by_address() -> None:
    data = base64.b64encode(PNG).decode()
    blocks = [image(type="base64", media_type="image/png", data=data), image(type="url", url="https://x.example/a.png")]
    assert said("user", blocks) == (
        Message("user", (Image("image/png", PNG), Image("", url="https://x.example/a.png"))),
    )


def test_results_of_tools_become_messages_of_their_own_in_order() -> None:
    blocks = [
        {"type": "tool_result", "tool_use_id": "c0", "content": "22 °C"},
        {"type": "tool_result", "tool_use_id": "c1", "is_error": True},
        {"type": "text", "text": "And now?"},
        {
            "type": "tool_result",
            "tool_use_id": "c2",
            "content": [{"type": "text", "text": "a"}, image(type="url", url="http://x/")],
        },
    ]
    assert said("user", blocks) == (
        Message("tool", (ToolResult("c0", (Text("22 °C"),)), ToolResult("c1", (), is_error=True))),
        Message.of("user", "And now?"),
        Message("tool", (ToolResult("c2", (Text("a"), Image("", url="http://x/"))),)),
    )


def test_an_answer_comes_back_with_its_calls_and_thoughts() -> None:
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "secret"},
        {"type": "text", "text": "Let me see.", "citations": None},
        {"type": "tool_use", "id": "c0", "name": "f", "input": {"ä": [1, None]}, "caller": {"type": "direct"}},
    ]
    (message,) = said("assistant", blocks)
    assert message.parts == (
        Reasoning("hm", "sig", provider="anthropic"),
        Reasoning("", "secret", redacted=True, provider="anthropic"),
        Text("Let me see."),
        ToolCall("c0", "f", '{"ä":[1,null]}'),
    )


@given(st.dictionaries(st.text(), st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.none()))
def test_the_input_of_a_call_comes_back_number_by_number(value: dict[str, Any]) -> None:
    """Also integers that are longer than those of most machines."""
    import json  # noqa: PLC0415 - what can write them

    block = {"type": "tool_use", "id": "c", "name": "f", "input": value}
    raw = json.dumps({**ASK, "messages": [{"role": "assistant", "content": [block]}]})
    (part,) = asked(*checked(raw.encode(), MessagesBody)).messages[0].parts
    assert isinstance(part, ToolCall)
    assert json.loads(part.arguments) == value


def test_an_answer_that_is_begun_with_nothing_is_just_an_answer() -> None:
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": ""}]
    assert words(messages=turns).messages == words().messages


def test_who_speaks_twice_is_heard_twice() -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]
    assert words(messages=turns).messages == (Message.of("user", "a"), Message.of("user", "b"))


# --- Tools ------------------------------------------------------------------------------------------------------


def test_a_tool_is_as_it_was_described() -> None:
    (tool,) = words(tools=[{**WEATHER, "type": "custom", "strict": True, "cache_control": MARK}]).tools
    assert (tool.name, tool.description, tool.strict, tool.keep) == ("weather", "Of a city", True, "5m")
    assert tool.parameters == WEATHER["input_schema"]


@pytest.mark.parametrize(
    ("choice", "meant"),
    [
        (None, AS_IT_LIKES),
        ({"type": "auto"}, ToolChoice()),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice("required", parallel=False)),
        ({"type": "auto", "disable_parallel_tool_use": False}, ToolChoice(parallel=True)),
        ({"type": "tool", "name": "weather"}, ToolChoice("named", "weather")),
        ({"type": "none"}, ToolChoice("none")),
    ],
)
def test_each_choice_of_tools_has_its_word(choice: dict[str, Any] | None, meant: ToolChoice) -> None:
    assert words(tools=[WEATHER], tool_choice=choice).tool_choice == meant


# --- Around -----------------------------------------------------------------------------------------------------


def test_how_to_draw_an_answer_arrives_word_by_word() -> None:
    drawn = sampling(max_tokens=5, temperature=0, top_p=0.5, top_k=3, stop_sequences=["###", "\n"])
    assert (drawn.max_tokens, drawn.temperature, drawn.top_p, drawn.top_k) == (5, 0, 0.5, 3)
    assert drawn.stop == ("###", "\n")


@pytest.mark.parametrize(
    ("body", "effort", "tokens"),
    [
        ({}, None, None),
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, None, 2048),
        ({"thinking": {"type": "disabled"}}, None, 0),
        ({"thinking": {"type": "between_tools"}}, None, 0),
        ({"thinking": {"type": "adaptive"}}, "high", None),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, "low", None),
        ({"output_config": {"effort": "max"}}, "max", None),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}}, "low", 0),
    ],
)
def test_how_much_to_think_has_its_word(body: dict[str, Any], effort: str | None, tokens: int | None) -> None:
    drawn = sampling(**body)
    assert (drawn.effort, drawn.thinking_tokens) == (effort, tokens)


@pytest.mark.parametrize("name", ["output_config", "output_format"])
def test_a_schema_is_what_answers_are_held_to(name: str) -> None:
    wanted = {"type": "json_schema", "schema": {"type": "object", "required": ["a"]}}
    spec = words(**{name: {"format": wanted} if name == "output_config" else wanted}).spec
    assert spec is not None
    assert (bool(spec.problem({})), bool(spec.problem({"a": 1}))) == (True, False)


def test_what_is_to_be_kept_in_a_cache_is_marked() -> None:
    turns = [
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}, "cache_control": HOUR}],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "c", "content": "x", "cache_control": MARK}],
        },
        {"role": "user", "content": [{**image(type="url", url="http://x/"), "cache_control": MARK}]},
    ]
    parts = [part for message in words(messages=turns).messages for part in message.parts]
    assert [part.keep for part in parts if not isinstance(part, Reasoning)] == ["1h", "5m", "5m"]


def test_the_mark_of_the_whole_is_at_the_last_thing_that_can_have_one() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    turns = [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": [thought]},
    ]
    first, second = words(messages=turns, cache_control=HOUR).messages
    assert first.parts == (Text("a"), Text("b", "1h"))
    assert second.parts == (Reasoning("hm", "s", provider="anthropic"),)


def test_a_mark_of_its_own_is_not_overwritten() -> None:
    (message,) = words(
        messages=[{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": MARK}]}],
        cache_control=HOUR,
    ).messages
    assert message.parts == (Text("a", "5m"),)


# --- Never silence ----------------------------------------------------------------------------------------------

TEXT = {"type": "text", "text": "x"}


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("service_tier", {"service_tier": "auto"}),
        ("speed", {"speed": "fast"}),
        ("thread", {"thread": {"type": "create"}}),
        ("context_management", {"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}}),
        ("diagnostics", {"diagnostics": {"previous_message_id": None}}),
        ("fallbacks", {"fallbacks": "default"}),
        ("thinking.display", {"thinking": {"type": "adaptive", "display": "omitted"}}),
        ("input_examples", {"tools": [{**WEATHER, "input_examples": [{"city": "Lisbon"}]}]}),
        ("defer_loading", {"tools": [{**WEATHER, "defer_loading": True}]}),
        ("citations", {"messages": [{"role": "assistant", "content": [{**TEXT, "citations": [{"type": "x"}]}]}]}),
        (
            "transformations",
            {
                "messages": [
                    {"role": "user", "content": [{**image(type="url", url="http://x/"), "transformations": {"a": "b"}}]}
                ]
            },
        ),
        ("cache_control.scope", {"system": [{**TEXT, "cache_control": {**MARK, "scope": "global"}}] * 2}),
    ],
)
def test_what_is_not_heeded_is_named_once(name: str, body: dict[str, Any]) -> None:
    (warning,) = words(**body).warnings
    assert warning.code == "parameter_ignored"
    assert warning.message.startswith(f"{name}: ")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"speed": None, "container": None, "cache_control": None, "inference_geo": "global", "mcp_servers": []},
        {"tools": [{**WEATHER, "eager_input_streaming": True, "allowed_callers": ["direct"], "defer_loading": False}]},
        {"metadata": {"user_id": "u"}},
    ],
)
def test_what_is_heeded_needs_no_warning(body: dict[str, Any]) -> None:
    assert words(**body).warnings == ()
