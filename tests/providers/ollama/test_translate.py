"""The pure half of the Ollama provider: what goes out, what comes in, what a status means."""

from __future__ import annotations

import contextlib
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.config.schemas import narrowed, spec_of
from llm_pool.core.errors import (
    PoolError,
    ProviderError,
    ProviderGarbled,
    ProviderLimited,
    ProviderMisconfigured,
    ProviderOverloaded,
    ProviderRefused,
    ProviderTimeout,
    StreamBroken,
)
from llm_pool.core.ports.provider import Health
from llm_pool.core.trace import Trace
from llm_pool.core.types import (
    Event,
    Finished,
    Image,
    Message,
    Part,
    Reasoning,
    ReasoningDelta,
    Request,
    Sampling,
    Text,
    TextDelta,
    ToolCall,
    ToolResult,
    Usage,
    replace,
)
from llm_pool.providers.ollama.translate import (
    Decoder,
    canonical,
    failure,
    load_wire,
    model_names,
    state,
    to_wire,
)

WHO = "Ollama at host:11434"


def request(*messages: Message, model: str | None = "llama3", sampling: Sampling | None = None) -> Request:
    return Request("r", messages, 60.0, Trace(0.0), model=model, sampling=sampling or Sampling())


def decode(*chunks: Any) -> list[Event]:
    decoder = Decoder(WHO)
    return [event for chunk in chunks for event in decoder.decode(orjson.dumps(chunk))]


def said(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "llama3", "message": {"role": "assistant", "content": text}, "done": False} | more


# --- Requests ---------------------------------------------------------------------------------------------------


def test_a_request_goes_out_whole_and_always_as_a_stream() -> None:
    asked = request(
        Message.of("system", "Be brief."),
        Message("user", (Text("one "), Text("two"))),
        Message.of("assistant", "three"),
        sampling=Sampling(max_tokens=64, temperature=0.0),
    )
    assert to_wire(asked, num_ctx=8192, keep_alive="10m") == {
        "model": "llama3",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "one two"},
            {"role": "assistant", "content": "three"},
        ],
        "stream": True,
        "options": {"num_predict": 64, "temperature": 0.0, "num_ctx": 8192},
        "keep_alive": "10m",
    }


def test_what_nobody_set_is_left_to_the_model() -> None:
    wire = to_wire(request(Message.of("user", "hi")), num_ctx=None, keep_alive=None)
    assert wire.keys() == {"model", "messages", "stream"}


@pytest.mark.parametrize(
    ("text", "value"),
    [("-1", -1), ("0", 0), (" 300 ", 300), ("1.5", 1.5), ("10m", "10m"), ("-1m", "-1m"), ("1h30m", "1h30m")],
)
def test_a_bare_number_of_keep_alive_goes_out_as_a_json_number(text: str, value: object) -> None:
    sent = to_wire(request(), num_ctx=None, keep_alive=text)["keep_alive"]
    assert (sent, type(sent)) == (value, type(value))


def test_a_preload_asks_for_the_context_window_that_the_chats_will_ask_for() -> None:
    assert load_wire("m", num_ctx=8192, keep_alive="-1") == {
        "model": "m",
        "stream": False,
        "options": {"num_ctx": 8192},
        "keep_alive": -1,
    }
    assert load_wire("m", num_ctx=None, keep_alive=None) == {"model": "m", "stream": False}


@pytest.mark.parametrize(
    ("part", "word"),
    [
        (Image("image/png", b"x"), "image"),
        (ToolCall("1", "f", "{}"), "tool call"),
        (ToolResult("1", "x"), "tool call"),
        (Reasoning("hm"), "reasoning"),
    ],
)
def test_a_part_that_cannot_be_sent_is_refused_not_dropped(part: Part, word: str) -> None:
    with pytest.raises(ProviderRefused, match=word):
        to_wire(request(Message("user", (Text("see: "), part))), num_ctx=None, keep_alive=None)


def test_a_request_without_a_model_is_refused() -> None:
    with pytest.raises(ProviderRefused):
        to_wire(request(model=None), num_ctx=None, keep_alive=None)


@given(st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), st.text()), max_size=5))
def test_no_text_is_changed_on_its_way_out(turns: list[tuple[Any, str]]) -> None:
    wire = to_wire(request(*(Message.of(role, text) for role, text in turns)), num_ctx=None, keep_alive=None)
    assert [(message["role"], message["content"]) for message in orjson.loads(orjson.dumps(wire))["messages"]] == turns


