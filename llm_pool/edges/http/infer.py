"""`POST /v1/infer`: our own door, whole or as a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

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
from llm_pool.edges import status
from llm_pool.edges.bodies import parsed
from llm_pool.edges.http.door import Question
from llm_pool.edges.http.sse import frame
from llm_pool.edges.wire import answer_json, finished_json, logprobs_json, to_request

if TYPE_CHECKING:
    from llm_pool.core.errors import PoolError
    from llm_pool.edges.account import Account
    from llm_pool.edges.bodies import InferBody
    from llm_pool.edges.http.door import Call


class InferDoor:
    def parsed(self, raw: bytes) -> InferBody:
        return parsed(raw)

    def question(self, body: InferBody, call: Call) -> Question:
        account = call.account
        request = to_request(body, call.pool, account, whole=not body.stream)
        return Question(
            request,
            answered=lambda answers: answer_json(request, account, answers[0]),
            telling=(lambda: _Telling(request, account)) if body.stream else None,
        )


class _Telling:
    def __init__(self, request: Request, account: Account) -> None:
        self._request = request
        self._account = account
        self._model = ""

    def tell(self, event: Event, choice: int = 0) -> bytes:
        return frame(*self._named(event))

    def end(self) -> bytes:
        return b""

    def error(self, error: PoolError, request_id: str) -> bytes:
        return frame("error", status.body(error, request_id))

    def _named(self, event: Event) -> tuple[str, dict[str, Any]]:
        """The name and the data of one server-sent event."""
        request = self._request
        match event:
            case TextDelta():
                likely = {"logprobs": logprobs_json(event.logprobs)} if event.logprobs else {}
                return "text", {"text": event.text, **likely}
            case ReasoningDelta():
                return "reasoning", _thought(event)
            case ToolCallDelta():
                call = {"index": event.index, "id": event.id, "name": event.name, "arguments": event.arguments}
                return "tool_call", call
            case Started():
                self._model = event.model
                return "started", {"model": event.model, "provider": event.provider, "request_id": request.id}
            case Phase():
                return "phase", {"name": event.name, "voice": event.voice}
            case Warning():
                return "warning", {"code": event.code, "message": event.message}
            case Finished():
                return "finished", finished_json(request, self._account, event, model=self._model)
            case _:
                assert_never(event)


def _thought(event: ReasoningDelta) -> dict[str, Any]:
    """What is empty is left out: it is so in all pieces of a thought but the last one."""
    told: dict[str, Any] = {"text": event.text}
    if event.opaque:
        told["opaque"] = event.opaque
    if event.redacted:
        told["redacted"] = True
    if event.provider:
        told["provider"] = event.provider
    return told
