"""The frames of a stream: one block at a time, in Anthropic's order, and in sum the whole answer."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.core.errors import DeadlineExceeded, ProviderGarbled
from llm_pool.core.types import (
    Event,
    Finished,
    Phase,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    Usage,
    Warning,
)
from llm_pool.edges.http.anthropic.streams import Telling
from tests.edges.anthropic.asking import USAGE, added_up, frames, request_for, streamed, whole

if TYPE_CHECKING:
    from llm_pool.core.types import FinishReason

START = Started("sim/m", "a")
END = Finished("stop", USAGE)


def call(index: int, arguments: str, *, first: bool = True) -> ToolCallDelta:
    return ToolCallDelta(index, f"call_{index}" if first else "", f"tool{index}" if first else "", arguments)


def blocks(*events: Event) -> list[list[str]]:
    """What was said of each block, piece by piece."""
    told: list[list[str]] = []
    for frame in frames(streamed([START, *events, END])):
        if frame["type"] == "content_block_start":
            told.append([])
        elif frame["type"] == "content_block_delta":
            (piece,) = [value for key, value in frame["delta"].items() if key != "type"]
            told[-1].append(piece)
    return told


def test_a_text_is_one_block_whose_pieces_are_those_of_the_model() -> None:
    stream = streamed([START, TextDelta("Hel"), TextDelta('"lo"\n'), END])
    assert stream.count(b"event: ") == 7
    piece = b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\\"lo\\"\\n"}}'
    assert b"event: content_block_delta\ndata: %b\n\n" % piece in stream
    assert added_up(stream)["content"] == [{"type": "text", "text": 'Hel"lo"\n'}]


def test_an_empty_answer_has_no_blocks() -> None:
    nothings: list[list[Event]] = [[], [TextDelta("")], [ReasoningDelta(""), TextDelta("")]]
    for nothing in nothings:
        events = [START, *nothing, END]
        assert added_up(streamed(events)) == whole(events)
        assert whole(events)["content"] == []


def test_the_end_counts_all_that_the_start_could_not() -> None:
    start, *_, delta, _ = frames(streamed([START, END]))
    assert set(start["message"]["usage"].values()) == {0}
    assert delta["usage"] == {
        "input_tokens": 7,
        "cache_creation_input_tokens": 3,
        "cache_read_input_tokens": 5,
        "output_tokens": 13,
        "output_tokens_details": {"thinking_tokens": 2},
    }


def test_thoughts_that_nobody_told_apart_are_not_counted_as_none() -> None:
    *_, delta, _ = frames(streamed([START, Finished("stop", Usage(input=1, output=2))]))
    assert "output_tokens_details" not in delta["usage"]


def test_calls_that_follow_one_another_are_told_as_they_come() -> None:
    """The second begins as soon as the arguments of the first are complete, not with the end of the answer."""
    telling = Telling(request_for())
    telling.tell(START)
    telling.tell(call(0, '{"a":'))
    telling.tell(call(0, "1}", first=False))
    told = frames(telling.tell(call(1, "")))
    assert [frame["type"] for frame in told] == ["content_block_stop", "content_block_start"]
    assert frames(telling.tell(call(1, "{", first=False)))[0]["delta"]["partial_json"] == "{"


def test_calls_that_come_in_turns_wait_for_one_another() -> None:
    said = [call(0, "{"), call(1, '{"b":'), call(0, '"a"', first=False), call(1, "2}", first=False)]
    assert blocks(*said, call(0, ":1}", first=False)) == [["{", '"a"', ":1}"], ['{"b":2}']]


def test_a_call_that_was_waited_for_lets_the_next_one_go_on_at_once() -> None:
    telling = Telling(request_for())
    for event in (START, call(0, "{"), call(1, '{"b":')):
        telling.tell(event)
    told = frames(telling.tell(call(0, "}", first=False)))
    types = ["content_block_delta", "content_block_stop", "content_block_start", "content_block_delta"]
    assert [frame["type"] for frame in told] == types
    assert frames(telling.tell(call(1, "2}", first=False)))[0]["delta"]["partial_json"] == "2}"


def test_a_text_amid_a_call_comes_after_it() -> None:
    assert blocks(call(0, "{"), TextDelta("So"), call(0, "}", first=False), TextDelta("!")) == [
        ["{", "}"],
        ["So", "!"],
    ]


def test_a_call_that_goes_on_after_its_end_is_garbled() -> None:
    telling = Telling(request_for())
    for event in (START, call(0, "{}"), call(1, "{}")):
        telling.tell(event)
    assert telling.tell(call(0, " \n", first=False)) == b""
    with pytest.raises(ProviderGarbled):
        telling.tell(call(0, "{}", first=False))


def test_a_redacted_thought_is_a_block_of_its_own() -> None:
    thoughts = [
        ReasoningDelta("hm", provider="anthropic"),
        ReasoningDelta("", "x", redacted=True, provider="anthropic"),
    ]
    told = added_up(streamed([START, *thoughts, ReasoningDelta("so", provider="anthropic"), END]))["content"]
    assert [block["type"] for block in told] == ["thinking", "redacted_thinking", "thinking"]
    assert told[1]["data"] == "x"


def test_a_text_that_a_thought_interrupts_goes_on_in_another_block() -> None:
    assert blocks(
        TextDelta("a"), ReasoningDelta("hm", "sig", provider="anthropic"), TextDelta("b"), TextDelta("c")
    ) == [
        ["a"],
        ["hm", "sig"],
        ["b", "c"],
    ]


def test_phases_and_warnings_are_no_frames() -> None:
    telling = Telling(request_for())
    assert telling.tell(Phase("asking", "a")) == telling.tell(Warning("w", "why")) == b""


def test_what_was_not_heeded_is_told_once_at_the_end() -> None:
    request = request_for()
    request.trace.warnings += [Warning("parameter_ignored", "seed"), Warning("parameter_ignored", "seed")]
    telling = Telling(request)
    (start,) = frames(telling.tell(START))
    (delta,) = frames(telling.tell(END))
    assert "llm_pool" not in start
    assert delta["llm_pool"] == {"warnings": [{"code": "parameter_ignored", "message": "seed"}]}


def test_an_error_amid_a_stream_is_anthropic_s_error_event() -> None:
    (told,) = frames(Telling(request_for()).error(DeadlineExceeded("too late"), "r"))
    assert told == {"type": "error", "error": {"type": "timeout_error", "message": "too late"}, "request_id": "r"}


@pytest.mark.parametrize(
    ("reason", "stopped_by", "told"),
    [
        ("stop", "", ("end_turn", None)),
        ("stop", "###", ("stop_sequence", "###")),
        ("length", "", ("max_tokens", None)),
        ("tool_calls", "", ("tool_use", None)),
        ("content_filter", "", ("refusal", None)),
    ],
)
def test_each_end_has_anthropic_s_word(reason: FinishReason, stopped_by: str, told: tuple[str, str | None]) -> None:
    events: list[Event] = [START, TextDelta("x"), Finished(reason, USAGE, stopped_by)]
    for message in (whole(events), added_up(streamed(events))):
        assert (message["stop_reason"], message["stop_sequence"]) == told
        assert (message["stop_details"] is not None) == (reason == "content_filter")


# --- Any answer -------------------------------------------------------------------------------------------------

TEXTS = st.sampled_from(["", "a", " ", 'é"\\\n', "\U0001f600"])
VALUES = st.dictionaries(TEXTS, st.integers(-9, 9) | TEXTS | st.lists(TEXTS, max_size=2), max_size=3)


@st.composite
def answers_(draw: st.DrawFn) -> list[Event]:
    """Texts, thoughts, and calls whose pieces come in turns."""
    calls = [_cut(draw, orjson.dumps(draw(VALUES)).decode()) for _ in range(draw(st.sampled_from([2, 3, 1, 0])))]
    said: list[Event] = []
    begun = 0
    kinds = ["text", "thought", "begin", *["piece"] * 3]
    for kind in draw(st.lists(st.sampled_from(kinds), min_size=8, max_size=24)):
        if kind == "text":
            said.append(TextDelta(draw(TEXTS)))
        elif kind == "thought":
            redacted = draw(st.booleans())
            text = "" if redacted else draw(TEXTS)
            who = draw(st.sampled_from(["anthropic", "openrouter"]))
            said.append(ReasoningDelta(text, draw(st.sampled_from(["", "", "sig"])), redacted, who))
        elif kind == "begin" and begun < len(calls):
            said.append(call(begun, calls[begun].pop(0)))
            begun += 1
        elif kind == "piece" and begun:
            index = draw(st.integers(0, begun - 1))
            if calls[index]:
                said.append(call(index, calls[index].pop(0), first=False))
    for index in range(begun):
        said += [call(index, piece, first=False) for piece in calls[index]]
    return [START, *said, END]


def _cut(draw: st.DrawFn, text: str) -> list[str]:
    cuts = [0, *sorted(draw(st.lists(st.integers(0, len(text)), max_size=3))), len(text)]
    return [text[a:b] for a, b in pairwise(cuts)]


@given(answers_())
def test_a_stream_adds_up_to_the_whole_answer(events: list[Event]) -> None:
    assert added_up(streamed(events)) == whole(events)
