"""A whole answer as Anthropic's `message`, and the words that a stream of it shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

import orjson

from llm_pool.core.errors import ProviderGarbled
from llm_pool.core.types import Reasoning, Text, ToolCall, Warning
from llm_pool.edges.http.anthropic import thoughts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llm_pool.core.streams import Answer
    from llm_pool.core.types import FinishReason, Request, Usage

Json = dict[str, Any]

_STOPS: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}

CUT = Warning(
    "tool_call_incomplete",
    "the answer was cut amid a call of a tool, which is left out, or ends early where it had begun to stream",
)


def message(request: Request, answer: Answer) -> Json:
    """Raises ProviderGarbled where a model called a tool with what is no JSON object: there is no way to say that."""
    content: list[Json] = []
    for part in answer.parts:
        match part:
            case Text():
                if part.text:
                    content.append({"type": "text", "text": part.text})
            case Reasoning():
                if part.text or part.opaque or part.redacted:
                    content.append(thought(part))
            case ToolCall():
                if (told := _call(part, request, answer)) is not None:
                    content.append(told)
            case _:
                assert_never(part)
    return {
        **head(request.id, answer.model),
        "content": content,
        **stop(answer.reason, answer.stopped_by),
        "usage": usage(answer.usage),
        **warned(request.trace.warnings),
    }


def head(request_id: str, model: str) -> Json:
    return {"id": f"msg_{request_id}", "type": "message", "role": "assistant", "model": model}


def thought(part: Reasoning) -> Json:
    seal = thoughts.sealed(part.provider, part.opaque, redacted=part.redacted)
    if part.redacted:
        return {"type": "redacted_thinking", "data": seal}
    return {"type": "thinking", "thinking": part.text, "signature": seal}


def stop(reason: FinishReason, stopped_by: str) -> Json:
    refusal = {"type": "refusal", "category": None, "explanation": None} if reason == "content_filter" else None
    by = stopped_by if reason == "stop" and stopped_by else None
    return {"stop_reason": "stop_sequence" if by else _STOPS[reason], "stop_sequence": by, "stop_details": refusal}


def usage(used: Usage) -> Json:
    """Thoughts count as output there; they are told apart where the provider did so."""
    told: Json = {
        "input_tokens": used.input,
        "cache_creation_input_tokens": used.cache_write,
        "cache_read_input_tokens": used.cache_read,
        "output_tokens": used.output + used.reasoning,
    }
    if used.reasoning:
        told["output_tokens_details"] = {"thinking_tokens": used.reasoning}
    return told


def warned(warnings: Iterable[Warning]) -> Json:
    """Beside Anthropic's own keys, which have no place for it."""
    told = [{"code": warning.code, "message": warning.message} for warning in dict.fromkeys(warnings)]
    return {"llm_pool": {"warnings": told}} if told else {}


def is_object(text: str) -> bool:
    try:
        return isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False


def _call(call: ToolCall, request: Request, answer: Answer) -> Json | None:
    """Its input is the model's own text, which orjson passes through. None for a call that `max_tokens` cut off."""
    arguments = call.arguments.strip() or "{}"
    if not is_object(arguments):
        if answer.reason != "length":
            raise ProviderGarbled(f"{answer.provider} called a tool with what is no JSON object")
        request.trace.warnings.append(CUT)
        return None
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": orjson.Fragment(arguments)}
