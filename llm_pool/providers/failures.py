"""What a status other than 200 means, for every provider that speaks HTTP. Pure.

A provider's own translator looks first for what its error bodies say; the words of a body never enter a message of
ours, only what `code_in` lets through.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from llm_pool.core.errors import (
    ContextTooLong,
    ProviderError,
    ProviderGarbled,
    ProviderLimited,
    ProviderMisconfigured,
    ProviderOverloaded,
    ProviderRefused,
    ProviderTimeout,
    RequestRefused,
    shown,
)

# What an error calls itself or a field: identifiers, never sentences.
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.\[\]-]{0,63}", re.ASCII)

# How servers say in words what they have no code for, whichever wire they are asked over.
# That a question is too long: vLLM, llama.cpp, LM Studio, OpenRouter.
_TOO_LONG = (
    "maximum context length",
    "context length exceeded",
    "exceeds the available context size",
    "exceeds the context window",
    "exceed context window",
    "greater than the context length",
    "longer than the maximum model length",
    "max_model_len",
    "too large to process",
)
# llama.cpp's 500 for a picture that its model cannot see, and its 400 for a model that it does not have.
_BLIND = "image input is not supported"
_NO_MODEL = re.compile(r"(the )?model\b.*\b(not found|does not exist)", re.DOTALL)

_MEANS: dict[int, tuple[type[ProviderError], str]] = {
    401: (ProviderMisconfigured, "does not accept our key, or wants one"),
    402: (ProviderLimited, "wants to be paid first"),
    403: (ProviderMisconfigured, "does not accept our key, or wants one"),
    404: (ProviderMisconfigured, 'does not know the model "{}", or not the path'),
    408: (ProviderTimeout, "gave up waiting"),
    429: (ProviderLimited, "lets us ask no more for now"),
    501: (RequestRefused, "does not do what is asked"),
    503: (ProviderOverloaded, "is overloaded"),
    529: (ProviderOverloaded, "is overloaded"),
    **dict.fromkeys((400, 413, 422), (RequestRefused, "refused the request")),
    **dict.fromkeys(range(300, 400), (ProviderRefused, "answered with a redirect, which is never followed")),
}


def by_status(status: int, *, who: str, model: str, wait: float | None, said: str = "") -> ProviderError:
    """`said` is a code in the provider's words, which `code_in` has let through; "" where it gave none."""
    usual = _of_class(status)
    kind, words = _MEANS.get(status, usual)
    shows = f"{status}, {said}" if said else str(status)
    return kind(
        f"{who} {words.format(shown(model))} ({shows})",
        retry_after=wait if kind in {ProviderLimited, ProviderOverloaded} else None,
    )


def _of_class(status: int) -> tuple[type[ProviderError], str]:
    if status < 400:  # noqa: PLR2004 - no error, and no answer either
        return ProviderGarbled, "answered with an unexpected status"
    if status < 500:  # noqa: PLR2004 - the client errors
        return ProviderRefused, "refused the request"
    return ProviderError, "failed"


def told_in(message: str) -> type[ProviderError] | None:
    """What the message of an error says in known words: ContextTooLong, RequestRefused (of images, which its model
    cannot see), ProviderMisconfigured (a model that it does not have); None where it says nothing known. Whether the
    status fits is the caller's to look at.
    """
    text = message.casefold()
    if any(phrase in text for phrase in _TOO_LONG):
        return ContextTooLong
    if _BLIND in text:
        return RequestRefused
    return ProviderMisconfigured if _NO_MODEL.match(text) else None


def object_in(said: bytes) -> dict[str, Any]:
    """The JSON object of an error's body; empty where it is none."""
    try:
        value = orjson.loads(said)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def code_in(value: object) -> str:
    """An identifier that a provider gave; "" for whatever else it is."""
    return value if isinstance(value, str) and _CODE.fullmatch(value) else ""
