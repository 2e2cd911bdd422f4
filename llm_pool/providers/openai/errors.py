"""What an error of an OpenAI-compatible server means: with a status of its own, or inside a 200. Pure.

Bodies are `{"error": {"message", "type", "param", "code"}}`, of OpenRouter with a number for `code` and `metadata`, of
older vLLM without the outer object. A message is searched for known phrases, and never repeated.
"""

from __future__ import annotations

from llm_pool.core.errors import (
    ContextTooLong,
    ProviderError,
    ProviderLimited,
    ProviderMisconfigured,
    RequestRefused,
    shown,
)
from llm_pool.providers.failures import by_status, code_in, object_in, told_in

BAD_REQUEST = 400
NO_STATUS = 500  # of an error inside a 200 that has none: nobody knows whose fault it is
STATUSES = range(400, 600)

TOO_LONG = {"context_length_exceeded", "exceed_context_size_error"}
FILTERED = {"content_filter", "content_policy_violation", "moderation_blocked"}
NO_QUOTA = {"insufficient_quota", "billing_hard_limit_reached"}
BAD_KEY = {"invalid_api_key", "account_deactivated"}
NO_MODEL = {"model_not_found"}

# The statuses of errors inside a 200, by what they call themselves where they give no number.
BY_NAME = {
    **dict.fromkeys(TOO_LONG | FILTERED, BAD_REQUEST),
    **dict.fromkeys(NO_QUOTA, 429),
    **dict.fromkeys(BAD_KEY, 401),
    **dict.fromkeys(NO_MODEL, 404),
    "invalid_request_error": BAD_REQUEST,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "tokens": 429,
    "requests": 429,
    "overloaded_error": 529,
    "unavailable_error": 503,
}


def failure(status: int, said: bytes, *, who: str, model: str, wait: float | None) -> ProviderError:
    """What an answer with this status, other than 200, means."""
    body = object_in(said)
    return _means(status, body.get("error") or body, who=who, model=model, wait=wait)


def inside(error: object, *, who: str, model: str) -> ProviderError:
    """What an error object means that came with a 200, instead of an answer."""
    return _means(_status_of(error), error, who=who, model=model, wait=None)


def name_of(error: object) -> str:
    """What an error calls itself, "" where that is no identifier."""
    if not isinstance(error, dict):
        return ""
    return code_in(error.get("code")) or code_in(error.get("type")) or code_in(error.get("status"))


def _means(status: int, error: object, *, who: str, model: str, wait: float | None) -> ProviderError:
    names, name, told = _names(error), name_of(error), told_in(_text(error))
    param = code_in(error.get("param")) if isinstance(error, dict) else ""
    said = f"{name}: {param}" if name and param else name or param
    shows = f"{status}, {said}" if said else str(status)
    if names & TOO_LONG or (told is ContextTooLong and BAD_REQUEST <= status <= NO_STATUS):
        return ContextTooLong(f"{who}: with the room for its answer the question is longer than the context ({shows})")
    if names & FILTERED or _flagged(error):
        return RequestRefused(f"{who} will not answer this: its content filter objects ({shows})")
    if told is RequestRefused:
        return RequestRefused(f"{who} cannot see images ({shows})")
    if names & NO_QUOTA:
        return ProviderLimited(f"{who} says that our quota is spent ({shows})", retry_after=wait)
    if names & BAD_KEY:
        return ProviderMisconfigured(f"{who} does not accept our key, or wants one ({shows})")
    if names & NO_MODEL or (status == BAD_REQUEST and told is ProviderMisconfigured):
        return ProviderMisconfigured(f'{who} does not know the model "{shown(model)}" ({shows})')
    return by_status(status, who=who, model=model, wait=wait, said=said)


def _names(error: object) -> set[str]:
    return {code_in(error.get(key)) for key in ("code", "type")} if isinstance(error, dict) else set()


def _status_of(error: object) -> int:
    if not isinstance(error, dict):
        return NO_STATUS
    code = error.get("code")
    if isinstance(code, str) and len(code) == 3 and code.isascii() and code.isdigit():  # noqa: PLR2004 - a status
        code = int(code)
    if isinstance(code, int) and code in STATUSES:
        return code
    return next((BY_NAME[name] for name in _names(error) if name in BY_NAME), NO_STATUS)


def _text(error: object) -> str:
    """Its message, to be searched only."""
    message = error.get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) else ""


def _flagged(error: object) -> bool:
    """OpenRouter's 403 for a question that its moderation objects to is not about our key."""
    metadata = error.get("metadata") if isinstance(error, dict) else None
    return isinstance(metadata, dict) and bool(metadata.keys() & {"reasons", "flagged_input"})
