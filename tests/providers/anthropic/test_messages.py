"""Conversations as Anthropic's API takes them: turns alternate, results come first, thoughts are unchanged."""

from __future__ import annotations

import base64
import re
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.core.errors import ProviderRefused, Unsupported
from llm_pool.core.types import Image, Message, Reasoning, Request, Text, ToolCall, ToolResult
from llm_pool.providers.anthropic.translate import to_wire
from tests.providers.anthropic.asking import NEW, OLD, SIGNATURE, request, said, warnings, wire


def result(call: str, *parts: Text | Image, **more: Any) -> Message:
    return Message("tool", (ToolResult(call, parts, **more),))


def system(text: str) -> Message:
    return Message.of("system", text)


def roles(asked: Request) -> list[str]:
    return [message["role"] for message in wire(asked)["messages"]]


def test_a_question_is_one_turn_of_one_block() -> None:
    assert wire(request("hi")) == {
        "model": OLD,
        "max_tokens": 4096,
        "stream": True,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
    }


def test_messages_of_one_role_in_a_row_are_one_turn() -> None:
    asked = request("a", "b", said(Text("c")), said(Text("d")), "e")
    assert roles(asked) == ["user", "assistant", "user"]
    texts = [[block["text"] for block in message["content"]] for message in wire(asked)["messages"]]
    assert texts == [["a", "b"], ["c", "d"], ["e"]]


def test_results_of_tools_are_one_turn_and_come_first_in_it() -> None:
    calls = (ToolCall("t1", "f", '{"a": 1}'), ToolCall("t2", "g", ""))
    image = Image("image/png", b"png")
    asked = request(
        "go", said(Text("I look."), *calls), "wait", result("t1", Text("one"), image), result("t2", is_error=True)
    )
    user, assistant, answered = wire(asked)["messages"]
    assert [user["role"], assistant["role"], answered["role"]] == ["user", "assistant", "user"]
    assert assistant["content"] == [
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "t2", "name": "g", "input": {}},
    ]
    source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(b"png").decode()}
    content = [{"type": "text", "text": "one"}, {"type": "image", "source": source}]
    assert answered["content"] == [
        {"type": "tool_result", "tool_use_id": "t1", "content": content},
        {"type": "tool_result", "tool_use_id": "t2", "is_error": True},
        {"type": "text", "text": "wait"},
    ]


def test_arguments_go_out_as_they_came_in() -> None:
    text = '{"z": 1, "a": 123456789012345678901234567890, "e": 1e2}'
    sent = orjson.dumps(to_wire(request("go", said(ToolCall("t", "f", text))), who="x", provider="p").body)
    assert f'"input":{text}'.encode() in sent


@pytest.mark.parametrize("arguments", ["{", "[]", "5", "null", '{"a": 1e999}'])
def test_arguments_that_are_no_object_are_refused_before_anything_is_sent(arguments: str) -> None:
    with pytest.raises(Unsupported):
        wire(request("go", said(ToolCall("t", "f", arguments))))


def test_ids_of_other_providers_are_made_fit_and_still_match() -> None:
    asked = request("go", said(ToolCall("functions.f:0", "f", "{}")), result("functions.f:0", Text("x")))
    _, called, answered = wire(asked)["messages"]
    given_id = called["content"][0]["id"]
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", given_id)
    assert answered["content"][0]["tool_use_id"] == given_id
    other = wire(request("go", said(ToolCall("functions.f:1", "f", "{}"))))["messages"][1]["content"][0]["id"]
    assert other != given_id
    assert wire(request("go", said(ToolCall("\ud800", "f", "{}"))))["messages"][1]["content"][0]["id"]


def test_an_image_is_sent_by_value_or_by_address() -> None:
    parts = (Image("image/png", b"\x00\xff"), Image("", url="https://example.org/a.png", detail="low"))
    asked = request(Message("user", parts))
    first, second = wire(asked)["messages"][0]["content"]
    assert first["source"] == {"type": "base64", "media_type": "image/png", "data": "AP8="}
    assert second["source"] == {"type": "url", "url": "https://example.org/a.png"}
    assert warnings(asked) == ["detail"]


@pytest.mark.parametrize(
    "message",
    [
        Message("system", (Image("image/png", b"x"),)),
        said(Image("image/png", b"x")),
        said(ToolResult("t", ())),
        Message("user", (ToolCall("t", "f", "{}"),)),
        Message("user", (Image("image/png"),)),
    ],
)
def test_what_the_wire_cannot_carry_is_refused(message: Message) -> None:
    with pytest.raises(Unsupported, match="Anthropic cannot be sent"):
        wire(request("hi", message))


