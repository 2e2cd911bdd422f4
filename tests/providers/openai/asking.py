"""What the tests of the OpenAI provider share: a question, a provider on a fake, and a decoder to feed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson

from llm_pool.core.streams import Answer, Sum, collect
from llm_pool.core.trace import Trace
from llm_pool.core.types import Event, Finished, Message, Request
from llm_pool.providers.openai.answers import Decoder
from llm_pool.providers.openai.client import OpenAI
from llm_pool.providers.openai.translate import Dialect, to_wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llm_pool.core.ports.provider import Provider
    from tests.fakes.openai import FakeOpenAI

WHO = "OpenAI (a)"
OFFICIAL = Dialect(WHO, "openai", official=True)
COMPATIBLE = Dialect("b", "openai")
ROUTER = Dialect("OpenRouter (c)", "openrouter", openrouter=True)


def request(*messages: Message, **more: Any) -> Request:
    asked: dict[str, Any] = {"model": "gpt", "whole": False} | more
    return Request("r", messages or (Message.of("user", "hi"),), 60.0, Trace(0.0), **asked)


def provider(fake: FakeOpenAI, *models: str, **settings: Any) -> OpenAI:
    return OpenAI(base_url=fake.url, models=models or ("gpt",), **settings)


async def ask(openai: Provider, asked: Request | None = None) -> Answer:
    async with openai.chat(asked or request()) as events:
        return await collect(events)


def body(asked: Request, dialect: Dialect = COMPATIBLE) -> dict[str, Any]:
    """As the server reads it."""
    read: dict[str, Any] = orjson.loads(orjson.dumps(to_wire(asked, dialect).body))
    return read


def warned(asked: Request, dialect: Dialect) -> list[tuple[str, str]]:
    return [(warning.code, warning.message) for warning in to_wire(asked, dialect).warnings]


def decode(pieces: Iterable[bytes], *, whole: bool = False) -> list[Event]:
    """The events of an answer whose body comes in these pieces, and then ends. Whether it is whole: `Finished`."""
    decoder = Decoder(WHO, model="gpt", whole=whole)
    events: list[Event] = []
    for piece in pieces:
        events += decoder.feed(piece)
        if decoder.done:
            return events
    return [*events, *decoder.end()]


def frames(*chunks: object, done: bool = True) -> bytes:
    sent = [b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in chunks]
    return b"".join(sent) + (b"data: [DONE]\n\n" if done else b"")


def added_up(events: list[Event]) -> Answer:
    end = events[-1]
    assert isinstance(end, Finished)
    total = Sum()
    for event in events[:-1]:
        total.add(event)
    return total.answer(end)


async def until(true: Callable[[], bool], within: float = 1.0) -> None:
    """Wait for it: what hangs up is seen by the other side a moment later."""
    async with asyncio.timeout(within):
        while not true():  # noqa: ASYNC110 - the fake has no event to wait for
            await asyncio.sleep(0.002)
