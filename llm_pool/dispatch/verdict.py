"""What the bad end of a call says about the deployment: that it does not work, or nothing. Pure."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from llm_pool.core.errors import (
    InvalidOutput,
    OutOfTime,
    ProviderError,
    ProviderLimited,
    ProviderMisconfigured,
    ProviderRefused,
    ProviderUnavailable,
)

if TYPE_CHECKING:
    from llm_pool.dispatch.breaker import Verdict

UNUSUAL = 20.0  # seconds of silence that are held against a deployment of which nothing is known yet

# The caller's mistake, a matter of quality, a quota, or our own configuration: none tells whether it works.
_NOT_ITS_FAULT = (ProviderLimited, ProviderMisconfigured, ProviderRefused, InvalidOutput, ProviderUnavailable)


def verdict_of(error: BaseException, *, late: bool, silent_for: float | None, usual: float | None) -> Verdict:
    """Of a call that did not end well. `error` is what its events, or the opening of them, ended with.

    A deadline arrives as a cancellation: `late` says so. Whether it speaks against the deployment depends on whether it
    would usually have spoken by then. `silent_for`: seconds without a word, None where it has spoken; `usual`: its
    median time to first token.
    """
    match error:
        case ProviderError() if isinstance(error, _NOT_ITS_FAULT):
            return "neutral"
        case ProviderError() if not isinstance(error, OutOfTime):
            return "failure"
        case OutOfTime():
            ended_by_time = True
        case asyncio.CancelledError():
            ended_by_time = late
        case _:  # a bug of ours, or the caller's own
            ended_by_time = False
    overdue = silent_for is not None and silent_for >= (UNUSUAL if usual is None else usual)
    return "failure" if ended_by_time and overdue else "neutral"
