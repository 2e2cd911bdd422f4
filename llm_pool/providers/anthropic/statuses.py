"""What Anthropic's errors mean, and what its list of models says of its health. Pure.

Source: Anthropic's page on errors. No text of an error enters a message of ours; a few phrases of it are looked for,
because the type alone does not say whose fault it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from llm_pool.core.errors import (
    ContextTooLong,
    ProviderGarbled,
    ProviderLimited,
    ProviderMisconfigured,
    RequestRefused,
    Unsupported,
    shown,
)
from llm_pool.core.ports.provider import Health
from llm_pool.providers.failures import by_status, code_in, object_in, told_in

if TYPE_CHECKING:
    from llm_pool.core.errors import ProviderError

LACKING = (404, 405, 501)  # what servers answer that have no such path

# The status that each type comes with. In the middle of a stream there is none.
_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "timeout_error": 408,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "overloaded_error": 529,
}
# These types say more than whatever status they come with.
_TELLING = {"billing_error", "timeout_error", "rate_limit_error", "overloaded_error"}

_TOO_LONG_TYPES = {"request_too_large", "exceed_context_size_error"}  # the latter is llama-server's
_TOO_LONG = ("prompt is too long", "exceed context limit")  # beside what `told_in` knows
_MAY_BE_TOO_LONG = (400, 500)  # the latter is llama-server's, too
# Limits of spending come as 400, although the request is not why.
_UNPAID = ("credit balance is too low", "specified api usage limits", "specified workspace api usage limits")


def failure(status: int, said: bytes, *, who: str, model: str, wait: float | None) -> ProviderError:
    """What an answer with this status, other than 200, means."""
    return _meaning(status, object_in(said).get("error"), who=who, model=model, wait=wait)


def count_failure(status: int, said: bytes, *, who: str, model: str, wait: float | None) -> ProviderError:
    """The same of a question for the number of tokens, which many compatible servers do not answer at all."""
    if status in LACKING and not (object_in(said) and b"model" in said.lower()):
        return Unsupported(f"{who} does not count tokens ({status})")
    return failure(status, said, who=who, model=model, wait=wait)


def reported(error: object, *, who: str, model: str) -> ProviderError:
    """What an error means that comes in the place of an answer, with status 200."""
    kind = error.get("type") if isinstance(error, dict) else None
    status = _STATUSES.get(kind, 500) if isinstance(kind, str) else 500
    return _meaning(status, error, who=who, model=model, wait=None)


def _meaning(status: int, error: object, *, who: str, model: str, wait: float | None) -> ProviderError:
    values: dict[str, Any] = error if isinstance(error, dict) else {"message": error}
    kind = code_in(values.get("type"))
    message = values.get("message")
    words = message.lower() if isinstance(message, str) else ""
    told = ContextTooLong if _has(words, _TOO_LONG) else told_in(words)
    if kind in _TELLING:
        status = _STATUSES[kind]
    shows = f"{status}, {kind}" if kind else str(status)
    if kind in _TOO_LONG_TYPES or (told is ContextTooLong and status in _MAY_BE_TOO_LONG):
        return ContextTooLong(f"{who} says that the request is longer than the model's context ({shows})")
    if told is RequestRefused:
        return RequestRefused(f"{who} cannot see images ({shows})")
    if status == _STATUSES["invalid_request_error"]:
        if told is ProviderMisconfigured:
            return ProviderMisconfigured(f'{who} does not know the model "{shown(model)}" ({shows})')
        if _has(words, _UNPAID):
            return ProviderLimited(f"{who} wants to be paid first ({shows})", retry_after=wait)
    return by_status(status, who=who, model=model, wait=wait, said=kind)


def _has(words: str, phrases: tuple[str, ...]) -> bool:
    return any(phrase in words for phrase in phrases)


# --- Models -----------------------------------------------------------------------------------------------------


def state(models: tuple[str, ...], body: bytes, *, who: str) -> Health:
    """The health of a server that lists its models so. Raises ProviderGarbled.

    Only a list that says it is complete tells what is absent: compatible servers serve more names than they list.
    """
    try:
        listing = orjson.loads(body)
        ids = [model["id"] for model in listing["data"]]
        complete = listing.get("has_more") is False
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise ProviderGarbled(f"{who} does not list its models as Anthropic does") from None
    if not all(isinstance(name, str) for name in ids):
        raise ProviderGarbled(f"{who} does not list its models as Anthropic does")
    missing = [model for model in models if complete and not _is_there(model, ids)]
    if not missing:
        return Health("healthy")
    why = "; ".join(f'model "{model}" is not there' for model in missing)
    return Health("unhealthy" if len(missing) == len(models) else "degraded", why, frozenset(missing))


def _is_there(model: str, ids: list[str]) -> bool:
    """An alias is the beginning of a name with a date, but for what it may have in the place of the date."""
    stem = model.removesuffix("-latest").removesuffix("-0")
    return any(name.startswith(stem) for name in ids)