def test_the_schema_of_an_answer_goes_out_as_its_format() -> None:
    """The server then lets the model write nothing else. Narrowed, it holds the ids of this one question."""
    schema = {"type": "object", "properties": {"winner": {"type": ["string", "null"]}}, "required": ["winner"]}
    for each in (schema, narrowed(schema, ["a", 2], each=None, one="winner")):
        asked = replace(request(Message.of("user", "hi")), spec=spec_of(each))
        wire = to_wire(asked, num_ctx=None, keep_alive=None)
        assert wire.keys() == {"model", "messages", "stream", "format"}
        assert orjson.loads(orjson.dumps(wire["format"])) == each
    assert wire["format"]["properties"] == {"winner": {"enum": ["a", 2, None]}}


# --- Answers ----------------------------------------------------------------------------------------------------


def test_an_answer_is_its_thoughts_its_words_and_its_end() -> None:
    thought = {"message": {"role": "assistant", "content": "", "thinking": "Hm. "}, "done": False}
    last = said("", done=True, done_reason="stop", prompt_eval_count=26, eval_count=3)
    assert decode(thought, said("Hel"), said("lo"), last) == [
        ReasoningDelta("Hm. "),
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


# --- Statuses and models ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (204, ProviderGarbled),
        (301, ProviderRefused),
        (307, ProviderRefused),
        (400, ProviderRefused),
        (401, ProviderMisconfigured),
        (403, ProviderMisconfigured),
        (404, ProviderMisconfigured),
        (408, ProviderTimeout),
        (413, ProviderRefused),
        (429, ProviderLimited),
        (500, ProviderError),
        (502, ProviderError),
        (503, ProviderOverloaded),
        (529, ProviderOverloaded),
        (599, ProviderError),
    ],
)
def test_each_status_has_its_error(status: int, kind: type[PoolError]) -> None:
    error = failure(status, who=WHO, model="llama3", wait=None)
    assert type(error) is kind
    assert WHO in error.message


def test_a_missing_model_says_how_to_install_it() -> None:
    error = failure(404, who=WHO, model="llama3:8b", wait=None)
    assert error.message == f'{WHO}: model "llama3:8b" is not installed: run "ollama pull llama3:8b"'


@pytest.mark.parametrize("status", [429, 503, 529])
@pytest.mark.parametrize("wait", [2.5, None])
def test_who_has_too_much_to_do_says_how_long_to_wait(status: int, wait: float | None) -> None:
    assert failure(status, who=WHO, model="m", wait=wait).retry_after == wait


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("llama3", "llama3:latest", True),
        ("Llama3:LATEST", "llama3", True),
        ("llama3:8b", "llama3", False),
        ("host:5000/team/llama3", "host:5000/team/llama3:latest", True),
        ("hf.co/a/b:Q4_K_M", "hf.co/a/b", False),
    ],
)
def test_names_compare_with_the_tag_that_goes_without_saying(one: str, other: str, *, same: bool) -> None:
    assert (canonical(one) == canonical(other)) is same


def test_models_are_listed_by_either_of_their_names() -> None:
    body = b'{"models": [{"name": "a:latest", "model": "a:latest"}, {"model": "b"}, {"name": "C:7b"}]}'
    assert model_names(body, who=WHO) == {"a:latest", "b:latest", "c:7b"}
    assert model_names(b'{"models": null}', who=WHO) == frozenset()


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"models": 1}', b'{"models": ["name"]}', b'{"models": [{"name": 1}]}']
)
def test_a_listing_of_another_shape_is_garbled(body: bytes) -> None:
    with pytest.raises(ProviderGarbled):
        model_names(body, who=WHO)


def test_health_follows_from_what_is_installed_and_in_memory() -> None:
    def health(installed: set[str], loaded: set[str] | None, loading: str | None = None) -> Health:
        memory = None if loaded is None else frozenset(loaded)
        return state(("a", "b:7b"), installed=frozenset(installed), loaded=memory, loading=loading)

    both = {"a:latest", "b:7b"}
    assert health(both, both) == Health("healthy")
    assert health(both, None) == Health("healthy")
    one, other = frozenset({"b:7b"}), frozenset({"a"})
    not_yet = "not in memory yet, the next answer loads it: "
    assert health(both, {"a:latest"}) == Health("loading", not_yet + "b:7b", cold=one)
    assert health(both, set()) == Health("loading", not_yet + "a, b:7b", cold=one | other)
    assert health(both, both, "a") == Health("loading", 'model "a" is being loaded', cold=other)
    missing = 'model "b:7b" is not installed: run "ollama pull b:7b"'
    assert health({"a:latest"}, both) == Health("degraded", missing, frozenset({"b:7b"}))
    nothing = health(set(), set())
    assert nothing.state == "unhealthy"
    assert '"ollama pull a"' in nothing.why
    assert '"ollama pull b:7b"' in nothing.why
    assert state((), installed=frozenset(), loaded=None, loading=None) == Health("healthy")
