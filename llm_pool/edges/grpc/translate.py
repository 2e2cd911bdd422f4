"""Our protobuf messages and the words of `edges.wire`: the same fields under the same names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, assert_never

from google.protobuf.duration_pb2 import Duration

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
    from llm_pool.core.streams import Answer
    from llm_pool.core.trace import Attempt
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
    return pb.InferResponse(
        request_id=request.id,
        content=answer.content,
        winner_model=answer.model,
        duration=_duration(account.elapsed_ms),
        from_cache=trace.from_cache,
        strategy_used=trace.strategy,
        finish_reason=answer.reason,
        usage=_usage(answer.usage),
        decision=_decision(Decision.of(trace)),
        reasoning=answer.reasoning,
    )


def _finished(event: Finished, request: Request, account: Account, *, model: str) -> pb.Finished:
    trace = request.trace
    return pb.Finished(
        request_id=request.id,
        winner_model=model,
        duration=_duration(account.elapsed_ms),
        from_cache=trace.from_cache,
        strategy_used=trace.strategy,
        finish_reason=event.reason,
        usage=_usage(event.usage),
        decision=_decision(Decision.of(trace)),
    )


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


def _decision(decision: Decision) -> pb.Decision:
    return pb.Decision(
        strategy=decision.strategy,
        voices=[_voice(attempt) for attempt in decision.voices],
        winner=decision.winner,
        degraded=decision.degraded,
        why=decision.why,
        warnings=[pb.Notice(code=warning.code, message=warning.message) for warning in decision.warnings],
    )


def _voice(attempt: Attempt) -> pb.Voice:
    return pb.Voice(
        provider=attempt.deployment,
        model=attempt.model,
        outcome=attempt.outcome,
        latency=_duration(milliseconds(attempt.started, attempt.ended)),
        first_token=_duration(milliseconds(attempt.started, attempt.first_token)),
        usage=_usage(attempt.usage),
        why=attempt.why,
    )


def _usage(usage: Usage) -> pb.Usage:
    return pb.Usage(
        input_tokens=usage.input,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write,
        output_tokens=usage.output,
        reasoning_tokens=usage.reasoning,
        estimated=usage.estimated,
    )


def _duration(milliseconds: float | None) -> Duration | None:
    """`x_ms` numbers in JSON are `Duration x` here: the only difference between the two wires."""
    if milliseconds is None:
        return None
    seconds, rest = divmod(round(milliseconds * 1_000_000), 1_000_000_000)
    return Duration(seconds=seconds, nanos=rest)
