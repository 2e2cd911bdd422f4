"""Which errors are worth asking the same deployment again, and after how long. Pure.

How often, and how many of all calls may be such ones, is the caller's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_pool.core.errors import (
    ProviderError,
    ProviderGarbled,
    ProviderLimited,
    ProviderOverloaded,
    ProviderUnreachable,
    StreamBroken,
)

if TYPE_CHECKING:
    import random

# These very kinds and none below them: a refusal or a wrong key would only come again, and a new kind of error is asked
# about again only when somebody has thought about it. The plain one is a 5xx. No timeout: whoever was silent for half a
# minute is not helped by the same question, and one that was loading its model begins again from the start.
PASSING = frozenset({
    ProviderError, ProviderGarbled, ProviderLimited, ProviderOverloaded, ProviderUnreachable, StreamBroken,
})  # fmt: skip

FIRST = 0.1  # seconds, doubled with every try
MOST = 2.0  # seconds
JITTER = 0.5  # of our own wait, so that those who failed together do not come back together
JITTER_TOLD = 0.1  # of the provider's


def wait_before(error: BaseException, *, tries: int, random: random.Random) -> float | None:
    """Seconds before a deployment that was asked `tries` times is asked again; None: not at all.

    Never shorter than what the provider said (`error.retry_after`), nor than 0.1, 0.2, 0.4 ... 2 seconds: jitter that
    may also shorten a wait asks a provider before it wants to be asked.
    """
    if type(error) not in PASSING:
        return None
    told = error.retry_after if isinstance(error, ProviderError) else None
    if told is None and isinstance(error, ProviderLimited):
        return None  # a minute or a month: it did not say
    drawn = random.random()
    ours = min(FIRST * 2.0 ** min(tries - 1, 10), MOST)
    return max(ours * (1 + JITTER * drawn), (told or 0.0) * (1 + JITTER_TOLD * drawn))
