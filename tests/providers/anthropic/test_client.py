"""The Anthropic provider against a server on a real socket: its answers, thoughts there and back, and leaving it."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from llm_pool.core.ports.embedder import TokenCounter
from llm_pool.core.streams import collect
from llm_pool.core.types import (
    Event,
    Finished,
    Message,
    Reasoning,
    Request,
    Sampling,
    Started,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Usage,
    Warning,
)
from tests.fakes.anthropic import FakeAnthropic, Script
from tests.providers.anthropic.asking import (
    CLOCK,
    GOLDEN,
    NEW,
    OLD,
    REDACTED,
    SIGNATURE,
    THOUGHT,
    WEATHER,
    ask,
    meant,
    provider,
    request,
)
from tests.providers.ollama.asking import until

pytestmark = pytest.mark.real_time


# --- Answers ----------------------------------------------------------------------------------------------------


async def test_an_answer_streams_through_word_by_word() -> None:
    async with FakeAnthropic({OLD: Script.saying("Hello you.")}) as fake:
        async with provider(fake) as anthropic, anthropic.chat(request(whole=False)) as events:
            seen: list[Event] = [event async for event in events]
        assert seen == [
            Started(OLD, "anthropic"),
            TextDelta("Hello"),
            TextDelta(" you."),
            Finished("stop", Usage(input=7, output=5)),
        ]
        assert fake.open_streams == 0
        assert fake.left_at == []


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("name", GOLDEN)
async def test_every_answer_is_what_the_server_said(name: str, streams: bool, whole: bool) -> None:
    golden = GOLDEN[name]
    script = Script(golden.content, golden.stop_reason, golden.stop_sequence, golden.usage, streams=streams)
    async with FakeAnthropic({OLD: script}) as fake, provider(fake) as anthropic:
        answer = await ask(anthropic, request(whole=whole))
        parts, finished = meant(script)
        assert (answer.parts, answer.reason, answer.usage) == (parts, finished.reason, finished.usage)
        assert answer.stopped_by == finished.stopped_by


async def test_words_that_come_in_one_packet_are_one_where_nobody_sees_them_come() -> None:
    packet = Script(body=Script.saying("One two three.").stream())
    async with FakeAnthropic({OLD: packet}) as fake, provider(fake) as anthropic:
        for whole, words in ((True, 1), (False, 3)):
            async with anthropic.chat(request(whole=whole)) as events:
                said = [event.text async for event in events if isinstance(event, TextDelta)]
            assert ("".join(said), len(said)) == ("One two three.", words)


async def test_key_version_and_headers_reach_the_server() -> None:
    async with FakeAnthropic() as fake:
        fake.key = "k1"
        headers = {"anthropic-beta": "one,two", "X-Api-Key": "other", "Accept-Encoding": "gzip"}
        async with provider(fake, api_key="k1", extra_headers=headers) as anthropic:
            await ask(anthropic)
        (received,) = fake.asked()
        assert received.headers["x-api-key"] == "k1"
        assert received.headers["anthropic-version"] == "2023-06-01"
        assert received.headers["anthropic-beta"] == "one,two"
        assert received.headers["accept-encoding"] == "identity"


async def test_betas_of_a_call_join_those_of_the_table() -> None:
    for table, of_all in (({"Anthropic-Beta": "one,two"}, ["one,two"]), ({}, [])):
        async with FakeAnthropic() as fake, provider(fake, extra_headers=table) as anthropic:
            for said in ((), ("three", "four")):
                await ask(anthropic, request(betas=said))
                async with anthropic.count(request(betas=said)) as events:
                    await collect(events)
            sent = [received.headers.get("anthropic-beta", "") for received in fake.received]
            both = ",".join([*of_all, "three,four"])
            assert sent == ["".join(of_all)] * 2 + [both] * 2


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/"])
async def test_the_address_may_have_the_version_in_it(ending: str) -> None:
    async with FakeAnthropic() as fake:
        fake.url += ending
        async with provider(fake) as anthropic:
            await ask(anthropic)
            assert (await anthropic.health()).state == "healthy"


async def test_what_was_not_sent_is_warned_of_before_the_answer() -> None:
    async with FakeAnthropic({NEW: Script()}, budgets=False) as fake, provider(fake, NEW) as anthropic:
        asked = request(model=NEW, sampling=Sampling(temperature=0.2, seed=1))
        async with anthropic.chat(asked) as events:
            first, *warnings, _, _ = [event async for event in events]
        assert first == Started(NEW, "anthropic")
        assert [warning.code for warning in warnings if isinstance(warning, Warning)] == ["parameter_ignored"] * 2


async def test_tokens_are_counted() -> None:
    async with FakeAnthropic() as fake, provider(fake) as anthropic:
        assert isinstance(anthropic, TokenCounter)
        asked = request(Message.of("system", "s"), "hi", sampling=Sampling(temperature=0.5, stop=("x",)))
        async with anthropic.count(asked) as events:
            answer = await collect(events)
        assert (answer.counted, answer.usage, answer.model) == (42, Usage(), OLD)
        assert [received.path for received in fake.received] == ["/v1/messages/count_tokens"]


async def test_one_connection_serves_many_answers_that_were_read_to_their_end() -> None:
    async with FakeAnthropic() as fake, provider(fake) as anthropic:
        for _ in range(5):
            assert (await ask(anthropic)).content == "Hello there, how are you?"
        assert len(fake.connections) == 1


# --- Thoughts and tools, there and back -------------------------------------------------------------------------

TOOLS = (Tool("weather", "tells it", {"properties": {"city": {"type": "string"}}}), Tool("clock"))
SECOND = {"type": "thinking", "thinking": "So é…\n", "signature": SIGNATURE + "2"}
SCRIPTS = (
    Script((THOUGHT, REDACTED, {"type": "text", "text": "I look."}, WEATHER, CLOCK), stop_reason="tool_use"),
    Script((SECOND, CLOCK | {"id": "toolu_03"}), stop_reason="tool_use"),
    Script.saying("It rains."),
)


@pytest.mark.parametrize("model", [OLD, NEW])
@pytest.mark.parametrize("whole", [True, False])
async def test_thoughts_survive_three_turns_of_tools_byte_for_byte(model: str, whole: bool) -> None:
    async with FakeAnthropic({model: SCRIPTS}, budgets=model == OLD) as fake, provider(fake, model) as anthropic:
        messages = [Message.of("system", "Be brief."), Message.of("user", "Umbrella?")]
        effort = Sampling(effort="low", max_tokens=4000)
        for _ in SCRIPTS:
            asked = request(*messages, model=model, sampling=effort, tools=TOOLS, whole=whole)
            answer = await ask(anthropic, asked)
            messages.append(Message("assistant", answer.parts))
            messages += [Message("tool", (ToolResult(call.id, (Text("12:00"),)),)) for call in answer.tool_calls]
        assert answer.content == "It rains."
        *_, last = fake.asked()
        turns = [turn["content"] for turn in last.body["messages"] if turn["role"] == "assistant"]
        assert turns == [list(script.content) for script in SCRIPTS[:2]]
        first, second, third = [orjson.dumps(received.body["messages"]) for received in fake.asked()]
        assert third.startswith(second[:-1])
        assert second.startswith(first[:-1]), "what was said before stays the same, and so in the prompt cache"


async def test_a_thought_that_was_changed_would_be_refused() -> None:
    """So the fake looks, and the test above can fail."""
    async with FakeAnthropic({OLD: SCRIPTS}) as fake, provider(fake) as anthropic:
        asked: Any = {"sampling": Sampling(effort="low"), "tools": TOOLS}
        answer = await ask(anthropic, request("Umbrella?", **asked))
        results = [Message("tool", (ToolResult(call.id, (Text("x"),)),)) for call in answer.tool_calls]
        thought, *rest = answer.parts
        assert isinstance(thought, Reasoning)
        for parts in ([Reasoning(thought.text.strip(), thought.opaque), *rest], [thought, *rest[1:]]):
            changed = request("Umbrella?", Message("assistant", tuple(parts)), *results, **asked)
            with pytest.raises(Exception, match="refused the request"):
                await ask(anthropic, changed)


async def test_a_loop_that_began_elsewhere_goes_on_here() -> None:
    """Its thoughts are left out, its ids made fit, and nobody is asked to think in the middle of it."""
    theirs = Reasoning("hm", '{"x": 1}', provider="openai")
    calls = (
        ToolCall("functions.weather:0", "weather", '{"city": "Rom"}'),
        ToolCall("functions.clock:1", "clock", "{}"),
    )
    results = Message("tool", tuple(ToolResult(call.id, (Text("x"),)) for call in calls))
    for tools in (TOOLS, ()):
        async with FakeAnthropic() as fake, provider(fake) as anthropic:
            asked: Request = request(
                "Umbrella?",
                Message("assistant", (theirs, *calls)),
                results,
                sampling=Sampling(effort="high"),
                tools=tools,
                tool_choice=ToolChoice("none"),
            )
            async with anthropic.chat(asked) as events:
                codes = [event.code async for event in events if isinstance(event, Warning)]
            assert sorted(codes) == ["parameter_ignored", "reasoning_dropped"]


# --- Leaving ----------------------------------------------------------------------------------------------------


async def test_leaving_in_the_middle_hangs_up_at_once() -> None:
    async with FakeAnthropic({OLD: Script(stall_after=2)}) as fake, provider(fake) as anthropic:
        async with anthropic.chat(request(whole=False)) as events:
            assert [await anext(events) for _ in range(3)][2] == TextDelta(" there,")
            assert fake.open_streams == 1
        await until(lambda: fake.open_streams == 0, within=0.25)
        assert len(fake.left_at) == 1


@pytest.mark.parametrize(
    "script",
    [Script(stall_after=-1), Script(stall_after=0), Script(stall_after=2)],
    ids=["before headers", "after the beginning", "between words"],
)
async def test_cancellation_at_any_point_hangs_up_at_once(script: Script) -> None:
    async with FakeAnthropic({OLD: script}) as fake, provider(fake) as anthropic:
        asking = asyncio.create_task(ask(anthropic))
        await until(lambda: fake.open_streams == 1)
        await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(lambda: fake.open_streams == 0, within=0.25)
        assert len(fake.left_at) == 1


async def test_a_body_that_never_ends_holds_nobody_after_the_last_event() -> None:
    async with FakeAnthropic({OLD: Script(stall_at_end=True)}) as fake, provider(fake) as anthropic:
        async with asyncio.timeout(0.25):
            answer = await ask(anthropic)
        assert answer.usage == Usage(input=7, output=5)
        await until(lambda: fake.open_streams == 0, within=0.25)
