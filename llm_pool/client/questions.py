"""What a pool may be asked: the fields of `POST /v1/infer`, whose document explains each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Question(TypedDict, total=False):
    """Either `prompt` or `messages`. What is None is not said."""

    task: str | None
    prompt: str | None
    messages: Sequence[Mapping[str, Any]] | None  # of {"role", "content"}, or of {"role", "parts"}
    model: str | None
    strategy: str | None
    tools: Sequence[Mapping[str, Any]] | None  # of {"name", "description", "parameters", "strict"}
    tool_choice: Mapping[str, Any] | None
    response_schema: Mapping[str, Any] | None
    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    stop: Sequence[str] | None
    seed: int | None
    frequency_penalty: float | None
    presence_penalty: float | None
    logprobs: int | None
    effort: str | None
    thinking_tokens: int | None
    deadline_ms: int | None
    request_id: str | None
    project_id: str | None
    meta: Mapping[str, str] | None
