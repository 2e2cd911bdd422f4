"""The events of a streamed response, without a socket: their order, and that they add up to the whole answer."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState

from llm_pool.core.errors import ProviderLimited, StreamBroken
from llm_pool.core.streams import Sum
from llm_pool.core.trace import Trace
from llm_pool.core.types import (
    Finished,
    Phase,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    Usage,
    Warning,
)
from llm_pool.edges.http.openai.responses import ResponsesDoor
from llm_pool.edges.http.openai.responses_out import Words, items
from llm_pool.edges.http.openai.responses_stream import Telling
from tests.edges.openai.responding import MODEL, TALKATIVE, Object, events, hold, lasting

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llm_pool.core.types import Event

BODY, _ = ResponsesDoor().parsed(b'{"model":"pool/fastest","input":"hi"}')


def words() -> Words:
    return Words(BODY, "call", created=7)


def told(said: Iterable[Event]) -> list[Object]:
    telling = Telling(words(), BODY.model, Trace(started=0.0), now=lambda: 9.0)
    return events(b"".join([telling.tell(event) for event in said]) + telling.end())


def whole(said: Sequence[Event]) -> Object:
    sum_of = Sum()
    *others, end = said
    for event in others:
        sum_of.add(event)
    assert isinstance(end, Finished)
    answer = sum_of.answer(end)
    return words().done(
        answer.model,
        items(answer, "call"),
        reason=answer.reason,
        usage=answer.usage,
        trace=Trace(started=0.0),
        now=9.0,
    )


def test_events_come_in_the_order_that_is_documented() -> None:
    names = [event["type"].removeprefix("response.") for event in told(TALKATIVE)]
    assert [name for name, _ in groupby(names)] == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]


def test_pieces_of_calls_in_turn_go_to_their_own_items() -> None:
    deltas = [event for event in told(TALKATIVE) if event["type"] == "response.function_call_arguments.delta"]
    assert [(event["output_index"], event["delta"]) for event in deltas] == [
        (2, '{"place":'),
        (3, '{"place"'),
        (2, '"Faro"}'),
        (3, ':"Évora"}'),
    ]


def test_a_thought_that_is_withheld_has_no_text() -> None:
    said = (Started(MODEL, "a"), ReasoningDelta("", "c2VhbA==", True, "sim"), Finished("stop", Usage()))
    names = [event["type"] for event in told(said)]
    assert names[2:-1] == ["response.output_item.added", "response.output_item.done"]
    (item,) = told(said)[-1]["response"]["output"]
    assert (item["type"], item["summary"], bool(item["encrypted_content"])) == ("reasoning", [], True)


def test_an_answer_of_nothing_is_an_answer() -> None:
    said = (Started(MODEL, "a"), Finished("stop", Usage(input=1)))
    assert [event["type"] for event in told(said)][2:] == ["response.completed"]
    assert told(said)[-1]["response"]["output"] == []


def test_what_this_wire_has_no_word_for_is_not_said() -> None:
    others = (Phase("vote", "a"), Warning("w", "w"))
    assert told((*TALKATIVE[:5], *others, *TALKATIVE[5:])) == told(TALKATIVE)


def test_a_stream_that_breaks_says_what_was_complete_and_no_more() -> None:
    telling = Telling(words(), BODY.model, Trace(started=0.0), now=lambda: 9.0)
    said = b"".join([telling.tell(event) for event in TALKATIVE[:6]])
    *before, last = events(said + telling.error(StreamBroken("a: broke off"), "call"))
    assert [each["type"] for each in before].count("response.output_item.done") == 1
    assert last["type"] == "response.failed"
    assert [item["type"] for item in last["response"]["output"]] == ["reasoning"]
    assert last["response"]["error"] == {"code": "server_error", "message": "a: broke off"}
    assert last["error"]["code"] == "stream_broken"
    hold(last)


def test_one_that_breaks_before_it_began_says_so_too() -> None:
    """As one does whose first byte was a ping."""
    telling = Telling(words(), BODY.model, Trace(started=0.0), now=lambda: 9.0)
    (last,) = events(telling.error(ProviderLimited("too many"), "call"))
    assert (last["type"], last["response"]["model"]) == ("response.failed", "pool/fastest")
    assert last["response"]["error"]["code"] == last["error"]["code"] == "rate_limit_exceeded"


# --- Whatever is said -------------------------------------------------------------------------------------------

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
pieces = (
    st.builds(TextDelta, text)
    | st.builds(ReasoningDelta, text, st.sampled_from(["", "", "c2VhbA=="]), st.just(False), st.just("sim"))
    | st.builds(ReasoningDelta, st.just(""), text, st.just(True), st.just("sim"))
    | st.builds(ToolCallDelta, st.integers(0, 2), st.just(""), st.just(""), text)
)


def spoken(said: list[Any], reason: Any) -> list[Event]:
    """A stream of these pieces: the first of each call has its id and its name."""
    known: set[int] = set()
    stream: list[Event] = [Started(MODEL, "a")]
    for each in said:
        if isinstance(each, ToolCallDelta) and each.index not in known:
            known.add(each.index)
            stream.append(ToolCallDelta(each.index, f"call_{each.index}", "weather", each.arguments))
        else:
            stream.append(each)
    return [*stream, Finished(reason, Usage(1, 2, 3, 4, 5))]


@given(st.lists(pieces, max_size=14), st.sampled_from(["stop", "length", "tool_calls", "content_filter"]))
def test_whatever_is_said_adds_up_to_the_whole_answer(said: list[Any], reason: Any) -> None:
    """In the last event, and piece by piece; and the client's own adding up finds nothing amiss."""
    stream = spoken(said, reason)
    heard = told(stream)
    assert heard[-1]["response"] == whole(stream)
    state: ResponseStreamState[None] = ResponseStreamState(input_tools=omit, text_format=omit)
    for event in heard:
        state.handle_event(hold(event))
    if reason in {"stop", "tool_calls"}:
        assert state._completed_response is not None
        assert lasting(state._completed_response)["status"] == "completed"
    output = heard[-1]["response"]["output"]
    for index, item in enumerate(output):
        own = [event for event in heard if event.get("output_index") == index]
        assert own[0]["type"] == "response.output_item.added"
        assert (own[-1]["type"], own[-1]["item"]) == ("response.output_item.done", item)
        assert {event.get("item_id", item["id"]) for event in own} == {item["id"]}
        said_of_it = "".join(event["delta"] for event in own if "delta" in event)
        assert said_of_it == _text(item)


def _text(item: Object) -> str:
    match item["type"]:
        case "message":
            return "".join(part["text"] for part in item["content"])
        case "reasoning":
            return "".join(part["text"] for part in item["summary"])
        case _:
            arguments: str = item["arguments"]
            return arguments
