"""One word for how something ended, for metrics, logs and the decision."""

from __future__ import annotations

import asyncio

from llm_pool.core.errors import CallerLeft, DeadlineExceeded, PoolError

OK = "ok"
OUTRUN = "OUTRUN"  # another one that was asked beside it was quicker


def outcome_of(error: BaseException | None, *, answered: bool, late: bool) -> str:
    """`ok`, or the reason of what ended it: `error`, or a caller who walked away before the end.

    A deadline reaches the inner blocks as a cancellation, like a caller who leaves: `late` tells them apart.
    """
    match error:
        case PoolError():
            return error.reason
        case None if answered:
            return OK
        case None | asyncio.CancelledError() | GeneratorExit():
            return DeadlineExceeded.reason if late else CallerLeft.reason
        case _:
            return PoolError.reason
