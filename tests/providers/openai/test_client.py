"""The provider over real sockets: it asks, streams, embeds, leaves and fails as a provider should."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llm_pool.config.tables import URLS
from llm_pool.core.errors import (
    ContextTooLong,
    ProviderError,
    ProviderGarbled,
    ProviderLimited,
    ProviderMisconfigured,
    ProviderOverloaded,
    ProviderRefused,
    ProviderUnreachable,
    RequestRefused,
    StreamBroken,
)
from llm_pool.core.streams import collect
from llm_pool.core.types import (
    Event,
    Finished,
    Image,
    Logprob,
    Message,
    Reasoning,
    ReasoningDelta,
    Sampling,
    Started,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
    Warning,
    replace,
)
from llm_pool.providers.openai.client import OpenAI
from tests.fakes.openai import Call, FakeOpenAI, Script, chunk_of, frame, stream_of
from tests.providers.openai.asking import ask, provider, request, until

pytestmark = pytest.mark.real_time

CALLS = (Call("f", '{"x": 1}', "call_a"), Call("g", '{"z": [1, 2, 3]}', "call_b"))
OH = frame({"error": {"message": "secret", "code": 502}})


async def test_an_answer_begins_says_its_words_and_ends() -> None:
    async with FakeOpenAI({"gpt": Script("Hello you", comment=b": PROCESSING", bytes_at_once=5)}) as fake:
        async with provider(fake) as openai, openai.chat(request(sampling=Sampling(thinking_tokens=1))) as events:
            seen = [event async for event in events]
        first, warning, *rest = seen
        assert first == Started("gpt", "openai")
        assert isinstance(warning, Warning)
        assert rest == [TextDelta("Hello"), TextDelta(" you"), Finished("stop", Usage(7, output=2))]
        assert (fake.open_streams, fake.left_at) == (0, [])


async def test_the_key_and_other_headers_go_out_and_nothing_compressed_is_wanted() -> None:
    extra = {"X-Team": "a", "authorization": "Bearer other", "Accept-Encoding": "gzip"}
    async with FakeOpenAI() as fake:
        fake.key = "k1"
        async with provider(fake, api_key="k1", extra_headers=extra) as openai:
            assert (await ask(openai)).content == "Hello there, how are you?"
        (received,) = fake.asked()
        assert received.headers["x-team"] == "a"
        assert received.headers["authorization"] == "Bearer k1"
        assert received.headers["accept-encoding"] == "identity"
        assert "cookie" not in received.headers
        assert "x-title" not in received.headers


async def test_openrouter_is_told_who_asks_and_names_itself() -> None:
    async with FakeOpenAI({"gpt": Script("Hi", thinking="Hm", thinking_as="reasoning")}) as fake:
        app = {"app_url": "https://example.org", "app_name": "Example"}
        async with provider(fake, name="a", openrouter=True, api_key="k", **app) as router:
            answer = await ask(router)
            assert answer.provider == "openrouter"
            assert answer.parts == (Reasoning("Hm", provider="openrouter"), Text("Hi"))
            fake.statuses["/chat/completions"] = 500
            with pytest.raises(ProviderError, match=r"OpenRouter \(a\)"):
                await ask(router)
        headers = fake.asked()[0].headers
        assert (headers["http-referer"], headers["x-title"]) == ("https://example.org", "Example")


NAMELESS = "an OpenAI-compatible server"


@pytest.mark.parametrize(
    ("settings", "host", "who", "official"),
    [
        ({"base_url": URLS["openai"]}, "api.openai.com:443", "OpenAI", True),
        ({"base_url": "https://eu.api.openai.com/v1", "name": "a"}, "eu.api.openai.com:443", "OpenAI (a)", True),
        ({"base_url": "http://x.openai.com.example:80/v1"}, "x.openai.com.example:80", NAMELESS, False),
        ({"base_url": "http://127.0.0.1:8000/v1", "name": "chain"}, "127.0.0.1:8000", "chain", False),
        ({"openrouter": True, "base_url": URLS["openrouter"]}, "openrouter.ai:443", "OpenRouter", False),
    ],
)
def test_the_address_says_whose_words_are_spoken_and_what_messages_call_it(
    settings: dict[str, Any], host: str, who: str, official: bool
) -> None:
    openai = OpenAI(models=("*",), **settings)
    assert openai._dialect.who == openai._wire.who == who
    assert openai._wire.host == host
    assert openai._dialect.official is official


async def test_tools_are_called_at_once_and_answered_after_their_results() -> None:
    async with FakeOpenAI({"gpt": Script("Done.", thinking="Hm", calls=CALLS)}) as fake, provider(fake) as openai:
        asked = request(tools=(Tool("f"), Tool("g")))
        first = await ask(openai, asked)
        assert first.reason == "tool_calls"
        assert first.tool_calls == tuple(ToolCall(call.id, call.name, call.arguments) for call in CALLS)
        results = tuple(ToolResult(call.id, (Text("1"), Image("image/png", b"x"))) for call in first.tool_calls)
        after = (*asked.messages, Message("assistant", first.parts), Message("tool", results))
        second = await ask(openai, replace(asked, messages=after))
        assert (second.content, second.reason) == ("Done.", "stop")
        sent = fake.asked()[1].body["messages"]
        assert [message["role"] for message in sent] == ["user", "assistant", "tool", "tool", "user"]
        assert sent[1]["reasoning_content"] == "Hm"


async def test_a_stream_added_up_is_the_answer_that_nobody_saw_in_pieces() -> None:
    for script in (Script(thinking="Hm, so"), Script(calls=CALLS), Script(streams=False, thinking="Hm")):
        async with FakeOpenAI({"gpt": script}) as fake, provider(fake) as openai:
            asked = request(tools=(Tool("f"),), sampling=Sampling(logprobs=1))
            assert await ask(openai, asked) == await ask(openai, replace(asked, whole=True))


async def test_an_answer_that_nobody_sees_in_pieces_comes_in_one() -> None:
    async with FakeOpenAI({"gpt": Script(body=stream_of(Script()))}) as fake, provider(fake) as openai:
        for whole, words in ((True, 1), (False, 5)):
            async with openai.chat(request(whole=whole)) as events:
                assert len([event async for event in events if isinstance(event, TextDelta)]) == words


async def test_how_likely_the_words_were_is_told() -> None:
    async with FakeOpenAI({"gpt": Script("Hi")}) as fake, provider(fake) as openai:
        answer = await ask(openai, request(sampling=Sampling(logprobs=1)))
        bare = Logprob("Hi", -0.25, (72, 105))
        assert answer.logprobs == (Logprob("Hi", -0.25, (72, 105), (bare,)),)


async def test_texts_and_tokens_become_vectors_in_their_order() -> None:
    async with FakeOpenAI() as fake, provider(fake) as openai:
        for inputs in (("a", "bcd"), ((1,), (2, 3, 4))):
            asked = request(operation="embed", inputs=inputs, dimensions=2)
            async with openai.embed(asked) as events:
                answer = await collect(events)
            assert (answer.vectors, answer.usage) == (((1.0, 0.5), (3.0, 1.5)), Usage(4))
            assert (answer.model, answer.provider) == ("gpt", "openai")
        fake.statuses["/embeddings"] = 429
        with pytest.raises(ProviderLimited):
            async with openai.embed(asked):
                pass


# --- Connections ------------------------------------------------------------------------------------------------


async def test_one_connection_serves_many_answers_with_a_mark_at_their_end_and_without() -> None:
    async with FakeOpenAI({"gpt": Script(), "bare": Script(done=False)}) as fake, provider(fake) as openai:
        for model in ("gpt", "bare") * 3:
            assert (await ask(openai, request(model=model))).content == "Hello there, how are you?"
        assert len(fake.connections) == 1


async def test_a_connection_that_was_closed_while_it_lay_idle_costs_nothing() -> None:
    async with FakeOpenAI() as fake, provider(fake) as openai:
        fake.drops_reused = True
        for _ in range(3):
            assert (await ask(openai)).content == "Hello there, how are you?"


async def test_a_body_that_never_ends_holds_nobody_after_its_mark() -> None:
    async with FakeOpenAI({"gpt": Script(stall_at_end=True)}) as fake, provider(fake) as openai:
        async with asyncio.timeout(0.5):
            assert (await ask(openai)).usage == Usage(7, output=5)
        await until(lambda: fake.open_streams == 0)


@pytest.mark.parametrize("stall_after", [-1, 0, 2])
async def test_cancellation_at_any_point_hangs_up_at_once(stall_after: int) -> None:
    async with FakeOpenAI({"gpt": Script(stall_after=stall_after)}) as fake, provider(fake) as openai:
        asking = asyncio.create_task(ask(openai))
        await until(lambda: fake.open_streams == 1)
        await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(lambda: fake.open_streams == 0, within=0.25)
        assert len(fake.left_at) == 1


async def test_leaving_in_the_middle_hangs_up_at_once() -> None:
    async with FakeOpenAI({"gpt": Script(stall_after=2)}) as fake, provider(fake) as openai:
        async with openai.chat(request()) as events:
            assert [await anext(events) for _ in range(3)][2] == TextDelta(" there,")
        await until(lambda: fake.open_streams == 0, within=0.25)
        assert len(fake.left_at) == 1


# --- Faults -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "kind", "words"),
    [
        (Script(cut_after=0), ProviderUnreachable, 0),
        (Script(cut_after=3), StreamBroken, 3),
        (Script(cut_after=5), StreamBroken, 5),
        (Script(cut_after_bytes=40), ProviderUnreachable, 0),
        (Script(finish_reason=None, done=False), StreamBroken, 5),
        (Script("", finish_reason=None, done=False), ProviderUnreachable, 0),
        (Script(finish_reason=None), StreamBroken, 5),
        (Script(frame=OH, frame_after=2), StreamBroken, 2),
        (Script(frame=OH), ProviderError, 0),
        (Script(frame=frame({"error": {"code": 429}})), ProviderLimited, 0),
        (Script(frame=b"data: {]\n\n", frame_after=2), ProviderGarbled, 2),
        (Script(frame=frame(chunk_of({"content": 5})), frame_after=1), ProviderGarbled, 1),
        (Script(frame=b"data: " + b"x" * 2_000_000, frame_after=1), ProviderGarbled, 1),
        (Script.html(), ProviderGarbled, 0),
        (Script(body=b""), ProviderUnreachable, 0),
        (Script(body=b'{"error": {"code": 503, "message": "secret"}}'), ProviderOverloaded, 0),
        (Script.gzipped(), ProviderGarbled, 0),
        (Script.redirecting("/v1/other"), ProviderRefused, 0),
        (Script.failing(400, "secret"), RequestRefused, 0),
        (Script.failing(400, "secret", error={"code": "context_length_exceeded"}), ContextTooLong, 0),
        (Script.failing(403, "secret"), ProviderMisconfigured, 0),
        (Script.failing(500, "secret"), ProviderError, 0),
        (Script.failing(429, "secret", retry_after="2"), ProviderLimited, 0),
        (Script.failing(503, "secret"), ProviderOverloaded, 0),
    ],
)
async def test_every_fault_is_an_error_of_ours_after_the_words_that_came(
    script: Script, kind: type[ProviderError], words: int
) -> None:
    seen: list[Event] = []
    async with FakeOpenAI({"gpt": script}) as fake, provider(fake, name="a") as openai:
        with pytest.raises(ProviderError) as caught:
            await hear(openai, seen)
        assert type(caught.value) is kind
        assert caught.value.message.startswith(("a ", "a: "))
        assert "secret" not in caught.value.message
        said = [event for event in seen if isinstance(event, TextDelta | ReasoningDelta)]
        assert len(said) == words
        assert not any(isinstance(event, Finished) for event in seen)
        await until(lambda: fake.open_streams == 0)


async def test_the_wait_that_a_server_asks_for_is_kept() -> None:
    async with FakeOpenAI({"gpt": Script.failing(429, retry_after="2")}) as fake, provider(fake) as openai:
        with pytest.raises(ProviderLimited) as caught:
            await ask(openai)
        assert caught.value.retry_after == 2.0


async def test_a_model_that_it_does_not_have_is_named() -> None:
    async with FakeOpenAI() as fake, provider(fake) as openai:
        with pytest.raises(ProviderMisconfigured, match=r'"gpt-9" \(404, model_not_found\)'):
            await ask(openai, request(model="gpt-9"))


async def hear(openai: OpenAI, seen: list[Event]) -> None:
    async with openai.chat(request()) as events:
        async for event in events:
            seen.append(event)
