"""What is no answer is an error of ours, whatever it is: never a Python exception, never a whole answer."""

from __future__ import annotations

import itertools
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
    RequestRefused,
    StreamBroken,
)
from llm_pool.core.types import Event, Finished, ToolCallDelta
from tests.fakes.openai import Call, Script, chunk_of, frame, stream_of
from tests.providers.openai.asking import added_up, decode, frames

PROMPT = "the words of the prompt"

THOUGHT = {"type": "reasoning.text", "text": "né", "signature": "s", "index": 0}
GOLDEN = [
    Script("Hé, 日本 🙂 you", thinking="Hm, é?", comment=b": OPENROUTER PROCESSING", usage="twice"),
    Script(thinking="so", details=(THOUGHT,), calls=(Call("f", '{"é": 1}', "a"), Call("g", "{}", "b")), done=False),
]


# --- However it is cut --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", GOLDEN)
@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
@given(ends=st.lists(st.integers(0, 5_000), max_size=12).map(sorted))
def test_any_cut_into_pieces_gives_the_same_events(script: Script, ending: bytes, ends: list[int]) -> None:
    sent = stream_of(script).replace(b"\n", ending)
    bounds = [0, *(end % len(sent) for end in ends), len(sent)]
    pieces = [sent[start:end] for start, end in itertools.pairwise(sorted(bounds))]
    assert decode(pieces) == decode([stream_of(script)])
    assert added_up(decode(pieces, whole=True)) == added_up(decode([stream_of(script)]))


@pytest.mark.parametrize("script", GOLDEN)
def test_no_prefix_of_an_answer_is_taken_for_the_whole_of_it(script: Script) -> None:
    """Once it said why it ended all is said, and what may lack is the usage, which is then marked as estimated."""
    sent = stream_of(script)
    whole = added_up(decode([sent]))
    says_why = sent.index(b'"finish_reason":"', sent.index(b"finish_reason"))
    said_why = sent.index(b"}", sent.index(b'"', says_why + 17))
    for cut in range(len(sent)):
        events = decode([sent[:cut]])
        if not any(isinstance(event, Finished) for event in events):
            continue
        assert cut > said_why
        answer = added_up(events)
        assert (answer.parts, answer.reason) == (whole.parts, whole.reason)
        assert answer.usage == whole.usage or answer.usage.estimated


def test_no_prefix_of_a_body_that_is_no_stream_is_an_answer() -> None:
    sent = orjson.dumps({"choices": [{"message": {"content": "é"}, "finish_reason": "stop"}]})
    assert added_up(decode([sent])).content == "é"
    assert decode([b""]) == []
    for cut in range(1, len(sent)):
        with pytest.raises(ProviderGarbled, match="not JSON"):
            decode([sent[:cut]])


# --- Errors inside a 200 ------------------------------------------------------------------------------------------


ERRORS: list[tuple[Any, type[ProviderError], str]] = [
    ({"code": 429, "message": PROMPT}, ProviderLimited, "429"),
    ({"code": "429", "message": PROMPT}, ProviderLimited, "429"),
    ({"code": 502, "message": PROMPT, "metadata": {"provider_name": "x"}}, ProviderError, "502"),
    ({"code": 503, "message": PROMPT}, ProviderOverloaded, "503"),
    ({"code": 401, "message": PROMPT}, ProviderMisconfigured, "401"),
    ({"code": 403, "message": PROMPT, "metadata": {"reasons": ["x"], "flagged_input": PROMPT}}, RequestRefused, "403"),
    ({"code": 400, "message": f"This endpoint's maximum context length is 4 tokens. {PROMPT}"}, ContextTooLong, "400"),
    ({"code": "context_length_exceeded", "message": PROMPT}, ContextTooLong, "400, context_length_exceeded"),
    ({"code": None, "type": "invalid_request_error", "message": PROMPT}, RequestRefused, "400, invalid_request_error"),
    ({"type": "rate_limit_error", "message": PROMPT}, ProviderLimited, "429, rate_limit_error"),
    ({"code": True, "message": PROMPT, "type": PROMPT}, ProviderError, "500"),
    ({"code": 10**18, "message": [PROMPT]}, ProviderError, "500"),
    (PROMPT, ProviderError, "500"),
    ([PROMPT], ProviderError, "500"),
]


@pytest.mark.parametrize(("error", "kind", "shows"), ERRORS)
def test_an_error_instead_of_an_answer_means_what_it_says_and_is_never_repeated(
    error: Any, kind: Any, shows: str
) -> None:
    role = frame(chunk_of({"role": "assistant", "content": ""}))
    in_chunk = chunk_of({"content": ""}, finish_reason="error") | {"error": error}
    bodies = [frame({"error": error}), role + frame({"error": error}), orjson.dumps({"error": error}), frame(in_chunk)]
    for body in bodies:
        with pytest.raises(ProviderError) as caught:
            decode([body])
        assert type(caught.value) is kind
        assert f"({shows})" in caught.value.message
        assert PROMPT not in caught.value.message


@pytest.mark.parametrize(
    "body",
    [
        b'event: error\ndata: {"message": "oh", "code": 429}\n\n',
        b'data: {"object": "error", "message": "oh", "type": "TooMany", "code": 429}\n\n',
    ],
)
def test_other_shapes_of_errors_are_known(body: bytes) -> None:
    with pytest.raises(ProviderLimited, match="429"):
        decode([body])


@pytest.mark.parametrize("end", [{"error": {"code": 429, "message": PROMPT, "type": "rate_limit_error"}}, {}])
def test_an_error_after_the_first_word_breaks_the_stream(end: dict[str, Any]) -> None:
    last = chunk_of({}, finish_reason="error") | end
    with pytest.raises(StreamBroken) as caught:
        decode([frames(chunk_of({"content": "Hi"}), last)])
    assert PROMPT not in caught.value.message


