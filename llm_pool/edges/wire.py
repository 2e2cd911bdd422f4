"""Words on the wire and words of the core, for both edges: the body of a question, checked; an answer, laid out.

gRPC's messages are brought into `InferBody` too, so that equal questions meet equal checks and equal words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from llm_pool.core.errors import Forbidden, InvalidRequest, shown
from llm_pool.core.trace import Decision, Trace
from llm_pool.core.types import NOTHING_SAID, Caller, Message, Request, Sampling
from llm_pool.edges.account import well_formed
from llm_pool.edges.asking import deadline

if TYPE_CHECKING:
    from llm_pool.core.streams import Answer
    from llm_pool.core.trace import Attempt
    from llm_pool.core.types import FinishReason, Usage
    from llm_pool.edges.account import Account
    from llm_pool.pool import Pool

MAX_META = 32
MAX_PROBLEMS = 5  # named in one message
MANY_PROBLEMS = 100

ANYBODY = Caller()

_Name = Annotated[str, Field(min_length=1, max_length=256)]
_Short = Annotated[str, Field(max_length=512)]


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class MessageBody(_Body):
    """One message of a conversation."""

    role: Literal["system", "user", "assistant", "tool"] = Field(description="who says it")
    content: str = Field(description="what is said")


# What no single field can say; `to_request` checks it.
_ONE_PROMPT: dict[str, Any] = {
    "oneOf": [
        {"required": ["prompt"], "properties": {"prompt": {"type": "string"}}},
        {"required": ["messages"], "properties": {"messages": {"type": "array"}}},
    ]
}


class InferBody(_Body):
    """A question. Of `prompt` and `messages` exactly one is given; an unknown field is refused."""

    model_config = ConfigDict(json_schema_extra=_ONE_PROMPT)

    task: _Name = Field("chat", description="a configured task: it decides the prompt, the defaults and who may answer")
    prompt: str | None = Field(
        None,
        description="the question as one text, not empty, of at most `qos.max_prompt_bytes` bytes (16 KB)",
        json_schema_extra={"pattern": "\\S"},
    )
    messages: Annotated[list[MessageBody], Field(min_length=1, max_length=10_000)] | None = Field(
        None, description="the question as a conversation"
    )
    model: _Name | None = Field(
        None,
        description="who answers: `provider/model`, `pool/<strategy>` or `task/<task>`; without it the pool decides",
        examples=["ollama/phi3:mini", "pool/fastest"],
    )
    strategy: _Name | None = Field(
        None, description="how the answer is found, in any case; without it the task decides", examples=["fastest"]
    )
    max_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = Field(
        None, description="how long the answer may be; without it the task decides, then `qos.max_tokens_default`"
    )
    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(
        None, description="how freely the answer is drawn; 0: always the likeliest word"
    )
    deadline_ms: Annotated[int, Field(ge=1)] | None = Field(
        None,
        description="how long the whole answer may take, from the arrival of the question; at most "
        "`qos.max_deadline_ms`, and `qos.default_deadline_ms` where it is not given",
    )
    stream: bool = Field(False, description="answer as server-sent events, word by word")
    request_id: str | None = Field(
        None,
        description="your name for this call, for correlation only; it wins over the header `x-request-id`",
        json_schema_extra={"pattern": "^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$"},
    )
    tenant_id: str | None = Field(None, description="must be your own tenant: `default` where nobody is authenticated")
    project_id: _Short | None = Field(None, description="kept with the request, for the log")
    meta: Annotated[dict[_Short, _Short], Field(max_length=MAX_META)] = Field(
        default_factory=dict, description="kept with the request; `user` is where an end user is named"
    )


def parsed(raw: bytes) -> InferBody:
    """Raises InvalidRequest naming the field, or the line and column where it is no JSON."""
    try:
        return InferBody.model_validate_json(raw)
    except ValidationError as error:
        raise invalid(error) from None


def checked(fields: dict[str, Any]) -> InferBody:
    """The same from fields that are already Python values. Raises InvalidRequest naming the field."""
    try:
        return InferBody.model_validate(fields)
    except ValidationError as error:
        raise invalid(error) from None


def invalid(error: ValidationError) -> InvalidRequest:
    """Say what is wrong, field by field, without repeating the caller's values."""
    if error.error_count() > MANY_PROBLEMS:  # to list them would take seconds, and hold up everybody else
        return InvalidRequest(f"the body has {error.error_count()} problems")
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    told = [_problem(problem["loc"], problem["type"], problem["msg"]) for problem in problems[:MAX_PROBLEMS]]
    more = f" (and {len(problems) - MAX_PROBLEMS} more)" if len(problems) > MAX_PROBLEMS else ""
    return InvalidRequest("; ".join(told) + more, field=_path(problems[0]["loc"]))


