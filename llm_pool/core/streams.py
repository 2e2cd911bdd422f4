"""The one shape between the edge and a model: an open answer that lives exactly as long as its `async with`.

Rules of a gate (`tests/test_gates_conform.py` holds every gate to them):

1. `open` asks, and may ask again, only before its own `yield`.
2. After `yield` it may observe an exception but never swallows, translates or retries it.
3. Upstream errors are translated inside the event iterator, never around `yield`.
4. Opened, iterated and left in one task. What transforms events is closed before what it reads from (`Mapped`).
5. No task group and no `wait_for` around an event iterator.
6. Hot gates are small classes. A gate with nothing to do in a configuration is not in its list.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, assert_never

from llm_pool.core.types import (
    Event,
    Finished,
    FinishReason,
    Logprob,
    Phase,
    Reasoning,
    ReasoningDelta,
    Request,
    Started,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    Warning,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

Events: TypeAlias = AsyncGenerator[Event, None]
Answering: TypeAlias = AbstractAsyncContextManager[Events]
Ask: TypeAlias = Callable[[Request], Answering]


class Gate(Protocol):
    """A stage that every request passes: asks `then`, and hands its events on."""

    def open(self, request: Request, then: Ask) -> Answering: ...


def nested(gates: Iterable[Gate], innermost: Ask) -> Ask:
    """Nest gates like brackets, the first one outermost."""
    ask = innermost
    for gate in reversed(list(gates)):
        ask = _entered(gate, ask)
    return ask


def _entered(gate: Gate, then: Ask) -> Ask:
    return lambda request: gate.open(request, then)


class Mapped(AbstractAsyncContextManager[Events]):
    """`async with inner as events, aclosing(transform(events)) as out: yield out`, as a class (rules 4 and 6).

    Subclasses write `_map`, and may override the two methods to do more on the way in and out.
    """

    __slots__ = ("_inner", "_out", "_request", "_then")

    def __init__(self, then: Ask, request: Request) -> None:
        self._then = then
        self._request = request

    @abstractmethod
    def _map(self, events: Events) -> Events: ...

    async def __aenter__(self) -> Events:
        self._inner = self._then(self._request)
        self._out = self._map(await self._inner.__aenter__())
        return self._out

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._out.aclose()
        finally:
            await self._inner.__aexit__(kind, error, trace)


@dataclass(frozen=True, slots=True)
class Answer:
    """A stream, added up. `parts` is all that was said, in order; `logprobs` those of its text, where asked for."""

    parts: tuple[Text | Reasoning | ToolCall, ...]
    model: str
    provider: str
    reason: FinishReason
    usage: Usage
    stopped_by: str = ""
    logprobs: tuple[Logprob, ...] = ()
    vectors: tuple[tuple[float, ...], ...] = ()
    counted: int | None = None

    @property
    def content(self) -> str:
        return "".join([part.text for part in self.parts if isinstance(part, Text)])

    @property
    def reasoning(self) -> str:
        return "".join([part.text for part in self.parts if isinstance(part, Reasoning)])

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple([part for part in self.parts if isinstance(part, ToolCall)])


async def collect(events: Events) -> Answer:
    """Add a stream up. The stream has one `Started` and ends with `Finished`, or with its own error."""
    sum_of = Sum()
    async for event in events:
        if isinstance(event, Finished):
            return sum_of.answer(event)
        sum_of.add(event)
    raise AssertionError("a provider's stream ended with neither Finished nor an error")


def replayed(answer: Answer) -> list[Event]:
    """The events of an answer that is there already."""
    events: list[Event] = [Started(answer.model, answer.provider)]
    calls = 0
    logprobs = answer.logprobs
    for part in answer.parts:
        match part:
            case Text():
                events.append(TextDelta(part.text, logprobs))  # all of them: which are whose nobody has kept
                logprobs = ()
            case Reasoning():
                events.append(ReasoningDelta(part.text, part.opaque, part.redacted, part.provider))
            case ToolCall():
                events.append(ToolCallDelta(calls, part.id, part.name, part.arguments))
                calls += 1
            case _:
                assert_never(part)
    events.append(Finished(answer.reason, answer.usage, answer.stopped_by, answer.vectors, answer.counted))
    return events


class Sum:
    """What a stream has said so far."""

    __slots__ = ("_calls", "_logprobs", "_open", "_parts", "_started")

    def __init__(self) -> None:
        self._parts: list[_Block] = []
        self._open: _Block | None = None  # what the next piece of its kind belongs to
        self._calls: dict[int, _Block] = {}
        self._logprobs: list[Logprob] = []
        self._started = Started("", "")

    def add(self, event: Event) -> None:
        match event:
            case TextDelta():
                if event.text:
                    self._block("text").pieces.append(event.text)
                self._logprobs += event.logprobs  # half a character has some, too
            case ReasoningDelta():
                self._think(event)
            case ToolCallDelta():
                self._call(event)
            case Started():
                self._started = event
            case Phase() | Warning() | Finished():
                pass
            case _:
                assert_never(event)

    def answer(self, end: Finished) -> Answer:
        return Answer(
            parts=tuple([block.part() for block in self._parts]),
            model=self._started.model,
            provider=self._started.provider,
            reason=end.reason,
            usage=end.usage,
            stopped_by=end.stopped_by,
            logprobs=tuple(self._logprobs),
            vectors=end.vectors,
            counted=end.counted,
        )

    def _block(self, kind: Literal["text", "reasoning"]) -> _Block:
        if self._open is None or self._open.kind != kind:
            self._open = _Block(kind)
            self._parts.append(self._open)
        return self._open

    def _think(self, event: ReasoningDelta) -> None:
        if not (event.text or event.opaque or event.redacted):  # it says nothing, and so belongs to nothing
            return
        if event.redacted:
            self._open = None
        block = self._block("reasoning")
        block.pieces.append(event.text)
        block.provider = event.provider
        if event.opaque or event.redacted:
            block.opaque, block.redacted = event.opaque, event.redacted
            self._open = None

    def _call(self, event: ToolCallDelta) -> None:
        call = self._calls.get(event.index)
        if call is None:
            call = self._calls[event.index] = _Block("call")
            self._parts.append(call)
            self._open = None
        call.id, call.name = call.id or event.id, call.name or event.name
        call.pieces.append(event.arguments)


@dataclass(slots=True)
class _Block:
    """One part while it is being said."""

    kind: Literal["text", "reasoning", "call"]
    pieces: list[str] = field(default_factory=list)
    id: str = ""
    name: str = ""
    opaque: str = ""
    redacted: bool = False
    provider: str = ""

    def part(self) -> Text | Reasoning | ToolCall:
        said = "".join(self.pieces)
        if self.kind == "text":
            return Text(said)
        if self.kind == "call":
            return ToolCall(self.id, self.name, said)
        return Reasoning(said, self.opaque, self.redacted, self.provider)
