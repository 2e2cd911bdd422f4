"""A stream, added up: what `collect` makes of every kind of event, and how gates nest."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import pytest

from llm_pool.core.errors import StreamBroken
from llm_pool.core.streams import Answer, collect, nested
from llm_pool.core.types import (
    Event,
    Finished,
    Logprob,
    Phase,
    Reasoning,
    ReasoningDelta,
    Started,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Warning,
)
from tests.scripted import USAGE, Scripted, Step, request

if TYPE_CHECKING:
    from types import TracebackType

    from llm_pool.core.streams import Answering, Ask, Events
    from llm_pool.core.types import Request

STARTED, END = Started("sim/m", "a"), Finished("stop", USAGE)


async def collected(*steps: Step) -> Answer:
    async with Scripted(*steps)(request()) as events:
        return await collect(events)


async def test_texts_are_joined_in_their_order() -> None:
    got = await collected(STARTED, TextDelta("one "), TextDelta(""), 1.0, TextDelta("two"), END)
    assert got == Answer(parts=(Text("one two"),), model="sim/m", provider="a", reason="stop", usage=USAGE)
    assert got.content == "one two"


async def test_an_empty_answer_is_an_answer() -> None:
    got = await collected(STARTED, Finished("content_filter", USAGE))
    assert (got.content, got.reasoning, got.tool_calls, got.reason) == ("", "", (), "content_filter")


async def test_reasoning_is_kept_apart_from_the_text() -> None:
    got = await collected(STARTED, ReasoningDelta("think "), TextDelta("say"), ReasoningDelta("more"), END)
    assert (got.content, got.reasoning) == ("say", "think more")
    assert got.parts == (Reasoning("think "), Text("say"), Reasoning("more"))


async def test_what_a_provider_needs_of_a_thought_ends_its_block() -> None:
    got = await collected(
        STARTED,
        ReasoningDelta("one ", provider="a"),
        ReasoningDelta("thought", provider="a"),
        ReasoningDelta("", "signature", provider="a"),
        ReasoningDelta("", "sealed", redacted=True, provider="a"),
        ReasoningDelta("another", provider="a"),
        TextDelta("say"),
        END,
    )
    assert got.parts == (
        Reasoning("one thought", "signature", provider="a"),
        Reasoning("", "sealed", redacted=True, provider="a"),
        Reasoning("another", provider="a"),
        Text("say"),
    )


async def test_how_likely_the_words_were_and_what_ended_them_is_kept() -> None:
    likely = [Logprob("a", -0.5), Logprob("b", -1.0, (98,), (Logprob("c", -2.0),))]
    end = Finished("stop", USAGE, stopped_by="END")
    got = await collected(STARTED, TextDelta("a", (likely[0],)), TextDelta("b", (likely[1],)), end)
    assert (got.logprobs, got.stopped_by) == (tuple(likely), "END")


async def test_vectors_and_counts_are_answers_too() -> None:
    assert (await collected(STARTED, Finished("stop", USAGE, vectors=((0.5, 1.0),)))).vectors == ((0.5, 1.0),)
    assert (await collected(STARTED, Finished("stop", USAGE, counted=7))).counted == 7


async def test_tool_calls_are_put_together_by_their_index_in_the_order_they_began() -> None:
    got = await collected(
        STARTED,
        ToolCallDelta(1, "id1", "second", '{"b"'),
        ToolCallDelta(0, "id0", "first", ""),
        ToolCallDelta(1, "", "", ": 2}"),
        ToolCallDelta(0, "", "", "{}"),
        Finished("tool_calls", USAGE),
    )
    assert got.tool_calls == (ToolCall("id1", "second", '{"b": 2}'), ToolCall("id0", "first", "{}"))
    assert got.reason == "tool_calls"


async def test_a_tool_calls_first_id_and_name_count() -> None:
    got = await collected(STARTED, ToolCallDelta(0, "id", "name", ""), ToolCallDelta(0, "other", "other", "{}"), END)
    assert got.tool_calls == (ToolCall("id", "name", "{}"),)


async def test_phases_and_warnings_are_no_content() -> None:
    got = await collected(STARTED, Phase("draft", "a"), Warning("code", "text"), TextDelta("say"), END)
    assert got.content == "say"


@pytest.mark.parametrize("said", [(), (STARTED,), (STARTED, TextDelta("half"))])
async def test_the_streams_own_error_comes_out(said: tuple[Event, ...]) -> None:
    broken = StreamBroken("it broke")
    with pytest.raises(StreamBroken) as caught:
        await collected(*said, broken)
    assert caught.value is broken


@pytest.mark.parametrize("said", [(STARTED,), (STARTED, TextDelta("half"))])
async def test_a_stream_that_just_ends_is_a_bug_and_no_answer(said: tuple[Event, ...]) -> None:
    with pytest.raises(AssertionError, match="neither Finished nor an error"):
        await collected(*said)


# --- Nesting ----------------------------------------------------------------------------------------------------


class Noting(AbstractAsyncContextManager["Events"]):
    """A gate that notes when it is entered and left."""

    def __init__(self, name: str, notes: list[str], inner: Answering | None = None) -> None:
        self._name = name
        self._notes = notes
        self._inner = inner

    def open(self, request: Request, then: Ask) -> Answering:
        return Noting(self._name, self._notes, then(request))

    async def __aenter__(self) -> Events:
        assert self._inner is not None
        self._notes.append(f"{self._name} in")
        return await self._inner.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._inner is not None
        await self._inner.__aexit__(kind, error, trace)
        self._notes.append(f"{self._name} out")


async def test_gates_nest_like_brackets_the_first_one_outermost() -> None:
    notes: list[str] = []
    ask = nested([Noting("a", notes), Noting("b", notes)], Scripted())
    async with ask(request()):
        notes.append("open")
    assert notes == ["a in", "b in", "open", "b out", "a out"]


async def test_no_gate_at_all_is_the_innermost_itself() -> None:
    upstream = Scripted()
    assert nested([], upstream) is upstream
