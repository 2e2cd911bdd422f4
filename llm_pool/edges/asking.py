"""From a call at an edge to a request of the core: what all doors have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llm_pool.core.errors import InvalidRequest
from llm_pool.core.trace import Trace
from llm_pool.core.types import Request

if TYPE_CHECKING:
    from llm_pool.core.types import Message
    from llm_pool.edges.account import Account
    from llm_pool.pool import Pool


def deadline(pool: Pool, account: Account, *, said_ms: int | None = None, transport: float | None = None) -> float:
    """The instant of `loop.time()` by which the answer must be complete.

    What the caller says in so many words may not be too long; the transport's own limit, in seconds, is clamped; the
    smaller one wins, and without either there is the configured default. It runs from the arrival of the call, not from
    the end of reading it. Raises InvalidRequest.
    """
    qos = pool.settings.qos
    milliseconds = qos.default_deadline_ms if said_ms is None else said_ms
    if milliseconds > qos.max_deadline_ms:
        raise InvalidRequest(f"deadline_ms: must be at most {qos.max_deadline_ms}", field="deadline_ms")
    seconds = milliseconds / 1000
    if transport is not None:
        seconds = min(transport, qos.max_deadline_ms / 1000 if said_ms is None else seconds)
    return pool.time() + seconds - (pool.now() - account.started)


def verbatim(
    pool: Pool,
    account: Account,
    *,
    model: str,
    messages: tuple[Message, ...],
    transport: float | None,
    user: str | None = None,
    **words: Any,
) -> Request:
    """A request in somebody else's protocol: its words are the caller's own, and no task adds to them.

    `transport` is how long the caller's client waits, in seconds. `user`: an end user below the caller, kept for
    limits and analytics; never an identity. `words` are the other fields of the `Request`.
    """
    request = Request(
        id=account.id,
        messages=messages,
        deadline=deadline(pool, account, transport=transport),
        trace=Trace(started=account.started),
        model=model,
        verbatim=True,
        meta={"user": user} if user else {},
        **words,
    )
    account.request = request
    return request
