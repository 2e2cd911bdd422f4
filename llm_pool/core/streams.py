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
from typing import TYPE_CHECKING, Protocol, TypeAlias, assert_never

from llm_pool.core.types import (
    Event,
    Finished,
    FinishReason,
    Phase,
    ReasoningDelta,
    Request,
    Started,
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
    """A stream, added up."""

    content: str
    model: str
    provider: str
    reason: FinishReason
    usage: Usage
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


def _joined(calls: dict[int, _Call]) -> tuple[ToolCall, ...]:
    return tuple(ToolCall(call.id, call.name, "".join(call.arguments)) for _, call in sorted(calls.items()))


async def collect(events: Events) -> Answer:
    """Add a stream up. The stream has one `Started` and ends with `Finished`, or with its own error."""
    text: list[str] = []
    reasoning: list[str] = []
    calls: dict[int, _Call] = {}
    started = Started("", "")
    async for event in events:
        match event:
            case TextDelta():
                text.append(event.text)
            case ReasoningDelta():
                reasoning.append(event.text)
            case ToolCallDelta():
                call = calls.setdefault(event.index, _Call())
                call.id, call.name = call.id or event.id, call.name or event.name
                call.arguments.append(event.arguments)
            case Started():
                started = event
            case Finished():
                return Answer(
                    content="".join(text),
                    model=started.model,
                    provider=started.provider,
                    reason=event.reason,
                    usage=event.usage,
                    reasoning="".join(reasoning),
                    tool_calls=_joined(calls) if calls else (),
                )
            case Phase() | Warning():
                pass
            case _:
                assert_never(event)
    raise AssertionError("a provider's stream ended with neither Finished nor an error")
