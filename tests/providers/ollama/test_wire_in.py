"""What an Ollama server says, in our words: lines of an answer, vectors, and what a status means."""

from __future__ import annotations

import contextlib
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
    ProviderRefused,
    ProviderTimeout,
    RequestRefused,
    StreamBroken,
)
from llm_pool.core.types import Event, Finished, Logprob, ReasoningDelta, TextDelta, ToolCallDelta, Usage, replace
from llm_pool.providers.ollama.wire_in import Decoder, failure, vectors
from tests.providers.ollama.asking import request

WHO = "Ollama at host:11434"


def decode(*chunks: Any, tools: bool = False) -> list[Event]:
    decoder = Decoder(WHO, provider="mine", tools=tools)
    return [event for chunk in chunks for event in decoder.decode(orjson.dumps(chunk))]


def said(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "llama3", "message": {"role": "assistant", "content": text}, "done": False} | more


# --- Answers ----------------------------------------------------------------------------------------------------


def test_an_answer_is_its_thoughts_its_words_and_its_end() -> None:
    thought = {"message": {"role": "assistant", "content": "", "thinking": "Hm. "}, "done": False}
    last = said("", done=True, done_reason="stop", prompt_eval_count=26, eval_count=3)
    assert decode(thought, said("Hel"), said("lo"), last) == [
        ReasoningDelta("Hm. ", provider="mine"),
        TextDelta("Hel"),
        TextDelta("lo"),
        Finished("stop", Usage(input=26, output=3)),
    ]


def test_the_last_chunk_may_carry_words_too() -> None:
    events = decode(said("all", done=True, done_reason="length", prompt_eval_count=1, eval_count=1))
    assert events == [TextDelta("all"), Finished("length", Usage(1, output=1))]


@pytest.mark.parametrize(
    ("why", "reason"),
    [("stop", "stop"), ("length", "length"), ("", "stop"), (None, "stop"), ("something new", "stop"), ("load", "stop")],
)
def test_every_way_of_ending_after_words_has_a_reason_of_ours(why: str | None, reason: str) -> None:
    *_, end = decode(said("x"), said("", done=True, done_reason=why, prompt_eval_count=1, eval_count=1))
    assert isinstance(end, Finished)
    assert end.reason == reason


@pytest.mark.parametrize("why", ["load", "unload"])
def test_word_of_a_loaded_model_is_no_empty_answer(why: str) -> None:
    with pytest.raises(ProviderGarbled, match="instead of an answer"):
        decode(said("", done=True, done_reason=why))


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        ({"prompt_eval_count": 5, "eval_count": 2}, Usage(5, output=2)),
        ({"prompt_eval_count": 0, "eval_count": 0}, Usage()),
        ({"eval_count": 2}, Usage(output=2, estimated=True)),
        ({"prompt_eval_count": 5}, Usage(5, estimated=True)),
        ({}, Usage(estimated=True)),
        ({"prompt_eval_count": 5, "prompt_eval_cached_count": 4, "eval_count": 2}, Usage(1, 4, 0, 2)),
        ({"prompt_eval_count": 5, "prompt_eval_cached_count": 9, "eval_count": 2}, Usage(0, 5, 0, 2)),
    ],
)
def test_tokens_fall_into_disjoint_buckets_and_missing_counts_are_marked(counts: dict[str, int], usage: Usage) -> None:
    assert decode(said("", done=True, done_reason="stop", **counts)) == [Finished("stop", usage)]


def test_tool_calls_are_counted_from_0_whatever_the_server_counts_and_end_the_answer() -> None:
    def calling(*calls: Any) -> dict[str, Any]:
        return {"message": {"role": "assistant", "content": "", "tool_calls": calls}, "done": False}

    events = decode(
        said("Wait. "),
        calling({"id": "a", "function": {"index": 0, "name": "f", "arguments": {"x": [1, "é"]}}}),
        calling({"function": {"index": 0, "name": "g", "arguments": {}}}, {"function": {"name": "h"}}),
        said("", done=True, done_reason="stop", prompt_eval_count=1, eval_count=1),
        tools=True,
    )
    first, second, third = [event for event in events if isinstance(event, ToolCallDelta)]
    assert first == ToolCallDelta(0, "a", "f", '{"x":[1,"é"]}')
    assert (second.index, second.name, second.arguments) == (1, "g", "{}")
    assert (third.index, third.name, third.arguments) == (2, "h", "{}")
    assert events[-1] == Finished("tool_calls", Usage(1, output=1))


def test_ids_that_the_server_does_not_give_are_made_and_never_twice() -> None:
    call = {"function": {"name": "f", "arguments": {}}}
    chunk = {"message": {"content": "", "tool_calls": [call, call]}, "done": False}
    made = [event.id for _ in range(50) for event in decode(chunk, tools=True) if isinstance(event, ToolCallDelta)]
    assert len(set(made)) == 100
    assert all(each.startswith("call_") and len(each) <= 40 for each in made)  # the longest that OpenAI's door may say


