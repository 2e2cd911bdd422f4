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

# What is asked of a model: an answer, the vectors of texts, or how many tokens a question is.
Operation = Literal["chat", "embed", "count"]

# How long a provider is asked to keep what precedes this in its prompt cache; "" where nothing is said.
Keep = Literal["", "5m", "1h"]


@dataclass(frozen=True, slots=True)
class Text:
    text: str
    keep: Keep = ""


@dataclass(frozen=True, slots=True)
class Image:
    """An image by value or by address. An address is passed on or refused, never fetched by us.

    `media_type` is such as `image/png`, empty where only the address is known. `detail`: how closely to look, in the
    words of OpenAI (`low`, `high`, `auto`); empty: not said.
    """

    media_type: str
    data: bytes | None = None
    url: str | None = None
    detail: str = ""
    keep: Keep = ""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call a model asked for. `arguments` is the JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str
    keep: Keep = ""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What came of a call. `parts` are what it returned, in order."""

    call_id: str
    parts: tuple[Text | Image, ...]
    is_error: bool = False
    keep: Keep = ""

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Text))


@dataclass(frozen=True, slots=True)
class Reasoning:
    """What a model thought, one block of it.

    `opaque` is what its provider needs to know its own thought again (a signature, or, where it is `redacted`, all of
    the block); it must come back to that provider byte-equal, and goes to no other. `provider` is the first part of
    its model ids, "" where nobody knows whose it is.
    """

    text: str
    opaque: str = ""
    redacted: bool = False
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
class Tool:
    """A function that the caller offers. `parameters` is the JSON Schema of its arguments, None where it has none."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] | None = None
    strict: bool | None = None
    keep: Keep = ""


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether tools are called: as the model likes, not at all, at least one, or the one that is named.

    `parallel`: whether several may be called at once; None leaves it to the provider.
    """

    mode: Literal["auto", "none", "required", "named"] = "auto"
    name: str = ""
    parallel: bool | None = None


AS_IT_LIKES = ToolChoice()


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to draw an answer; None (or an empty `stop`) leaves the choice to the task, then to the model.

    `logprobs`: how many alternatives are told for each token, with its own logarithm of the probability; 0: just that.
    `effort`: how much to think first (`none`, `minimal`, `low`, `medium`, `high`, or a provider's own word);
    `thinking_tokens`: the same as a number of tokens, 0 for none.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logprobs: int | None = None
    effort: str | None = None
    thinking_tokens: int | None = None


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
    `verbatim`: the caller speaks somebody else's protocol, and has said all that is to be said: the task adds neither
    prompt nor limits. `betas` are features of Anthropic's API that are asked for by name. `inputs` are the texts (or
    tokens) to embed, in `dimensions` where that is said.
    """

    id: str
    messages: tuple[Message, ...]
    deadline: float
    trace: Trace
    task: str = "chat"
    model: str | None = None
    strategy: str | None = None
    sampling: Sampling = NOTHING_SAID
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = AS_IT_LIKES
    caller: Caller = Caller()
    spec: Spec | None = None
    whole: bool = True
    verbatim: bool = False
    operation: Operation = "chat"
    betas: tuple[str, ...] = ()
    inputs: tuple[str | tuple[int, ...], ...] = ()
    dimensions: int | None = None
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
class Logprob:
    """How likely a token was: the natural logarithm. `top` are the likeliest ones in its place."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None
    top: tuple[Logprob, ...] = ()


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str
    logprobs: tuple[Logprob, ...] = ()


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """A piece of a thought. The piece with `opaque`, or one that is `redacted`, is the last one of its block; where
    something else begins, a block that has neither ends.
    """

    text: str
    opaque: str = ""
    redacted: bool = False
    provider: str = ""


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
    """`stopped_by` is the stop sequence that ended it, where the provider says so. Of an embedding `vectors` are the
    answer, one for each input; of a count `counted`, in tokens.
    """

    reason: FinishReason
    usage: Usage
    stopped_by: str = ""
    vectors: tuple[tuple[float, ...], ...] = ()
    counted: int | None = None


Event: TypeAlias = Started | TextDelta | ReasoningDelta | ToolCallDelta | Phase | Warning | Finished

# The first of these is the first word: after it a stream never changes its voice.
WORDS = (TextDelta, ReasoningDelta, ToolCallDelta, Finished)