def _path(location: tuple[int | str, ...]) -> str:
    return shown(".".join(str(step) for step in location))


def _problem(location: tuple[int | str, ...], kind: str, message: str) -> str:
    field = _path(location)
    match kind:
        case "extra_forbidden":
            return f"{field}: unknown field"
        case "json_invalid":
            return f"the body is not valid JSON: {message.removeprefix('Invalid JSON: ')}"
        case "model_type" if not field:
            return "the body must be a JSON object"
        case _:
            return f"{field}: {message[:1].lower()}{message[1:]}"


def to_request(
    body: InferBody, pool: Pool, account: Account, *, whole: bool, remaining: float | None = None
) -> Request:
    """A request of the core, which the account then tells of.

    `remaining` is the transport's own deadline in seconds; it is clamped, where `deadline_ms` is refused.
    Raises InvalidRequest, Forbidden.
    """
    qos = pool.settings.qos
    if body.request_id is not None:
        if not well_formed(body.request_id):
            raise InvalidRequest("request_id: must be 1 to 128 of A-Z a-z 0-9 . _ : -", field="request_id")
        account.id = body.request_id
    caller = Caller(project=body.project_id) if body.project_id else ANYBODY
    if body.tenant_id is not None and body.tenant_id != caller.tenant:
        told = f'tenant_id: only "{caller.tenant}" may be named here'
        raise Forbidden(told, details={"field": "tenant_id"})
    request = Request(
        id=account.id,
        messages=_messages(body, qos.max_prompt_bytes),
        deadline=deadline(pool, account, said_ms=body.deadline_ms, transport=remaining),
        trace=Trace(started=account.started),
        task=body.task,
        model=body.model,
        strategy=body.strategy,
        sampling=_sampling(body),
        caller=caller,
        whole=whole,
        meta=body.meta,
    )
    account.request = request
    return request


def _sampling(body: InferBody) -> Sampling:
    if body.max_tokens is None and body.temperature is None:
        return NOTHING_SAID
    return Sampling(max_tokens=body.max_tokens, temperature=body.temperature)


def _messages(body: InferBody, max_prompt_bytes: int) -> tuple[Message, ...]:
    if (body.prompt is None) == (body.messages is None):
        raise InvalidRequest("prompt: give either prompt or messages", field="prompt")
    if body.prompt is not None:
        if not body.prompt.strip():
            raise InvalidRequest("prompt: must not be empty", field="prompt")
        if len(body.prompt.encode()) > max_prompt_bytes:
            raise InvalidRequest(f"prompt: must be at most {max_prompt_bytes} bytes of UTF-8", field="prompt")
        return (Message.of("user", body.prompt),)
    return tuple(Message.of(message.role, message.content) for message in body.messages or ())


def finished_json(
    request: Request, account: Account, *, model: str, reason: FinishReason, usage: Usage
) -> dict[str, Any]:
    """Everything of an answer but its content: the last event of a stream."""
    trace = request.trace
    return {
        "request_id": request.id,
        "winner_model": model,
        "duration_ms": account.elapsed_ms,
        "from_cache": trace.from_cache,
        "strategy_used": trace.strategy,
        "finish_reason": reason,
        "usage": usage_json(usage),
        "decision": _decision_json(Decision.of(trace)),
    }


def answer_json(request: Request, account: Account, answer: Answer) -> dict[str, Any]:
    """The unary answer."""
    told = finished_json(request, account, model=answer.model, reason=answer.reason, usage=answer.usage)
    thought = {"reasoning": answer.reasoning} if answer.reasoning else {}
    return {"request_id": told.pop("request_id"), "content": answer.content, **thought, **told}


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