def test_an_answer_that_ran_out_of_tokens_after_a_call_says_so() -> None:
    call = {"message": {"content": "", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}}
    end = said("", done=True, done_reason="length", prompt_eval_count=1, eval_count=1)
    assert decode(call, end, tools=True)[-1] == Finished("length", Usage(1, output=1))


@pytest.mark.parametrize(
    "calls",
    [
        {"function": {"name": "f"}},
        "f",
        [None],
        ["f"],
        [{}],
        [{"function": "f"}],
        [{"function": {"arguments": {}}}],
        [{"function": {"name": ""}}],
        [{"function": {"name": 1}}],
        [{"function": {"name": "f", "arguments": "{}"}}],
        [{"function": {"name": "f", "arguments": []}}],
        [{"id": 1, "function": {"name": "f", "arguments": {}}}],
    ],
)
def test_what_is_no_tool_call_is_garbled(calls: Any) -> None:
    with pytest.raises(ProviderGarbled):
        decode({"message": {"content": "", "tool_calls": calls}}, tools=True)


def test_how_likely_the_words_were_comes_with_them() -> None:
    def likely(token: str, **more: Any) -> dict[str, Any]:
        return {"token": token, "logprob": -0.5} | more

    top = [likely("Hi", bytes=[72, 105]), likely("Ho")]
    assert decode(
        {"message": {"content": "", "thinking": "Hm"}, "logprobs": [likely("Hm")]},
        {"message": {"content": ""}, "logprobs": [likely("\ufffd", bytes=[195])]},
        said("é", logprobs=[likely("\ufffd", bytes=[169], top_logprobs=top)]),
    ) == [
        ReasoningDelta("Hm", provider="mine"),
        TextDelta(
            "é",
            (
                Logprob("\ufffd", -0.5, (195,)),
                Logprob("\ufffd", -0.5, (169,), (Logprob("Hi", -0.5, (72, 105)), Logprob("Ho", -0.5))),
            ),
        ),
    ]


@pytest.mark.parametrize(
    "logprobs",
    [
        1,
        "x",
        {"token": "a"},
        [1],
        [{}],
        [{"token": "a"}],
        [{"token": 1, "logprob": 0}],
        [{"token": "a", "logprob": "x"}],
        [{"token": "a", "logprob": -1, "bytes": "x"}],
        [{"token": "a", "logprob": -1, "bytes": [999]}],
        [{"token": "a", "logprob": -1, "bytes": 100000000000000}],
        [{"token": "a", "logprob": -1, "top_logprobs": [1]}],
    ],
)
def test_what_is_no_likelihood_is_garbled(logprobs: Any) -> None:
    with pytest.raises(ProviderGarbled):
        decode(said("x", logprobs=logprobs))


def test_of_an_answer_whose_pieces_nobody_sees_each_packet_is_one_piece() -> None:
    lines = [
        {"message": {"thinking": "H"}},
        {"message": {"thinking": "m"}},
        said("a", logprobs=[{"token": "a", "logprob": -1}]),
        said("b", logprobs=[{"token": "b", "logprob": -2}]),
        {"message": {"content": "", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": {}}}]}},
        said("c"),
        said("d", done=True, done_reason="stop", prompt_eval_count=1, eval_count=1),
    ]
    data = b"".join(orjson.dumps(line) + b"\n" for line in lines)
    assert list(Decoder(WHO, provider="mine", tools=True, whole=True).feed(data)) == [
        ReasoningDelta("Hm", provider="mine"),
        TextDelta("ab", (Logprob("a", -1.0), Logprob("b", -2.0))),
        ToolCallDelta(0, "1", "f", "{}"),
        TextDelta("cd"),
        Finished("tool_calls", Usage(1, output=1)),
    ]


def test_an_error_line_breaks_an_answer_that_began_and_fails_one_that_did_not() -> None:
    with pytest.raises(StreamBroken) as broken:
        decode(said("x"), {"error": "secret internals"})
    with pytest.raises(ProviderError) as failed:
        decode({"error": "secret internals"})
    assert type(failed.value) is ProviderError
    assert "secret" not in broken.value.message + failed.value.message


@pytest.mark.parametrize(
    "chunk",
    [
        [],
        "text",
        1,
        None,
        {},
        {"status": "success"},
        {"message": "text"},
        {"message": {"content": 1}},
        {"message": {"content": ["x"]}},
        {"message": {"thinking": {}}},
        {"message": {}, "done": "true"},
        {"message": {}, "done": 1},
        {"done": True, "done_reason": 7},
        {"done": True, "eval_count": "7"},
        {"done": True, "eval_count": True},
        {"done": True, "eval_count": 1.5},
        {"done": True, "prompt_eval_count": -1},
        {"message": {"content": "", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}},
    ],
)
def test_what_the_protocol_does_not_say_is_garbled(chunk: Any) -> None:
    with pytest.raises(ProviderGarbled):
        decode(chunk)


@pytest.mark.parametrize(
    "line", [b"<html>", b"{", b'{"a": NaN}', b"\xff\xfe", b'{"message": {"content": "\xed\xa0\x80"}}']
)
def test_bytes_that_are_no_json_are_garbled(line: bytes) -> None:
    with pytest.raises(ProviderGarbled):
        Decoder(WHO).decode(line)


KEYS = st.sampled_from(["message", "done", "content", "thinking", "error", "eval_count", "done_reason", "x"])
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4))


