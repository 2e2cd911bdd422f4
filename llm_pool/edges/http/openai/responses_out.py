"""From our words to OpenAI's `response` objects, pure: what was said as items, and what was asked for as its echo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from pydantic import BaseModel

from llm_pool.core.types import Reasoning, Text, ToolCall
from llm_pool.edges.http.openai import parts
from llm_pool.edges.http.openai.responses_thoughts import sealed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_pool.core.streams import Answer
    from llm_pool.core.trace import Trace
    from llm_pool.core.types import FinishReason, Logprob, Usage
    from llm_pool.edges.http.openai.responses_bodies import ResponsesBody, ResponsesFunctionTool

Object = dict[str, Any]

# Why an answer is less than whole; of other reasons it is not.
_CUT: dict[FinishReason, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}


# --- Items ------------------------------------------------------------------------------------------------------


def items(answer: Answer, call: str) -> list[Object]:
    """All that was said, in order. The log probabilities of several texts are not kept apart: the first has all."""
    said = [part for part in answer.parts if not _empty(part)]
    logprobs = answer.logprobs
    told: list[Object] = []
    for index, part in enumerate(said):
        whole = index < len(said) - 1 or answer.reason not in _CUT
        told.append(item(part, item_id(part, call, index), whole=whole, logprobs=logprobs))
        if isinstance(part, Text):
            logprobs = ()
    return told


def item(part: Text | Reasoning | ToolCall, named: str, *, whole: bool, logprobs: Sequence[Logprob] = ()) -> Object:
    status = "completed" if whole else "incomplete"
    match part:
        case Text():
            content = [text_part(part.text, logprobs)]
            return {"type": "message", "id": named, "role": "assistant", "status": status, "content": content}
        case Reasoning():
            summary = [summary_part(part.text)] if part.text else []
            return {"type": "reasoning", "id": named, "summary": summary, "encrypted_content": sealed(part)}
        case ToolCall():
            called = {"call_id": part.id, "name": part.name, "arguments": part.arguments}
            return {"type": "function_call", "id": named, "status": status, **called}
        case _:
            assert_never(part)


def item_id(part: Text | Reasoning | ToolCall, call: str, index: int) -> str:
    """The same however the answer is delivered. `call` is the id of the request."""
    kind = "msg" if isinstance(part, Text) else "rs" if isinstance(part, Reasoning) else "fc"
    return f"{kind}_{call}_{index}"


def _empty(part: Text | Reasoning | ToolCall) -> bool:
    """Nothing that a stream would have begun an item for."""
    match part:
        case Text():
            return not part.text
        case Reasoning():
            return not (part.text or part.opaque or part.redacted)
        case ToolCall():
            return False
        case _:
            assert_never(part)


def text_part(text: str, logprobs: Sequence[Logprob] = ()) -> Object:
    told = [logprob_json(each) for each in logprobs]
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": told}


def summary_part(text: str) -> Object:
    return {"type": "summary_text", "text": text}


def logprob_json(token: Logprob) -> Object:
    return _token(token) | {"top_logprobs": [_token(each) for each in token.top]}


def _token(token: Logprob) -> Object:
    data = token.token.encode() if token.bytes is None else token.bytes
    return {"token": token.token, "logprob": token.logprob, "bytes": list(data)}


# --- Responses --------------------------------------------------------------------------------------------------


class Words:
    """What all objects of one response have in common."""

    __slots__ = ("_echo", "call")

    def __init__(self, body: ResponsesBody, call: str, *, created: int) -> None:
        self.call = call
        self._echo = {"id": f"resp_{call}", "object": "response", "created_at": created, **_echo(body)}

    def begun(self, model: str) -> Object:
        return {**self._echo, "model": model, "status": "in_progress"}

    def done(
        self, model: str, output: Sequence[Object], *, reason: FinishReason, usage: Usage, trace: Trace, now: float
    ) -> Object:
        """`now`: of the clock on the wall."""
        told = {**self._echo, "model": model, "output": output, "usage": usage_json(usage)}
        if cut := _CUT.get(reason):
            told |= {"status": "incomplete", "incomplete_details": {"reason": cut}}
        else:
            told |= {"status": "completed", "completed_at": int(now)}
        return told | parts.warnings_json(trace)

    def failed(self, model: str, output: Sequence[Object], error: Object) -> Object:
        """`error` is as the errors of this door are. The codes of a response are few; its own is beside it."""
        limited = error["code"] == "rate_limit_exceeded"
        told = {"code": "rate_limit_exceeded" if limited else "server_error", "message": error["message"]}
        return {**self._echo, "model": model, "output": output, "status": "failed", "error": told}


def cut(reason: FinishReason) -> bool:
    """Whether an answer that ended so is less than whole."""
    return reason in _CUT


def usage_json(usage: Usage) -> Object:
    """OpenAI's buckets overlap: each total holds its details."""
    asked, said = usage.input + usage.cache_read + usage.cache_write, usage.output + usage.reasoning
    return {
        "input_tokens": asked,
        "input_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
        "output_tokens": said,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": asked + said,
    }


def _echo(body: ResponsesBody) -> Object:
    """What was asked for, with what is always so. A value that the model's provider chooses is null."""
    thinking = body.reasoning
    return {
        "status": "in_progress",
        "background": False,
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "max_tool_calls": body.max_tool_calls,
        "model": body.model,
        "output": [],
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "previous_response_id": None,
        "prompt_cache_key": body.prompt_cache_key,
        "reasoning": {
            "effort": thinking.effort if thinking else None,
            "summary": (thinking.summary or thinking.generate_summary) if thinking else None,
        },
        "safety_identifier": body.safety_identifier,
        "service_tier": "default",
        "store": False,
        "temperature": body.temperature,
        "text": _text(body),
        "tool_choice": _plain(body.tool_choice),
        "tools": [_tool(tool) for tool in body.tools or []],
        "top_logprobs": body.top_logprobs or 0,
        "top_p": body.top_p,
        "truncation": "disabled",
        "usage": None,
        "user": body.user,
        "metadata": body.metadata or {},
    }


def _text(body: ResponsesBody) -> Object:
    if body.text is None:
        return {"format": {"type": "text"}}
    told = {"format": _plain(body.text.format)}
    return told if body.text.verbosity is None else {**told, "verbosity": body.text.verbosity}


def _tool(tool: ResponsesFunctionTool) -> Object:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": tool.strict,
    }


def _plain(said: Any) -> Any:
    """As it was said, but for what nobody knows: a caller is not to think that it was taken."""
    if isinstance(said, list):
        return [_plain(each) for each in said]
    if not isinstance(said, BaseModel):
        return said
    fields = type(said).model_fields.items()
    return {field.alias or name: _plain(getattr(said, name)) for name, field in fields if name in said.model_fields_set}
