"""What a simulated model does beside answering: it calls tools, thinks, says how likely it was, embeds and counts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.core import errors
from llm_pool.core.ports.embedder import Embedder, TokenCounter
from llm_pool.core.streams import Answer, collect
from llm_pool.core.types import (
    Event,
    Image,
    Message,
    Reasoning,
    ReasoningDelta,
    Request,
    Sampling,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    ToolResult,
    Usage,
    Warning,
)
from llm_pool.providers.sim.client import Simulated
from tests.providers.sim.asking import request, sim

if TYPE_CHECKING:
    from llm_pool.core.streams import Answering

CALLS: Any = [{"name": "weather", "arguments": {"city": "São Paulo"}}, {"name": "now"}]
TOOLS = (Tool("weather"), Tool("now"))


def simulated(*, provider: str = "sim", **keys: Any) -> Simulated:
    return Simulated(sim(**keys), provider=provider, models=("m",))


async def added_up(answering: Answering) -> Answer:
    async with answering as events:
        return await collect(events)


async def heard(answering: Answering) -> list[Event]:
    async with answering as events:
        return [event async for event in events]


# --- Tools ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [True, False])
async def test_tools_that_are_offered_are_called_and_their_results_answered(whole: bool) -> None:
    async with simulated(answers=["It is warm."], tool_calls=CALLS) as provider:
        first = await added_up(provider.chat(request(tools=TOOLS, whole=whole)))
        assert [(call.name, call.arguments) for call in first.tool_calls] == [
            ("weather", '{"city":"São Paulo"}'),
            ("now", "{}"),
        ]
        assert (first.content, first.reason, first.usage.output) == ("", "tool_calls", 3)
        results = tuple(ToolResult(call.id, (Text("21"),)) for call in first.tool_calls)
        messages = (Message.of("user", "hi"), Message("assistant", first.parts), Message("tool", results))
        second = await added_up(provider.chat(request(tools=TOOLS, messages=messages, whole=whole)))
        assert (second.content, second.tool_calls, second.reason) == ("It is warm.", (), "stop")
        assert second.usage.input == 1 + 3 + 2 + 2  # the question, the calls, their results, the tools


async def test_a_call_streams_in_pieces_of_which_the_first_has_id_and_name() -> None:
    async with simulated(tool_calls=CALLS) as provider:
        deltas = [
            event
            for event in await heard(provider.chat(request(tools=TOOLS, whole=False)))
            if isinstance(event, ToolCallDelta)
        ]
        first, second, third = deltas
        assert (first.index, first.name, second.index, second.id, second.name) == (0, "weather", 0, "", "")
        assert (third.index, third.name, third.arguments) == (1, "now", "{}")
        assert first.id != third.id
        again = await heard(provider.chat(request(tools=TOOLS, whole=False)))
        assert [event for event in again if isinstance(event, ToolCallDelta)] == deltas


@pytest.mark.parametrize(
    ("tools", "choice", "called"),
    [
        ((), ToolChoice(), []),
        ((Tool("other"),), ToolChoice(), []),
        ((Tool("now"), Tool("other")), ToolChoice(), ["now"]),
        (TOOLS, ToolChoice("none"), []),
        (TOOLS, ToolChoice("required"), ["weather", "now"]),
        (TOOLS, ToolChoice("named", "now"), ["now"]),
        (TOOLS, ToolChoice(parallel=False), ["weather"]),
    ],
)
async def test_only_what_is_offered_and_chosen_is_called(
    tools: tuple[Tool, ...], choice: ToolChoice, called: list[str]
) -> None:
    async with simulated(tool_calls=CALLS) as provider:
        answer = await added_up(provider.chat(request(tools=tools, tool_choice=choice)))
        assert [call.name for call in answer.tool_calls] == called
        assert bool(answer.content) is not bool(called)


def test_arguments_that_json_cannot_express_are_refused_at_start() -> None:
    with pytest.raises(ValueError, match="cannot express"):
        simulated(tool_calls=[{"name": "f", "arguments": {"x": 2**70}}])


# --- Thoughts ---------------------------------------------------------------------------------------------------


async def test_it_thinks_before_it_speaks_and_seals_the_thought() -> None:
    async with simulated(provider="mine", answers=["Yes."], reasoning="Let me see.") as provider:
        whole = await added_up(provider.chat(request()))
        events = await heard(provider.chat(request(whole=False)))
        thought, said = whole.parts
        assert isinstance(thought, Reasoning)
        assert (thought.text, thought.provider, said) == ("Let me see.", "mine", Text("Yes."))
        assert (whole.usage.reasoning, whole.usage.output) == (3, 1)
        assert events[1:-1] == [
            *(ReasoningDelta(word, provider="mine") for word in ("Let ", "me ", "see.")),
            ReasoningDelta("", thought.opaque, provider="mine"),
            TextDelta("Yes."),
        ]


@pytest.mark.parametrize("sampling", [Sampling(effort="none"), Sampling(thinking_tokens=0)])
async def test_it_does_not_think_where_it_is_not_to(sampling: Sampling) -> None:
    async with simulated(reasoning="Let me see.") as provider:
        answer = await added_up(provider.chat(request(sampling=sampling)))
        assert (answer.reasoning, answer.usage.reasoning) == ("", 0)


async def test_its_own_thought_is_known_again_only_as_it_was() -> None:
    async with simulated(provider="mine", reasoning="Let me see.") as provider:
        thought = (await added_up(provider.chat(request()))).parts[0]
        assert isinstance(thought, Reasoning)
        back = Message("assistant", (thought,))
        await added_up(provider.chat(request(messages=(back,))))
        for changed in (
            Reasoning("Let me  see.", thought.opaque, provider="mine"),
            Reasoning(thought.text, thought.opaque + "0", provider="mine"),
            Reasoning(thought.text, provider="mine"),
        ):
            with pytest.raises(errors.RequestRefused, match="came back changed"):
                await added_up(provider.chat(request(messages=(Message("assistant", (changed,)),))))
        assert provider.open == 0


async def test_thoughts_of_others_mean_nothing_to_it_and_one_warning_says_so() -> None:
    foreign = Message("assistant", (Reasoning("a", "b", provider="other"), Reasoning("c", provider="other")))
    nobodys = Message("assistant", (Reasoning("a", "b"),))
    async with simulated() as provider:
        warnings = [
            event
            for event in await heard(provider.chat(request(messages=(foreign, foreign))))
            if isinstance(event, Warning)
        ]
        assert [warning.code for warning in warnings] == ["reasoning_dropped"]
        assert not any(isinstance(event, Warning) for event in await heard(provider.chat(request(messages=(nobodys,)))))


# --- Words and how likely they are ------------------------------------------------------------------------------


@given(st.text(), st.lists(st.text(max_size=3), max_size=4), st.none() | st.integers(0, 5), st.booleans())
def test_an_answer_ends_before_the_first_stop_sequence(
    text: str, stops: list[str], limit: int | None, whole: bool
) -> None:
    from llm_pool.providers.sim.script import Script  # noqa: PLC0415 - no other test here looks behind the door

    asked = request(sampling=Sampling(max_tokens=limit, stop=tuple(stops)), whole=whole)
    play = Script(sim(answers=[text]), provider="sim", models=("m",)).play(asked)
    said = "".join(each.text for _, each in play.pieces if isinstance(each, TextDelta))
    assert text.startswith(said)
    assert not any(stop and stop in said for stop in stops)
    if play.stopped_by:
        assert text.startswith(said + play.stopped_by)
        assert play.reason == "stop"
    elif play.reason == "stop":
        assert said == text


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("alternatives", [0, 3, 99])
async def test_each_word_says_how_likely_it_was(whole: bool, alternatives: int) -> None:
    async with simulated(answers=["amber skies, é"]) as provider:
        asked = request(sampling=Sampling(logprobs=alternatives), whole=whole)
        answer = await added_up(provider.chat(asked))
        assert await added_up(provider.chat(asked)) == answer
        assert "".join(each.token for each in answer.logprobs) == answer.content == "amber skies, é"
        for each in answer.logprobs:
            assert each.bytes == tuple(each.token.encode())
            assert math.log(0.5) <= each.logprob < 0
            assert len(each.top) == min(alternatives, 20)
            if alternatives:
                assert (each.top[0].token, each.top[0].logprob) == (each.token, each.logprob)
                assert sorted(each.top, key=lambda one: -one.logprob) == list(each.top)
                assert len({one.token for one in each.top}) == len(each.top)
                assert sum(math.exp(one.logprob) for one in each.top) <= 1
        assert (await added_up(provider.chat(request(whole=whole)))).logprobs == ()


async def test_images_are_looked_away_from() -> None:
    async with simulated() as provider:
        message = Message("user", (Text("What is this?"), Image("image/png", b"\x89PNG")))
        assert (await added_up(provider.chat(request(messages=(message,))))).content.endswith("What is this?")


# --- Vectors and counts -----------------------------------------------------------------------------------------


def embedding(*inputs: str | tuple[int, ...], dimensions: int | None = None, model: str = "m") -> Request:
    return request(operation="embed", inputs=inputs, dimensions=dimensions, model=model)


async def test_equal_texts_have_equal_vectors_of_length_1_from_any_provider_of_that_seed() -> None:
    one, other, another = simulated(), simulated(provider="other"), simulated(seed=1)
    answer = await added_up(one.embed(embedding("a b", "c", "a b", (1, 2))))
    assert answer.vectors[0] == answer.vectors[2]
    assert len(set(answer.vectors)) == 3
    assert (answer.usage, answer.reason) == (Usage(input=7), "stop")
    for vector in answer.vectors:
        assert len(vector) == 8
        assert math.hypot(*vector) == pytest.approx(1.0)
    assert (await added_up(other.embed(embedding("c")))).vectors == (answer.vectors[1],)
    assert (await added_up(another.embed(embedding("c")))).vectors != (answer.vectors[1],)


async def test_vectors_are_as_long_as_asked_for_or_set() -> None:
    provider = simulated(dimensions=3)
    assert [len(row) for row in (await added_up(provider.embed(embedding("a")))).vectors] == [3]
    assert [len(row) for row in (await added_up(provider.embed(embedding("a", dimensions=1536)))).vectors] == [1536]
    for dimensions in (0, 10**9):
        with pytest.raises(errors.RequestRefused, match="dimensions"):
            await added_up(provider.embed(embedding("a", dimensions=dimensions)))


async def test_words_are_counted_as_an_answer_would_count_them() -> None:
    provider = simulated()
    assert isinstance(provider, Embedder)
    assert isinstance(provider, TokenCounter)
    messages = (Message.of("user", "one two"), Message("assistant", (ToolCall("1", "f", '{"a": 1}'),)))
    asked = request(messages=messages, tools=(Tool("f", "does things"),))
    answer = await added_up(provider.count(asked))
    assert answer.counted == 2 + 2 + 3
    assert (await added_up(provider.chat(asked))).usage.input == answer.counted


async def test_an_embedding_and_a_count_fail_as_an_answer_does() -> None:
    provider = simulated(fail_rate=1.0, fail_with="overloaded")
    for answering in (provider.embed(embedding("a")), provider.count(request())):
        with pytest.raises(errors.ProviderOverloaded):
            await added_up(answering)
    assert (provider.calls, provider.open) == (2, 0)


async def test_an_answer_in_json_comes_with_tools_and_thoughts_too() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    async with simulated(json_schema=schema, reasoning="Hm.", tool_calls=CALLS) as provider:
        called = await added_up(provider.chat(request(tools=TOOLS)))
        assert (called.reasoning, len(called.tool_calls)) == ("Hm.", 2)
        assert isinstance(orjson.loads((await added_up(provider.chat(request()))).content)["a"], int)
