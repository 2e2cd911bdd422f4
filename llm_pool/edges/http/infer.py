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
from llm_pool.edges.http.door import Question
from llm_pool.edges.http.sse import frame
from llm_pool.edges.wire import answer_json, finished_json, parsed, to_request

if TYPE_CHECKING:
    from llm_pool.core.errors import PoolError
    from llm_pool.edges.account import Account
    from llm_pool.edges.http.door import Call
    from llm_pool.edges.wire import InferBody


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
                return "text", {"text": event.text}
            case ReasoningDelta():
                return "reasoning", {"text": event.text}
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
                told = finished_json(request, self._account, model=self._model, reason=event.reason, usage=event.usage)
                return "finished", told
            case _:
                assert_never(event)
