"""Our protobuf messages and the words of `edges.wire`: the same fields under the same names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, assert_never

from google.protobuf.duration_pb2 import Duration

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
from llm_pool.edges.wire import answer_json, finished_json
from llm_pool.v1 import pool_service_pb2 as pb

if TYPE_CHECKING:
    from llm_pool.core.streams import Answer
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
    return pb.InferResponse(**_timed(answer_json(request, account, answer)))


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
            told = finished_json(request, account, model=model, reason=event.reason, usage=event.usage)
            return pb.StreamInferResponse(finished=pb.Finished(**_timed(told)))
        case _:
            assert_never(event)


def _timed(told: dict[str, Any]) -> dict[str, Any]:
    """`x_ms` numbers become `Duration x`: the only difference between the two wires."""
    told["duration"] = _duration(told.pop("duration_ms"))
    for voice in told["decision"]["voices"]:
        for name in ("latency", "first_token"):
            voice[name] = _duration(voice.pop(f"{name}_ms"))
    return told


def _duration(milliseconds: float | None) -> Duration | None:
    if milliseconds is None:
        return None
    seconds, rest = divmod(round(milliseconds * 1_000_000), 1_000_000_000)
    return Duration(seconds=seconds, nanos=rest)
