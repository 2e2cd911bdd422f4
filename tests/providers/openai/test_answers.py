"""What comes in: streams and whole bodies of many servers, each with a habit of its own, become the same events."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from llm_pool.core.errors import ProviderGarbled
from llm_pool.core.types import (
    Finished,
    Logprob,
    Reasoning,
    ReasoningDelta,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from tests.fakes.openai import Call, Script, chunk_of, frame, stream_of
from tests.providers.openai.asking import added_up, decode, frames

STOP = chunk_of({}, finish_reason="stop")
USED = chunk_of(None, usage={"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9})


def said(text: str, **more: Any) -> dict[str, Any]:
    return chunk_of({"content": text}, **more)


def called(*pieces: dict[str, Any]) -> list[ToolCallDelta]:
    chunks = [chunk_of({"tool_calls": [piece]}) for piece in pieces]
    *events, end = decode([frames(*chunks, chunk_of({}, finish_reason="stop"))])
    assert isinstance(end, Finished)
    assert end.reason == "tool_calls"
    assert all(isinstance(event, ToolCallDelta) for event in events)
    return [event for event in events if isinstance(event, ToolCallDelta)]


# --- Words ------------------------------------------------------------------------------------------------------


def test_an_answer_is_its_words_and_its_end() -> None:
    assert decode([stream_of(Script("Hello you"))]) == [
        TextDelta("Hello"),
        TextDelta(" you"),
        Finished("stop", Usage(7, output=2)),
    ]


def test_what_nobody_sees_in_pieces_comes_in_few() -> None:
    call = (
        {"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}},
        *({"index": 0, "function": {"arguments": x}} for x in ("{", "}")),
    )
    chunks = [chunk_of({"reasoning": word}) for word in ("Hm", ", ", "so")] + [said(word) for word in ("a", "b", "c")]
    chunks += [chunk_of({"tool_calls": [piece]}) for piece in call]
    assert decode([frames(*chunks, STOP, USED)], whole=True) == [
        ReasoningDelta("Hm, so", provider="openai"),
        TextDelta("abc"),
        ToolCallDelta(0, "c", "f", "{}"),
        Finished("tool_calls", Usage(7, output=2)),
    ]


def test_a_server_that_passes_over_stream_answers_all_the_same() -> None:
    message = {
        "role": "assistant",
        "content": "Hi",
        "reasoning_content": "Hm",
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"id": "b", "type": "function", "function": {"name": "g", "arguments": ""}},
        ],
    }
    body = {"object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    sent = b" \n" + orjson.dumps(body | {"usage": {"prompt_tokens": 1, "completion_tokens": 2}})
    for pieces in ([sent], [bytes([byte]) for byte in sent]):
        answer = added_up(decode(pieces))
        assert answer.parts == (
            Reasoning("Hm", provider="openai"),
            Text("Hi"),
            ToolCall("a", "f", "{}"),
            ToolCall("b", "g", "{}"),
        )
        assert (answer.reason, answer.usage) == ("tool_calls", Usage(1, output=2))


def test_chunks_of_other_choices_or_of_none_say_nothing() -> None:
    other = said("no") | {"choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": "length"}]}
    filtered = {"choices": [], "prompt_filter_results": [{"prompt_index": 0}]}  # Azure's first one
    chunks = (filtered, other, {"id": "x"}, said("yes") | {"error": None, "usage": None}, STOP, USED)
    assert decode([frames(*chunks)]) == [TextDelta("yes"), Finished("stop", Usage(7, output=2))]


def test_how_likely_the_words_were_comes_with_them() -> None:
    one = {"token": "a", "logprob": -1, "bytes": [97], "id": 5}
    likely = {"content": [one | {"top_logprobs": [one | {"bytes": None}]}], "refusal": None}
    event, *_ = decode([frames(said("a", logprobs=likely), STOP)])
    assert event == TextDelta("a", (Logprob("a", -1.0, (97,), (Logprob("a", -1.0),)),))
    bare, *_ = decode([frames(said("", logprobs=likely), STOP)], whole=True)
    assert bare == TextDelta("", event.logprobs)


@pytest.mark.parametrize(
    "script", [Script("", refusal="I will not"), Script("", refusal="I will not", finish_reason="length")]
)
def test_a_refusal_is_words_that_a_filter_ended(script: Script) -> None:
    choice = {"message": {"content": None, "refusal": "I will not"}, "finish_reason": script.finish_reason}
    for body in (stream_of(script), orjson.dumps({"choices": [choice]})):
        for whole in (False, True):
            events = decode([body], whole=whole)
            assert {type(event) for event in events[:-1]} == {TextDelta}
            answer = added_up(events)
            assert (answer.content, answer.reason) == ("I will not", "content_filter")


def test_a_mark_of_byte_order_at_the_very_beginning_means_nothing() -> None:
    body = orjson.dumps({"choices": [{"message": {"content": "Hi"}}]})
    for sent in (stream_of(Script("Hi")), body):
        marked = b"\xef\xbb\xbf" + sent
        for pieces in ([marked], [marked[:1], marked[1:2], marked[2:]], [marked[:3], marked[3:]]):
            assert added_up(decode(pieces)).content == "Hi"


# --- Thoughts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_thoughts_come_under_either_name(key: str) -> None:
    answer = added_up(decode([stream_of(Script("Hi", thinking="Hm, so", thinking_as=key))]))
    assert answer.parts == (Reasoning("Hm, so", provider="openai"), Text("Hi"))


def test_a_thought_said_under_both_names_is_said_once() -> None:
    both = chunk_of({"reasoning_content": "Hm", "reasoning": "Hm", "content": None})
    assert added_up(decode([frames(both, said("Hi"), STOP)])).reasoning == "Hm"


def detail(text: str | None = None, kind: str = "text", **more: Any) -> dict[str, Any]:
    return {"type": f"reasoning.{kind}", "index": 0} | ({} if text is None else {kind: text}) | more


def test_the_details_of_a_thought_are_kept_together_with_it_before_what_follows() -> None:
    pieces = [detail("Let me", signature=None), detail(" see", signature=None), detail(signature="sig==", format="x")]
    chunks = [chunk_of({"content": "", "reasoning": each.get("text"), "reasoning_details": [each]}) for each in pieces]
    hidden = {"type": "reasoning.encrypted", "data": "b64==", "id": "c", "index": 1}
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}
    late = chunk_of({"tool_calls": [call], "reasoning_details": [hidden]})
    one, two, said_it, three, four, made, _ = decode([frames(*chunks, said("Hi"), late, STOP)])
    assert [one, two] == [ReasoningDelta("Let me", provider="openai"), ReasoningDelta(" see", provider="openai")]
    assert isinstance(said_it, ReasoningDelta)
    assert orjson.loads(said_it.opaque) == [detail("Let me see", signature="sig==", format="x")]
    assert not said_it.redacted
    assert three == TextDelta("Hi")
    assert isinstance(four, ReasoningDelta)
    assert (four.redacted, orjson.loads(four.opaque)) == (True, [hidden])
    assert made == ToolCallDelta(0, "c", "f", "{}")


def test_details_alone_say_their_words() -> None:
    chunks = [chunk_of({"reasoning_details": [detail(word, "summary")]}) for word in ("Let", " me")]
    answer = added_up(decode([frames(*chunks, said("Hi"), STOP)]))
    (thought, _) = answer.parts
    assert isinstance(thought, Reasoning)
    assert (thought.text, orjson.loads(thought.opaque)) == ("Let me", [detail("Let me", "summary")])


@pytest.mark.parametrize(
    "details",
    [
        [detail("a", signature="s1"), detail("b", signature="s2")],
        [detail("a", id="1"), detail("b", id="2")],
        [detail("a"), detail("b", index=1)],
        [detail("a"), detail("b", "summary")],
    ],
)
def test_details_of_different_thoughts_are_not_run_together(details: list[dict[str, Any]]) -> None:
    answer = added_up(decode([stream_of(Script("Hi", details=tuple(details)))]))
    (thought, _) = answer.parts
    assert isinstance(thought, Reasoning)
    assert orjson.loads(thought.opaque) == details


# --- Tool calls -------------------------------------------------------------------------------------------------


CALLS = (Call("f", '{"x": 1, "y": "é"}', "call_a"), Call("g", '{"z": [1, 2, 3]}', "call_b"))


@pytest.mark.parametrize("way", ["pieces", "whole", "whole without index"])
def test_calls_at_once_keep_their_arguments_apart(way: Any) -> None:
    answer = added_up(decode([stream_of(Script(calls=CALLS, calls_as=way))]))
    assert answer.tool_calls == tuple(ToolCall(call.id, call.name, call.arguments) for call in CALLS)
    assert answer.reason == "tool_calls"


def test_calls_are_counted_from_0_whatever_their_numbers_are() -> None:
    made = called(*({"index": number, "id": f"c{number}", "function": {"name": "f"}} for number in (3, 7)))
    assert [(call.index, call.id) for call in made if call.name] == [(0, "c3"), (1, "c7")]


def test_calls_that_all_have_the_number_0_are_told_apart_by_their_ids() -> None:
    made = called(*({"index": 0, "id": each, "function": {"name": each, "arguments": "{}"}} for each in "ab"))
    assert made == [ToolCallDelta(0, "a", "a", "{}"), ToolCallDelta(1, "b", "b", "{}")]


@pytest.mark.parametrize("numbered", [{"index": 0}, {}])
def test_an_id_and_a_name_in_every_piece_are_one_call(numbered: dict[str, int]) -> None:
    made = called(*(numbered | {"id": "a", "function": {"name": "f", "arguments": piece}} for piece in ("{", "}")))
    assert made == [ToolCallDelta(0, "a", "f", "{"), ToolCallDelta(0, "", "", "}")]


def test_a_piece_with_an_id_alone_belongs_to_the_call_of_that_id_however_it_got_it() -> None:
    made = called(
        {"index": 0, "function": {"arguments": "{"}},
        {"index": 0, "id": "a"},
        {"id": "b", "function": {"name": "g", "arguments": "{}"}},
        {"id": "a", "function": {"name": "f", "arguments": "}"}},
    )
    assert made == [ToolCallDelta(1, "b", "g", "{}"), ToolCallDelta(0, "a", "f", "{}")]


def test_a_call_without_an_id_gets_one_of_its_own() -> None:
    first, second, third = called(
        {"function": {"name": "f"}}, {"function": {"arguments": "{}"}}, {"function": {"name": "f", "arguments": "{}"}}
    )
    assert first.id.startswith("call_")
    assert (second.index, second.id, second.arguments) == (0, "", "{}")
    assert third.index == 1
    assert third.id.startswith("call_")
    assert third.id != first.id


def test_arguments_that_come_before_the_name_wait_for_it() -> None:
    made = called(
        {"index": 0, "id": "a", "function": {"arguments": "{"}},
        {"index": 0, "function": {"name": "f"}},
        {"index": 0, "function": {"arguments": "}"}},
    )
    assert made == [ToolCallDelta(0, "a", "f", "{"), ToolCallDelta(0, "", "", "}")]


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_call_without_arguments_has_an_empty_object_by_the_end(nothing: str | None) -> None:
    made = called({"index": 0, "id": "a", "function": {"name": "f", "arguments": nothing}})
    assert "".join(call.arguments for call in made) == "{}"


def test_arguments_may_be_an_object_and_calls_of_the_old_kind() -> None:
    assert (
        called({"index": 0, "id": "a", "function": {"name": "f", "arguments": {"x": "é"}}})[0].arguments == '{"x":"é"}'
    )
    old = [
        chunk_of({"function_call": {"name": "f", "arguments": ""}}),
        chunk_of({"function_call": {"arguments": "{}"}}),
    ]
    answer = added_up(decode([frames(*old, chunk_of({}, finish_reason="function_call"))]))
    assert [(call.name, call.arguments) for call in answer.tool_calls] == [("f", "{}")]
    assert answer.reason == "tool_calls"


# --- Ends -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("why", "reason"),
    [
        *(
            ("stop", "stop"),
            ("length", "length"),
            ("content_filter", "content_filter"),
            ("eos", "stop"),
            ("new", "stop"),
        ),
        *(("max_tokens", "length"), ("SAFETY", "content_filter"), ("end_turn", "stop")),
    ],
)
@pytest.mark.parametrize("done", [True, False])
def test_every_way_of_ending_has_a_reason_of_ours_with_a_mark_and_without(why: str, reason: str, done: bool) -> None:
    answer = added_up(decode([stream_of(Script("Hi", finish_reason=why, done=done))]))
    assert (answer.content, answer.reason, answer.usage) == ("Hi", reason, Usage(7, output=1))


def test_the_sequence_that_ended_it_is_told_where_the_server_tells_it() -> None:
    for told, stopped_by in (("END", "END"), (128_009, ""), (None, "")):
        last = chunk_of({}, finish_reason="stop")
        last["choices"][0]["stop_reason"] = told
        assert added_up(decode([frames(said("Hi"), last)])).stopped_by == stopped_by


def test_an_empty_reason_ends_an_answer_only_with_the_mark() -> None:
    body = frames(said("Hi", finish_reason=""), chunk_of({}, finish_reason=""), done=False)
    assert decode([body]) == [TextDelta("Hi")]
    assert decode([body, b"data: [DONE]\n\n"])[-1] == Finished("stop", Usage(estimated=True))


def test_an_end_without_its_empty_line_is_an_end() -> None:
    for tail in (b"data: [DONE]", b"data: [DONE]\n", frame(USED)[:-2] + b"\n", frame(USED)[:-2]):
        *_, end = decode([frames(said("Hi"), STOP, done=False) + tail])
        assert isinstance(end, Finished)


# --- Usage ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["own chunk", "last chunk", "twice", "never"])
def test_usage_is_found_wherever_it_is_and_its_lack_is_marked(where: Any) -> None:
    usage = added_up(decode([stream_of(Script("Hi you", usage=where))])).usage
    assert usage == (Usage(estimated=True) if where == "never" else Usage(7, output=2))


def test_of_usage_said_several_times_the_last_counts() -> None:
    running = [said("a") | {"usage": {"prompt_tokens": 7, "completion_tokens": count}} for count in (1, 2)]
    assert added_up(decode([frames(*running, STOP, USED)])).usage == Usage(7, output=2)


@pytest.mark.parametrize("nothing", [{}, None])
def test_an_empty_usage_at_the_end_takes_no_count_back(nothing: Any) -> None:
    answer = added_up(decode([frames(said("a"), STOP, USED, chunk_of(None, usage=nothing))]))
    assert answer.usage == Usage(7, output=2)


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}, Usage(9, output=5)),
        (
            {
                "prompt_tokens": 9,
                "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3},
                "completion_tokens": 5,
            },
            Usage(2, 4, 3, 5),
        ),
        ({"prompt_tokens": 9, "prompt_cache_hit_tokens": 4, "completion_tokens": 5}, Usage(5, 4, 0, 5)),
        ({"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens": 0}, Usage(0, 3)),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 5,
                "completion_tokens_details": {"reasoning_tokens": 4},
                "total_tokens": 14,
            },
            Usage(9, output=1, reasoning=4),
        ),
        (  # xAI's way
            {
                "prompt_tokens": 9,
                "completion_tokens": 5,
                "completion_tokens_details": {"reasoning_tokens": 40},
                "total_tokens": 54,
            },
            Usage(9, output=5, reasoning=40),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 54},
            Usage(9, output=5, reasoning=40),
        ),  # Gemini's
        (  # a total that nothing explains
            {
                "prompt_tokens": 9,
                "completion_tokens": 5,
                "completion_tokens_details": {"reasoning_tokens": 4},
                "total_tokens": 54,
            },
            Usage(9, output=1, reasoning=4),
        ),
        ({"prompt_tokens": 9, "prompt_tokens_details": None}, Usage(9, estimated=True)),
    ],
)
def test_tokens_fall_into_disjoint_buckets(counts: dict[str, Any], usage: Usage) -> None:
    assert added_up(decode([stream_of(Script("Hi", counts=counts))])).usage == usage


def test_a_call_that_never_got_a_name_is_garbled() -> None:
    with pytest.raises(ProviderGarbled, match="without a name"):
        called({"index": 0, "id": "a", "function": {"arguments": "{}"}})
