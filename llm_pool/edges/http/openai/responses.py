"""`POST /v1/responses`: OpenAI's Responses API, whole or as a stream. Stateless: nothing is stored, nor referred to."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeAlias

from llm_pool.edges.asking import verbatim
from llm_pool.edges.http.door import Question
from llm_pool.edges.http.openai import parts
from llm_pool.edges.http.openai import responses_in as read
from llm_pool.edges.http.openai.responses_bodies import ResponsesBody
from llm_pool.edges.http.openai.responses_out import Words, items
from llm_pool.edges.http.openai.responses_stream import Telling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_pool.core.streams import Answer
    from llm_pool.core.types import Warning
    from llm_pool.edges.http.door import Call

    # A body, and what is to be warned of because nobody knows it.
    Asking: TypeAlias = tuple[ResponsesBody, list[Warning]]


class ResponsesDoor:
    def parsed(self, raw: bytes) -> Asking:
        return parts.checked(ResponsesBody, raw)

    def question(self, asking: Asking, call: Call) -> Question:
        body, unknown = asking
        warnings = [*unknown, *read.warnings(body)]
        tools, tool_choice = read.tools(body)
        request = verbatim(
            call.pool,
            call.account,
            model=body.model,
            messages=read.messages(body),
            transport=call.patience(stream=bool(body.stream)),
            user=body.user or body.safety_identifier,
            sampling=read.sampling(body),
            tools=tools,
            tool_choice=tool_choice,
            spec=read.spec(body),
            whole=not body.stream,
        )
        request.trace.warnings.extend(warnings)
        words = Words(body, request.id, created=int(time.time()))

        def answered(answers: Sequence[Answer]) -> object:
            (answer,) = answers
            return words.done(
                answer.model,
                items(answer, request.id),
                reason=answer.reason,
                usage=answer.usage,
                trace=request.trace,
                now=time.time(),
            )

        def telling() -> Telling:
            return Telling(words, body.model, request.trace, now=time.time)

        return Question(request, answered=answered, telling=telling if body.stream else None)
