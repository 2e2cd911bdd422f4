"""What the tests of Anthropic's door share: a pool that says what it is told to, its clients, and streams added up."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson
from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient

from llm_pool.core.streams import Sum
from llm_pool.core.trace import Trace
from llm_pool.core.types import Finished, Request, Usage
from llm_pool.edges.http.anthropic import answers
from llm_pool.edges.http.anthropic.streams import Telling
from tests.running import pool_of, serving
from tests.scripted import Scripted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from llm_pool.core.types import Event
    from tests.running import Up
    from tests.scripted import Step

TOML = '[[providers]]\nname = "a"\ndriver = "sim"\nmodel = "m"\n'
USAGE = Usage(input=7, cache_read=5, cache_write=3, output=11, reasoning=2)

ASK: dict[str, Any] = {"model": "sim/m", "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]}
WEATHER = {"name": "weather", "description": "Of a city", "input_schema": {"type": "object", "properties": {}}}


@asynccontextmanager
async def pool_saying(
    *steps: Step, provider: Scripted | None = None, toml: str = TOML
) -> AsyncIterator[tuple[Up, Scripted]]:
    """A pool of one provider that plays these steps, and that provider."""
    scripted = provider or Scripted(*steps)
    async with pool_of(toml, {"a": scripted}) as pool, serving(pool) as up:
        yield up, scripted


def client_of(up: Up, *, retries: int = 0) -> AsyncAnthropic:
    """The official client. (Not to verify saves the reading of certificates, for which there is no use here.)"""
    return AsyncAnthropic(
        base_url=f"http://{up.http_address}",
        api_key="nobody looks",
        max_retries=retries,
        timeout=30,
        http_client=DefaultAsyncHttpxClient(verify=False),
    )


def request_for() -> Request:
    """A request of which only the id and the trace are read."""
    return Request(id="r", messages=(), deadline=0.0, trace=Trace(started=0.0), verbatim=True)


def whole(events: Iterable[Event]) -> dict[str, Any]:
    """The message of an answer that said this, as a caller reads it."""
    total = Sum()
    for event in events:
        if isinstance(event, Finished):
            told: dict[str, Any] = orjson.loads(orjson.dumps(answers.message(request_for(), total.answer(event))))
            return told
        total.add(event)
    raise AssertionError("no end")


def streamed(events: Iterable[Event]) -> bytes:
    telling = Telling(request_for())
    return b"".join([*(telling.tell(event) for event in events), telling.end()])


def frames(stream: bytes) -> list[dict[str, Any]]:
    """The data of each frame, whose name is its type."""
    assert stream.endswith(b"\n\n")
    told = []
    for frame in stream.split(b"\n\n")[:-1]:
        name, data = frame.split(b"\n")
        told.append(orjson.loads(data.removeprefix(b"data: ")))
        assert name == b"event: " + told[-1]["type"].encode()
    return told


_PIECES = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("thinking", "signature"),
}


def added_up(stream: bytes) -> dict[str, Any]:
    """The message that a stream comes to. Fails where it is not in Anthropic's order."""
    start, *middle, delta, stop = frames(stream)
    assert (start["type"], delta["type"], stop) == ("message_start", "message_delta", {"type": "message_stop"})
    message: dict[str, Any] = start["message"]
    content, opened, text = message["content"], False, ""
    assert content == []
    for told in middle:
        if told["type"] == "content_block_start":
            assert (opened, told["index"]) == (False, len(content))
            content.append(told["content_block"])
            opened, text = True, ""
        else:
            assert (opened, told["index"]) == (True, len(content) - 1)
            block = content[-1]
            if told["type"] == "content_block_stop":
                opened = False
                if block["type"] == "tool_use" and text:
                    block["input"] = orjson.loads(text)
            elif told["delta"]["type"] == "input_json_delta":
                assert block["type"] == "tool_use"
                text += told["delta"]["partial_json"]
            else:
                kind, key = _PIECES[told["delta"]["type"]]
                assert block["type"] == kind
                block[key] += told["delta"][key]
    assert not opened
    return {**message, **delta["delta"], **{key: delta[key] for key in ("usage", "llm_pool") if key in delta}}
