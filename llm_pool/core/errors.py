"""One tree of errors, named for what happened. Each class has a fixed `reason` that clients may branch on.

Foreign exceptions are translated where they enter (providers), ours where they leave (`edges/status.py`), nowhere
between. A `message` is written by us and safe to show; it never carries text of a foreign exception or of a provider.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable


class PoolError(Exception):
    """Anything that the pool reports. `details` are short strings, shown to the caller."""

    reason: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, *, details: dict[str, str] | None = None, retry_after: float | None = None):
        super().__init__(message)
        self.message = message
        self.details = details or {}
        self.retry_after = retry_after  # seconds, None: unknown


class StartRefused(Exception):
    """The pool cannot or must not start. Its text is one line for the person who started it."""


# --- The caller's -----------------------------------------------------------------------------------------------


class InvalidRequest(PoolError):
    """A field is wrong. `field` is its path in the body, empty when the body as a whole is."""

    reason = "INVALID_REQUEST"

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message, details={"field": field} if field else None)
        self.field = field


class UnknownName(PoolError):
    """A name that the configuration does not have. The nearest one that it has is named."""

    def __init__(self, kind: str, name: str, known: Iterable[str], *, field: str = "") -> None:
        near = nearest(name, known)
        details = {"field": field or kind} | ({"nearest": near} if near else {})
        hint = f'; did you mean "{near}"?' if near else ""
        super().__init__(f'unknown {kind} "{shown(name)}"{hint}', details=details)


class UnknownTask(UnknownName):
    reason = "UNKNOWN_TASK"


class UnknownModel(UnknownName):
    reason = "UNKNOWN_MODEL"


class UnknownProvider(UnknownName):
    reason = "UNKNOWN_PROVIDER"


class NotFound(PoolError):
    reason = "NOT_FOUND"


class MethodNotAllowed(PoolError):
    reason = "METHOD_NOT_ALLOWED"


class BodyTooLarge(PoolError):
    reason = "BODY_TOO_LARGE"


class UnsupportedMedia(PoolError):
    reason = "UNSUPPORTED_MEDIA_TYPE"


class Forbidden(PoolError):
    reason = "FORBIDDEN"


class BodyTooSlow(PoolError):
    reason = "BODY_TOO_SLOW"


class CallerLeft(PoolError):
    """Never sent, for nobody is there: the outcome of a request whose caller hung up, or does not read."""

    reason = "CANCELLED"


# --- The pool's -------------------------------------------------------------------------------------------------


class DeadlineExceeded(PoolError):
    reason = "DEADLINE_EXCEEDED"


class NoProvider(PoolError):
    """Nobody is configured, or usable, to answer this."""

    reason = "NO_PROVIDER"


class Overloaded(PoolError):
    """More requests than the pool takes at a time, or lets wait. `retry_after` is always given."""

    reason = "OVERLOADED"


class ShuttingDown(PoolError):
    """It was still under way when the time to drain was over."""

    reason = "SHUTTING_DOWN"


# --- The providers' ---------------------------------------------------------------------------------------------


class ProviderError(PoolError):
    """One deployment did not answer; another may. `deployment` is filled in where it is known."""

    reason = "PROVIDER_FAILED"


class ProviderUnreachable(ProviderError):
    """No connection, or it broke before an answer began."""

    reason = "PROVIDER_UNREACHABLE"


class ProviderTimeout(ProviderError):
    """It took longer than this attempt may."""

    reason = "PROVIDER_TIMEOUT"


class OutOfTime(ProviderTimeout):
    """The time that was left for it ran out, which may not be its fault."""


class ProviderOverloaded(ProviderError):
    """It said that it is busy (503, 529)."""

    reason = "PROVIDER_OVERLOADED"


class ProviderLimited(ProviderError):
    """It said that we ask too often, or that a quota of ours is spent (429)."""

    reason = "PROVIDER_RATE_LIMITED"


class ProviderUnavailable(ProviderError):
    """It was not asked: it failed too often lately, wants to be left alone for a while, or is as busy as it may be."""

    reason = "PROVIDER_UNAVAILABLE"


class ProviderRefused(ProviderError):
    """It would not take this request (another 4xx, or a redirect, which is never followed)."""

    reason = "PROVIDER_REFUSED"


class RequestRefused(ProviderRefused):
    """It would not take this request, and says that the request itself is why (400, 413, 422, 501)."""

    reason = "REFUSED_BY_PROVIDER"


class ContextTooLong(RequestRefused):
    """The question, with the room for its answer, is longer than the model's context."""

    reason = "CONTEXT_LENGTH_EXCEEDED"


class Unsupported(RequestRefused):
    """What is asked for cannot be said in its protocol. Nothing was sent."""

    reason = "UNSUPPORTED_BY_PROVIDER"


class ProviderMisconfigured(ProviderError):
    """It does not know our key or our model (401, 403, 404)."""

    reason = "PROVIDER_MISCONFIGURED"


class ProviderNotConfigured(ProviderError):
    """It is known, and has no key. `variable` is the one that is missing."""

    reason = "PROVIDER_NOT_CONFIGURED"

    def __init__(self, message: str, *, variable: str = "") -> None:
        super().__init__(message, details={"variable": variable} if variable else None)


class ProviderGarbled(ProviderError):
    """What came back was not what the protocol says."""

    reason = "PROVIDER_GARBLED"


class StreamBroken(ProviderError):
    """The answer began and did not end."""

    reason = "STREAM_BROKEN"


class InvalidOutput(ProviderError):
    """It answered, and the answer is not what the task's schema says."""

    reason = "INVALID_OUTPUT"


class AllProvidersFailed(ProviderError):
    """Every candidate was asked and none answered. `details` name each one's reason."""

    reason = "ALL_PROVIDERS_FAILED"


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name most like `name`, or "" where none is near."""
    by_fold = {candidate.casefold(): candidate for candidate in known}
    meant = name[:200].casefold()
    if meant in by_fold:
        return by_fold[meant]
    for fold, candidate in by_fold.items():  # a short name in a long id is not much of it
        if meant and fold.endswith(f"/{meant}"):
            return candidate
    near = difflib.get_close_matches(meant, by_fold, n=1, cutoff=0.6)
    return by_fold[near[0]] if near else ""


def shown(text: str, limit: int = 80) -> str:
    """A caller's text, fit for a message: one line, printable, short."""
    clean = "".join(character if character.isprintable() else "?" for character in text[: limit + 1])
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"