def test_a_request_without_a_model_or_without_anybody_speaking_is_refused() -> None:
    with pytest.raises(ProviderRefused):
        to_wire(Request("r", (), 0.0, request().trace), who="x", provider="p")
    with pytest.raises(Unsupported):
        wire(request(system("be brief"), "  "))


def test_blank_texts_are_left_out_for_the_api_refuses_them() -> None:
    asked = request(system(" "), "", "hi", said(Text("\n")), said(Text("")), "more")
    assert "system" not in wire(asked)
    assert wire(asked)["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "text", "text": "more"}]}
    ]


# --- System messages --------------------------------------------------------------------------------------------


def test_system_messages_at_the_beginning_are_the_system() -> None:
    asked = request(system("a"), system("b"), "hi")
    assert wire(asked)["system"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert roles(asked) == ["user"]
    assert warnings(asked) == []


def test_a_later_one_joins_them_with_a_warning_where_the_model_takes_none_there() -> None:
    asked = request(system("a"), "hi", system("b"), said(Text("yes")), "go", model=OLD)
    assert [block["text"] for block in wire(asked)["system"]] == ["a", "b"]
    assert roles(asked) == ["user", "assistant", "user"]
    assert warnings(asked) == ["system_moved"]


def test_a_later_one_stays_where_the_model_takes_it() -> None:
    more: list[list[Message | str]] = [[], [said(Text("yes")), "go"]]
    for said_next in more:
        asked = request(system("a"), "hi", system("b"), system("c"), *said_next, model=NEW)
        user, later, *_ = wire(asked)["messages"]
        assert user["role"] == "user"
        assert later == {"role": "system", "content": [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]}
        assert warnings(asked) == []


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (["hi", system("b"), "more", said(Text("yes"))], ["user", "system", "assistant"]),
        (["hi", said(Text("yes")), system("b"), "go"], ["user", "assistant", "user", "system"]),
        (["hi", said(Text("yes")), system("b")], ["user", "assistant"]),
        (["hi", said(Text("yes")), system("b"), said(Text("no"))], ["user", "assistant"]),
    ],
)
def test_one_in_another_place_is_moved_with_a_warning(messages: list[Message | str], expected: list[str]) -> None:
    asked = request(*messages, model=NEW)
    assert roles(asked) == expected
    assert ("system" in wire(asked)) is ("system" not in expected)
    assert warnings(asked) == ["system_moved"]


# --- Thoughts ---------------------------------------------------------------------------------------------------

MINE = Reasoning("Hm, é?\n", SIGNATURE, provider="anthropic")
HIDDEN = Reasoning("", "data==", redacted=True, provider="anthropic")


def test_thoughts_go_back_as_they_came_and_in_their_order() -> None:
    nobodys = Reasoning("", "sig2")
    asked = request("hi", said(MINE, HIDDEN, Text("a"), nobodys, ToolCall("t", "f", "{}")), result("t", Text("x")))
    assert wire(asked)["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "Hm, é?\n", "signature": SIGNATURE},
        {"type": "redacted_thinking", "data": "data=="},
        {"type": "text", "text": "a"},
        {"type": "thinking", "thinking": "", "signature": "sig2"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {}},
    ]
    assert warnings(asked) == []


def test_thoughts_of_others_and_unsigned_ones_are_left_out_with_one_warning() -> None:
    others = Reasoning("x", "sig", provider="openai"), Reasoning("y", provider="anthropic"), Reasoning("z")
    asked = request("hi", said(*others, Text("a")), "go", said(*others), "on")
    assert wire(asked)["messages"][1]["content"] == [{"type": "text", "text": "a"}]
    assert roles(asked) == ["user", "assistant", "user"]
    assert warnings(asked) == ["reasoning_dropped"]


def test_unsigned_thoughts_go_back_to_a_server_that_signs_none_if_they_are_its_own() -> None:
    mine, others = Reasoning("y", provider="anthropic"), (Reasoning("x", provider="openai"), Reasoning("z"))
    asked = request("hi", said(mine, Text("a")), "go", model="qwen3")
    unsigned = {"type": "thinking", "thinking": "y", "signature": ""}
    assert wire(asked)["messages"][1]["content"] == [unsigned, {"type": "text", "text": "a"}]
    assert warnings(asked) == []
    strange = request("hi", said(*others, Reasoning("", redacted=True, provider="anthropic")), "go", model="qwen3")
    assert roles(strange) == ["user"]
    assert warnings(strange) == ["reasoning_dropped"]


