"""Words on the wire and words of the core, for both edges: a question, from its checked body; an answer, laid out."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, TypedDict

from llm_pool.core.errors import Forbidden, InvalidRequest
from llm_pool.core.trace import Decision, Trace
from llm_pool.core.types import NOTHING_SAID, Caller, Message, Reasoning, Request, Sampling, Text
from llm_pool.edges.account import well_formed
from llm_pool.edges.asking import deadline
from llm_pool.edges.conversation import messages_of, tools_of
from llm_pool.edges.schemas import spec_said

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_pool.core.streams import Answer
    from llm_pool.core.trace import Attempt
    from llm_pool.core.types import Finished, Logprob, ToolCall, Usage
    from llm_pool.edges.account import Account
    from llm_pool.edges.bodies import EmbedBody, InferBody
    from llm_pool.pool import Pool

ANYBODY = Caller()

_SAMPLING = frozenset(Sampling.__slots__) - {"stop"}


# --- Questions --------------------------------------------------------------------------------------------------


def to_request(
    body: InferBody, pool: Pool, account: Account, *, whole: bool, remaining: float | None = None
) -> Request:
    """A request of the core, which the account then tells of.

    `remaining` is the transport's own deadline in seconds; it is clamped, where `deadline_ms` is refused.
    Raises InvalidRequest, Forbidden.
    """
    common = _common(body, pool, account, remaining)
    tools, choice = tools_of(body.tools, body.tool_choice)
    request = Request(
        messages=_messages(body, pool.settings.qos.max_prompt_bytes),
        task=body.task,
        model=body.model,
        strategy=body.strategy,
        sampling=_sampling(body),
        tools=tools,
        tool_choice=choice,
        spec=None if body.response_schema is None else spec_said(body.response_schema, at="response_schema"),
        whole=whole,
        **common,
    )
    account.request = request
    return request


def to_embedding(body: EmbedBody, pool: Pool, account: Account, *, remaining: float | None = None) -> Request:
    """The same for texts whose vectors are wanted."""
    request = Request(
        messages=(),
        model=body.model,
        operation="embed",
        inputs=tuple(body.inputs),
        dimensions=body.dimensions,
        **_common(body, pool, account, remaining),
    )
    account.request = request
    return request


class _Common(TypedDict):
    """What every request has."""

    id: str
    deadline: float
    trace: Trace
    caller: Caller
    meta: Mapping[str, str]


def _common(body: InferBody | EmbedBody, pool: Pool, account: Account, remaining: float | None) -> _Common:
    if body.request_id is not None:
        if not well_formed(body.request_id):
            raise InvalidRequest("request_id: must be 1 to 128 of A-Z a-z 0-9 . _ : -", field="request_id")
        account.id = body.request_id
    caller = Caller(project=body.project_id) if body.project_id else ANYBODY
    if body.tenant_id is not None and body.tenant_id != caller.tenant:
        told = f'tenant_id: only "{caller.tenant}" may be named here'
        raise Forbidden(told, details={"field": "tenant_id"})
    return {
        "id": account.id,
        "deadline": deadline(pool, account, said_ms=body.deadline_ms, transport=remaining),
        "trace": Trace(started=account.started),
        "caller": caller,
        "meta": body.meta,
    }


def _sampling(body: InferBody) -> Sampling:
    said = body.model_fields_set
    if said.isdisjoint(_SAMPLING) and body.stop is None:
        return NOTHING_SAID
    return Sampling(stop=tuple(body.stop or ()), **{name: getattr(body, name) for name in said & _SAMPLING})


def _messages(body: InferBody, max_prompt_bytes: int) -> tuple[Message, ...]:
    if (body.prompt is None) == (body.messages is None):
        raise InvalidRequest("prompt: give either prompt or messages", field="prompt")
    if body.prompt is not None:
        if not body.prompt.strip():
            raise InvalidRequest("prompt: must not be empty", field="prompt")
        if len(body.prompt.encode()) > max_prompt_bytes:
            raise InvalidRequest(f"prompt: must be at most {max_prompt_bytes} bytes of UTF-8", field="prompt")
        return (Message.of("user", body.prompt),)
    return messages_of(body.messages or ())


# --- Answers ----------------------------------------------------------------------------------------------------


def finished_json(request: Request, account: Account, end: Finished | Answer, *, model: str) -> dict[str, Any]:
    """Everything of an answer but what it says: the last event of a stream."""
    trace = request.trace
    told = {
        "request_id": request.id,
        "winner_model": model,
        "duration_ms": account.elapsed_ms,
        "from_cache": trace.from_cache,
        "strategy_used": trace.strategy,
        "finish_reason": end.reason,
        "usage": usage_json(end.usage),
        "decision": _decision_json(Decision.of(trace)),
    }
    if end.stopped_by:
        told["stopped_by"] = end.stopped_by
    return told


def answer_json(request: Request, account: Account, answer: Answer) -> dict[str, Any]:
    """The unary answer."""
    told = finished_json(request, account, answer, model=answer.model)
    said: dict[str, Any] = {"request_id": told.pop("request_id"), "content": answer.content}
    if len(answer.parts) != 1 or not isinstance(answer.parts[0], Text):  # most are one text and nothing else
        said |= _beside_text(answer)
    if request.sampling.logprobs is not None:
        said["logprobs"] = logprobs_json(answer.logprobs)
    return {**said, **told}


def _beside_text(answer: Answer) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if thought := answer.reasoning:
        said["reasoning"] = thought
    if calls := answer.tool_calls:
        said["tool_calls"] = [_call_json(call) for call in calls]
    if thoughts := sent_back(answer):
        said["reasoning_parts"] = [_reasoning_json(part) for part in thoughts]
    return said


def sent_back(answer: Answer) -> Sequence[Reasoning]:
    """The thoughts that a caller who goes on must send back; none where no provider would know them again."""
    thoughts = [part for part in answer.parts if isinstance(part, Reasoning)]
    return thoughts if any(part.opaque or part.redacted for part in thoughts) else ()


def _call_json(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "name": call.name, "arguments": call.arguments}


def _reasoning_json(part: Reasoning) -> dict[str, Any]:
    return {"text": part.text, "opaque": part.opaque, "redacted": part.redacted, "provider": part.provider}


def logprobs_json(logprobs: Sequence[Logprob]) -> list[dict[str, Any]]:
    return [{**_token_json(each), "top": [_token_json(other) for other in each.top]} for each in logprobs]


def _token_json(each: Logprob) -> dict[str, Any]:
    raw = base64.b64encode(bytes(each.bytes)).decode() if each.bytes else ""
    return {"token": each.token, "logprob": each.logprob, "bytes": raw}


def usage_json(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input,
        "cache_read_tokens": usage.cache_read,
        "cache_write_tokens": usage.cache_write,
        "output_tokens": usage.output,
        "reasoning_tokens": usage.reasoning,
        "estimated": usage.estimated,
    }


def _decision_json(decision: Decision) -> dict[str, Any]:
    return {
        "strategy": decision.strategy,
        "voices": [_voice_json(attempt) for attempt in decision.voices],
        "winner": decision.winner,
        "degraded": decision.degraded,
        "hedged": decision.hedged,
        "why": decision.why,
        "warnings": [{"code": warning.code, "message": warning.message} for warning in decision.warnings],
    }


def _voice_json(attempt: Attempt) -> dict[str, Any]:
    return {
        "provider": attempt.deployment,
        "model": attempt.model,
        "kind": attempt.kind,
        "outcome": attempt.outcome,
        "latency_ms": milliseconds(attempt.started, attempt.ended),
        "first_token_ms": milliseconds(attempt.started, attempt.first_token),
        "usage": usage_json(attempt.usage),
        "why": attempt.why,
    }


def milliseconds(start: float, end: float | None) -> float | None:
    return None if end is None else round((end - start) * 1000, 3)