@given(JSON)
def test_any_json_is_either_events_or_an_error_of_ours(chunk: Any) -> None:
    with contextlib.suppress(ProviderError):
        decode(chunk)


@pytest.mark.parametrize("whole", [False, True])
def test_words_that_came_in_one_packet_with_an_error_are_heard_before_it(whole: bool) -> None:
    """They were paid for."""
    data = b"".join(orjson.dumps(each) + b"\n" for each in (said("a"), said("b"), {"error": "secret"}, said("c")))
    heard: list[Event] = []
    with pytest.raises(StreamBroken):
        heard.extend(Decoder(WHO, whole=whole).feed(data))
    assert heard == ([TextDelta("ab")] if whole else [TextDelta("a"), TextDelta("b")])


# --- Vectors ----------------------------------------------------------------------------------------------------


def embedded(body: Any, *, dimensions: int | None = None) -> Finished:
    asked = replace(request(), operation="embed", inputs=("one", "two"), dimensions=dimensions)
    return vectors(orjson.dumps(body), asked=asked, who=WHO)


def test_vectors_come_in_the_order_of_the_texts() -> None:
    body = {"model": "m", "embeddings": [[0.5, -1], [0.25, 2.0]], "prompt_eval_count": 8}
    assert embedded(body, dimensions=2) == Finished("stop", Usage(8), vectors=((0.5, -1), (0.25, 2.0)))
    assert embedded({"embeddings": [[1.0], [2.0]]}).usage == Usage(estimated=True)


def test_vectors_of_another_length_than_asked_for_are_no_answer() -> None:
    with pytest.raises(RequestRefused, match="3 dimensions"):
        embedded({"embeddings": [[0.5, 1.0], [0.25, 2.0]]}, dimensions=3)


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"embeddings": None},
        {"embeddings": [[1.0]]},
        {"embeddings": [[1.0], [2.0], [3.0]]},
        {"embeddings": [[1.0], []]},
        {"embeddings": [[1.0], 2.0]},
        {"embeddings": [[1.0], ["2.0"]]},
        {"embeddings": [[1.0], [True]]},
        {"embeddings": [[1.0], [None]]},
        {"embeddings": [[1.0], [2.0]], "prompt_eval_count": -1},
    ],
)
def test_what_are_no_vectors_for_these_texts_is_garbled(body: Any) -> None:
    with pytest.raises(ProviderGarbled):
        embedded(body)


# --- Statuses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (204, ProviderGarbled),
        (301, ProviderRefused),
        (307, ProviderRefused),
        (400, RequestRefused),
        (401, ProviderMisconfigured),
        (403, ProviderMisconfigured),
        (404, ProviderMisconfigured),
        (408, ProviderTimeout),
        (413, RequestRefused),
        (429, ProviderLimited),
        (500, ProviderError),
        (502, ProviderError),
        (503, ProviderOverloaded),
        (529, ProviderOverloaded),
        (599, ProviderError),
    ],
)
def test_each_status_has_its_error(status: int, kind: type[PoolError]) -> None:
    error = failure(status, b"", who=WHO, model="llama3", wait=None)
    assert type(error) is kind
    assert WHO in error.message


def test_a_missing_model_says_how_to_install_it() -> None:
    error = failure(404, b"", who=WHO, model="llama3:8b", wait=None)
    assert error.message == f'{WHO}: model "llama3:8b" is not installed: run "ollama pull llama3:8b"'


@pytest.mark.parametrize("status", [429, 503, 529])
@pytest.mark.parametrize("wait", [2.5, None])
def test_who_has_too_much_to_do_says_how_long_to_wait(status: int, wait: float | None) -> None:
    assert failure(status, b"", who=WHO, model="m", wait=wait).retry_after == wait


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("the input length exceeds the context length", ContextTooLong),
        ("prompt too long; exceeded max context length by 12 tokens", ContextTooLong),
        ("Input exceeds maximum context length and cannot be truncated further", ContextTooLong),
        ("invalid message: the input exceeds the context length", RequestRefused),
        ("something else", RequestRefused),
    ],
)
def test_a_question_longer_than_the_context_is_told_apart(text: str, kind: type[PoolError]) -> None:
    error = failure(400, orjson.dumps({"error": text}), who=WHO, model="m", wait=None)
    assert type(error) is kind
    assert text not in error.message


@given(st.binary() | JSON.map(orjson.dumps), st.sampled_from([400, 404, 429, 500]))
def test_whatever_the_body_of_an_error_is_no_word_of_it_is_repeated(said: bytes, status: int) -> None:
    error = failure(status, b'{"error": "canary ' + said, who=WHO, model="m", wait=None)
    assert "canary" not in error.message