def test_an_answer_that_the_server_gave_up_is_none() -> None:
    for reason in ("error", "abort", "insufficient_system_resource"):
        with pytest.raises(StreamBroken):
            decode([stream_of(Script("Hi", finish_reason=reason))])


def test_a_mark_of_the_end_without_a_reason_ends_no_answer() -> None:
    with pytest.raises(StreamBroken, match="without saying why"):
        decode([stream_of(Script("Hi", finish_reason=None))])
    with pytest.raises(ProviderError, match="without saying why") as caught:
        decode([b"data: [DONE]\n\n"])
    assert type(caught.value) is ProviderError


# --- Garbage ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        *(
            b"<!doctype html><title>x</title>",
            b"no",
            b"\x00\xff\x00",
            b'[{"error": {}}]',
            b"data: {]\n\n",
            b"data: 5\n\n",
        ),
        *(b'data: "x"\n\n', b"{}", b"{]", b'{"choices": []}', b'{"choices": 5}', b"data: " + b"x" * 2_000_000),
    ],
)
def test_garbage_is_garbled(body: bytes) -> None:
    with pytest.raises(ProviderGarbled):
        decode([body])
    with pytest.raises(ProviderGarbled):
        decode([body[:1], body[1:]])


WRONG: list[Any] = [5, True, 1.5, "x", [], [5], {}, {"a": 1}, None, -1, 2**31, 10**18, "é", [[]], [{}], [{"type": 5}]]
PLACES: list[tuple[str, ...]] = [
    *(
        ("choices",),
        ("usage",),
        ("error",),
        ("choices", "delta"),
        ("choices", "logprobs"),
        ("choices", "finish_reason"),
    ),
    *(("choices", "index"), ("choices", "stop_reason"), ("object",), ("id",)),
    *(
        ("choices", "delta", key)
        for key in ("content", "refusal", "reasoning", "reasoning_content", "reasoning_details")
    ),
    *(("choices", "delta", "tool_calls"), ("choices", "delta", "function_call"), ("usage", "prompt_tokens")),
    *(("usage", "completion_tokens_details"), ("usage", "prompt_tokens_details"), ("usage", "total_tokens")),
    ("choices", "logprobs", "content"),
]


def misplaced(place: tuple[str, ...], value: Any, key: str) -> bytes:
    """A sound answer in one chunk, but for one value."""
    call = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
    chunk: Any = {
        "choices": [
            {"index": 0, "delta": {"content": "Hi", "tool_calls": [call]}, "logprobs": {}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1},
    }
    where = chunk
    for step in place[:-1]:
        where = where[step][0] if step == "choices" else where[step]
    where[place[-1]] = value
    if key == "message" and place != ("choices",):
        chunk["choices"][0]["message"] = chunk["choices"][0].pop("delta")
        return orjson.dumps(chunk)
    return frames(chunk)


@pytest.mark.parametrize("place", PLACES, ids=".".join)
@pytest.mark.parametrize("key", ["delta", "message"])
def test_a_value_of_a_wrong_kind_is_an_error_of_ours_or_passed_over(place: tuple[str, ...], key: str) -> None:
    for value in WRONG:
        with suppress(PoolError):
            check(decode([misplaced(place, value, key)]))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        *((("choices",), 5), (("choices",), [5]), (("usage",), 5), (("usage", "prompt_tokens"), True)),
        *((("usage", "prompt_tokens"), -1), (("usage", "prompt_tokens"), 2**31), (("usage", "prompt_tokens"), 1.5)),
        *((("choices", "delta"), 5), (("choices", "delta", "content"), 5), (("choices", "delta", "content"), ["x"])),
        *((("choices", "delta", "tool_calls"), 5), (("choices", "delta", "tool_calls"), [5])),
        *((("choices", "delta", "tool_calls"), [{"index": "0"}]), (("choices", "delta", "reasoning"), {"a": 1})),
        *((("choices", "delta", "reasoning_details"), ["x"]), (("choices", "finish_reason"), 5)),
        *((("choices", "logprobs"), 5), (("choices", "logprobs"), {"content": [{"token": "a"}]})),
        (("choices", "logprobs"), {"content": [{"token": "a", "logprob": -1, "bytes": [256]}]}),
        (("choices", "delta", "tool_calls"), [{"index": 0, "id": "a", "function": {"name": "f", "arguments": 5}}]),
    ],
)
def test_these_are_garbled(place: tuple[str, ...], value: Any) -> None:
    with pytest.raises(ProviderGarbled):
        decode([misplaced(place, value, "delta")])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([
                "function",
                "index",
                "id",
                "name",
                "arguments",
                "type",
                "text",
                "token",
                "logprob",
                "content",
                "delta",
            ]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(place=st.sampled_from(PLACES), value=json_values, key=st.sampled_from(["delta", "message"]))
def test_whatever_stands_in_a_field_no_other_exception_comes(place: tuple[str, ...], value: Any, key: str) -> None:
    with suppress(PoolError):
        check(decode([misplaced(place, value, key)]))


@given(st.binary(max_size=200), st.booleans())
def test_whatever_bytes_come_no_other_exception_does(sent: bytes, framed: bool) -> None:
    with suppress(PoolError):
        decode([b"data: " + sent + b"\n\n" if framed else sent])


def check(events: list[Event]) -> None:
    """They can be sent on: their text is text that UTF-8 has, and calls begin with their name."""
    for event in events:
        if isinstance(event, ToolCallDelta):
            assert type(event.arguments) is str
    if events and isinstance(events[-1], Finished):
        for call in added_up(events).tool_calls:
            assert call.id
            assert call.name
