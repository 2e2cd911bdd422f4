"""Which task is answered how: from a request to the pieces of its answer. Pure.

Answers are made of what was read and quote it: the question, and the criteria beside it. Two requests that differ only
in what no answer shows get equal answers, and nothing is added to tell them apart: a losing candidate, a field that
decides nothing, the middle of long criteria, a sentence of a text that reaches neither title nor line nor tags.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from llm_pool.core.errors import Unsupported, shown
from llm_pool.providers.builtin.chatting import chat
from llm_pool.providers.builtin.expansion import expand_queries
from llm_pool.providers.builtin.inputs import last_message, said
from llm_pool.providers.builtin.judging import judge
from llm_pool.providers.builtin.lacking import WHO
from llm_pool.providers.builtin.metadata import enrich_metadata
from llm_pool.providers.builtin.ranking import rerank
from llm_pool.providers.builtin.recovery import recovery_plan
from llm_pool.providers.builtin.tactics import site_tactics
from llm_pool.providers.builtin.text import MOST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llm_pool.core.types import FinishReason, Request

# The tasks whose answer is JSON. Any other is a chat, unless it has a schema: then it cannot be answered.
TASKS: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "expand_queries": expand_queries,
    "rerank_candidates": rerank,
    "judge": judge,
    "enrich_metadata": enrich_metadata,
    "site_tactics": site_tactics,
    "recovery_plan": recovery_plan,
}


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer in pieces, with the words read and written."""

    pieces: tuple[str, ...]
    reason: FinishReason
    read: int
    written: int


def reply(request: Request) -> Reply:
    """Raises `Unsupported` for a schema that is not that of one of `TASKS`: each is answered in a form of its own."""
    asked = last_message(request)
    read = len(asked[:MOST].split())
    if (task := TASKS.get(request.task)) is not None:
        answer = task(asked)
        if request.spec is not None and request.spec.problem(answer):
            raise Unsupported(f"{WHO} answers {request.task} in its own form only, which does not fit the schema")
        text = orjson.dumps(answer).decode()
        return Reply((text,), "stop", read, len(text.split()))
    if request.spec is not None:
        raise Unsupported(f"{WHO} cannot answer {shown(request.task)} in the form of a JSON schema")
    texts = [said(message) for message in request.messages if message.role in {"user", "assistant"}]
    return _limited(chat(texts), request.sampling.max_tokens, read)


def _limited(pieces: Sequence[str], most: int | None, read: int) -> Reply:
    """At most so many words, which stand for tokens."""
    kept: list[str] = []
    written = 0
    for piece in pieces:
        own = piece.split()
        if most is not None and written + len(own) > most:
            rest = own[: most - written]
            return Reply((*kept, *([" ".join(rest)] if rest else [])), "length", read, written + len(rest))
        kept.append(piece)
        written += len(own)
    return Reply(tuple(kept), "stop", read, written)
