"""The official client takes the fake for the real server: so the fake is true, and what it teaches us holds."""

from __future__ import annotations

import ollama
import pytest

from tests.fakes.ollama import FakeOllama, Script

pytestmark = pytest.mark.real_time

ASK = [{"role": "user", "content": "hi"}]


async def test_the_official_client_chats_with_the_fake() -> None:
    async with FakeOllama({"llama3:latest": Script(answer="Hello you.", thinking="Hm.")}) as fake:
        async with ollama.AsyncClient(fake.url) as client:
            answer = await client.chat("llama3", ASK, options={"num_predict": 64}, keep_alive=-1)
        assert (answer.message.content, answer.message.thinking) == ("Hello you.", "Hm.")
        assert (answer.done, answer.done_reason) == (True, "stop")
        assert (answer.prompt_eval_count, answer.eval_count) == (7, 3)
        assert fake.asked()[0].body["options"] == {"num_predict": 64}
        assert fake.open_streams == 0


async def test_the_official_client_streams_from_the_fake() -> None:
    async with FakeOllama({"llama3:latest": Script(answer="Hello you there.", thinking="Hm. Well.")}) as fake:
        async with ollama.AsyncClient(fake.url) as client:
            stream = await client.chat("llama3", ASK, stream=True)
            chunks = [chunk async for chunk in stream]
        assert [chunk.message.content for chunk in chunks] == ["", "", "Hello", " you", " there.", ""]
        assert [chunk.message.thinking for chunk in chunks[:2]] == ["Hm.", " Well."]
        assert [chunk.done for chunk in chunks] == [False] * 5 + [True]
        assert (chunks[-1].done_reason, chunks[-1].eval_count) == ("stop", 5)
        assert fake.open_streams == 0


async def test_the_official_client_sees_the_limit_of_tokens_kept() -> None:
    async with FakeOllama() as fake, ollama.AsyncClient(fake.url) as client:
        answer = await client.chat("llama3", ASK, options={"num_predict": 2})
        assert (answer.message.content, answer.done_reason, answer.eval_count) == ("Hello there,", "length", 2)


TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]


async def test_the_official_client_is_asked_to_call_tools_and_answered_after_their_results() -> None:
    scripts = {"llama3:latest": Script(answer="Done.", calls=(("f", {"x": 1}), ("g", {})))}
    async with FakeOllama(scripts) as fake, ollama.AsyncClient(fake.url) as client:
        for stream in (False, True):
            asked = await client.chat("llama3", ASK, tools=TOOLS, stream=stream)
            chunks = [asked] if isinstance(asked, ollama.ChatResponse) else [chunk async for chunk in asked]
            calls = [call for chunk in chunks for call in chunk.message.tool_calls or ()]
            assert [(call.function.name, call.function.arguments) for call in calls] == [("f", {"x": 1}), ("g", {})]
        answer = await client.chat("llama3", [*ASK, {"role": "tool", "tool_name": "f", "content": "1"}], tools=TOOLS)
        assert (answer.message.content, answer.message.tool_calls) == ("Done.", None)


async def test_the_official_client_embeds_and_is_refused_what_is_too_long() -> None:
    async with FakeOllama() as fake, ollama.AsyncClient(fake.url) as client:
        answer = await client.embed("llama3", ["a bc", "def"], dimensions=2)
        assert ([list(row) for row in answer.embeddings], answer.prompt_eval_count) == ([[1, 2], [3, 0]], 3)
        with pytest.raises(ollama.ResponseError, match="context length"):
            await client.embed("llama3", "a " * 1_001, truncate=False)


async def test_the_official_client_sees_how_likely_the_words_were_and_what_was_thought() -> None:
    scripts = {"llama3:latest": Script(answer="Hi you", thinking="Hm")}
    async with FakeOllama(scripts) as fake, ollama.AsyncClient(fake.url) as client:
        stream = await client.chat("llama3", ASK, stream=True, logprobs=True, top_logprobs=2, think="low")
        first, second, *_ = [chunk async for chunk in stream]
        assert (first.message.thinking, second.message.content) == ("Hm", "Hi")
        assert second.logprobs is not None
        assert [(each.token, each.logprob) for each in second.logprobs] == [("Hi", -0.5)]
        assert [each.token for each in second.logprobs[0].top_logprobs or ()] == ["Hi0", "Hi1"]
        with pytest.raises(ollama.ResponseError, match="invalid think value"):
            await client.chat("llama3", ASK, think="a bit")


async def test_the_official_client_lists_and_loads_models_of_the_fake() -> None:
    scripts = {"a:latest": Script(), "b:7b": Script()}
    async with FakeOllama(scripts, cold=("b:7b",)) as fake, ollama.AsyncClient(fake.url) as client:
        assert [model.model for model in (await client.list()).models] == ["a:latest", "b:7b"]
        assert [model.model for model in (await client.ps()).models] == ["a:latest"]
        loaded = await client.generate("b:7b")
        assert (loaded.done, loaded.done_reason, loaded.response) == (True, "load", "")
        assert [model.model for model in (await client.ps()).models] == ["a:latest", "b:7b"]


async def test_the_official_client_raises_what_the_real_server_makes_it_raise() -> None:
    scripts = {"a:latest": Script(line=b'{"error": "ran out"}', line_after=1), "b:latest": Script.failing(503, "busy")}
    async with FakeOllama(scripts) as fake, ollama.AsyncClient(fake.url) as client:
        with pytest.raises(ollama.ResponseError, match="ran out"):
            [chunk async for chunk in await client.chat("a", ASK, stream=True)]
        with pytest.raises(ollama.ResponseError, match="busy") as busy:
            await client.chat("b", ASK)
        with pytest.raises(ollama.ResponseError, match="not found") as absent:
            await client.chat("c", ASK)
        with pytest.raises(ollama.ResponseError, match="missing unit") as unit:
            await client.chat("a", ASK, keep_alive="-1")
        assert (busy.value.status_code, absent.value.status_code, unit.value.status_code) == (503, 404, 400)
    assert fake.open_streams == 0
