"""Our protobuf messages and the words of `edges.bodies` and `edges.wire`: the same fields under the same names."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, assert_never, get_args

from pydantic_core import from_json

from llm_pool.core.errors import InvalidRequest
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
from llm_pool.edges.bodies import MAX_INPUTS, MAX_MESSAGES, MAX_META, MAX_PARTS, MAX_STOPS, MAX_TOOLS
from llm_pool.edges.marks import bearable
from llm_pool.edges.schemas import LONGEST
from llm_pool.edges.wire import milliseconds, sent_back
from llm_pool.v1 import pool_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Sequence, Sized

    from google.protobuf.duration_pb2 import Duration
    from google.protobuf.message import Message

    from llm_pool.core.streams import Answer
    from llm_pool.core.trace import Trace
    from llm_pool.core.types import Logprob, Usage
    from llm_pool.edges.account import Account

_MOST_PARTS = 100_000  # of all messages together

_STRINGS = ("task", "prompt", "model", "strategy", "effort", "request_id", "tenant_id", "project_id")
_Optional = Literal[
    "max_tokens", "temperature", "deadline_ms", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty",
    "logprobs", "thinking_tokens",
]  # fmt: skip
_OPTIONAL: tuple[_Optional, ...] = get_args(_Optional)


# --- Questions --------------------------------------------------------------------------------------------------


def fields(message: pb.InferRequest | pb.StreamInferRequest) -> dict[str, Any]:
    """The fields that a caller set, as `InferBody` takes them. An empty string counts as not set.

    Raises InvalidRequest.
    """
    _few(message)
    told: dict[str, Any] = {name: value for name in _STRINGS if (value := getattr(message, name))}
    told |= {name: getattr(message, name) for name in _OPTIONAL if message.HasField(name)}
    if message.messages:
        told["messages"] = [_message(each) for each in message.messages]
    if message.meta:
        told["meta"] = _meta(message)
    if message.stop:
        told["stop"] = list(message.stop)
    if message.tools:
        told["tools"] = [_tool(each, at) for at, each in enumerate(message.tools)]
    if message.HasField("tool_choice"):
        told["tool_choice"] = _set(message.tool_choice)
    if message.response_schema:
        told["response_schema"] = _read(message.response_schema, "response_schema")
    return told


def embed_fields(message: pb.EmbedRequest) -> dict[str, Any]:
    """The same, as `EmbedBody` takes them."""
    _at_most(MAX_INPUTS, message.inputs, "inputs")
    return {name: list(value) if name == "inputs" else value for name, value in _set(message).items()} | (
        {"meta": _meta(message)} if message.meta else {}
    )


def _few(message: pb.InferRequest | pb.StreamInferRequest) -> None:
    """Raise InvalidRequest for what is too much, before any of it becomes a Python value, while all others wait."""
    _at_most(MAX_MESSAGES, message.messages, "messages")
    _at_most(MAX_TOOLS, message.tools, "tools")
    _at_most(MAX_STOPS, message.stop, "stop")
    parts = 0
    for at, each in enumerate(message.messages):
        _at_most(MAX_PARTS, each.parts, f"messages.{at}.parts")
        parts += len(each.parts)
    if parts > _MOST_PARTS:
        raise InvalidRequest(f"messages: must have at most {_MOST_PARTS} parts in all", field="messages")
    schemas = "".join([message.response_schema, *(tool.parameters for tool in message.tools)])
    if len(schemas) > LONGEST:
        bearable(schemas.encode())


def _meta(message: pb.InferRequest | pb.StreamInferRequest | pb.EmbedRequest) -> dict[str, str]:
    return dict(islice(message.meta.items(), MAX_META + 1))  # one too many is enough to be refused


def _at_most(most: int, values: Sized, field: str) -> None:
    """In the words that it has over HTTP."""
    if len(values) > most:
        told = f"{field}: list should have at most {most} items after validation, not {len(values)}"
        raise InvalidRequest(told, field=field)


def _set(message: Message) -> dict[str, Any]:
    """The fields of a message that are set. A text that is empty is so only where it is optional, or one of several."""
    return {field.name: value for field, value in message.ListFields()}


def _message(message: pb.Message) -> dict[str, Any]:
    if not message.parts:
        return {"role": message.role, "content": message.content}
    told: dict[str, Any] = {"role": message.role, "parts": [_part(part) for part in message.parts]}
    return told | ({"content": message.content} if message.content else {})


def _part(part: pb.Part) -> dict[str, Any]:
    match part.WhichOneof("part"):
        case None:
            return {}
        case "text":
            return {"text": part.text}
        case "tool_result":  # one without content is one that gave nothing
            result = part.tool_result
            return {"tool_result": {"content": "", **_set(result)}}
        case "tool_call":
            call = part.tool_call
            return {"tool_call": {"id": call.id, "name": call.name, "arguments": call.arguments}}
        case name:
            return {name: _set(getattr(part, name))}


def _tool(tool: pb.Tool, at: int) -> dict[str, Any]:
    told = _set(tool)
    if tool.parameters:
        told["parameters"] = _read(tool.parameters, f"tools.{at}.parameters")
    return told


def _read(text: str, field: str) -> Any:
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError:
        raise InvalidRequest(f"{field}: must be JSON", field=field) from None


# --- Answers ----------------------------------------------------------------------------------------------------


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
        stopped_by=answer.stopped_by,
    )
    for call in answer.tool_calls:
        response.tool_calls.add(id=call.id, name=call.name, arguments=call.arguments)
    for part in sent_back(answer):
        response.reasoning_parts.add(text=part.text, opaque=part.opaque, redacted=part.redacted, provider=part.provider)
    if request.sampling.logprobs is not None:
        _logprobs(response, answer.logprobs)
    _tell(response, trace, account, answer.usage)
    return response


def embedded(request: Request, account: Account, answer: Answer) -> pb.EmbedResponse:
    response = pb.EmbedResponse(request_id=request.id, winner_model=answer.model)
    for vector in answer.vectors:
        response.embeddings.add(values=vector)
    _tell(response, request.trace, account, answer.usage)
    return response


def _finished(event: Finished, request: Request, account: Account, *, model: str) -> pb.Finished:
    trace = request.trace
    finished = pb.Finished(
        request_id=request.id,
        winner_model=model,
        from_cache=trace.from_cache,
        strategy_used=trace.strategy,
        finish_reason=event.reason,
        stopped_by=event.stopped_by,
    )
    _tell(finished, trace, account, event.usage)
    return finished


def streamed(event: Event, request: Request, account: Account, *, model: str) -> pb.StreamInferResponse:
    """One event of a stream."""
    match event:
        case TextDelta():
            text = pb.TextDelta(text=event.text)
            if event.logprobs:
                _logprobs(text, event.logprobs)
            return pb.StreamInferResponse(text=text)
        case ReasoningDelta():
            thought = pb.ReasoningDelta(
                text=event.text, opaque=event.opaque, redacted=event.redacted, provider=event.provider
            )
            return pb.StreamInferResponse(reasoning=thought)
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


def _logprobs(told: pb.InferResponse | pb.TextDelta, logprobs: Sequence[Logprob]) -> None:
    for each in logprobs:
        token = told.logprobs.add(token=each.token, logprob=each.logprob, bytes=bytes(each.bytes or ()))
        for other in each.top:
            token.top.add(token=other.token, logprob=other.logprob, bytes=bytes(other.bytes or ()))


# Messages within messages are filled in where they stand: one that is handed over is copied, at every level.


def _tell(
    message: pb.InferResponse | pb.Finished | pb.EmbedResponse, trace: Trace, account: Account, usage: Usage
) -> None:
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
