"""The contract of all providers: what is asked goes out right, and what is answered comes in right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llm_pool.config.schemas import spec_of
from llm_pool.core.errors import Unsupported
from llm_pool.core.types import (
    Event,
    Finished,
    Image,
    Message,
    Part,
    Reasoning,
    Sampling,
    Started,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolResult,
    Usage,
    Warning,
    replace,
)
from tests.providers.contract import TEXT, Bench, Rig, Said, Wired, parsed
from tests.providers.rigs.every import over

if TYPE_CHECKING:
    from llm_pool.core.streams import Answer

pytestmark = pytest.mark.real_time

THOUGHT = "Hm, é… 🙂 let me see."
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS = (Tool("weather", "Of a city.", SCHEMA), Tool("now", "What time it is."))
CALLS = (ToolCall("call_1", "weather", '{"city":"São Paulo, \\"SP\\" 🙂"}'), ToolCall("call_2", "now", "{}"))

EVERYTHING = (
    Said(),
    Said(""),
    Said(reasoning=THOUGHT),
    Said(calls=CALLS[:1]),
    Said(calls=CALLS),
    Said(reasoning=THOUGHT, calls=CALLS),
)


def sayable(rig: Rig) -> list[Said]:
    return [said for said in EVERYTHING if said.text or isinstance(rig, Wired)]


def alike(answer: Answer) -> tuple[object, ...]:
    """All of it but the ids of its calls: where the server gives none, they are made for each answer."""
    parts: list[object] = [(p.name, p.arguments) if isinstance(p, ToolCall) else p for p in answer.parts]
    return parts, answer.reason, answer.usage, answer.model, answer.provider, answer.stopped_by, answer.logprobs


# --- Order and sum ----------------------------------------------------------------------------------------------


@over("tools", "reasoning")
@pytest.mark.parametrize("whole", [False, True])
async def test_every_answer_has_one_beginning_and_one_end(rig: Rig, whole: bool) -> None:
    async with rig.bench() as bench:
        for said in sayable(rig):
            bench.say(said)
            events = await bench.hear(bench.request(tools=TOOLS, whole=whole))
            assert events[0] == Started(bench.model, rig.driver)
            assert isinstance(events[-1], Finished)
            assert [type(event) for event in events].count(Started) == 1
            assert [type(event) for event in events].count(Finished) == 1


@over("tools", "reasoning")
@pytest.mark.parametrize("whole", [False, True])
async def test_an_answer_adds_up_to_what_was_said(rig: Rig, whole: bool) -> None:
    async with rig.bench() as bench:
        for said in sayable(rig):
            bench.say(said)
            answer = await bench.ask(bench.request(tools=TOOLS, whole=whole))
            assert answer.reasoning == said.reasoning
            assert answer.content == ("" if said.calls else said.text)
            assert [(call.name, parsed(call.arguments)) for call in answer.tool_calls] == [
                (call.name, parsed(call.arguments)) for call in said.calls
            ]
            assert answer.reason == ("tool_calls" if said.calls else "stop")
            kinds: list[type[Part]] = [Reasoning] if said.reasoning else []
            kinds += [ToolCall for _ in said.calls] or ([Text] if said.text else [])
            assert [type(part) for part in answer.parts] == kinds


@over("tools", "reasoning")
async def test_a_streamed_answer_and_a_whole_one_are_the_same(rig: Rig) -> None:
    async with rig.bench() as bench:
        for said in sayable(rig):
            bench.say(said)
            asked = bench.request(tools=TOOLS, sampling=Sampling(logprobs=2 if "logprobs" in rig.can else None))
            assert alike(await bench.ask(asked)) == alike(await bench.ask(replace(asked, whole=True)))


@over()
async def test_a_streamed_answer_comes_word_by_word(rig: Rig) -> None:
    async with rig.bench() as bench:
        words = [event for event in await bench.hear() if isinstance(event, TextDelta)]
        assert len(words) >= TEXT.count(" ")


# --- The end ----------------------------------------------------------------------------------------------------


@over("counts")
async def test_tokens_fall_into_buckets_of_which_none_counts_another(rig: Wired) -> None:
    async with rig.bench() as bench:
        for usage in (rig.buckets, Usage(input=9, output=1)):  # what is not there is 0, and no estimate
            bench.say(Said(usage=usage))
            for whole in (False, True):
                assert (await bench.ask(bench.request(whole=whole))).usage == usage


@over("wire")
async def test_an_answer_that_was_cut_at_its_limit_says_so(rig: Wired) -> None:
    async with rig.bench() as bench:
        bench.say(Said(reason="length"))
        assert (await bench.ask()).reason == "length"


@over("filter")
async def test_an_answer_that_was_filtered_says_so(rig: Wired) -> None:
    async with rig.bench() as bench:
        bench.say(Said(reason="content_filter"))
        assert (await bench.ask()).reason == "content_filter"


@over("stopped_by")
async def test_the_sequence_that_ended_an_answer_is_told(rig: Wired) -> None:
    async with rig.bench() as bench:
        bench.say(Said(stopped_by="END"))
        answer = await bench.ask(bench.request(sampling=Sampling(stop=("END",))))
        assert (answer.reason, answer.stopped_by) == ("stop", "END")


# --- Tools ------------------------------------------------------------------------------------------------------


@over("tools")
@pytest.mark.parametrize("whole", [False, True])
async def test_calls_have_their_indices_ids_and_names_with_their_first_pieces(rig: Rig, whole: bool) -> None:
    async with rig.bench() as bench:
        bench.say(Said(calls=CALLS))
        events = await bench.hear(bench.request(tools=TOOLS, whole=whole))
        pieces = [event for event in events if isinstance(event, ToolCallDelta)]
        for index, call in enumerate(CALLS):
            first, *others = [piece for piece in pieces if piece.index == index]
            assert (bool(first.id), first.name) == (True, call.name)
            assert all((piece.id, piece.name) == ("", "") for piece in others)
            assert parsed("".join(piece.arguments for piece in (first, *others))) == parsed(call.arguments)
            if "ids" in rig.can:
                assert first.id == call.id
        assert {piece.index for piece in pieces} == {0, 1}
        assert len({piece.id for piece in pieces if piece.id}) == 2


@over("tools")
async def test_a_call_without_arguments_has_an_empty_object(rig: Rig) -> None:
    async with rig.bench() as bench:
        bench.say(Said(calls=CALLS[1:]))
        (call,) = (await bench.ask(bench.request(tools=TOOLS))).tool_calls
        assert (call.name, call.arguments) == ("now", "{}")


@over("tools", "wire")
async def test_tools_go_out_with_their_schemas(rig: Wired) -> None:
    async with rig.bench() as bench:
        await bench.ask(bench.request(tools=TOOLS))
        ((weather, now),) = [sent.tools for sent in bench.sent()]
        assert weather == ("weather", SCHEMA)
        assert (now[0], now[1]["type"]) == ("now", "object")


async def looped(rig: Rig, bench: Bench) -> list[Answer]:
    """Two questions, each of which needs tools: all four answers."""
    thought = THOUGHT if "reasoning" in rig.can else ""
    answers: list[Answer] = []
    messages: tuple[Message, ...] = (Message.of("system", "Be brief."),)
    for question, calls in (("How is it?", CALLS), ("And now?", CALLS[1:])):
        bench.say(Said(reasoning=thought, calls=calls))
        messages += (Message.of("user", question),)
        answers.append(called := await bench.ask(bench.request(tools=TOOLS, messages=messages)))
        results = tuple(ToolResult(call.id, (Text(f"{call.name}: né"),)) for call in called.tool_calls)
        bench.say(Said(reasoning=thought))
        messages += (Message("assistant", called.parts), Message("tool", results))
        answers.append(answer := await bench.ask(bench.request(tools=TOOLS, messages=messages)))
        messages += (Message("assistant", answer.parts),)
    return answers


@over("tools")
async def test_a_loop_of_tools_comes_to_its_answer(rig: Rig) -> None:
    async with rig.bench() as bench:
        answers = await looped(rig, bench)
        assert [answer.reason for answer in answers] == ["tool_calls", "stop", "tool_calls", "stop"]
        assert [answer.content for answer in answers] == ["", TEXT, "", TEXT]


@over("tools", "wire")
async def test_a_loop_of_tools_goes_out_with_every_call_and_then_its_result(rig: Wired) -> None:
    async with rig.bench() as bench:
        first, _, second, _ = await looped(rig, bench)
        story: list[object] = []
        for turn in bench.sent()[-1].turns:
            story += [*turn.calls, *turn.results, *([(turn.role, turn.text)] if turn.text else [])]
        assert story == [
            ("system", "Be brief."),
            ("user", "How is it?"),
            *((call.id, call.name, parsed(call.arguments)) for call in first.tool_calls),
            *((call.id, f"{call.name}: né") for call in first.tool_calls),
            ("assistant", TEXT),
            ("user", "And now?"),
            *((call.id, call.name, parsed(call.arguments)) for call in second.tool_calls),
            *((call.id, f"{call.name}: né") for call in second.tool_calls),
        ]


# --- Reasoning --------------------------------------------------------------------------------------------------


@over("reasoning")
@pytest.mark.parametrize("whole", [False, True])
async def test_reasoning_is_marked_with_whose_it_is(rig: Rig, whole: bool) -> None:
    async with rig.bench() as bench:
        bench.say(Said(reasoning=THOUGHT))
        thought = (await bench.ask(bench.request(whole=whole))).parts[0]
        assert isinstance(thought, Reasoning)
        assert (thought.text, thought.provider, bool(thought.opaque)) == (THOUGHT, rig.driver, "seal" in rig.can)


@over("reasoning", "wire", "tools")
async def test_its_own_reasoning_goes_back_as_it_came(rig: Wired) -> None:
    async with rig.bench() as bench:
        await looped(rig, bench)
        seal = "sealed" if "seal" in rig.can else ""
        assert bench.sent()[-1].all_of("reasoning") == [(THOUGHT, seal)] * 3


@over("reasoning")
async def test_the_reasoning_of_another_is_left_out_with_one_warning(rig: Rig) -> None:
    foreign = (
        Reasoning("foreign", "other's seal", provider="another"),
        Reasoning("", "sealed", redacted=True, provider="another"),
    )
    messages = (
        Message.of("user", "hi"),
        Message("assistant", (*foreign, Text("Hello."))),
        Message.of("user", "and?"),
        Message("assistant", (*foreign, Text("What?"))),
        Message.of("user", "so?"),
    )
    async with rig.bench() as bench:
        events = await bench.hear(bench.request(messages=messages))
        assert [event.code for event in events if isinstance(event, Warning)] == ["reasoning_dropped"]
        for sent in bench.sent():
            assert sent.all_of("reasoning") == []
            assert [turn.text for turn in sent.turns] == ["hi", "Hello.", "and?", "What?", "so?"]


# --- Images, schemas, likelihoods -------------------------------------------------------------------------------


@over("images")
async def test_an_image_goes_out(rig: Rig) -> None:
    picture = bytes(range(256))
    parts: tuple[Part, ...] = (Text("What is "), Image("image/png", picture), Text("this?"))
    async with rig.bench() as bench:
        assert (await bench.ask(bench.request(messages=(Message("user", parts),)))).content == TEXT
        for sent in bench.sent():
            assert sent.all_of("images") == [picture]
            assert [turn.text for turn in sent.turns] == ["What is this?"]


@over("schema", "wire")
async def test_the_schema_of_an_answer_goes_out(rig: Wired) -> None:
    async with rig.bench() as bench:
        bench.say(Said('{"city": "Paris"}'))
        await bench.ask(bench.request(spec=spec_of(SCHEMA), whole=True))
        await bench.ask()
        assert [sent.schema for sent in bench.sent()] == [SCHEMA, None]


@over("logprobs")
@pytest.mark.parametrize("whole", [False, True])
async def test_how_likely_the_words_were_is_told_where_it_is_asked(rig: Rig, whole: bool) -> None:
    async with rig.bench() as bench:
        answer = await bench.ask(bench.request(sampling=Sampling(logprobs=2), whole=whole))
        assert "".join(each.token for each in answer.logprobs) == TEXT
        assert all(each.logprob < 0 and len(each.top) == 2 for each in answer.logprobs)
        assert (await bench.ask()).logprobs == ()


# --- What cannot be said ----------------------------------------------------------------------------------------


@over()
async def test_what_it_cannot_be_told_is_named_by_a_warning_or_refused(rig: Rig) -> None:
    async with rig.bench() as bench:
        for changes, word in rig.cannot:
            events: list[Event] = []
            try:
                events = await bench.hear(bench.request(**changes))
            except Unsupported as error:
                assert word in error.message  # noqa: PT017 - some are refused, and some are not
                continue
            (warning,) = [event for event in events if isinstance(event, Warning)]
            assert (warning.code, word in warning.message) == ("parameter_ignored", True)
            assert events.index(warning) == 1, "it comes before the answer"


# --- Vectors ----------------------------------------------------------------------------------------------------


@over("embed")
async def test_vectors_come_in_the_order_of_their_texts(rig: Rig) -> None:
    texts = ["one", "three four", "é", "one"]
    async with rig.bench() as bench:
        answer = await bench.embed(*texts)
        alone = [(await bench.embed(text)).vectors[0] for text in texts]
        assert (len(answer.vectors), answer.reason) == (4, "stop")
        assert answer.usage.input > 0
        assert (answer.usage.output, answer.content) == (0, "")
        if (expected := rig.vector("three four")) is not None:
            assert answer.vectors[1] == expected
        else:
            assert [vector[0] for vector in answer.vectors] == [vector[0] for vector in alone]
        assert len({vector[0] for vector in alone}) > 1


@over("embed", "dimensions")
async def test_vectors_are_as_long_as_asked_for(rig: Rig) -> None:
    async with rig.bench() as bench:
        assert [len(vector) for vector in (await bench.embed("a", "bc", dimensions=2)).vectors] == [2, 2]
