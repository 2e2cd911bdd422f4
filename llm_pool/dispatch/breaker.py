"""Stop asking a deployment that keeps failing; let a few probes through after a while.

1. Closed: the last calls are looked back on (`window_size` of them at most, none older than `window_seconds`). It opens
   at a failure with which `fail_rate` of at least `min_calls` have failed, or with which `CONSECUTIVE` have failed in a
   row over at least `SPANNING` seconds: a burst of failures within one second tells of one fault, not of five.
2. Failures come back sooner than answers, so the first outcomes of a busy deployment are mostly failures. While the
   window is not full, calls under way count as calls that have not failed.
3. Open: nobody is admitted for `cooldown` seconds, twice as long each further time up to `longest`. Chance takes up to
   a half of it, so that many pools do not come back together.
4. Half-open, which it is by itself when that time is over: `PROBES` are admitted at a time. One failure opens it
   again, `SUCCESSES` close it, and closed it begins anew. After a failed half-open one probe goes ahead alone, and the
   others follow its success: a deployment that hangs costs one caller's patience each time, not three.
5. A permit belongs to one generation, which ends whenever the breaker opens or closes. What becomes of a call that was
   begun in an earlier one tells of then, not of now: it neither opens, nor closes, nor gives back a probe's place.
6. Neutral is what says nothing about the deployment (a caller who left, a hedge that lost, a 429, a wrong request). It
   does not enter the window, breaks no row of failures, and gives a probe's place back.
7. Panic: where every candidate is open, the caller asks one nevertheless. A success counts like a probe's; a failure
   changes nothing, or a pool under load would never stop extending its own outage.
8. `open()` by hand holds it open, whatever the time and whatever succeeds, until `close()`.

Five in a row is Finagle's failure accrual; the span and the rest were measured for this pool: `benchmarks.breaker`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from random import Random

    from llm_pool.config import settings
    from llm_pool.core.clock import Clock

State = Literal["closed", "open", "half_open"]
Verdict = Literal["success", "failure", "neutral"]
Changed: TypeAlias = Callable[[State, State], None]  # before, after

CONSECUTIVE, SPANNING = 5, 1.0  # failures in a row that open it, and the seconds over which
PROBES = 3  # at a time
SUCCESSES = 2  # that close it
LEAST = 0.5  # of a cooldown, after chance has taken its part
A_PROBES_TIME = 1.0  # seconds; a guess at when one of the probes under way will have told

_PANIC = 1  # in a permit; generations are even


@dataclass(frozen=True, slots=True)
class Rules:
    """When it opens and for how long: a share, two numbers of calls, and seconds."""

    fail_rate: float
    window_size: int
    window_seconds: float
    min_calls: int
    cooldown: float
    longest: float
    enabled: bool = True

    @classmethod
    def of(cls, section: settings.Breaker) -> Rules:
        """As configured. A window too small for `min_calls`, or a maximum below the first cooldown, bends to it."""
        cooldown = section.open_cooldown_ms / 1000
        return cls(
            fail_rate=section.fail_rate,
            window_size=section.window_size,
            window_seconds=section.window_seconds,
            min_calls=min(section.min_calls, section.window_size),
            cooldown=cooldown,
            longest=max(section.max_cooldown_ms / 1000, cooldown),
            enabled=section.enabled,
        )


class Breaker:
    """Of one deployment. `rules` may be replaced at any time, and `closed` is there to be looked at in haste.

    `changed` is called after each change of state. That it turned half-open is told when the first probe begins, for
    no timer of its own watches the time; whoever looks at `state` sees it at once.
    """

    __slots__ = (
        "_calls",
        "_changed",
        "_failed",
        "_generation",
        "_length",
        "_now",
        "_places",
        "_probing",
        "_random",
        "_row",
        "_row_began",
        "_successes",
        "_told",
        "_under_way",
        "_until",
        "closed",
        "rules",
    )

    def __init__(self, rules: Rules, *, now: Clock, random: Random, changed: Changed) -> None:
        self.rules = rules
        self.closed = True
        self._now = now
        self._random = random
        self._changed = changed
        self._told: State = "closed"
        self._generation = 0
        self._calls: deque[tuple[float, bool]] = deque()  # when it ended, whether it failed
        self._failed = 0  # of those
        self._row = 0  # failures since the last success
        self._row_began = 0.0
        self._until = 0.0  # an instant, or for ever while it is held
        self._length = 0.0  # seconds that it was open the last time, before chance
        self._under_way = 0  # while closed
        self._places = PROBES  # for probes
        self._probing = 0
        self._successes = 0

    @property
    def state(self) -> State:
        """What a call that begins now will find."""
        if self.closed:
            return "closed"
        return "half_open" if self._now() >= self._until else "open"

    @property
    def held(self) -> bool:
        """Whether it was opened by hand."""
        return not self.closed and self._until == math.inf

    def admits(self) -> bool:
        """Whether `begin` would give a permit now."""
        return self.closed or (self._probing < self._places and self._now() >= self._until)

    def opens_in(self) -> float:
        """Seconds until it may be asked again: 0.0 where it may be now; while it is held, nobody knows: `longest`."""
        if self.admits():
            return 0.0
        if self.held:
            return self.rules.longest
        return max(self._until - self._now(), A_PROBES_TIME if self._probing else 0.0)

    def begin(self, *, panic: bool = False) -> int | None:
        """A call begins. Its permit, to be given to `ended` exactly once; None where it is not admitted."""
        if self.closed:
            self._under_way += 1
            return self._generation
        if self.admits():
            self._probing += 1
            self._tell("half_open")
            return self._generation
        return self._generation | _PANIC if panic else None

    def ended(self, permit: int, verdict: Verdict) -> None:
        """What became of a call. Its time in the window is now."""
        if self.closed:
            if permit == self._generation:
                self._under_way -= 1
                if verdict != "neutral":
                    self._count(failed=verdict == "failure")
        elif permit | _PANIC == self._generation | _PANIC:
            if permit == self._generation:
                self._probing -= 1
            if verdict == "success":
                self._succeeded()
            elif verdict == "failure" and permit == self._generation:
                self._open()

    def open(self) -> None:
        """By hand: hold it open."""
        self._leave(until=math.inf)

    def close(self) -> None:
        """By hand, or as the probes found: ask it again, the failures forgotten."""
        self.closed = True
        self._generation += 2
        self._calls.clear()
        self._failed = self._row = self._under_way = 0
        self._length = 0.0
        self._tell("closed")

    def hasten(self) -> None:
        """Somebody saw it well again: whoever asks next may try, unless it is held open."""
        if not self.held:
            self._until = min(self._until, self._now())
            if not self.closed:  # probes under way were begun before, and tell of before
                self._generation += 2
                self._probing = 0

    def snapshot(self) -> dict[str, str | int | float | bool | None]:
        """For a report. `calls` and `failed` count the window; `tries_again_in`: seconds, None while held."""
        self._forget(self._now())
        return {
            "state": self.state,
            "calls": len(self._calls),
            "failed": self._failed,
            "tries_again_in": None if self.held else round(self.opens_in(), 3),
            "held": self.held,
        }

    def _count(self, *, failed: bool) -> None:
        now, rules = self._now(), self.rules
        self._calls.append((now, failed))
        self._failed += failed
        self._forget(now)
        if not failed:
            self._row = 0
            return
        if not self._row:
            self._row_began = now
        self._row += 1
        in_a_row = self._row >= CONSECUTIVE and now - self._row_began >= SPANNING
        calls = len(self._calls)
        of = min(calls + max(self._under_way, 0), rules.window_size)
        if in_a_row or (calls >= rules.min_calls and self._failed / of >= rules.fail_rate):
            self._open()

    def _forget(self, now: float) -> None:
        calls, size, oldest = self._calls, self.rules.window_size, now - self.rules.window_seconds
        while calls and (len(calls) > size or calls[0][0] < oldest):
            self._failed -= calls.popleft()[1]

    def _succeeded(self) -> None:
        self._successes += 1
        self._places = PROBES
        if self._successes >= SUCCESSES and not self.held:
            self.close()

    def _open(self) -> None:
        if not self.rules.enabled:
            return
        self._places = PROBES if self.closed else 1
        self._length = min(max(self.rules.cooldown, 2 * self._length), self.rules.longest)
        self._leave(until=self._now() + self._length * self._random.uniform(LEAST, 1.0))

    def _leave(self, *, until: float) -> None:
        """Alone, until then."""
        self.closed = False
        self._generation += 2
        self._until = until
        self._probing = self._successes = 0
        self._tell("open")

    def _tell(self, state: State) -> None:
        before, self._told = self._told, state
        if before != state:
            self._changed(before, state)
