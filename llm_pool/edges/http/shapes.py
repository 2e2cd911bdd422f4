"""What the HTTP edge answers, as models: the document of the API is made from them, and tests hold answers to them.

Answers themselves are laid out as plain dicts, which takes a tenth of the time: nothing here is imported to serve one.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, Json, RootModel

from llm_pool.core.ports.provider import State
from llm_pool.core.trace import Kind
from llm_pool.core.types import FinishReason

_Count = Annotated[int, Field(ge=0)]
_Milliseconds = Annotated[float, Field(ge=0)]


class _Shape(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


# --- Answers ----------------------------------------------------------------------------------------------------


class Usage(_Shape):
    """Tokens in buckets that do not overlap: their sum is what was consumed."""

    input_tokens: _Count = Field(description="of the question, without those of a provider's prompt cache")
    cache_read_tokens: _Count = Field(description="of the question, found in a provider's prompt cache")
    cache_write_tokens: _Count = Field(description="of the question, written to a provider's prompt cache")
    output_tokens: _Count = Field(description="of the answer")
    reasoning_tokens: _Count = Field(description="thought before the answer")
    estimated: bool = Field(description="whether they are counted by the pool, because the provider did not say")


class Voice(_Shape):
    """One call of a provider, whether it came to an answer or not."""

    provider: str = Field(description="the name of its `[[providers]]` table")
    model: str = Field(examples=["ollama/phi3:mini"])
    kind: Kind = Field(
        description="why it was asked: it was the choice (`first`), another one had failed (`failover`), it had failed "
        "itself (`retry`), or another one was silent (`hedge`) or slow (`race`)"
    )
    outcome: str = Field(
        description="`ok`, or the code of what ended it; `OUTRUN`: another one that was asked beside it was quicker",
        examples=["ok", "PROVIDER_OVERLOADED"],
    )
    latency_ms: _Milliseconds | None = Field(description="until it ended; null while it runs")
    first_token_ms: _Milliseconds | None = Field(description="until its first word; null without one")
    usage: Usage
    why: str = Field(description="more about the outcome; often empty")


class Warned(_Shape):
    """Something that was not done as asked for, although there is an answer."""

    code: str
    message: str


class Decision(_Shape):
    """How the answer came about."""

    strategy: str = Field(examples=["fastest"])
    voices: list[Voice] = Field(description="everybody who was asked, in that order")
    winner: str = Field(description="the provider that answered")
    degraded: bool = Field(description="whether the fallback tier answered")
    hedged: bool = Field(description="whether two were asked at a time; `voices` tells whom, who won and what it cost")
    why: str = Field(description="what is worth knowing; often empty", examples=["fallback"])
    warnings: list[Warned]


class Finished(_Shape):
    """Everything of an answer but its content: the last event of a stream."""

    request_id: str
    winner_model: str = Field(examples=["ollama/phi3:mini"])
    duration_ms: _Milliseconds = Field(description="from the arrival of the question to now")
    from_cache: bool
    strategy_used: str = Field(examples=["fastest"])
    finish_reason: FinishReason = Field(
        description="`length`: the answer is cut at `max_tokens`; `tool_calls`: it waits for what comes of them"
    )
    stopped_by: str = Field(
        "", description="which of the `stop` texts ended it; absent where the provider does not say"
    )
    usage: Usage
    decision: Decision


class ToolCall(_Shape):
    """A call that the model asks for: send it back with its result."""

    id: str
    name: str
    arguments: str = Field(description="JSON, as the model wrote it")


class Thought(_Shape):
    """One block of what the model thought, as it must come back."""

    text: str
    opaque: str = Field(description="what its provider knows it by; often empty")
    redacted: bool = Field(description="whether `opaque` is all there is of it")
    provider: str = Field(examples=["anthropic"])


class TopLogprob(_Shape):
    """How likely a token was."""

    token: str
    logprob: float = Field(description="the natural logarithm of its probability")
    bytes: str = Field(
        description="its UTF-8, maybe a part of a character, in base64; empty where it is not known",
        json_schema_extra={"contentEncoding": "base64"},
    )


class Logprob(TopLogprob):
    """A token of the content."""

    top: list[TopLogprob] = Field(description="the likeliest ones in its place")


class Answer(Finished):
    """A whole answer."""

    content: str
    reasoning: str = Field("", description="what the model thought; absent where it did not")
    reasoning_parts: list[Thought] = Field(
        [], description="the same block by block, where its provider wants it back; absent where it does not"
    )
    tool_calls: list[ToolCall] = Field([], description="what the model asks you to call; absent where it does not")
    logprobs: list[Logprob] = Field([], description="of each token of the content; absent where not asked for")


class ErrorDetail(_Shape):
    code: str = Field(
        pattern="^[A-Z]+(_[A-Z]+)*$",
        description="what to branch on; there may be more of them in later versions",
        examples=["UNKNOWN_MODEL"],
    )
    message: str = Field(
        description="for people", examples=['unknown model "ollama/phi3"; did you mean "ollama/phi3:mini"?']
    )
    request_id: str = Field(examples=["a52a42d9be9e1cf9a09b77c8a07c31a5"])
    details: dict[str, str] = Field(
        description="such as the `field` that is wrong", examples=[{"field": "model", "nearest": "ollama/phi3:mini"}]
    )


class Error(_Shape):
    """Every error of our own routes."""

    error: ErrorDetail


class OpenAIErrorDetail(_Shape):
    message: str = Field(description="for people")
    type: str = Field(examples=["invalid_request_error"])
    param: str | None = Field(description="the field that is wrong")
    code: str = Field(description="what to branch on", examples=["model_not_found"])


class OpenAIError(_Shape):
    """An error in OpenAI's words."""

    error: OpenAIErrorDetail


