"""Open one deployment and read until it has spoken, or, for a whole request, until it has ended and its answer fits."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llm_pool.core.types import WORDS, Event, Finished, ToolCallDelta, Warning, replace
from llm_pool.dispatch.validation import held

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llm_pool.core.streams import Answering, Events
    from llm_pool.core.types import Request
    from llm_pool.dispatch.line import Line
    from llm_pool.dispatch.metering import Asking
    from llm_pool.dispatch.router import Deployment


@dataclass(slots=True)
class Reading:
    """What it has said so far, and, unless that is all, the rest of it with the block to leave."""

    head: list[Event]
    rest: Events | None = None
    inner: Answering | None = None


async def read(
    line: Line, deployment: Deployment, request: Request, asking: Asking, heard: Callable[[Event], None] | None = None
) -> Reading:
    """`heard` is told of every event as it comes. Raises ProviderError, and whatever else ends the answer."""
    capped, warnings = _capped(request, deployment)
    inner = line(deployment, asking)(capped)
    events = await inner.__aenter__()
    head: list[Event] = []
    try:
        async for event in events:
            head.append(event)
            if heard is not None:
                heard(event)
            if not request.whole and isinstance(event, WORDS):
                break
        if request.spec is not None and request.operation == "chat" and _is_words(head, request):
            head, done = held(head, request.spec, who=deployment.name)
            if done:
                request.trace.notes.append(f"the answer of {deployment.name} was {done}")
    except BaseException as error:  # whatever ends it: what was entered is left, and told why
        await inner.__aexit__(type(error), error, error.__traceback__)
        raise
    head[1:1] = warnings  # after `Started`
    if not request.whole:
        return Reading(head, events, inner)
    await inner.__aexit__(None, None, None)  # nothing more comes: its connection is free for others
    return Reading(head)


def _is_words(head: Sequence[Event], request: Request) -> bool:
    """Whether the answer is to fit: one that calls tools, or was withheld, is none yet. One that was cut off is told as
    that where the caller's protocol has a word for it, for their client has, too.
    """
    for event in head:
        if isinstance(event, ToolCallDelta):
            return False
        if isinstance(event, Finished):
            return event.reason != "content_filter" and not (event.reason == "length" and request.verbatim)
    return True


def _capped(request: Request, deployment: Deployment) -> tuple[Request, list[Warning]]:
    """Never ask a deployment for more tokens than it may be asked for, and never in silence where it is less than was
    asked for.
    """
    asked, most = request.sampling.max_tokens, deployment.max_tokens
    if most is None or (asked is not None and asked <= most):
        return request, []
    capped = replace(request, sampling=dataclasses.replace(request.sampling, max_tokens=most))
    if asked is None:
        return capped, []
    return capped, [Warning("max_tokens_reduced", f"{deployment.name} may be asked for {most} tokens, not {asked}")]
