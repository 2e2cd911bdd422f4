"""Errors in the shape of each door, so that every client raises the exception that it knows, and tries again or not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

from llm_pool.core import errors
from llm_pool.edges import status

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_pool.core.errors import PoolError

    # What is wrong, its HTTP status, and the id of the call, to the JSON object that says so.
    Shape: TypeAlias = Callable[[PoolError, int, str], dict[str, object]]

BAD_REQUEST = 400
SERVER_ERROR = 500

# To ask again will not help before somebody has changed a configuration.
_IN_VAIN = (errors.ProviderNotConfigured, errors.ProviderMisconfigured, errors.NoProvider)
# Nor here: other models have been asked already, and each answer was paid for.
_PAID_FOR = (errors.InvalidOutput,)

# Words of OpenAI's own for some of our reasons; the others go out in lower case.
_OPENAI_CODES = {
    errors.UnknownModel.reason: "model_not_found",
    errors.BodyTooLarge.reason: "request_too_large",
    errors.ProviderLimited.reason: "rate_limit_exceeded",
}
_OPENAI_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}
_ANTHROPIC_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def ours(error: PoolError, code: int, request_id: str) -> dict[str, object]:
    return status.body(error, request_id)


def openai(error: PoolError, code: int, request_id: str) -> dict[str, object]:
    """`{"error": {"message", "type", "param", "code"}}`; the id of the call is in `x-request-id`."""
    usual = "invalid_request_error" if BAD_REQUEST <= code < SERVER_ERROR else "server_error"
    return {
        "error": {
            "message": error.message,
            "type": _OPENAI_TYPES.get(code, usual),
            "param": error.details.get("field"),
            "code": _OPENAI_CODES.get(error.reason, error.reason.lower()),
        }
    }


def anthropic(error: PoolError, code: int, request_id: str) -> dict[str, object]:
    usual = "invalid_request_error" if BAD_REQUEST <= code < SERVER_ERROR else "api_error"
    kind = usual if isinstance(error, _IN_VAIN) else _ANTHROPIC_TYPES.get(code, usual)
    told: dict[str, object] = {"type": kind, "message": error.message}
    if "error_code" in error.details:  # one of Anthropic's own, by which its clients know what to do next
        told["details"] = {"error_code": error.details["error_code"]}
    return {"type": "error", "error": told, "request_id": request_id}


def headers(error: PoolError, code: int) -> dict[str, str]:
    """When to try again, as the official clients read it: whether at all, then milliseconds, then seconds."""
    told: dict[str, str] = {}
    if isinstance(error, (*_IN_VAIN, *_PAID_FOR)):
        told["x-should-retry"] = "false"
    elif code == status.OVERLOADED or error.retry_after is not None:
        seconds = 1.0 if error.retry_after is None else error.retry_after
        told["Retry-After"] = str(max(1, math.ceil(seconds)))
        told["retry-after-ms"] = str(max(1, math.ceil(seconds * 1000)))
        told["x-should-retry"] = "true"
    return told
