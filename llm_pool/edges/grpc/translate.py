"""Our protobuf messages and the words of `edges.wire`: the same fields under the same names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, assert_never

from llm_pool.core.trace import Decision
from llm_pool.core.types import (
    Event,
    Finished,
    Phase,
    ReasoningDelta,
    Request,
    Started,
    TextDelta,
    ToolCallDelta,
    Warning,
)
from llm_pool.edges.wire import milliseconds
from llm_pool.v1 import pool_service_pb2 as pb

if TYPE_CHECKING:
    from google.protobuf.duration_pb2 import Duration

    from llm_pool.core.streams import Answer
    from llm_pool.core.trace import Trace
    from llm_pool.core.types import Usage
    from llm_pool.edges.account import Account

_STRINGS = ("task", "prompt", "model", "strategy", "request_id", "tenant_id", "project_id")
_OPTIONAL: tuple[Literal["max_tokens", "temperature", "deadline_ms"], ...] = (
    "max_tokens",
    "temperature",
    "deadline_ms",
)


def fields(message: pb.InferRequest | pb.StreamInferRequest) -> dict[str, Any]:
    """The fields that a caller set, as `InferBody` takes them. An empty string counts as not set."""
    told: dict[str, Any] = {name: value for name in _STRINGS if (value := getattr(message, name))}
    told |= {name: getattr(message, name) for name in _OPTIONAL if message.HasField(name)}
    if message.messages:
        told["messages"] = [{"role": each.role, "content": each.content} for each in message.messages]
    if message.meta:
        told["meta"] = dict(message.meta)
    return told


def answered(request: Request, account: Account, answer: Answer) -> pb.InferResponse:
    trace = request.trace
    response = pb.InferResponse(
        request_id=request.id,
        content=answer.content,
        winner_model=answer.model,
        from_cache=trace.from_cache,
        strategy_used=trace.strategy,
        finish_reason=answer.reason,
        reasoning=answer.reasoning,
    )
    _tell(response, trace, account, answer.usage)
    return response


def _finished(event: Finished, request: Request, account: Account, *, model: str) -> pb.Finished:
    trace = request.trace
    finished = pb.Finished(
        request_id=request.id,
        winner_model=model,
        from_cache=trace.from_cache,
        strategy_used=trace.strategy,
        finish_reason=event.reason,
    )
    _tell(finished, trace, account, event.usage)
    return finished


def streamed(event: Event, request: Request, account: Account, *, model: str) -> pb.StreamInferResponse:
    """One event of a stream."""
    match event:
        case TextDelta():
            return pb.StreamInferResponse(text=pb.TextDelta(text=event.text))
        case ReasoningDelta():
            return pb.StreamInferResponse(reasoning=pb.ReasoningDelta(text=event.text))
        case ToolCallDelta():
            call = pb.ToolCallDelta(index=event.index, id=event.id, name=event.name, arguments=event.arguments)
            return pb.StreamInferResponse(tool_call=call)
        case Started():
            started = pb.Started(model=event.model, provider=event.provider, request_id=request.id)
            return pb.StreamInferResponse(started=started)
        case Phase():
            return pb.StreamInferResponse(phase=pb.Phase(name=event.name, voice=event.voice))
        case Warning():
            return pb.StreamInferResponse(warning=pb.Notice(code=event.code, message=event.message))
        case Finished():
            return pb.StreamInferResponse(finished=_finished(event, request, account, model=model))
        case _:
            assert_never(event)


# Messages within messages are filled in where they stand: one that is handed over is copied, at every level.


def _tell(message: pb.InferResponse | pb.Finished, trace: Trace, account: Account, usage: Usage) -> None:
    _duration(message.duration, account.elapsed_ms)
    _usage(message.usage, usage)
    decision, told = Decision.of(trace), message.decision
    told.strategy, told.winner, told.why = decision.strategy, decision.winner, decision.why
    told.degraded, told.hedged = decision.degraded, decision.hedged
    for attempt in decision.voices:
        voice = told.voices.add(
            provider=attempt.deployment,
            model=attempt.model,
            outcome=attempt.outcome,
            why=attempt.why,
            kind=attempt.kind,
        )
        _duration(voice.latency, milliseconds(attempt.started, attempt.ended))
        _duration(voice.first_token, milliseconds(attempt.started, attempt.first_token))
        _usage(voice.usage, attempt.usage)
    for warning in decision.warnings:
        told.warnings.add(code=warning.code, message=warning.message)


def _usage(told: pb.Usage, usage: Usage) -> None:
    told.input_tokens = usage.input
    told.output_tokens = usage.output
    if usage.cache_read or usage.cache_write or usage.reasoning:
        told.cache_read_tokens = usage.cache_read
        told.cache_write_tokens = usage.cache_write
        told.reasoning_tokens = usage.reasoning
    if usage.estimated:
        told.estimated = True


def _duration(told: Duration, milliseconds: float | None) -> None:
    """`x_ms` numbers in JSON are `Duration x` here: the only difference between the two wires."""
    if milliseconds is not None:
        told.seconds, told.nanos = divmod(round(milliseconds * 1_000_000), 1_000_000_000)
