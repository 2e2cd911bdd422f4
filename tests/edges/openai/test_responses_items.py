"""Items of the Responses API: what comes back is what was said, and each kind is read as what it means."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.core.errors import InvalidRequest
from llm_pool.core.streams import Answer
from llm_pool.core.types import (
    AS_IT_LIKES,
    Image,
    Message,
    Reasoning,
    Sampling,
    Text,
    ToolCall,
    ToolChoice,
    ToolResult,
    Usage,
)
from llm_pool.edges.http.openai import responses_in as read
from llm_pool.edges.http.openai.responses import ResponsesDoor
from llm_pool.edges.http.openai.responses_out import items
from tests.edges.openai.responding import MODEL, WEATHER

if TYPE_CHECKING:
    from llm_pool.edges.http.openai.responses_bodies import ResponsesBody

PNG = b"\x89PNG\r\n\x1a\n"
PNG_URL = f"data:image/png;base64,{b64encode(PNG).decode()}"


def body(**fields: Any) -> ResponsesBody:
    asked, unknown = ResponsesDoor().parsed(orjson.dumps({"model": MODEL, "input": "hi", **fields}))
    assert unknown == []
    return asked


def heard(*told: Any) -> tuple[Message, ...]:
    return read.messages(body(input=list(told)))


# --- There and back ---------------------------------------------------------------------------------------------

characters = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
some = characters.filter(bool)
texts = st.builds(Text, some)
calls = st.builds(ToolCall, some, some, characters)
thoughts = st.builds(Reasoning, characters, characters, st.booleans(), characters).filter(
    lambda thought: bool(thought.text or thought.opaque or thought.redacted)
)


@given(st.lists(texts | calls | thoughts, min_size=1, max_size=8))
def test_what_a_model_said_comes_back_as_it_was(said: list[Any]) -> None:
    """Byte for byte, in one message: a provider knows its thought again only there."""
    told = items(Answer(tuple(said), MODEL, "a", "stop", Usage()), "call")
    assert heard(*orjson.loads(orjson.dumps(told))) == (Message("assistant", tuple(said)),)


def test_a_thought_that_is_not_from_here_is_openai_s() -> None:
    """As it is, whatever it is sealed with; and one without a seal is nobody's."""
    summary = [{"type": "summary_text", "text": "one "}, {"type": "summary_text", "text": "two"}]
    nearly = urlsafe_b64encode(b'{"provider":"x","opaque":1,"redacted":false}').decode()
    for seal in ("gAAAAABo-_x=", "é", "bm8ganNvbg==", nearly):
        (message,) = heard({"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": seal})
        assert message.parts == (Reasoning("one two", seal, provider="openai"),)
    (message,) = heard({"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": None})
    assert message.parts == (Reasoning("one two"),)
    content = [{"type": "reasoning_text", "text": "all of it"}]
    (message,) = heard({"type": "reasoning", "summary": [], "content": content})
    assert message.parts == (Reasoning("all of it"),)


def test_an_answer_ends_where_somebody_else_speaks() -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "c", "output": "7"}
    said = {"role": "assistant", "content": "Ah."}
    assert heard(said, call, result, said, {"role": "user", "content": "and?"}) == (
        Message("assistant", (Text("Ah."), ToolCall("c", "f", "{}"))),
        Message("tool", (ToolResult("c", (Text("7"),)),)),
        Message.of("assistant", "Ah."),
        Message.of("user", "and?"),
    )


def test_a_result_may_be_texts_and_images() -> None:
    output = [{"type": "input_text", "text": "here"}, {"type": "input_image", "image_url": PNG_URL, "detail": "low"}]
    (message,) = heard({"type": "function_call_output", "call_id": "c", "output": output})
    assert message == Message("tool", (ToolResult("c", (Text("here"), Image("image/png", PNG, detail="low"))),))


def test_images_come_by_value_or_by_address() -> None:
    content = [
        {"type": "input_image", "image_url": PNG_URL, "detail": "auto"},
        {"type": "input_image", "image_url": "https://example.org/a.png"},
        {"type": "input_text", "text": "?", "prompt_cache_breakpoint": {"mode": "explicit"}},
    ]
    (message,) = heard({"role": "user", "content": content})
    assert message.parts == (
        Image("image/png", PNG, detail="auto"),
        Image("", url="https://example.org/a.png"),
        Text("?", "5m"),
    )


def test_what_an_assistant_has_said_is_text_whatever_it_was() -> None:
    content = [
        {"type": "output_text", "text": "No: ", "annotations": [], "logprobs": []},
        {"type": "refusal", "refusal": "I will not."},
    ]
    item = {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed", "content": content}
    assert heard(item) == (Message("assistant", (Text("No: "), Text("I will not."))),)


# --- Tools and manner -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "choice"),
    [
        ({}, ToolChoice()),
        ({"parallel_tool_calls": False}, ToolChoice(parallel=False)),
        ({"tool_choice": "required"}, ToolChoice("required")),
        ({"tool_choice": "none"}, ToolChoice("none")),
        ({"tool_choice": {"type": "function", "name": "weather"}}, ToolChoice("named", "weather")),
    ],
)
def test_which_tools_are_called_is_as_the_caller_says(said: dict[str, Any], choice: ToolChoice) -> None:
    tools, chosen = read.tools(body(tools=[WEATHER], **said))
    assert chosen == choice
    (tool,) = tools
    assert (tool.name, tool.description, tool.strict) == ("weather", "The weather of a place", True)
    assert tool.parameters == WEATHER["parameters"]


