"""What goes out: our requests in the words of OpenAI, of OpenRouter, and of those compatible with them."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.core.errors import Unsupported
from llm_pool.core.types import (
    Image,
    Message,
    Part,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from llm_pool.providers.openai.translate import Dialect, to_wire
from tests.providers.openai.asking import COMPATIBLE, OFFICIAL, ROUTER, body, request, warned

DIALECTS = [OFFICIAL, COMPATIBLE, ROUTER]
PNG = Image("image/png", b"\x89PNG", detail="low")
PAGE = Image("", url="https://example.org/a.png")


def messages(*given: Message, dialect: Dialect = COMPATIBLE) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = body(request(*given), dialect)["messages"]
    return said


# --- Messages ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_plain_question_goes_out_as_plain_text_always_streamed_with_usage(dialect: Dialect) -> None:
    asked = request(
        Message.of("system", "Be brief."), Message("user", (Text("one "), Text("two"))), Message.of("assistant", "3")
    )
    assert to_wire(asked, dialect).path == "/chat/completions"
    assert to_wire(asked, dialect).warnings == ()
    assert body(asked, dialect) == {
        "model": "gpt",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "one two"},
            {"role": "assistant", "content": "3"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_images_go_out_by_value_or_by_address_between_the_words() -> None:
    assert messages(Message("user", (Text("see "), PNG, PAGE, Text("there")))) == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "see "},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw==", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
                {"type": "text", "text": "there"},
            ],
        }
    ]


def test_calls_and_their_results_go_out_in_messages_of_their_own() -> None:
    said = messages(
        Message("assistant", (ToolCall("a", "f", '{"x": 1}'), ToolCall("b", "g", ""))),
        Message("tool", (ToolResult("a", (Text("1"), Text("2"))),)),
        Message("user", (ToolResult("b", (Text("bad"),), is_error=True), Text("and?"))),
    )
    assert said == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
                {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "12"},
        {"role": "tool", "tool_call_id": "b", "content": "bad"},
        {"role": "user", "content": "and?"},
    ]


@pytest.mark.parametrize(
    "after", [(Message.of("user", "and?"),), (Message.of("assistant", "ok"),), (Message.of("system", "new"),), ()]
)
def test_images_of_results_come_after_all_of_the_results(after: tuple[Message, ...]) -> None:
    said = messages(
        Message("assistant", (ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}"))),
        Message("tool", (ToolResult("a", (Text("1"), PNG)),)),
        Message("tool", (ToolResult("b", (PAGE,)),)),
        *after,
    )
    assert [message["role"] for message in said[:4]] == ["assistant", "tool", "tool", "user"]
    assert [message["content"] for message in said[1:3]] == ["1", ""]
    shown = [piece["image_url"]["url"][:10] for piece in said[3]["content"] if piece["type"] == "image_url"]
    assert shown == ["data:image", "https://ex"]
    if after and after[0].role == "user":
        assert said[3]["content"][2:] == [{"type": "text", "text": "and?"}]
        assert len(said) == 4
    else:
        assert [message["role"] for message in said[4:]] == [message.role for message in after]


@pytest.mark.parametrize(
    ("role", "part", "word"),
    [
        ("system", PNG, "image"),
        ("assistant", PNG, "image"),
        ("user", ToolCall("1", "f", "{}"), "tool call"),
        ("user", Reasoning("hm"), "reasoning"),
        ("assistant", ToolResult("1", ()), "result of a tool"),
        ("tool", Text("x"), "text"),
        ("user", Image("image/png"), "neither bytes nor an address"),
    ],
)
def test_a_part_in_a_place_where_it_cannot_be_said_is_refused(role: Any, part: Part, word: str) -> None:
    with pytest.raises(Unsupported, match=word):
        messages(Message(role, (part,)))


# --- Thoughts ---------------------------------------------------------------------------------------------------


DETAILS = (
    '[{"type":"reasoning.text","text":"né","signature":"s==","index":0},{"type":"reasoning.encrypted","data":"b=="}]'
)


def test_own_thoughts_go_back_as_they_came() -> None:
    plain = Message("assistant", (Reasoning("Hm", provider="openai"), Text("Hi")))
    assert messages(plain) == [{"role": "assistant", "content": "Hi", "reasoning_content": "Hm"}]
    unknown = Message("assistant", (Reasoning("Hm"), Text("Hi")))
    assert messages(unknown, dialect=ROUTER) == [{"role": "assistant", "content": "Hi", "reasoning": "Hm"}]
    signed = Message("assistant", (Reasoning("né", DETAILS, provider="openrouter"), Text("Hi")))
    (said,) = messages(signed, dialect=ROUTER)
    assert orjson.dumps(said["reasoning_details"]).decode() == DETAILS
    assert "reasoning" not in said


def test_blocks_of_thought_between_other_parts_go_back_as_one_list() -> None:
    first, second = orjson.loads(DETAILS)
    blocks: list[Part] = [Reasoning("né", orjson.dumps([first]).decode(), provider="openrouter"), Text("a")]
    blocks.append(Reasoning("", orjson.dumps([second]).decode(), redacted=True, provider="openrouter"))
    (said,) = messages(Message("assistant", tuple(blocks)), dialect=ROUTER)
    assert said["reasoning_details"] == [first, second]


@pytest.mark.parametrize(
    ("part", "dialect"),
    [
        (Reasoning("Hm", "sig", provider="anthropic"), COMPATIBLE),
        (Reasoning("Hm", provider="openrouter"), COMPATIBLE),
        (Reasoning("Hm", DETAILS, provider="openai"), ROUTER),
        (Reasoning("Hm", "a signature of nobody knows whom"), ROUTER),
        (Reasoning("", '{"no": "list"}', redacted=True, provider="openrouter"), ROUTER),
        (Reasoning("Hm", provider="openai"), OFFICIAL),
    ],
)
def test_thoughts_that_it_would_not_know_again_are_left_out_with_one_warning(part: Reasoning, dialect: Dialect) -> None:
    turn = Message("assistant", (part, Text("Hi")))
    assert messages(turn, turn, dialect=dialect) == [{"role": "assistant", "content": "Hi"}] * 2
    ((code, message),) = warned(request(turn, turn), dialect)
    assert code == "reasoning_dropped"
    assert dialect.who in message


# --- Marks for the cache ----------------------------------------------------------------------------------------


MARKED = (
    Message("system", (Text("long", keep="1h"),)),
    Message("user", (Text("a"), Image("image/png", b"x", keep="5m"))),
    Message("assistant", (ToolCall("1", "f", "{}"),)),
    Message("tool", (ToolResult("1", (Text("x"), Text("y")), keep="5m"),)),
)


def test_openrouter_is_told_what_to_keep() -> None:
    asked = request(*MARKED, tools=(Tool("f", keep="5m"),))
    system, user, _, result = body(asked, ROUTER)["messages"]
    assert system["content"] == [{"type": "text", "text": "long", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    assert [part.get("cache_control") for part in user["content"]] == [None, {"type": "ephemeral"}]
    assert [part.get("cache_control") for part in result["content"]] == [None, {"type": "ephemeral"}]
    assert body(asked, ROUTER)["tools"][0]["cache_control"] == {"type": "ephemeral"}
    assert warned(asked, ROUTER) == []


@pytest.mark.parametrize("dialect", [OFFICIAL, COMPATIBLE])
def test_others_are_not_and_one_warning_says_so(dialect: Dialect) -> None:
    asked = request(*MARKED, tools=(Tool("f", keep="5m"),))
    assert b"cache_control" not in orjson.dumps(to_wire(asked, dialect).body)
    assert warned(asked, dialect) == [
        ("parameter_ignored", f'{dialect.who} cannot take "cache_control": it was left out')
    ]


def test_a_mark_where_not_even_openrouter_takes_one_is_warned_of() -> None:
    for part in (ToolCall("1", "f", "{}", keep="5m"), ToolResult("1", (PNG,), keep="5m")):
        role: Any = "assistant" if isinstance(part, ToolCall) else "tool"
        assert "cache_control" in warned(request(Message(role, (part,))), ROUTER)[0][1]


# --- Nothing is lost --------------------------------------------------------------------------------------------


texts = st.builds(Text, st.text(), st.sampled_from(["", "5m", "1h"]))
images = st.builds(Image, st.just("image/png"), st.binary(min_size=1, max_size=9))
results = st.builds(ToolResult, st.text(min_size=1), st.lists(texts | images, max_size=3).map(tuple))
calls = st.builds(ToolCall, st.text(min_size=1), st.text(min_size=1), st.text(min_size=1))
thoughts = st.builds(Reasoning, st.text(), provider=st.sampled_from(["", "openai", "openrouter"]))
turns = st.one_of(
    st.builds(Message, st.just("system"), st.lists(texts, max_size=3).map(tuple)),
    st.builds(Message, st.just("user"), st.lists(texts | images | results, max_size=4).map(tuple)),
    st.builds(Message, st.just("tool"), st.lists(results, min_size=1, max_size=3).map(tuple)),
    st.builds(Message, st.just("assistant"), st.lists(texts | calls | thoughts, max_size=4).map(tuple)),
)


@given(st.lists(turns, max_size=5), st.sampled_from(DIALECTS))
def test_no_part_is_lost_on_its_way_out(said: list[Message], dialect: Dialect) -> None:
    asked = request(*said)
    sent = [piece for message in body(asked, dialect)["messages"] for piece in pieces_of(message)]
    dropped = bool(warned(asked, dialect)) and any(code == "reasoning_dropped" for code, _ in warned(asked, dialect))
    held = [part for message in asked.messages for part in message.parts]
    held += [part for whole in held if isinstance(whole, ToolResult) for part in whole.parts]
    for kind, values in (
        ("text", "".join(part.text for part in held if isinstance(part, Text))),
        ("call", [(part.id, part.name, part.arguments) for part in held if isinstance(part, ToolCall)]),
        ("result", [part.call_id for part in held if isinstance(part, ToolResult)]),
        ("image", sorted(part.data or b"" for part in held if isinstance(part, Image))),
    ):
        found = [value for name, value in sent if name == kind]
        if kind == "text":
            assert sorted("".join(found)) == sorted(values)
        else:
            assert (sorted(found) if kind == "image" else found) == values
    own = {"", dialect.provider} if not dialect.official else set()
    theirs = [part for part in held if isinstance(part, Reasoning)]
    assert dropped == any(part.provider not in own for part in theirs)
    thought = "".join(value for name, value in sent if name == "thought")
    assert thought == "".join(part.text for part in theirs if part.provider in own)


def pieces_of(message: dict[str, Any]) -> list[tuple[str, Any]]:
    content = message["content"]
    pieces: list[tuple[str, Any]] = [
        ("thought", message[key]) for key in ("reasoning", "reasoning_content") if key in message
    ]
    parts: list[Any] = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
    for piece in parts:
        if piece["type"] == "text":
            pieces.append(("text", piece["text"]))
        else:
            pieces.append(("image", b64decode(piece["image_url"]["url"].partition(",")[2])))
    if "tool_call_id" in message:
        pieces.append(("result", message["tool_call_id"]))
    for call in message.get("tool_calls", ()):
        pieces.append(("call", (call["id"], call["function"]["name"], call["function"]["arguments"])))
    return pieces
