"""Ask `POST /v1/responses` with the official client, and hold all that is said to the client's own types."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson
from openai import AsyncOpenAI, OpenAI
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from llm_pool.core.types import Finished, ReasoningDelta, Started, TextDelta, ToolCallDelta, Usage
from tests.running import running_pool, serving
from tests.scripted import Scripted, pool_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import TypeVar

    from llm_pool.core.types import Event
    from tests.running import Up

    T = TypeVar("T")

Object: TypeAlias = dict[str, Any]

MODEL = "sim/m"
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)

WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "description": "The weather of a place",
    "parameters": {
        "type": "object",
        "properties": {"place": {"type": "string"}},
        "required": ["place"],
        "additionalProperties": False,
    },
    "strict": True,
}

USAGE = Usage(input=10, cache_read=4, cache_write=2, output=7, reasoning=3)
STARTED = Started(MODEL, "a")

# A thought in two pieces with its signature, some text, and two calls whose pieces come in turn.
TALKATIVE: tuple[Event, ...] = (
    STARTED,
    ReasoningDelta("First ", provider="sim"),
    ReasoningDelta("this.", provider="sim"),
    ReasoningDelta("", opaque="c2lnbmF0dXJl+/=", provider="sim"),
    TextDelta("Let me "),
    TextDelta("look."),
    ToolCallDelta(0, "call_a", "weather", ""),
    ToolCallDelta(0, "", "", '{"place":'),
    ToolCallDelta(1, "call_b", "weather", '{"place"'),
    ToolCallDelta(0, "", "", '"Faro"}'),
    ToolCallDelta(1, "", "", ':"Évora"}'),
    Finished("tool_calls", USAGE),
)


class Asked:
    """A pool behind its HTTP edge, and an official client of it."""

    def __init__(self, up: Up, client: AsyncOpenAI, provider: Scripted | None = None) -> None:
        self.up = up
        self.client = client
        self._provider = provider

    @property
    def provider(self) -> Scripted:
        assert self._provider is not None
        return self._provider

    async def sync(self, ask: Callable[[OpenAI], T]) -> T:
        """The same with the client that blocks, in a thread."""

        def asked() -> T:
            with OpenAI(base_url=base_url(self.up), api_key="unused", max_retries=0) as client:
                return ask(client)

        return await asyncio.to_thread(asked)

    async def post(self, **body: Any) -> Object:
        """The bytes of a whole answer, without a client's help."""
        async with self.up.http.post("/v1/responses", json={"model": MODEL, "input": "hi", **body}) as response:
            told: Object = orjson.loads(await response.read())
            return told

    async def events(self, **body: Any) -> list[Object]:
        """The same of a stream."""
        ask = {"model": MODEL, "input": "hi", "stream": True, **body}
        async with self.up.http.post("/v1/responses", json=ask) as response:
            assert response.status == 200, await response.text()
            return events(await response.read())


ANY_PORTS = {"server": {"http_addr": "127.0.0.1:0", "grpc_addr": "127.0.0.1:0"}}


def base_url(up: Up) -> str:
    return f"http://{up.http_address}/v1"


@asynccontextmanager
async def asking(*steps: Any) -> AsyncIterator[Asked]:
    """Over a provider that plays these steps."""
    provider = Scripted(*steps)
    async with serving(pool_of({"a": provider}, sections=ANY_PORTS)) as up, _client(up) as client:
        yield Asked(up, client, provider)


@asynccontextmanager
async def asking_pool(toml: str) -> AsyncIterator[Asked]:
    """Over a pool of this configuration."""
    async with running_pool(toml) as up, _client(up) as client:
        yield Asked(up, client)


def _client(up: Up) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=base_url(up), api_key="unused", max_retries=0)


def events(stream: bytes) -> list[Object]:
    """What the frames of a stream say. Each is named as its data are, and they are numbered from 0."""
    *frames, rest = stream.decode().split("\n\n")
    assert rest == ""
    told = []
    for number, each in enumerate(frames):
        name, data = each.split("\n")
        event = orjson.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        assert event["sequence_number"] == number
        told.append(event)
    return told


def hold(event: Object) -> Any:
    """Check an event against the client's types: the client itself takes whatever comes."""
    held = EVENT.validate_python(event)
    assert held.type == event["type"]
    return held


def lasting(response: Response | Object) -> Object:
    """A response without what differs from call to call."""
    told: Object = response.to_dict() if isinstance(response, Response) else response
    call = told["id"].removeprefix("resp_")
    plain: Object = orjson.loads(orjson.dumps(told).replace(call.encode(), b"CALL"))
    for name in ("created_at", "completed_at"):
        plain.pop(name, None)
    return plain