def test_only_the_tools_that_are_allowed_are_offered() -> None:
    other = {"type": "function", "name": "other", "parameters": None}
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "other"}]}
    tools, chosen = read.tools(body(tools=[WEATHER, other], tool_choice=allowed))
    assert [tool.name for tool in tools] == ["other"]
    assert chosen == ToolChoice("required")


def test_without_tools_nothing_is_chosen() -> None:
    assert read.tools(body(tool_choice="auto", parallel_tool_calls=True)) == ((), AS_IT_LIKES)


def test_nothing_said_is_nothing_asked() -> None:
    assert read.sampling(body()) == Sampling()
    assert read.spec(body(text={"format": {"type": "text"}})) is None
    assert read.warnings(body(store=False, stream=False, include=["reasoning.encrypted_content"])) == []


def test_the_same_body_is_read_with_what_clients_dump_of_answers() -> None:
    """`model_dump` writes what is absent as null, and one field by its name in Python."""
    call = {"call_id": "c", "name": "f", "arguments": "{}", "id": None, "status": "completed"}
    empty = {"async_": None, "caller": None, "namespace": None}
    (message,) = heard({"type": "function_call", **call, **empty})
    assert message.parts == (ToolCall("c", "f", "{}"),)


# --- Refusals ---------------------------------------------------------------------------------------------------

USER = {"role": "user", "content": "hi"}
REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "no model": ({"model": ""}, "model", "at least 1 character"),
    "no input": ({"input": []}, "input", "at least 1 item"),
    "input of another kind": ({"input": 3}, "input", "must be a text or a list"),
    "an item of another kind": ({"input": [3]}, "input.0", "must be an object"),
    "a reference": ({"input": [USER, {"type": "item_reference", "id": "x"}]}, "input.1", "nothing is stored here"),
    "somebody else's call": ({"input": [{"type": "web_search_call", "id": "x"}]}, "input.0", '"web_search_call"'),
    "no type": ({"input": [{"text": "hi"}]}, "input.0", "no item without a type"),
    "a role": ({"input": [{**USER, "role": "robot"}]}, "input.0.role", "should be"),
    "a file": (
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]},
        "input.0.content.0",
        '"input_file"',
    ),
    "an image that is kept": (
        {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
        "input.0.content.0.file_id",
        "keeps no files",
    ),
    "no image": (
        {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
        "input.0.content.0.image_url",
        "field required",
    ),
    "a broken image": (
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,!"}]}]},
        "input.0.content.0.image_url",
        "base64",
    ),
    "a text that is none": (
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": 3}]}]},
        "input.0.content.0.text",
        "valid string",
    ),
    "web search": ({"tools": [{"type": "web_search"}]}, "tools.0", 'no tool "web_search", only function'),
    "a server's tools": ({"tools": [WEATHER, {"type": "mcp", "server_label": "x"}]}, "tools.1", '"mcp"'),
    "code": ({"tools": [{"type": "code_interpreter", "container": {}}]}, "tools.0", '"code_interpreter"'),
    "a custom tool": ({"tools": [{"type": "custom", "name": "x"}]}, "tools.0", '"custom"'),
    "an unknown choice": ({"tool_choice": "maybe"}, "tool_choice", "must be auto"),
    "a hosted choice": ({"tool_choice": {"type": "web_search"}}, "tool_choice", '"web_search"'),
    "a choice of nothing": ({"tool_choice": "required"}, "tool_choice", "no tools"),
    "a choice of another": (
        {"tools": [WEATHER], "tool_choice": {"type": "function", "name": "x"}},
        "tool_choice",
        "not among",
    ),
    "a format": ({"text": {"format": {"type": "xml"}}}, "text.format", '"xml"'),
    "a schema": (
        {"text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "nothing"}}}},
        "text.format.schema",
        "is no JSON Schema",
    ),
    "heat": ({"temperature": 3}, "temperature", "less than or equal to 2"),
    "an earlier answer": ({"previous_response_id": "resp_1"}, "previous_response_id", "stores nothing"),
    "a conversation": ({"conversation": "conv_1"}, "conversation", "stores nothing"),
    "a prompt": ({"prompt": {"id": "p"}}, "prompt", "stores no prompts"),
    "background": ({"background": True}, "background", "in the background"),
    "moderation": ({"moderation": {"model": "m"}}, "moderation", "moderates nothing"),
    "too much": ({"metadata": {str(each): "" for each in range(17)}}, "metadata", "at most 16"),
}


@pytest.mark.parametrize(("said", "field", "why"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_done_is_refused_by_its_name(said: dict[str, Any], field: str, why: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        asked = body(**said)
        read.warnings(asked)
        read.tools(asked)
        read.spec(asked)
        read.messages(asked)
    assert raised.value.field == field
    assert raised.value.message.startswith(field)
    assert why in raised.value.message
