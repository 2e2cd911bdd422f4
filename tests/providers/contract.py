"""What every provider must do is said once (`test_contract*.py`), over a rig for each: what a rig is, and its words.

A rig starts the fake server of its provider behind a proxy that spoils things, scripts it in our words (`Said`) and
reads in few words what it was sent (`Turn`). It knows nothing of the tests. `rigs/every.py` lists them.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import orjson

from llm_pool.core.streams import Answer, collect
from llm_pool.core.trace import Trace
from llm_pool.core.types import Message, Request, Usage
from tests.fakes.proxy import FaultProxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from llm_pool.core.ports.embedder import Embedder
    from llm_pool.core.ports.provider import Provider
    from llm_pool.core.types import Event, FinishReason, ToolCall

# What not every provider has: a wire; counts of its server's; tools; images; thoughts, and a seal on them; ids of
# tool calls that the server gives; schemas of answers; how likely the words were; vectors, and their length; a word
# about which sequence has ended it; a filter.
Can: TypeAlias = Literal[
    "wire", "counts", "tools", "images", "reasoning", "seal", "ids", "schema", "logprobs", "embed", "dimensions",
    "stopped_by", "filter",
]  # fmt: skip

TEXT = "Hé, 日本 🙂 how are you?"


@dataclass(frozen=True)
class Said:
    """What the server says next, until it is told otherwise. `stall`: it stops for ever after as many pieces, a word
    each; -1: before it says anything at all. `usage` None: whatever it counts.
    """

    text: str = TEXT
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()
    reason: FinishReason = "stop"
    stopped_by: str = ""
    usage: Usage | None = None
    stall: int | None = None


@dataclass(frozen=True)
class Turn:
    """A message as it went out: calls are id, name and arguments (parsed), results id and text."""

    role: str
    text: str = ""
    reasoning: tuple[tuple[str, str], ...] = ()  # text and seal
    calls: tuple[tuple[str, str, Any], ...] = ()
    results: tuple[tuple[str, str], ...] = ()
    images: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Sent:
    """A question as it went out."""

    headers: Mapping[str, str]
    turns: tuple[Turn, ...]
    tools: tuple[tuple[str, Any], ...]  # name and schema
    schema: Any  # of the answer, None where none was sent
    logprobs: int | None

    def all_of(self, what: Literal["reasoning", "calls", "results", "images"]) -> list[Any]:
        return [each for turn in self.turns for each in getattr(turn, what)]


@dataclass
class Bench:
    """A provider, and what stands behind it while a test lasts."""

    model: str
    provider: Provider
    say: Callable[[Said], None]
    sent: Callable[[], Sequence[Sent]] = tuple
    open_answers: Callable[[], int] = int  # that the server is giving now
    spoilt: FaultProxy | None = None  # what stands between, where there is a wire

    @property
    def proxy(self) -> FaultProxy:
        assert self.spoilt is not None, "there is no wire to spoil"
        return self.spoilt

    def request(self, text: str = "hi", **changes: Any) -> Request:
        """A question whose pieces are seen; `changes` are fields of `Request`."""
        now = asyncio.get_running_loop().time()
        fields: dict[str, Any] = {"messages": (Message.of("user", text),), "whole": False, **changes}
        return Request(id="r", deadline=now + 60, trace=Trace(started=now), model=self.model, **fields)

    async def hear(self, asked: Request | None = None) -> list[Event]:
        async with self.provider.chat(asked or self.request()) as events:
            return [event async for event in events]

    async def ask(self, asked: Request | None = None) -> Answer:
        async with self.provider.chat(asked or self.request()) as events:
            return await collect(events)

    async def embed(self, *inputs: str, dimensions: int | None = None) -> Answer:
        asked = self.request(operation="embed", inputs=inputs, dimensions=dimensions)
        async with cast("Embedder", self.provider).embed(asked) as events:
            return await collect(events)


class Rig(ABC):
    name: str
    driver: str  # what `Started` names; also the first part of its model ids here
    can: frozenset[Can]
    cannot: tuple[tuple[dict[str, Any], str], ...] = ()  # changes of a request, and the word of the warning or error

    @abstractmethod
    def bench(self) -> AbstractAsyncContextManager[Bench]: ...

    def vector(self, text: str) -> tuple[float, ...] | None:
        """What the server makes of a text; None where nobody knows."""
        return None

    def __repr__(self) -> str:
        return self.name


@dataclass
class Filler:
    """Sound bytes of an answer that say nothing: `line`, which may come again and again, and one `without_end`."""

    line: bytes
    without_end: bytes
    kind: str = field(default="text/event-stream")


class Wired(Rig):
    """The rig of a provider that speaks HTTP to a fake which has the `url` and is an async context itself."""

    model: str
    chat: bytes  # the path of its answers
    buckets: Usage  # each that its wire can tell of, different numbers
    filler: Filler

    @abstractmethod
    def fake(self) -> Any: ...

    @abstractmethod
    def provider(self, url: str) -> Provider: ...

    @abstractmethod
    def script(self, fake: Any, said: Said) -> None: ...

    @abstractmethod
    def sent(self, body: Any, headers: Mapping[str, str]) -> Sent: ...

    @abstractmethod
    def error(self, message: str) -> bytes:
        """The body of an error."""

    @abstractmethod
    def saying(self, text: str) -> tuple[Any, ...]:
        """What its stream holds when it has said this, and not ended."""

    def framed(self, *data: bytes) -> bytes:
        """As its stream sends them."""
        line = b"data: %s\n\n" if self.filler.kind == "text/event-stream" else b"%s\n"
        return b"".join(line % each for each in data)

    @asynccontextmanager
    async def bench(self) -> AsyncIterator[Bench]:
        async with self.fake() as fake, FaultProxy(fake.url) as proxy:
            proxy.only = self.chat
            self.script(fake, Said())
            path = fake.url.partition("://")[2].partition("/")[2]
            async with self.provider(f"{proxy.url}/{path}".rstrip("/")) as provider:
                yield Bench(
                    self.model,
                    provider,
                    say=lambda said: self.script(fake, said),
                    sent=lambda: [self.sent(each.body, each.headers) for each in fake.asked()],
                    open_answers=lambda: fake.open_streams,
                    spoilt=proxy,
                )


def parsed(arguments: str) -> Any:
    return orjson.loads(arguments)