def test_whose_thoughts_go_back_is_told_by_the_providers_own_name() -> None:
    asked = request("hi", said(MINE), "go")
    assert len(wire(asked)["messages"]) == 3
    assert len(wire(asked, provider="other")["messages"]) == 1


# --- Caches -----------------------------------------------------------------------------------------------------


def test_marks_to_keep_a_prompt_are_on_the_blocks_that_they_were_on() -> None:
    brief, long = {"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}
    asked = request(
        Message("system", (Text("s", keep="1h"),)),
        Message("user", (Text("a", keep="5m"), Image("image/png", b"x", keep="5m"))),
        said(ToolCall("t", "f", "{}", keep="5m")),
        result("t", Text("b", keep="1h"), keep="5m"),
    )
    body = wire(asked)
    assert body["system"][0]["cache_control"] == long
    marks = [block["cache_control"] for message in body["messages"] for block in message["content"]]
    assert marks == [brief] * 4
    assert body["messages"][2]["content"][0]["content"][0]["cache_control"] == long
    assert warnings(asked) == []
    assert warnings(request("a", Message("user", (Text(" ", keep="5m"),)))) == ["cache_control"]


# --- Nothing is lost --------------------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(str.strip)
images = st.builds(Image, st.just("image/png"), st.binary(max_size=4))
shown = st.builds(Text, texts) | images
spoken = st.lists(shown, min_size=1, max_size=3).map(lambda parts: Message("user", tuple(parts)))
thoughts = st.builds(Reasoning, st.text(max_size=4), texts, st.booleans(), st.just("anthropic"))
arguments = st.dictionaries(texts, st.integers(-(2**53), 2**53) | texts, max_size=2)
calls = st.builds(ToolCall, texts, texts, arguments.map(lambda value: orjson.dumps(value).decode()))
answers = st.lists(thoughts | st.builds(Text, texts) | calls, min_size=1, max_size=4).map(lambda parts: said(*parts))
results = st.builds(ToolResult, texts, st.lists(shown, max_size=2).map(tuple), st.booleans())
returned = st.lists(results, min_size=1, max_size=3).map(lambda parts: Message("tool", tuple(parts)))
instructed = st.builds(Text, texts).map(lambda part: Message("system", (part,)))
conversations = st.lists(spoken | answers | returned | instructed, max_size=8)


@given(messages=conversations, model=st.sampled_from([OLD, NEW]))
def test_no_part_is_lost_and_turns_alternate(messages: list[Message], model: str) -> None:
    body = wire(request(*messages, "last", model=model))
    blocks = [block for message in body["messages"] for block in message["content"]] + body.get("system", [])
    parts = [part for message in messages for part in message.parts] + [Text("last")]
    assert sorted(map(essence_of_block, blocks)) == sorted(map(essence, parts))
    talkers = [message["role"] for message in body["messages"] if message["role"] != "system"]
    assert all(one != other for one, other in pairwise(talkers))
    for message in body["messages"]:
        kinds = [block["type"] == "tool_result" for block in message["content"]]
        assert kinds == sorted(kinds, reverse=True)


def essence(part: Text | Image | Reasoning | ToolCall | ToolResult) -> str:
    match part:
        case Text(text):
            return f"text {text}"
        case Image():
            return f"image {base64.b64encode(part.data or b'').decode()}"
        case Reasoning():
            return f"redacted {part.opaque}" if part.redacted else f"thought {part.text} {part.opaque}"
        case ToolCall():
            return f"call {part.name} {orjson.loads(part.arguments)}"
        case ToolResult():
            return f"result {part.is_error} {[essence(inner) for inner in part.parts]}"


def essence_of_block(block: dict[str, Any]) -> str:
    match block["type"]:
        case "text":
            return f"text {block['text']}"
        case "image":
            return f"image {block['source']['data']}"
        case "thinking":
            return f"thought {block['thinking']} {block['signature']}"
        case "redacted_thinking":
            return f"redacted {block['data']}"
        case "tool_use":
            return f"call {block['name']} {block['input']}"
        case _:
            inner = [essence_of_block(inner) for inner in block.get("content", [])]
            return f"result {block.get('is_error', False)} {inner}"
