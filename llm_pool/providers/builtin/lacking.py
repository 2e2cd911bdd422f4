"""What a request asks for that the engine does not have: refused where another question would be answered. Pure.

It is imported with the client, so it knows none of the engine's tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_pool.core.errors import Unsupported
from llm_pool.core.types import Image, Reasoning, ToolCall, ToolResult, Warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_pool.core.types import Part, Request, Sampling

WHO = "builtin/extractive"


def lacking(request: Request) -> tuple[Warning, ...]:
    """A warning for each thing that the answer is made without. Raises Unsupported.

    `max_tokens` is obeyed. Of `temperature` nothing is said: tasks set it, and an engine that never draws has none.
    """
    parts = [part for message in request.messages for part in message.parts]
    if any(isinstance(each, Image) for part in parts for each in _within(part)):
        raise Unsupported(f"{WHO} takes no images")
    if request.tool_choice.mode in {"required", "named"}:
        raise Unsupported(f"{WHO} cannot be made to call a tool")
    warnings = [Warning("parameter_ignored", f'{WHO} cannot take "{name}": it was left out') for name in _left(request)]
    if any(isinstance(part, Reasoning) for part in parts):
        warnings.append(Warning("reasoning_dropped", f"{WHO} cannot take the reasoning of others: it was left out"))
    return tuple(warnings)


def _left(request: Request) -> Iterator[str]:
    parts = [part for message in request.messages for part in message.parts]
    offered = request.tools and request.tool_choice.mode != "none"  # told to call none, it calls none
    if offered or any(isinstance(part, ToolCall | ToolResult) for part in parts):
        yield "tools"
    yield from _drawn(request.sampling)
    if request.betas:
        yield "betas"
    if any(part.keep for part in (*request.tools, *parts) if not isinstance(part, Reasoning)):
        yield "cache_control"


def _drawn(sampling: Sampling) -> Iterator[str]:
    if sampling.stop:
        yield "stop"
    for name in ("top_p", "top_k", "seed", "frequency_penalty", "presence_penalty", "logprobs"):
        if getattr(sampling, name) is not None:
            yield name
    if sampling.effort not in {None, "none"}:  # not to think is what it does
        yield "effort"
    if sampling.thinking_tokens:
        yield "thinking_tokens"


def _within(part: Part) -> tuple[Part, ...]:
    return part.parts if isinstance(part, ToolResult) else (part,)
