"""Leave a deployment alone that wants to be left alone, or that does not know our key or our model.

1. After a 429 nobody asks it until the time that it named, an hour at most. Where it named none: for a second, twice as
   long each further time up to a minute, and a little longer by chance, so that many pools do not come back together.
2. Some name an hour and mean a minute. So while it cools, one call each `PROBE_EVERY` seconds tries. The next is due
   that long after the last began, whatever became of it.
3. A success ends it. But what was begun before the last 429 tells of the time before it: its success ends nothing, and
   its 429 is the same news once more, not a reason to wait twice as long.
4. Misconfigured (401, 403, 404) is another thing: waiting mends nothing, and no caller is spent on trying for
   `MISCONFIGURED_FOR` seconds, unless the health check sees it well again. Until then callers are told what it said.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from llm_pool.core.errors import ProviderMisconfigured, ProviderUnavailable

if TYPE_CHECKING:
    from random import Random

    from llm_pool.core.clock import Clock
    from llm_pool.core.errors import ProviderError

# All in seconds.
LONGEST = 3600.0  # that is taken from a Retry-After
FIRST, MOST = 1.0, 60.0  # without one
LATER = 1.25  # times as long, at most, by chance
PROBE_EVERY = 60.0
MISCONFIGURED_FOR = 300.0


class Cooldown:
    """Of the deployment `name`. Nothing has to be asked of it while `active` is False, which is nearly always.

    `begun` is the instant, on the clock `now`, at which a call was begun.
    """

    __slots__ = (
        "_error",
        "_heard",
        "_limited",
        "_mended_at",
        "_name",
        "_now",
        "_probe_at",
        "_random",
        "_step",
        "_until",
        "active",
    )

    def __init__(self, name: str, *, now: Clock, random: Random) -> None:
        self.active = False
        self._name = name
        self._now = now
        self._random = random
        self._limited = False  # since the last success
        self._heard = -math.inf  # when it last said so
        self._until = 0.0
        self._probe_at = 0.0
        self._step = 0.0  # seconds waited the last time, before chance, where it named none
        self._error: ProviderError | None = None
        self._mended_at = 0.0

    def limited(self, retry_after: float | None, *, begun: float = math.inf) -> None:
        """It said 429, and to come back in `retry_after` seconds."""
        now = self._now()
        named = min(retry_after, LONGEST) if retry_after is not None and retry_after > 0 else None
        if begun <= self._heard:
            if named is not None and self._limited:
                self._until = max(self._until, now + named)
            return
        if named is None:
            self._step = min(max(FIRST, 2 * self._step), MOST)
            named = self._step * self._random.uniform(1.0, LATER)
        self.active = self._limited = True
        self._heard = now
        self._until = now + named
        self._probe_at = now + PROBE_EVERY

    def misconfigured(self, error: ProviderError) -> None:
        """It said 401 or 403, or 404 of its model."""
        self.active = True
        self._heard = self._now()
        self._mended_at = self._heard + MISCONFIGURED_FOR
        self._error = error

    def succeeded(self, *, begun: float = math.inf) -> None:
        """It answered."""
        if begun > self._heard:
            self.active = self._limited = False
            self._step = 0.0
            self._error = None

    def recovered(self) -> None:
        """The health check saw it become well. That tells of its key and model, but nothing of a quota."""
        self._error = None
        self.active = self._limited

    def refusal(self) -> ProviderError | None:
        """Why it is left alone now, made anew each time, for a raised error keeps its traceback. None: ask it."""
        if not self.active:
            return None
        now = self._now()
        if self._error is not None and now < self._mended_at:
            return ProviderMisconfigured(self._error.message, details=dict(self._error.details))
        if self._limited and now < self._until and now < self._probe_at:
            return ProviderUnavailable(
                f"{self._name} wants to be left alone for a while", retry_after=self._until - now
            )
        return None

    def begin(self) -> None:
        """A call begins. While it cools this is the probe for which all others wait."""
        now = self._now()
        if now < self._until:
            self._probe_at = now + PROBE_EVERY