class AnthropicErrorDetail(_Shape):
    type: str = Field(description="what to branch on", examples=["not_found_error"])
    message: str = Field(description="for people")
    details: dict[str, str] = Field(
        {},
        description="by which its clients know what to do next; mostly absent",
        examples=[{"error_code": "thread_not_found"}],
    )


class AnthropicError(_Shape):
    """An error in Anthropic's words."""

    type: Literal["error"]
    error: AnthropicErrorDetail
    request_id: str


# --- Streams ----------------------------------------------------------------------------------------------------


class Started(_Shape):
    model: str
    provider: str
    request_id: str


class Text(_Shape):
    text: str
    logprobs: list[Logprob] = Field([], description="of its tokens; absent where not asked for")


class Thinking(_Shape):
    text: str
    opaque: str = Field("", description="what its provider knows this thought by; ends it; else absent")
    redacted: bool = Field(False, description="whether `opaque` is all there is of it; else absent")
    provider: str = Field("", description="whose thought it is; absent where nobody knows")


class ToolCallPiece(_Shape):
    index: _Count = Field(description="of the call in this answer")
    id: str = Field(description="in the first piece of a call")
    name: str = Field(description="in the first piece of a call")
    arguments: str = Field(description="a piece of the JSON text")


class Phase(_Shape):
    name: str
    voice: str


class StartedEvent(_Shape):
    """The first one: who answers."""

    event: Literal["started"]
    data: Json[Started]


class TextEvent(_Shape):
    """Some more of the content."""

    event: Literal["text"]
    data: Json[Text]


class ReasoningEvent(_Shape):
    """Some more of what the model thinks."""

    event: Literal["reasoning"]
    data: Json[Thinking]


class ToolCallEvent(_Shape):
    """Some more of a call that the model asks for."""

    event: Literal["tool_call"]
    data: Json[ToolCallPiece]


class PhaseEvent(_Shape):
    """What a strategy is doing."""

    event: Literal["phase"]
    data: Json[Phase]


class WarningEvent(_Shape):
    """Something is not done as asked for."""

    event: Literal["warning"]
    data: Json[Warned]


class FinishedEvent(_Shape):
    """The last one of an answer that is complete."""

    event: Literal["finished"]
    data: Json[Finished]


