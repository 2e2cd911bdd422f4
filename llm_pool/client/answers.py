"""The pool's JSON as values: the answer, how it came about, and the events of a stream. Pure.

What a newer pool adds is kept in `Answer.raw`; what an older one leaves out has its empty value. A value of the wrong
type is refused: whatever sent it is no pool.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from llm_pool.core.types import (
    Logprob,
    Phase,
    Reasoning,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    Warning,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llm_pool.core.streams import Answer as Said

T = TypeVar("T")
Json: TypeAlias = dict[str, Any]


class Garbled(ValueError):
    """No pool says this."""


@dataclass(frozen=True, slots=True)
class Voice:
    """One model that was asked. Times are in milliseconds, None where it did not come so far."""

    provider: str
    model: str
    outcome: str
    latency_ms: float | None
    first_token_ms: float | None
    usage: Usage
    why: str


@dataclass(frozen=True, slots=True)
class Decision:
    """Who was asked, who won and why; `degraded`: only the fallback tier could answer."""

    strategy: str = ""
    voices: tuple[Voice, ...] = ()
    winner: str = ""
    degraded: bool = False
    why: str = ""
    warnings: tuple[Warning, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, and everything that the pool tells about it. `raw` is its JSON object as it came.

    `reasoning_parts` are there where their provider wants them back; `logprobs`, of the content, where asked for.
    """

    request_id: str
    content: str
    winner_model: str
    duration_ms: float
    from_cache: bool
    strategy_used: str
    finish_reason: str
    usage: Usage
    decision: Decision
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning_parts: tuple[Reasoning, ...] = ()
    logprobs: tuple[Logprob, ...] = ()
    stopped_by: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


StreamEvent: TypeAlias = Started | TextDelta | ReasoningDelta | ToolCallDelta | Phase | Warning | Answer


