"""What the streams of Anthropic's API mean, however the network cuts them; and that half of one means nothing whole."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.core.errors import (
    ContextTooLong,
    PoolError,
    ProviderError,
    ProviderGarbled,
    ProviderLimited,
    ProviderMisconfigured,
    ProviderOverloaded,
    ProviderTimeout,
    RequestRefused,
    StreamBroken,
)
from llm_pool.core.types import Finished, ReasoningDelta, TextDelta, ToolCallDelta, Usage
from llm_pool.providers.anthropic.decoding import counted
from tests.fakes.anthropic import Script, error, frame
from tests.providers.anthropic.asking import GOLDEN, SIGNATURE, WHO, added_up, decoder, heard, meant

golden = pytest.mark.parametrize("script", GOLDEN.values(), ids=GOLDEN)

START = next(Script().events())
TEXT = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
STOP = {"type": "message_stop"}


def delta(text: object, index: object = 0, kind: str = "text") -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": f"{kind}_delta", kind: text}}


def opened(block: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def ended(reason: object = "end_turn", **usage: object) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage}


def frames(*events: dict[str, Any]) -> bytes:
    return b"".join(map(frame, events))


# --- Answers ----------------------------------------------------------------------------------------------------


@golden
async def test_a_stream_added_up_is_what_was_said(script: Script) -> None:
    events = heard(script.stream())
    answer = await added_up(events)
    assert (answer.parts, events[-1]) == meant(script)


@golden
async def test_a_server_that_does_not_stream_is_understood_as_well(script: Script) -> None:
    body = orjson.dumps(script.whole())
    for pieces in ([body], [b" \n", body[:10], body[10:]]):
        events = heard(*pieces)
        assert ((await added_up(events)).parts, events[-1]) == meant(script)


def test_thoughts_stream_at_once_and_their_signature_closes_them() -> None:
    events = heard(GOLDEN["thinking"].stream())
    thoughts = [event for event in events if isinstance(event, ReasoningDelta)]
    assert len(thoughts) > 3
    assert all(event.provider == "anthropic" for event in thoughts)
    assert thoughts[-1] == ReasoningDelta("", SIGNATURE, provider="anthropic")
    assert not any(event.opaque for event in thoughts[:-1])


def test_a_thought_that_is_kept_secret_still_has_its_signature() -> None:
    script = Script(({"type": "thinking", "thinking": "", "signature": SIGNATURE},))
    assert heard(script.stream())[:-1] == [ReasoningDelta("", SIGNATURE, provider="anthropic")]


def test_calls_count_from_nought_and_have_arguments_in_the_end() -> None:
    calls = [event for event in heard(GOLDEN["parallel"].stream()) if isinstance(event, ToolCallDelta)]
    first, *more = [call for call in calls if call.index == 0]
    assert first == ToolCallDelta(0, "toolu_01", "weather", "")
    assert len(more) > 3
    assert not any(call.id or call.name for call in more)
    assert orjson.loads("".join(call.arguments for call in more)) == {"city": "São Paulo", "days": 3}
    assert [call for call in calls if call.index == 1] == [
        ToolCallDelta(1, "toolu_02", "clock", ""),
        ToolCallDelta(1, "", "", "{}"),
    ]


def test_nobody_sees_the_pieces_of_a_whole_answer_so_they_are_joined() -> None:
    stream = GOLDEN["parallel"].stream()
    joined = [event for event in heard(stream, whole=True) if isinstance(event, TextDelta)]
    assert joined == [TextDelta("I look.")]
    assert len([event for event in heard(stream) if isinstance(event, TextDelta)]) == 2


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("end_turn", "stop"), ("stop_sequence", "stop"), ("pause_turn", "stop"), ("something_new", "stop"),
        ("max_tokens", "length"), ("model_context_window_exceeded", "length"), ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
    ],
)  # fmt: skip
def test_every_reason_has_our_word(said: str, reason: str) -> None:
    (finished,) = heard(Script((), stop_reason=said).stream())
    assert isinstance(finished, Finished)
    assert finished.reason == reason


def test_counts_are_sums_so_far_and_thinking_is_told_apart_where_it_is() -> None:
    first = {"input_tokens": 10, "cache_read_input_tokens": 5, "cache_creation_input_tokens": None}
    last: dict[str, Any] = {"output_tokens": 9, "input_tokens": 12, "cache_creation_input_tokens": 3}
    last |= {"output_tokens_details": {"thinking_tokens": 4}}
    (*_, finished) = heard(Script(usage=first, last_usage=last).stream())
    assert isinstance(finished, Finished)
    assert finished.usage == Usage(input=12, cache_read=5, cache_write=3, output=5, reasoning=4)
    (*_, unsaid) = heard(frames({"type": "message_start", "message": {}}, ended(), STOP))
    assert isinstance(unsaid, Finished)
    assert unsaid.usage == Usage(estimated=True)


def test_what_is_not_known_means_nothing() -> None:
    news = [{"type": "news", "x": 1}, opened({"type": "hologram"}, 5), delta("?", 5), {"type": "ping"}]
    cited = {"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": {}}}
    stop = {"type": "content_block_stop", "index": 5}
    events = heard(frames({"type": "ping"}, START, TEXT, *news, delta("a"), cited, stop, ended(), STOP))
    assert events[:-1] == [TextDelta("a")]


# --- Cuts -------------------------------------------------------------------------------------------------------


@golden
@given(data=st.data())
def test_where_the_pieces_meet_makes_no_difference(script: Script, data: st.DataObject) -> None:
    stream = script.stream()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    pieces = [stream[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert heard(*pieces) == heard(stream)
    assert heard(*pieces) == heard(stream.replace(b"\n", b"\r\n")) == heard(b"\xef\xbb\xbf" + stream)


def test_a_stream_that_comes_byte_by_byte_is_the_same() -> None:
    for script in GOLDEN.values():
        stream = script.stream()
        assert heard(*[stream[at : at + 1] for at in range(len(stream))]) == heard(stream)


@golden
def test_no_beginning_of_an_answer_is_taken_for_all_of_it(script: Script) -> None:
    """But for the empty line behind its last event; and the words in it are no others than those of the whole."""
    for whole in (script.stream(), orjson.dumps(script.whole())):
        events = heard(whole)
        end = len(whole.rstrip())
        for cut in range(end):
            beginning = heard(whole[:cut])
            assert beginning == events[: len(beginning)], cut
            assert not any(isinstance(event, Finished) for event in beginning), cut
        assert heard(whole[:end]) == events


def test_an_answer_without_its_last_event_is_not_done() -> None:
    decoding = decoder()
    events = [*decoding.feed(Script(stop=False).stream()), *decoding.end()]
    assert (decoding.began, decoding.done) == (True, False)
    assert not any(isinstance(event, Finished) for event in events)


def test_nothing_after_the_last_event_is_looked_at() -> None:
    assert heard(Script().stream() + b"data: [DONE]\n\n") == heard(Script().stream())


# --- Errors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "ours"),
    [
        ("overloaded_error", ProviderOverloaded), ("rate_limit_error", ProviderLimited),
        ("billing_error", ProviderLimited), ("authentication_error", ProviderMisconfigured),
        ("not_found_error", ProviderMisconfigured), ("invalid_request_error", RequestRefused),
        ("request_too_large", ContextTooLong), ("timeout_error", ProviderTimeout), ("api_error", ProviderError),
        ("brand_new_error", ProviderError), ({}, ProviderError),
    ],
)  # fmt: skip
def test_an_error_before_any_word_is_of_its_own_class(kind: Any, ours: type[PoolError]) -> None:
    for before in (b"", frames({"type": "ping"}), frames(START)):
        with pytest.raises(ProviderError) as failed:
            heard(before + frames(error(kind)))
        assert type(failed.value) is ours
        assert "secret" not in failed.value.message
    with pytest.raises(ProviderError) as failed:
        heard(orjson.dumps(error(kind)))
    assert type(failed.value) is ours


def test_an_error_after_a_word_breaks_the_stream_and_the_words_before_it_are_heard() -> None:
    events = iter(decoder().feed(frames(START, TEXT, delta("a"), delta("b"), error("overloaded_error"))))
    assert [next(events), next(events)] == [TextDelta("a"), TextDelta("b")]
    with pytest.raises(StreamBroken) as failed:
        next(events)
    for last in (frames(error("overloaded_error")), frames({"type": "ping"}, error("overloaded_error"))):
        with pytest.raises(StreamBroken):
            heard(frames(START, TEXT, delta("a")), last)
    assert "secret" not in failed.value.message


CALL = {"type": "tool_use", "id": "t", "name": "f", "input": {}}


@pytest.mark.parametrize(
    "events",
    [
        [START, START],
        [TEXT],
        [ended()],
        [STOP],
        [START, STOP],
        [START, ended(None), STOP],
        [START, ended(5)],
        [START, delta("a")],
        [START, TEXT, delta("a", 1)],
        [START, TEXT, delta("a", False)],
        [START, TEXT, delta("a", [])],
        [START, TEXT, delta(5)],
        [START, TEXT, {"type": "content_block_delta", "index": 0}],
        [START, {"type": "content_block_start", "index": "0"}],
        [START, {"type": "content_block_start", "index": 0, "content_block": []}],
        [START, {"type": "content_block_stop", "index": 0}],
        [START, opened(CALL | {"id": None})],
        [START, opened(CALL | {"name": ""})],
        [START, opened(CALL | {"input": "{}"})],
        [START, opened(CALL), delta({}, kind="partial_json")],
        [START, opened({"type": "thinking", "thinking": 1})],
        [START, opened({"type": "thinking"}), delta(1, kind="signature")],
        [START, opened({"type": "redacted_thinking", "data": {}})],
        [{"type": "message_start"}],
        [{"type": "message_start", "message": {"usage": []}}],
        [{"type": "message_start", "message": {"usage": {"input_tokens": -1}}}],
        [{"type": "message_start", "message": {"usage": {"input_tokens": True}}}],
        [START, ended(output_tokens=2**31)],
        [START, ended(output_tokens=1.5)],
        [START, ended(output_tokens_details=[])],
        [START, ended(output_tokens_details={"thinking_tokens": "1"})],
    ],
)
def test_what_is_of_a_wrong_kind_is_garbled(events: list[dict[str, Any]]) -> None:
    with pytest.raises(ProviderGarbled):
        heard(frames(*events))


@pytest.mark.parametrize(
    "body",
    [b"data: {]\n\n", b"data: 5\n\n", b'data: "x"\n\n', b'{"type": "message"}', b'{"a": 1}', b'{"type": 5}',
     b'{"type": "message", "content": [5]}', b'{"type": "message", "content": []}'],
)  # fmt: skip
def test_what_is_no_event_and_no_message_is_garbled(body: bytes) -> None:
    with pytest.raises(ProviderGarbled):
        heard(body)


json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(script=st.sampled_from(list(GOLDEN.values())), data=st.data())
def test_nothing_that_a_server_says_is_more_than_an_error_of_ours(script: Script, data: st.DataObject) -> None:
    """Any value in any place of any event."""
    events = list(script.events())
    event: Any = orjson.loads(orjson.dumps(events[data.draw(st.integers(0, len(events) - 1))]))
    place = event
    while isinstance(place, dict) and place:
        key = data.draw(st.sampled_from(sorted(place)))
        if not isinstance(place[key], dict) or data.draw(st.booleans()):
            place[key] = data.draw(json)
            break
        place = place[key]
    position = data.draw(st.integers(0, len(events)))
    mixed = [*events[:position], event, *events[position + 1 :]]
    stream = b"".join(b"data: " + orjson.dumps(each) + b"\n\n" for each in mixed)
    for wire in (stream, orjson.dumps(event)):
        with suppress(ProviderError):
            heard(wire)


# --- Counts -----------------------------------------------------------------------------------------------------


def test_a_count_is_read_and_nothing_else_is_taken_for_one() -> None:
    assert counted(b'{"input_tokens": 42}', who=WHO) == Finished("stop", Usage(), counted=42)
    for body in (b"", b"[]", b"{}", b'{"input_tokens": "42"}', b'{"input_tokens": true}', b'{"input_tokens": -1}'):
        with pytest.raises(ProviderGarbled):
            counted(body, who=WHO)
