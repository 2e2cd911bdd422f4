"""Keep within the quotas that a provider gives us: requests and tokens per minute, tokens per day. Pure.

Per minute: the generic cell rate algorithm (GCRA, ITU-T I.371). All its state is one instant, at which what was let
through will have been worked off at the allowed rate. A call may go where that instant, this call included, is no more
than a burst away. A burst is 10 seconds' worth, and at least the call itself: else a huge one would wait for ever. So
in any t seconds there are at most burst + rate x t requests.

Per day: a plain count from midnight to midnight UTC, by the wall clock, for that is what the provider goes by.

Tokens are known only afterwards. A call reserves its estimate and settles at its end; what was used exceeds the bound
by no more than the calls under way were estimated wrongly.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_pool.core.clock import Clock

BURST = 10.0  # seconds' worth
MINUTE = 60.0  # seconds
DAY = 86_400  # seconds
ROUNDING = 1e-6  # seconds: an error of arithmetic is no reason to wait


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a provider lets us use; None: as much as we like. All are at least 1."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    daily_tokens: int | None = None


class Quota:
    """`allowed` may be replaced at any time; what was used counts on. `wall` is the time of day, in Unix seconds."""

    __slots__ = ("_day", "_now", "_requests_until", "_reserved", "_tokens_until", "_used", "_wall", "allowed")

    def __init__(self, allowed: Allowed = Allowed(), *, now: Clock, wall: Callable[[], float] = time.time) -> None:
        self.allowed = allowed
        self._now = now
        self._wall = wall
        self._requests_until = now()  # when all requests let through will have been worked off
        self._tokens_until = now()
        self._day = int(wall() // DAY)
        self._used = 0  # tokens, this day
        self._reserved = 0  # tokens of calls under way; they count for the day on which they end

    def refusal_in(self, estimate: int = 0) -> float:
        """Seconds until a call of so many tokens may be sent, 0 when now. Without an estimate: until any may."""
        allowed, now, wait = self.allowed, self._now(), 0.0
        if allowed.requests_per_minute is not None:
            wait = _wait(self._requests_until - now, MINUTE / allowed.requests_per_minute)
        if allowed.tokens_per_minute is not None:
            cost = max(estimate, 1) * MINUTE / allowed.tokens_per_minute
            wait = max(wait, _wait(self._tokens_until - now, cost))
        if allowed.daily_tokens is not None:
            wall = self._wall()
            spent = self._reserved + (self._used if int(wall // DAY) <= self._day else 0)
            if spent + min(max(estimate, 1), allowed.daily_tokens) > allowed.daily_tokens:
                wait = max(wait, DAY - wall % DAY)
        return wait if wait > ROUNDING else 0.0

    def begin(self, estimate: int) -> None:
        """Count a call, and reserve its tokens. Whether it may be sent is not asked again."""
        allowed, now = self.allowed, self._now()
        if allowed.requests_per_minute is not None:
            self._requests_until = max(self._requests_until, now) + MINUTE / allowed.requests_per_minute
        if allowed.tokens_per_minute is not None:
            self._tokens_until = max(self._tokens_until, now) + estimate * MINUTE / allowed.tokens_per_minute
        self._reserved += estimate

    def end(self, estimate: int, used: int) -> None:
        """Settle a call that reserved `estimate` tokens and used so many, 0 where it never got as far."""
        allowed = self.allowed
        if allowed.tokens_per_minute is not None:
            left = max(self._tokens_until, self._now())
            self._tokens_until = left + (used - estimate) * MINUTE / allowed.tokens_per_minute
        self._reserved = max(self._reserved - estimate, 0)  # it may have begun under another configuration
        if allowed.daily_tokens is not None:
            today = int(self._wall() // DAY)
            if today > self._day:  # a clock that was set back finds its day begun already
                self._day, self._used = today, 0
            elif today < self._day - 1:  # it was wrong by days, not hours: the count goes on, under the right date
                self._day = today
        self._used += used


def _wait(ahead: float, cost: float) -> float:
    """`ahead`: seconds that what was let through will still take. `cost`: seconds that this call is worth."""
    return max(ahead, 0.0) + cost - max(BURST, cost)