def parsed(text: str | bytes) -> Json:
    """A JSON object. Raises Garbled."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise Garbled("not JSON") from None
    if not isinstance(value, dict):
        raise Garbled("not a JSON object")
    return value


def answer_of(raw: Json) -> Answer:
    """The unary answer, or the last event of a stream with its `content` added. Raises Garbled."""
    return Answer(
        request_id=_taken(raw, "request_id", str, ""),
        content=_taken(raw, "content", str, ""),
        winner_model=_taken(raw, "winner_model", str, ""),
        duration_ms=_number(raw, "duration_ms") or 0.0,
        from_cache=_taken(raw, "from_cache", bool, False),
        strategy_used=_taken(raw, "strategy_used", str, ""),
        finish_reason=_taken(raw, "finish_reason", str, ""),
        usage=_usage(_taken(raw, "usage", dict, {})),
        decision=_decision(_taken(raw, "decision", dict, {})),
        reasoning=_taken(raw, "reasoning", str, ""),
        tool_calls=_each(raw, "tool_calls", _call),
        reasoning_parts=_each(raw, "reasoning_parts", _thought),
        logprobs=_each(raw, "logprobs", _logprob),
        stopped_by=_taken(raw, "stopped_by", str, ""),
        raw=raw,
    )


def said_of(said: Said) -> Json:
    """What a stream said, as the unary answer lays it out."""
    thoughts = [part for part in said.parts if isinstance(part, Reasoning)]
    if not any(part.opaque or part.redacted for part in thoughts):
        thoughts = []
    told: Json = {
        "reasoning": said.reasoning,
        "tool_calls": [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in said.tool_calls],
        "reasoning_parts": [
            {"text": part.text, "opaque": part.opaque, "redacted": part.redacted, "provider": part.provider}
            for part in thoughts
        ],
        "logprobs": [{**_token(each), "top": [_token(other) for other in each.top]} for each in said.logprobs],
    }
    return {"content": said.content} | {name: value for name, value in told.items() if value}


def _token(each: Logprob) -> Json:
    raw = base64.b64encode(bytes(each.bytes or ())).decode()
    return {"token": each.token, "logprob": each.logprob, "bytes": raw}


def event_of(name: str, data: Json) -> StreamEvent | None:
    """An event of a stream but its last; None for a kind that this client does not know. Raises Garbled."""
    match name:
        case "text":
            return TextDelta(_taken(data, "text", str, ""), _each(data, "logprobs", _logprob))
        case "reasoning":
            piece = _thought(data)
            return ReasoningDelta(piece.text, piece.opaque, piece.redacted, piece.provider)
        case "started":
            return Started(model=_taken(data, "model", str, ""), provider=_taken(data, "provider", str, ""))
        case "tool_call":
            return ToolCallDelta(
                index=_taken(data, "index", int, 0),
                id=_taken(data, "id", str, ""),
                name=_taken(data, "name", str, ""),
                arguments=_taken(data, "arguments", str, ""),
            )
        case "phase":
            return Phase(name=_taken(data, "name", str, ""), voice=_taken(data, "voice", str, ""))
        case "warning":
            return _warning(data)
        case _:
            return None


def _decision(raw: Json) -> Decision:
    return Decision(
        strategy=_taken(raw, "strategy", str, ""),
        voices=_each(raw, "voices", _voice),
        winner=_taken(raw, "winner", str, ""),
        degraded=_taken(raw, "degraded", bool, False),
        why=_taken(raw, "why", str, ""),
        warnings=_each(raw, "warnings", _warning),
    )


def _voice(raw: Json) -> Voice:
    return Voice(
        provider=_taken(raw, "provider", str, ""),
        model=_taken(raw, "model", str, ""),
        outcome=_taken(raw, "outcome", str, ""),
        latency_ms=_number(raw, "latency_ms"),
        first_token_ms=_number(raw, "first_token_ms"),
        usage=_usage(_taken(raw, "usage", dict, {})),
        why=_taken(raw, "why", str, ""),
    )


def _call(raw: Json) -> ToolCall:
    return ToolCall(
        id=_taken(raw, "id", str, ""), name=_taken(raw, "name", str, ""), arguments=_taken(raw, "arguments", str, "")
    )


def _thought(raw: Json) -> Reasoning:
    return Reasoning(
        text=_taken(raw, "text", str, ""),
        opaque=_taken(raw, "opaque", str, ""),
        redacted=_taken(raw, "redacted", bool, False),
        provider=_taken(raw, "provider", str, ""),
    )


def _logprob(raw: Json) -> Logprob:
    try:
        utf8 = base64.b64decode(_taken(raw, "bytes", str, ""))
    except binascii.Error:
        raise Garbled("bytes is not base64") from None
    return Logprob(
        token=_taken(raw, "token", str, ""),
        logprob=_number(raw, "logprob") or 0.0,
        bytes=tuple(utf8) or None,
        top=_each(raw, "top", _logprob),
    )


def _warning(raw: Json) -> Warning:
    return Warning(code=_taken(raw, "code", str, ""), message=_taken(raw, "message", str, ""))


def _usage(raw: Json) -> Usage:
    return Usage(
        input=_taken(raw, "input_tokens", int, 0),
        cache_read=_taken(raw, "cache_read_tokens", int, 0),
        cache_write=_taken(raw, "cache_write_tokens", int, 0),
        output=_taken(raw, "output_tokens", int, 0),
        reasoning=_taken(raw, "reasoning_tokens", int, 0),
        estimated=_taken(raw, "estimated", bool, False),
    )


def _each(raw: Json, key: str, read: Callable[[Json], T]) -> tuple[T, ...]:
    return tuple([read(_table(one)) for one in _taken(raw, key, list, [])])


def _table(value: object) -> Json:
    if not isinstance(value, dict):
        raise Garbled("not a JSON object")
    return value


def _taken(raw: Json, key: str, kind: type[T], empty: T) -> T:
    value = raw.get(key)
    if value is None:
        return empty
    if not isinstance(value, kind):
        raise Garbled(f"{key} is not a {kind.__name__}")
    return value


def _number(raw: Json, key: str) -> float | None:
    value = raw.get(key)
    if value is not None and not isinstance(value, (int, float)):
        raise Garbled(f"{key} is not a number")
    return value
