"""`POST /v1/messages` and `POST /v1/messages/count_tokens`: Anthropic's Messages API over the pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from llm_pool.edges.asking import verbatim
from llm_pool.edges.http.anthropic import answers
from llm_pool.edges.http.anthropic.asked import Asked, asked
from llm_pool.edges.http.anthropic.betas import HEADER, betas
from llm_pool.edges.http.anthropic.bodies import CountBody, MessagesBody, checked
from llm_pool.edges.http.anthropic.streams import Telling
from llm_pool.edges.http.door import Question

if TYPE_CHECKING:
    from llm_pool.core.types import Request
    from llm_pool.edges.http.door import Call

    # A body, and what it comes to. Both are made at once: of a long one away from the event loop.
    Asking: TypeAlias = tuple[MessagesBody, Asked]
    Counting: TypeAlias = tuple[CountBody, Asked]


class MessagesDoor:
    def parsed(self, raw: bytes) -> Asking:
        body, unknown = checked(raw, MessagesBody)
        return body, asked(body, unknown)

    def question(self, body: Asking, call: Call) -> Question:
        said = body[0]
        user = said.metadata.user_id if said.metadata else None
        request = _request(body, call, whole=not said.stream, user=user)
        return Question(
            request,
            answered=lambda given: answers.message(request, given[0]),
            telling=(lambda: Telling(request)) if said.stream else None,
            headers={"request-id": request.id},
        )


class CountDoor:
    def parsed(self, raw: bytes) -> Counting:
        body, unknown = checked(raw, CountBody)
        return body, asked(body, unknown)

    def question(self, body: Counting, call: Call) -> Question:
        request = _request(body, call, operation="count")
        return Question(
            request,
            answered=lambda given: {"input_tokens": given[0].counted or 0, **answers.warned(request.trace.warnings)},
            telling=None,
            headers={"request-id": request.id},
        )


def _request(body: Counting | Asking, call: Call, *, user: str | None = None, **more: object) -> Request:
    said, words = body
    request = verbatim(
        call.pool,
        call.account,
        model=said.model,
        messages=words.messages,
        transport=call.patience(stream=bool(getattr(said, "stream", False))),
        user=user,
        sampling=words.sampling,
        tools=words.tools,
        tool_choice=words.tool_choice,
        spec=words.spec,
        betas=betas(call.http.headers.getall(HEADER, ())),
        **more,
    )
    request.trace.warnings.extend(words.warnings)
    return request
