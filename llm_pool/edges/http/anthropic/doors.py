"""`POST /v1/messages` and `POST /v1/messages/count_tokens`: Anthropic's Messages API over the pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from llm_pool.edges.asking import verbatim
from llm_pool.edges.http.anthropic import answers
from llm_pool.edges.http.anthropic.asked import asked
from llm_pool.edges.http.anthropic.bodies import CountBody, MessagesBody, checked
from llm_pool.edges.http.anthropic.streams import Telling
from llm_pool.edges.http.door import Question

if TYPE_CHECKING:
    from llm_pool.core.types import Request
    from llm_pool.edges.http.door import Call


class MessagesDoor:
    def parsed(self, raw: bytes) -> MessagesBody:
        return cast("MessagesBody", checked(raw, MessagesBody))

    def question(self, body: MessagesBody, call: Call) -> Question:
        user = body.metadata.user_id if body.metadata else None
        request = _request(body, call, whole=not body.stream, user=user)
        return Question(
            request,
            answered=lambda given: answers.message(request, given[0]),
            telling=(lambda: Telling(request)) if body.stream else None,
            headers={"request-id": request.id},
        )


class CountDoor:
    def parsed(self, raw: bytes) -> CountBody:
        return cast("CountBody", checked(raw, CountBody))

    def question(self, body: CountBody, call: Call) -> Question:
        request = _request(body, call, operation="count")
        return Question(
            request,
            answered=lambda given: {"input_tokens": given[0].counted or 0, **answers.warned(request.trace.warnings)},
            telling=None,
            headers={"request-id": request.id},
        )


def _request(body: CountBody, call: Call, *, user: str | None = None, **more: object) -> Request:
    said = asked(body)
    request = verbatim(
        call.pool,
        call.account,
        model=body.model,
        messages=said.messages,
        transport=call.transport,
        user=user,
        sampling=said.sampling,
        tools=said.tools,
        tool_choice=said.tool_choice,
        spec=said.spec,
        **more,
    )
    request.trace.warnings.extend(said.warnings)
    return request
