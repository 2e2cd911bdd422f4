"""What the tests of the Ollama provider share: a question, a way to ask it, and a server that speaks bytes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from llm_pool.core.streams import Answer, collect
from llm_pool.core.trace import Trace
from llm_pool.core.types import (
    Event,
    Message,
    Request,
    Sampling,
)
from llm_pool.providers.ollama.client import Ollama

if TYPE_CHECKING:
    from llm_pool.core.ports.provider import Provider
    from tests.fakes.ollama import FakeOllama

Raw = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def request(text: str = "hi", model: str = "llama3", max_tokens: int | None = None) -> Request:
    """One whose pieces are seen: of a whole one those that arrive together would be joined."""
    sampling = Sampling(max_tokens=max_tokens)
    return Request("r", (Message.of("user", text),), 60.0, Trace(0.0), model=model, sampling=sampling, whole=False)


def provider(fake: FakeOllama, *models: str, **settings: Any) -> Ollama:
    return Ollama(base_url=fake.url, models=models or ("llama3",), **settings)


async def ask(ollama: Provider, asked: Request | None = None) -> Answer:
    async with ollama.chat(asked or request()) as events:
        return await collect(events)


async def hear(closed: Ollama, seen: list[Event]) -> None:
    """Ask, and note what comes before an error, if one comes."""
    async with closed as ollama, ollama.chat(request()) as events:
        async for event in events:
            seen.append(event)


async def until(true: Callable[[], bool], within: float = 1.0) -> None:
    """Wait for it: what hangs up is seen by the other side a moment later."""
    async with asyncio.timeout(within):
        while not true():  # noqa: ASYNC110 - the fake has no event to wait for
            await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def raw_server(talk: Raw) -> AsyncIterator[str]:
    """A server that speaks bytes, for what no web framework would say. Gives its URL."""
    talks: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.append(task := asyncio.ensure_future(_talk(reader, writer)))
        await asyncio.wait({task})

    async def _talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
