"""From the body of a chat completion to the words of the core: what is taken, what is warned of, what is refused."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from llm_pool.core.errors import InvalidRequest
from llm_pool.core.types import (
    NOTHING_SAID,
    Image,
    Message,
    Reasoning,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from llm_pool.edges.http.openai.bodies import ChatBody
from llm_pool.edges.http.openai.chat_in import IGNORED, REFUSED, Chat, read
from tests.edges.openai.asking import HI, WEATHER

TIME: dict[str, Any] = {"type": "function", "function": {"name": "time"}}


def asked(**words: Any) -> Chat:
    return read(orjson.dumps({"model": "sim/m", "messages": HI, **words}))


def message(**words: Any) -> Message:
    (only,) = asked(messages=[words]).messages
    return only


def called(name: str, arguments: str) -> dict[str, Any]:
    return {"id": f"call_{name}", "type": "function", "function": {"name": name, "arguments": arguments}}


def test_where_nothing_is_said_nothing_is_passed_on() -> None:
    chat = asked()
    assert chat.words == {"sampling": NOTHING_SAID, "spec": None, "whole": True}
    assert (chat.stream, chat.usage, chat.choices, chat.user, chat.warnings) == (False, False, 1, None, ())


def test_null_is_nothing_for_every_field_but_two() -> None:
    """Many clients send what they leave open as null."""
    nothing = dict.fromkeys(set(ChatBody.model_fields) - {"model", "messages"})
    assert asked(**nothing) == asked()


# --- Messages ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["system", "developer"])
def test_a_developer_is_the_system(role: str) -> None:
    assert message(role=role, content="Be brief.") == Message("system", (Text("Be brief."),))
    parts = [{"type": "text", "text": "Be"}, {"type": "text", "text": " brief."}]
    assert message(role=role, content=parts) == Message("system", (Text("Be"), Text(" brief.")))


def test_an_empty_text_is_a_text() -> None:
    assert message(role="user", content="") == Message("user", (Text(""),))
    assert message(role="assistant", content="") == Message("assistant", (Text(""),))
    assert message(role="assistant", content=None) == Message("assistant", (Text(""),))


def test_calls_without_words_are_calls_alone() -> None:
    contents: list[Any] = [None, "", []]
    for content in contents:
        told = message(role="assistant", content=content, tool_calls=[called("a", "{}"), called("b", '{"x": 1}')])
        assert told.parts == (ToolCall("call_a", "a", "{}"), ToolCall("call_b", "b", '{"x": 1}'))


def test_a_refusal_is_what_was_said() -> None:
    assert message(role="assistant", refusal="No.").parts == (Text("No."),)
    assert message(role="assistant", content=[{"type": "refusal", "refusal": "No."}]).parts == (Text("No."),)


def test_what_a_tool_gave_keeps_the_id_of_its_call() -> None:
    told = message(role="tool", tool_call_id="call_a", content=[{"type": "text", "text": "rain"}], name="weather")
    assert told == Message("tool", (ToolResult("call_a", (Text("rain"),)),))


def test_thoughts_stand_before_what_was_said() -> None:
    details = [
        {"type": "reasoning.text", "text": "Hm", "signature": "c2ln", "format": "anthropic", "index": 0},
        {"type": "reasoning.encrypted", "data": "Y2lwaGVy", "format": "anthropic", "index": 1},
    ]
    told = message(role="assistant", content="Hi", reasoning_content="Hm", reasoning_details=details)
    assert told.parts == (
        Reasoning("Hm", "c2ln", provider="anthropic"),
        Reasoning("", "Y2lwaGVy", redacted=True, provider="anthropic"),
        Text("Hi"),
    )


def test_a_thought_that_is_told_shortened_is_a_thought_without_a_signature() -> None:
    detail = {"type": "reasoning.summary", "summary": "Hm", "format": "openai-responses-v1", "index": 0}
    told = message(role="assistant", content="Hi", reasoning_details=[detail])
    assert told.parts == (Reasoning("Hm", provider="openai-responses-v1"), Text("Hi"))


def test_thoughts_as_text_alone_are_nobody_s() -> None:
    assert message(role="assistant", content="Hi", reasoning_content="Hm").parts == (Reasoning("Hm"), Text("Hi"))


def test_marks_for_a_prompt_cache_are_kept_in_either_wording() -> None:
    marked = {"type": "ephemeral", "ttl": "1h"}
    content: list[Any] = [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "b", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}},
        {"type": "text", "text": "c", "prompt_cache_breakpoint": {"mode": "explicit"}},
        {"type": "image_url", "image_url": {"url": "https://x.example.org/a.png"}, "cache_control": marked},
    ]
    assert message(role="user", content=content).parts == (
        Text("a", "5m"),
        Text("b", "1h"),
        Text("c", "5m"),
        Image("", url="https://x.example.org/a.png", keep="1h"),
    )
    assert message(role="user", content="a", cache_control=marked).parts == (Text("a", "1h"),)
    assert message(role="assistant", content="a", cache_control=marked).parts == (Text("a", "1h"),)
    result = message(role="tool", tool_call_id="c", content="a", cache_control=marked)
    assert result.parts == (ToolResult("c", (Text("a"),), keep="1h"),)
    last = message(role="user", content=[{"type": "text", "text": text} for text in "ab"], cache_control=marked)
    assert last.parts == (Text("a"), Text("b", "1h"))
    assert asked(tools=[{**WEATHER, "cache_control": marked}]).words["tools"][0].keep == "1h"


@pytest.mark.parametrize(
    "url",
    [
        "data:image/png;base64,a===",
        "data:image/png;base64,",
        "data:image/png;base64,iVBO Rw==",
        "data:text/html;base64,aGk=",
        "data:image/png,abc",
        "ftp://x.example.org/a.png",
        "",
    ],
)
def test_an_image_that_is_none_is_refused_by_its_place(url: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        message(role="user", content=[{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": url}}])
    assert raised.value.field == "messages.0.content.1.image_url.url"
    assert "iVBO" not in raised.value.message


# --- Everything else --------------------------------------------------------------------------------------------


def test_every_wish_about_the_answer_is_passed_on() -> None:
    said = asked(
        max_completion_tokens=50, temperature=0, top_p=0.5, top_k=3, stop=["a", "b"], seed=-1, frequency_penalty=1,
        presence_penalty=-2, logprobs=True, top_logprobs=4, reasoning_effort="low",
    )  # fmt: skip
    assert said.words["sampling"] == Sampling(
        max_tokens=50, temperature=0.0, top_p=0.5, top_k=3, stop=("a", "b"), seed=-1, frequency_penalty=1.0,
        presence_penalty=-2.0, logprobs=4, effort="low",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_completion_tokens", 5), ("max_tokens", 5), ("temperature", 1), ("top_p", 1), ("top_k", 5), ("stop", "a"),
        ("seed", 5), ("frequency_penalty", 1), ("presence_penalty", 1), ("logprobs", True), ("reasoning_effort", "low"),
    ],
)  # fmt: skip
def test_each_wish_is_passed_on_where_it_is_the_only_one(name: str, value: Any) -> None:
    assert asked(**{name: value}).words["sampling"] != NOTHING_SAID


def test_one_stop_and_the_older_name_of_the_limit() -> None:
    assert asked(stop="END", max_tokens=5).words["sampling"] == Sampling(max_tokens=5, stop=("END",))
    assert asked(max_tokens=5, max_completion_tokens=5).words["sampling"] == Sampling(max_tokens=5)
    with pytest.raises(InvalidRequest, match="max_tokens"):
        asked(max_tokens=5, max_completion_tokens=6)


def test_logprobs_without_alternatives_are_a_wish_of_their_own() -> None:
    assert asked(logprobs=True).words["sampling"].logprobs == 0
    assert asked(logprobs=False).words["sampling"].logprobs is None
    with pytest.raises(InvalidRequest, match="top_logprobs"):
        asked(top_logprobs=2)


def test_tools_are_passed_on_with_their_schemas() -> None:
    words = asked(tools=[WEATHER, {**TIME, "function": {"name": "time", "strict": True}}]).words
    assert words["tools"] == (
        Tool("weather", "How it is", WEATHER["function"]["parameters"]),
        Tool("time", strict=True),
    )
    assert words["tool_choice"] == ToolChoice()


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("auto", ToolChoice()),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "function": {"name": "time"}}, ToolChoice("named", "time")),
    ],
    ids=str,
)
def test_the_choice_of_a_tool_is_passed_on(said: Any, meant: ToolChoice) -> None:
    assert asked(tools=[WEATHER, TIME], tool_choice=said).words["tool_choice"] == meant
    alone = asked(tools=[WEATHER, TIME], tool_choice=said, parallel_tool_calls=False).words["tool_choice"]
    assert alone == ToolChoice(meant.mode, meant.name, parallel=False)


def test_of_the_allowed_tools_alone_is_chosen() -> None:
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "time"}}]}
    words = asked(tools=[WEATHER, TIME], tool_choice={"type": "allowed_tools", "allowed_tools": allowed}).words
    assert (words["tools"], words["tool_choice"]) == ((Tool("time"),), ToolChoice("required"))


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "else"}}], ids=str)
def test_a_choice_that_cannot_be_made_is_refused(choice: Any) -> None:
    with pytest.raises(InvalidRequest) as raised:
        asked(tool_choice=choice)
    assert raised.value.field == "tool_choice"


def test_a_stream_is_whole_where_nothing_of_it_can_be_told_before_its_end() -> None:
    assert asked(stream=True).words["whole"] is False
    assert asked(stream=True, response_format={"type": "text"}).words["whole"] is False
    assert asked(stream=True, response_format={"type": "json_object"}).words["whole"] is True
    assert asked(stream=True, n=2).words["whole"] is True


def test_a_schema_is_what_the_answer_must_fit() -> None:
    schema = {"type": "object", "required": ["a"]}
    wanted = asked(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})
    spec = wanted.words["spec"]
    assert spec.schema == schema
    assert spec.problem({"a": 1}) == ""
    assert spec.problem({}) != ""


@pytest.mark.parametrize("number", ["1" + "0" * 30, "NaN", "Infinity"])
def test_numbers_that_no_provider_would_get_as_they_are_are_refused(number: str) -> None:
    """The reader of bodies takes them; the writer cannot, or would write null."""
    tool = b'{"type": "function", "function": {"name": "x", "parameters": {"minimum": %b}}}' % number.encode()
    with pytest.raises(InvalidRequest) as raised:
        read(b'{"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": [%b]}' % tool)
    assert raised.value.field == "tools.0.function.parameters"


# --- What has no effect, and what cannot be done ----------------------------------------------------------------


@pytest.mark.parametrize("name", IGNORED)
def test_what_changes_nothing_is_taken_with_a_warning(name: str) -> None:
    (warning,) = asked(**{name: "something"}).warnings
    assert (warning.code, warning.message) == ("parameter_ignored", f"{name} has no effect here")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("store", False),
        ("metadata", {}),
        ("service_tier", "auto"),
        ("verbosity", "medium"),
        ("n", 1),
        ("logit_bias", {}),
    ],
)
def test_what_asks_for_nothing_is_no_reason_to_warn(name: str, value: Any) -> None:
    assert asked(**{name: value}).warnings == ()


def test_a_name_is_warned_of_once() -> None:
    chat = asked(
        messages=[{"role": "user", "content": "a", "name": "ann"}, {"role": "user", "content": "b", "name": "bo"}]
    )
    assert [warning.message for warning in chat.warnings] == ["messages.name has no effect here"]


def test_an_end_user_may_go_by_either_name_and_the_older_one_wins() -> None:
    """As on the other door."""
    both = asked(user="ann", safety_identifier="bob")
    assert (both.user, both.warnings) == ("ann", ())
    alone = asked(safety_identifier="bob")
    assert (alone.user, alone.warnings) == ("bob", ())
    with pytest.raises(InvalidRequest, match="safety_identifier"):
        asked(safety_identifier="x" * 513)


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_change_the_answer_is_refused_by_name(name: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        asked(**{name: {"x": 1}})
    assert raised.value.field == name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"stop": list("abcde")}, "stop: list should have at most 4 items"),
        ({"stop": 5}, "stop: input should be a valid string"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text: field required"),
        ({"messages": [{"content": "x"}]}, "messages.0.role: field required"),
        ({"messages": [{"role": "user", "content": []}]}, "messages.0.content: must not be empty"),
        ({"tool_choice": {"type": "custom"}}, "tool_choice.type: must be one of 'function', 'allowed_tools'"),
        ({"response_format": {"type": "xml"}}, "response_format.type: must be one of 'text', 'json_object', 'json_s"),
        ({"stream_options": {"include_usage": True}}, "stream_options: is only for a stream"),
        ({"temperature": 5, "top_p": 2}, "temperature: input should be less than or equal to 2; top_p: input should"),
        ({"user": ["sk-1"]}, "user: input should be a valid string"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_message_names_the_place_in_the_body_and_nothing_that_stands_there(words: Any, message: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        asked(**words)
    assert raised.value.message.startswith(message)
    assert "sk-1" not in raised.value.message


def test_what_is_no_object_is_refused() -> None:
    for raw in (b"", b"{", b"null", b"[]", b'"x"', b"[" * 100_000, b'{"model": "\xff"}', b'{"model": "\\ud800"}'):
        with pytest.raises(InvalidRequest, match="the body"):
            read(raw)
