"""`POST /v1/chat/completions`: OpenAI's chat, whole or as a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_pool.edges.asking import verbatim
from llm_pool.edges.http.door import Question
from llm_pool.edges.http.openai.chat_in import read
from llm_pool.edges.http.openai.chat_out import ChatTelling, completion

if TYPE_CHECKING:
    from llm_pool.edges.http.door import Call
    from llm_pool.edges.http.openai.chat_in import Chat


class ChatDoor:
    def parsed(self, raw: bytes) -> Chat:
        return read(raw)

    def question(self, body: Chat, call: Call) -> Question:
        request = verbatim(
            call.pool,
            call.account,
            model=body.model,
            messages=body.messages,
            transport=call.patience(stream=body.stream),
            user=body.user,
            **body.words,
        )
        request.trace.warnings.extend(body.warnings)
        return Question(
            request,
            answered=lambda answers: completion(request, answers),
            telling=(lambda: ChatTelling(request, usage=body.usage, choices=body.choices)) if body.stream else None,
            choices=body.choices,
        )
