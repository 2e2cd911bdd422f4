"""The words everything speaks: requests, messages, events and usage. All of them frozen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llm_pool.core.trace import Trace

Role = Literal["system", "user", "assistant", "tool"]

# Why an answer ended, one vocabulary for all providers.
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image by value or by address. An address is passed on or refused, never fetched by us."""

    media_type: str
    data: bytes | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call a model asked for. `arguments` is the JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolResult:
    call_id: str
    content: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Reasoning:
    """What a model thought. `opaque` must come back to its `provider` byte-equal."""

    text: str
    opaque: bytes = b""
    provider: str = ""


Part: TypeAlias = Text | Image | ToolCall | ToolResult | Reasoning


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    parts: tuple[Part, ...]

    @classmethod
    def of(cls, role: Role, text: str) -> Message:
        return cls(role, (Text(text),))


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to draw an answer; None leaves the choice to the task, then to the model."""

    max_tokens: int | None = None
    temperature: float | None = None


NOTHING_SAID = Sampling()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking. The tenant comes from the credential only, never from the body."""

    tenant: str = "default"
    project: str = ""


@dataclass(frozen=True, slots=True)
class Spec:
    """What an answer must be: one JSON value that fits `schema`. `problem` says what is wrong with one, "" nothing."""

    schema: Mapping[str, Any]
    problem: Callable[[object], str]


@dataclass(frozen=True)  # no slots: `replace` copies the whole of it at once
class Request:
    """One question to the pool. Change makes a copy; only `trace` is shared and written to.

    `deadline` is an absolute instant of `loop.time()`. `whole` says that nothing is delivered before everything
    is there, which lets a line that drops half-way be asked again elsewhere. With a `spec` it always is.
    """

    id: str
    messages: tuple[Message, ...]
    deadline: float
    trace: Trace
    task: str = "chat"
    model: str | None = None
    strategy: str | None = None
    sampling: Sampling = NOTHING_SAID
    caller: Caller = Caller()
    spec: Spec | None = None
    whole: bool = True
    meta: Mapping[str, str] = field(default_factory=dict)


if TYPE_CHECKING:
    from dataclasses import replace as replace  # noqa: PLC0414 - how an export is made explicit
else:

    def replace(request: Request, /, **changes: object) -> Request:
        """`dataclasses.replace` for requests, seven times as fast: every request is copied at every hop."""
        copy = object.__new__(Request)
        copy.__dict__.update(request.__dict__, **changes)
        return copy


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens in disjoint buckets: their sum is what the call consumed.

    `estimated` marks counts that the provider did not report (a stream that was left or broke).
    """

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0
    estimated: bool = False

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input + other.input,
            self.cache_read + other.cache_read,
            self.cache_write + other.cache_write,
            self.output + other.output,
            self.reasoning + other.reasoning,
            self.estimated or other.estimated,
        )


@dataclass(frozen=True, slots=True)
class Started:
    """A model (public id `provider/model`) of a deployment began to answer."""

    model: str
    provider: str


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a tool call. `id` and `name` come with the first piece of an `index`."""

    index: int
    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Phase:
    """An ensemble moved on: `name` of the phase, `voice` it concerns."""

    name: str
    voice: str


@dataclass(frozen=True, slots=True)
class Warning:  # noqa: A001 - the field's word for it; the builtin is never used here
    """Something asked for that the answer does not have. Never silence."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Finished:
    reason: FinishReason
    usage: Usage


Event: TypeAlias = Started | TextDelta | ReasoningDelta | ToolCallDelta | Phase | Warning | Finished

# The first of these is the first word: after it a stream never changes its voice.
WORDS = (TextDelta, ReasoningDelta, ToolCallDelta, Finished)
