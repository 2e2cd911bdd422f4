"""The embedded engine as a provider: its events, its limits, and every way to leave."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import pytest

from llm_pool.core.errors import ProviderMisconfigured, Unsupported
from llm_pool.core.ports.provider import Health, Provider
from llm_pool.core.streams import collect
from llm_pool.core.types import Finished, Message, Sampling, Spec, Started, TextDelta
from llm_pool.providers.builtin.client import Builtin
from tests.providers.builtin.asking import SCHEMAS, chatted, request

pytestmark = pytest.mark.real_time

SHOP = "The shop opens at nine. Delivery takes three days. Returns are free. How long does delivery take?"


async def test_a_chat_comes_in_pieces_between_started_and_finished() -> None:
    provider: Provider = Builtin()
    async with provider, provider.chat(request(SHOP)) as events:
        seen = [event async for event in events]
    assert seen[0] == Started("extractive", "builtin")
    assert len([event for event in seen if isinstance(event, TextDelta)]) > 1
    assert isinstance(seen[-1], Finished)
    assert seen[-1].reason == "stop"
    assert seen[-1].usage.input == len(SHOP.split())


async def test_a_task_is_answered_in_one_piece_of_json_however_few_tokens_are_allowed() -> None:
    async with Builtin() as provider:
        asked = request("cheap tents", "expand_queries", sampling=Sampling(max_tokens=2))
        async with provider.chat(asked) as events:
            seen = [event async for event in events]
    assert len(seen) == 3
    assert isinstance(seen[1], TextDelta)
    SCHEMAS["expand_queries"].validate(json.loads(seen[1].text))


async def test_a_chat_ends_at_the_words_allowed() -> None:
    asked = request(SHOP, sampling=Sampling(max_tokens=7))
    async with Builtin() as provider, provider.chat(asked) as events:
        answer = await collect(events)
    assert (answer.reason, answer.usage.output, len(answer.content.split())) == ("length", 7, 7)


async def test_leaving_before_the_answer_is_fine() -> None:
    async with Builtin() as provider:
        async with provider.chat(request(SHOP)):
            pass
        async with provider.chat(request(SHOP)) as events:
            await anext(events)
        task = asyncio.create_task(_whole(provider))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def _whole(provider: Builtin) -> str:
    async with provider.chat(request("x " * 20_000, "enrich_metadata")) as events:
        return (await collect(events)).content


async def test_many_are_answered_at_once_and_equal_questions_equally() -> None:
    async with Builtin() as provider:
        answers = await asyncio.gather(*(_answer(provider, f"tents for {number % 5} people") for number in range(40)))
    assert len(set(answers)) == 5


async def _answer(provider: Builtin, text: str) -> str:
    async with provider.chat(request(text, "expand_queries")) as events:
        return (await collect(events)).content


async def test_it_is_always_healthy_and_has_one_model() -> None:
    async with Builtin(models=("extractive",)) as provider:
        assert await provider.health() == Health("healthy")
        with pytest.raises(ProviderMisconfigured, match='no model "gpt"'):
            async with provider.chat(request("hello", model="gpt")):
                pass
    with pytest.raises(ValueError, match="extractive"):
        Builtin(models=("extractive", "generative"))


async def test_an_unknown_task_with_a_schema_is_refused_and_without_one_is_a_chat() -> None:
    spec = Spec(schema={"type": "object"}, problem=lambda _: "")
    async with Builtin() as provider:
        async with provider.chat(request("hello", "translate", spec=spec)) as events:
            with pytest.raises(Unsupported, match="cannot answer translate in the form of a JSON schema"):
                await collect(events)
        async with provider.chat(request("hello there", "translate")) as events:
            assert (await collect(events)).content.startswith("[builtin/extractive")


def test_a_chat_says_what_it_is_and_quotes_the_conversation() -> None:
    answer = chatted(SHOP)
    assert answer.startswith("[builtin/extractive: no language model answered]")
    assert "Delivery takes three days." in answer
    hotel = (
        Message.of("system", "Reply in French."),
        Message.of("user", "O voo sai às dez. O hotel fica em Lisboa."),
        Message.of("assistant", "Certo."),
        Message.of("user", "Onde fica o hotel?"),
    )
    answer = chatted("", messages=hotel)
    assert "nenhum modelo de linguagem" in answer
    assert "O hotel fica em Lisboa." in answer
    assert "French" not in answer


def test_with_nothing_to_extract_it_says_so_and_differs_by_question() -> None:
    first, second = chatted("What is the capital of France?"), chatted("What is the capital of Spain?")
    assert "France" in first
    assert "no text" in first
    assert first != second
    assert chatted("")
    assert chatted("x", messages=())


def test_the_tables_are_loaded_by_the_first_question_and_not_before() -> None:
    script = (
        "import sys; from llm_pool.providers.builtin import client; client.Builtin();"
        "own = {name for name in sys.modules if name.startswith('llm_pool.providers.builtin.')};"
        "assert own == {'llm_pool.providers.builtin.client', 'llm_pool.providers.builtin.lacking'}, own;"
        "assert 'Stemmer' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=50)  # noqa: S603 - our own script


def test_first_questions_that_come_at_once_are_all_answered() -> None:
    script = (
        "import math, sys; from concurrent.futures import ThreadPoolExecutor;"
        "from llm_pool.core.trace import Trace; from llm_pool.core.types import Message, Request;"
        "from llm_pool.providers.builtin import client;"
        "asked = Request(id='r', messages=(Message.of('user', 'red tent'),), model='extractive', task='expand_queries',"
        " deadline=math.inf, trace=Trace(0.0));"
        "answers = list(ThreadPoolExecutor(16).map(client._reply, [asked] * 16));"
        "assert len(set(answers)) == 1; assert 'llm_pool.providers.builtin.answer' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=50)  # noqa: S603 - our own script


def test_numpy_is_loaded_by_the_first_ranking_and_not_before() -> None:
    script = (
        "import sys; from llm_pool.providers.builtin.client import Builtin; Builtin();"
        "assert 'numpy' not in sys.modules;"
        "from llm_pool.providers.builtin.ranking import rerank; rerank('a) red tent\\nb) tent\\nwhich red tent?');"
        "assert 'numpy' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=50)  # noqa: S603 - our own script