class ErrorEvent(_Shape):
    """The last one of an answer that broke after it had begun; what was said before is all there is."""

    event: Literal["error"]
    data: Json[Error]


_Event = (
    StartedEvent | TextEvent | ReasoningEvent | ToolCallEvent | PhaseEvent | WarningEvent | FinishedEvent | ErrorEvent
)


class StreamEvent(RootModel[_Event]):
    """One server-sent event: its name is in the line `event:`, its data, as JSON, in the line `data:`.

    `started` comes first and `finished` last, or `error` where the answer breaks. A line that begins with a colon only
    keeps the connection open.
    """

    root: Annotated[_Event, Field(discriminator="event")]


# --- What the pool tells of itself ------------------------------------------------------------------------------


class Model(_Shape):
    id: str = Field(examples=["ollama/phi3:mini"])
    object: Literal["model"]
    created: int = Field(description="when the pool started, in seconds since 1970")
    owned_by: str = Field(examples=["ollama"])


class Models(_Shape):
    """Everything that may be named as `model`, in the shape of OpenAI's list."""

    object: Literal["list"]
    data: list[Model]


class Probe(_Shape):
    status: str = Field(description="`ok`, or why not", examples=["ok"])


class _Summary(_Shape):
    status: Literal["ok", "degraded"] = Field(
        description="`degraded`: a provider is in trouble, or a task has only its fallback"
    )
    healthy: bool = Field(description="whether every task can be answered")
    version: str
    config_version: str = Field(description="the first 12 hex digits of a hash of the configuration")
    config_error: str | None = Field(
        description="why the newest configuration was refused; the one before it stays in force"
    )


class Health(_Summary):
    """How the pool is, in short."""

    providers: dict[str, State] = Field(
        description="`loading`: answers, but the first time slowly; `degraded`: some of its models are missing",
        examples=[{"phi3": "healthy", "llama": "loading"}],
    )


class BreakerState(_Shape):
    """A circuit breaker: of one task where `breaker.per_task` is set, else of all."""

    task: str = Field(description="empty: all of them")
    state: Literal["closed", "half_open", "open"]
    calls: _Count = Field(description="that are looked back on")
    failed: _Count = Field(description="of these")
    tries_again_in: float | None = Field(
        description="seconds until it lets a call through again; null: an operator must close it"
    )
    held: bool = Field(description="whether an operator has opened it")


class DeploymentState(_Shape):
    """What is known of one model of a provider."""

    model: str = Field(examples=["ollama/phi3:mini"])
    breakers: list[BreakerState] = Field(description="empty as long as it has not been asked")
    resting: str = Field(description="why it is left alone for a while; else empty")
    outstanding: _Count = Field(description="how many calls of it are under way")
    first_token_ms: _Milliseconds | None = Field(description="median of the last calls")
    per_token_ms: _Milliseconds | None = Field(description="median of the last longer answers")
    limit: _Count | None = Field(description="how many calls of it may be under way; null: any number")
    waiting: _Count = Field(description="how many calls wait for their turn")


class Breakers(_Shape):
    provider: str
    deployments: list[DeploymentState]


class ProviderHealth(_Shape):
    state: State
    why: str
    driver: str = Field(examples=["ollama"])
    models: list[str] = Field(examples=[["ollama/phi3:mini"]])
    tasks: list[str] = Field(description="those that it answers")
    weight: float = Field(description="its share of the traffic")
    fallback: bool
    in_flight: _Count = Field(description="how many calls of it are under way")
    deployments: list[DeploymentState] = Field(description="each of its models")


class Room(_Shape):
    under_way: _Count
    waiting: _Count = Field(description="for their turn")
    limit: _Count = Field(description="how many may be under way")


class HealthDetailed(_Summary):
    """How the pool is, and why."""

    providers: dict[str, ProviderHealth]
    requests: Room
    tasks_without_provider: list[str]
    tasks_on_fallback: list[str]
    draining: bool
    uptime_seconds: Annotated[float, Field(ge=0)]
