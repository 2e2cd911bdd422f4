"""Properties: what is said comes back as it was, and a stream adds up to the whole, whatever was said."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from llm_pool.core.streams import Answer, Sum
from llm_pool.core.trace import Trace
from llm_pool.core.types import (
    Event,
    Finished,
    Logprob,
    Part,
    Reasoning,
    ReasoningDelta,
    Request,
    Sampling,
    Started,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from llm_pool.edges.http.openai.chat_in import read
from llm_pool.edges.http.openai.chat_out import ChatTelling, completion

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
usages = st.builds(Usage, *[st.integers(0, 1000)] * 5)

# --- Messages ---------------------------------------------------------------------------------------------------

signed = st.builds(Reasoning, texts, texts, st.just(False), words)
redacted = st.builds(Reasoning, texts, words, st.just(True), words)
calls = st.builds(ToolCall, words, words, texts)


@st.composite
def said(draw: st.DrawFn) -> tuple[Part, ...]:
    """One turn of a model, in the order in which this wire has it."""
    thoughts = draw(st.lists(signed | redacted, max_size=3))
    text = draw(words | st.just(""))
    called = draw(st.lists(calls, max_size=3))
    spoken = (Text(text),) if text or not (thoughts or called) else ()
    return (*thoughts, *spoken, *called)


def asked(*, logprobs: int | None = None) -> Request:
    return Request(id="r", messages=(), deadline=0.0, trace=Trace(0.0), sampling=Sampling(logprobs=logprobs))


@given(said())
def test_a_message_that_comes_back_is_what_was_said(parts: tuple[Part, ...]) -> None:
    answer = Answer(parts, "sim/m", "sim", "stop", Usage())  # type: ignore[arg-type]  # there are no results in it
    (choice,) = completion(asked(), [answer])["choices"]
    # As the official client gives it back, and as a program does that speaks JSON.
    modelled = ChatCompletion.construct(**orjson.loads(orjson.dumps(completion(asked(), [answer]))))
    for message in (choice["message"], modelled.choices[0].message.model_dump()):
        body = {"model": "sim/m", "messages": [{"role": "user", "content": "hi"}, message]}
        assert read(orjson.dumps(body)).messages[1].parts == parts


# --- Streams ----------------------------------------------------------------------------------------------------

likelihoods = st.builds(
    Logprob, texts, st.floats(-20, 0), st.none() | st.builds(tuple, st.lists(st.integers(0, 255), max_size=3))
)


@st.composite
def streams(draw: st.DrawFn) -> list[Event]:
    """Any order of pieces that a provider may send."""
    events: list[Event] = [Started("sim/m", "sim")]
    count = 0
    for kind in draw(st.lists(st.sampled_from(["text", "likely", "thought", "secret", "call", "more"]), max_size=12)):
        match kind:
            case "text":
                events.append(TextDelta(draw(texts)))
            case "likely":
                events.append(TextDelta(draw(texts), tuple(draw(st.lists(likelihoods, max_size=2)))))
            case "thought":
                events.append(ReasoningDelta(draw(texts), opaque=draw(st.just("") | words), provider="sim"))
            case "secret":
                events.append(ReasoningDelta(draw(texts), opaque=draw(words), redacted=True, provider="sim"))
            case "call":
                events.append(ToolCallDelta(count, f"call_{count}", draw(words), draw(texts)))
                count += 1
            case _:
                again = [ToolCallDelta(draw(st.integers(0, count - 1)), "", "", draw(texts))] if count else []
                events.extend(again)
    return events


@given(streams(), usages, st.booleans(), st.booleans())
def test_a_stream_that_the_client_adds_up_is_the_whole_answer(
    events: list[Event], usage: Usage, tells_usage: bool, likely: bool
) -> None:
    request, end = asked(logprobs=1 if likely else None), Finished("stop", usage)
    whole_of = Sum()
    for event in events:
        whole_of.add(event)
    whole = ChatCompletion.construct(**orjson.loads(orjson.dumps(completion(request, [whole_of.answer(end)]))))

    telling = ChatTelling(request, usage=tells_usage, choices=1)
    raw = b"".join([*(telling.tell(event) for event in [*events, end]), telling.end()])
    streamed = _added_up(raw)
    assert streamed.usage == (whole.usage if tells_usage else None)
    assert _message(streamed) == _message(whole)
    assert streamed.choices[0].finish_reason == whole.choices[0].finish_reason == "stop"
    assert _likely(streamed) == _likely(whole)
    assert (streamed.id, streamed.model) == (whole.id, whole.model)


def _added_up(raw: bytes) -> ChatCompletion:
    state: ChatCompletionStreamState[Any] = ChatCompletionStreamState()
    *frames, done, rest = raw.split(b"\n\n")
    assert (done, rest) == (b"data: [DONE]", b"")
    for frame in frames:
        state.handle_chunk(ChatCompletionChunk.construct(**orjson.loads(frame.removeprefix(b"data: "))))
    return state.get_final_completion()


def _message(completion: ChatCompletion) -> dict[str, Any]:
    told = completion.choices[0].message.model_dump(exclude_none=True)
    for call in told.get("tool_calls", []):
        call.pop("index", None)
        call["function"].pop("parsed_arguments", None)
    return told


def _likely(completion: ChatCompletion) -> list[Any]:
    told = completion.choices[0].logprobs
    return [] if told is None else [each.model_dump() for each in told.content or []]
