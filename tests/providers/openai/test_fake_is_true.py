"""The official client takes the fake for the real server: so the fake is true, and what it teaches us holds."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.fakes.openai import Call, FakeOpenAI, Script
from tests.providers.openai.asking import until

pytestmark = pytest.mark.real_time

ASK: list[Any] = [{"role": "user", "content": "hi"}]
TOOL: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
CALLS = (Call("f", '{"x": 1, "y": "é"}', "call_a"), Call("g", '{"z": [1, 2, 3]}', "call_b"))


def client(fake: FakeOpenAI, **more: Any) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=fake.url, api_key="k1", max_retries=0, **more)


async def test_the_official_client_chats_with_the_fake() -> None:
    async with FakeOpenAI({"gpt": Script("Hello you.")}) as fake, client(fake) as official:
        answer = await official.chat.completions.create(model="gpt", messages=ASK, max_completion_tokens=64)
        assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("Hello you.", "stop")
        assert answer.usage is not None
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (7, 2, 9)
        assert fake.asked()[0].body["max_completion_tokens"] == 64
        assert fake.open_streams == 0


async def test_the_official_client_streams_from_the_fake_whatever_it_is_cut_into() -> None:
    script = Script("Hé, 日本 🙂", comment=b": OPENROUTER PROCESSING", bytes_at_once=7)
    async with FakeOpenAI({"gpt": script}) as fake, client(fake) as official:
        stream = await official.chat.completions.create(
            model="gpt",
            messages=ASK,
            stream=True,
            stream_options={"include_usage": True},
            logprobs=True,
            top_logprobs=2,
        )
        chunks = [chunk async for chunk in stream]
        *said, last = chunks
        assert "".join(chunk.choices[0].delta.content or "" for chunk in said) == "Hé, 日本 🙂"
        assert [chunk.choices[0].finish_reason for chunk in said] == [None] * 4 + ["stop"]
        assert last.choices == []
        assert last.usage is not None
        assert last.usage.total_tokens == 10
        likely = said[1].choices[0].logprobs
        assert likely is not None
        assert likely.content is not None
        assert (likely.content[0].token, len(likely.content[0].top_logprobs)) == ("Hé,", 2)


async def test_the_official_clients_helper_adds_interleaved_tool_calls_up() -> None:
    async with FakeOpenAI({"gpt": Script(calls=CALLS)}) as fake, client(fake) as official:
        async with official.chat.completions.stream(model="gpt", messages=ASK, tools=[TOOL]) as stream:
            answer = await stream.get_final_completion()
        whole = await official.chat.completions.create(model="gpt", messages=ASK, tools=[TOOL])
        for choice in (answer.choices[0], whole.choices[0]):
            assert choice.finish_reason == "tool_calls"
            made: Any = choice.message.tool_calls
            assert [Call(call.function.name, call.function.arguments, call.id) for call in made] == list(CALLS)


async def test_the_official_client_makes_vectors_and_lists_models_of_the_fake() -> None:
    async with FakeOpenAI({"gpt": Script(), "gpt-mini": Script()}) as fake, client(fake) as official:
        made = await official.embeddings.create(model="gpt", input=["a", "bc"], dimensions=2, encoding_format="float")
        assert sorted((each.index, each.embedding) for each in made.data) == [(0, [1.0, 0.5]), (1, [2.0, 1.5])]
        assert made.usage.prompt_tokens == 3
        assert [model.id async for model in official.models.list()] == ["gpt", "gpt-mini"]


async def test_the_fakes_errors_are_those_that_the_official_client_knows() -> None:
    scripts = {"gpt": Script.failing(429, "slow down", retry_after="2")}
    scripts["cut"] = Script(cut_after=1)
    scripts["error"] = Script(frame_after=1, frame=b'data: {"error": {"message": "oh", "type": "server_error"}}\n\n')
    async with FakeOpenAI(scripts) as fake, client(fake) as official:
        with pytest.raises(openai.RateLimitError) as limited:
            await official.chat.completions.create(model="gpt", messages=ASK)
        assert limited.value.response.headers["retry-after"] == "2"
        with pytest.raises(openai.NotFoundError) as unknown:
            await official.chat.completions.create(model="other", messages=ASK)
        assert unknown.value.code == "model_not_found"
        with pytest.raises(openai.APIError, match="oh"):
            async for _ in await official.chat.completions.create(model="error", messages=ASK, stream=True):
                pass
        with pytest.raises(openai.APIConnectionError):
            async for _ in await official.chat.completions.create(model="cut", messages=ASK, stream=True):
                pass
        fake.key = "another"
        with pytest.raises(openai.AuthenticationError) as refused:
            await official.models.list()
        assert refused.value.code == "invalid_api_key"


async def test_the_fake_sees_when_the_official_client_leaves() -> None:
    async with FakeOpenAI({"gpt": Script(stall_after=1)}) as fake, client(fake) as official:
        stream = await official.chat.completions.create(model="gpt", messages=ASK, stream=True)
        async for chunk in stream:
            if chunk.choices[0].delta.content:
                break
        await stream.close()
        await until(lambda: fake.open_streams == 0)
        assert len(fake.left_at) == 1
