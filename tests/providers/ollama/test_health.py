"""How an Ollama server is, asked of it free of charge, and loading its models before they are needed."""

from __future__ import annotations

import asyncio
import logging

import pytest

from llm_pool.core.ports.provider import Health
from llm_pool.providers.ollama.client import Ollama
from tests.fakes.ollama import FakeOllama, Script
from tests.providers.ollama.asking import provider, raw_server, until

pytestmark = pytest.mark.real_time


async def test_health_tells_installed_loaded_and_missing_apart() -> None:
    async with FakeOllama({"a:latest": Script(), "b:7b": Script()}, cold=("b:7b",)) as fake:
        for models, expected in [
            (("a",), Health("healthy")),
            (("*",), Health("healthy")),
            (
                ("a", "b:7b"),
                Health("loading", "not in memory yet, the next answer loads it: b:7b", cold=frozenset({"b:7b"})),
            ),
            (("a", "c"), Health("degraded", 'model "c" is not installed: run "ollama pull c"', frozenset({"c"}))),
            (("c",), Health("unhealthy", 'model "c" is not installed: run "ollama pull c"', frozenset({"c"}))),
        ]:
            async with provider(fake, *models) as ollama:
                assert await ollama.health() == expected
        fake.statuses["/api/ps"] = 404
        async with provider(fake, "a", "b:7b") as ollama:
            assert await ollama.health() == Health("healthy")


async def test_health_names_a_refused_key_a_failing_server_and_a_stranger() -> None:
    async with FakeOllama() as fake, provider(fake, api_key="wrong") as ollama:
        fake.key = "right"
        assert await ollama.health() == Health("unhealthy", "it does not accept our key")
        fake.key = None
        fake.statuses["/api/tags"] = 500
        assert (await ollama.health()).why == "Ollama answered 500"

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>")
        await writer.drain()

    async with raw_server(talk) as url, Ollama(base_url=url, models=("llama3",)) as stranger:
        health = await stranger.health()
        assert (health.state, "as Ollama does" in health.why) == ("unhealthy", True)


async def test_a_look_at_its_health_can_be_cancelled() -> None:
    async with FakeOllama() as fake, provider(fake) as ollama:
        fake.delays["/api/tags"] = 5.0
        looking = asyncio.create_task(ollama.health())
        await until(lambda: bool(fake.received))
        looking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await looking


async def test_a_preload_loads_in_the_background_and_health_says_so() -> None:
    async with FakeOllama({"llama3:latest": Script()}, cold=("llama3:latest",)) as fake:
        fake.load_time = 0.1
        async with provider(fake, preload=True, num_ctx=512, keep_alive="-1") as ollama:
            await until(lambda: bool(fake.asked("/api/generate")))
            assert await ollama.health() == Health(
                "loading", 'model "llama3" is being loaded', cold=frozenset({"llama3"})
            )
            async with asyncio.timeout(1.0):
                while (health := await ollama.health()).state == "loading":  # noqa: ASYNC110 - to ask is to poll
                    await asyncio.sleep(0.01)
            assert health == Health("healthy")
        (received,) = fake.asked("/api/generate")
        assert received.body == {"model": "llama3", "stream": False, "options": {"num_ctx": 512}, "keep_alive": -1}


async def test_a_preload_that_fails_is_a_warning_and_the_next_model_is_loaded(caplog: pytest.LogCaptureFixture) -> None:
    fake = FakeOllama({"b:latest": Script()}, cold=("b:latest",))
    async with fake, provider(fake, "a", "b", preload=True) as ollama:
        await until(lambda: "b:latest" in fake.loaded)
        assert (await ollama.health()).state == "degraded"
    (record,) = [record for record in caplog.records if record.name == "llm_pool.providers.ollama"]
    assert record.levelno == logging.WARNING
    assert 'run "ollama pull a"' in record.getMessage()


async def test_a_preload_ends_with_its_owner() -> None:
    async with FakeOllama() as fake:
        fake.load_time = 5.0
        async with asyncio.timeout(2.0), provider(fake, preload=True):
            await until(lambda: bool(fake.asked("/api/generate")))
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "ollama preload"]
