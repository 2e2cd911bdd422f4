"""Room for so many calls at a time, with a short line before it that serves the newest first while it does not empty.

1. A free slot and a waiting call never exist together: whatever frees a slot (`leave`, a larger limit) hands it over
   at once. So `enter_now` overtakes nobody and need not look at the line.
2. A slot that is handed over stays taken; the call that was given it owns it before it runs again. Is that call
   cancelled in between, or was the loop so busy that its deadline is over, it hands the slot on.
3. The line holds at most twice the limit; who comes then is refused at once.
4. Adaptive LIFO: a line that has not been empty for `SETTLED` seconds is no burst but overload. In arrival order each
   would then be served when it is nearly too late for it; the newest still has all of its time. From then on nobody
   waits longer than `patience`. (Maurer, "Fail at Scale", ACM Queue 13(8), 2015, with milliseconds; here the seconds of
   language models.)

As a line is not empty while somebody stands in it, the instant at which one gives up is known when it joins: one timer.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Literal, Protocol, overload

from llm_pool.core.errors import Overloaded

if TYPE_CHECKING:
    from llm_pool.core.clock import Clock

SETTLED: Final = 2.0  # seconds that a line has not been empty when it counts as overload
LINE: Final = 2  # the longest line, in limits

_FIRST_GUESS = 3.0  # seconds that a call takes, before one was seen to end
_WEIGHT = 0.1  # of the last observation in the seconds that a call takes
_SOONEST, _LATEST = 1.0, 60.0  # seconds within which a refused call is asked to come back


class Limit(Protocol):
    """How many calls at a time."""

    @property
    def calls(self) -> int: ...

    def served(self, used: int, now: float) -> None:
        """A call was answered while `used` slots were taken, its own counted or not."""

    def pushed_back(self, now: float) -> None:
        """The other side said, or showed, that it is asked too much."""


class Fixed:
    """As many as the configuration says, at least one."""

    __slots__ = ("calls",)

    def __init__(self, calls: int) -> None:
        self.calls = calls

    def served(self, used: int, now: float) -> None:
        """It is fixed."""

    def pushed_back(self, now: float) -> None:
        """It is fixed."""


class Adaptive:
    """As many as the other side bears, found out by additive increase and multiplicative decrease (Chiu and Jain 1989).

    While at least half of it is used, the limit grows by one with each answer until it is first pushed back, later by
    one with each `calls` answers, which are one round of calls (TCP's slow start and congestion avoidance). Pushed
    back, it shrinks to nine tenths and rests for a second: what is under way by then is pushed back as well. To grow by
    one with each answer for ever, as Netflix's concurrency-limits does, or in that second, outruns the decrease.
    """

    INITIAL: Final = 10
    MOST: Final = 1_000
    KEPT: Final = 0.9
    REST: Final = 1.0  # seconds

    __slots__ = ("_answers", "_rests_until", "_rising", "calls")

    def __init__(self) -> None:
        self.calls = self.INITIAL
        self._answers = 0  # of this round
        self._rising = True  # never pushed back
        self._rests_until = -math.inf

    def served(self, used: int, now: float) -> None:
        if 2 * used + 1 < self.calls or now < self._rests_until:  # the one: the call itself may have left
            return
        self._answers += 1
        if self._rising or self._answers >= self.calls:
            self._answers = 0
            self.calls = min(self.calls + 1, self.MOST)

    def pushed_back(self, now: float) -> None:
        if now < self._rests_until:
            return
        self._rests_until = now + self.REST
        self._rising = False
        self._answers = 0
        self.calls = max(1, int(self.calls * self.KEPT))


@overload
def limit_of(setting: None) -> None: ...
@overload
def limit_of(setting: int | Literal["adaptive"]) -> Limit: ...
@overload
def limit_of(setting: int | Literal["adaptive"] | None) -> Limit | None: ...
def limit_of(setting: int | Literal["adaptive"] | None) -> Limit | None:
    """What `max_concurrent` says. None: there is no limit, and no need of slots."""
    if setting is None:
        return None
    return Adaptive() if setting == "adaptive" else Fixed(setting)


class Slots:
    """`if not enter_now(): await wait(...)`, then, whatever happens, one `leave()`. `patience` is in seconds."""

    __slots__ = ("_left", "_limit", "_line", "_now", "_since", "_took", "patience", "used")

    def __init__(self, limit: Limit, *, now: Clock, patience: float = 1.0) -> None:
        self.used = 0
        self.patience = patience
        self._limit = limit
        self._now = now
        self._line: OrderedDict[asyncio.Future[bool], None] = OrderedDict()
        self._since = 0.0  # when the line was last empty; holds while it is not
        self._left = 0.0  # when a call last left while others waited, or when the line began
        self._took = _FIRST_GUESS  # seconds that a call takes, as seen from the line

    @property
    def limit(self) -> int:
        """Calls at a time, now; `used` may be above it for a while. Set to another Limit, it holds from then on; one
        that was and stays adaptive keeps what it has learned.
        """
        return self._limit.calls

    @limit.setter
    def limit(self, limit: Limit) -> None:
        if not (isinstance(limit, Adaptive) and isinstance(self._limit, Adaptive)):
            self._limit = limit
        self._hand_over()

    @property
    def waiting(self) -> int:
        """Calls in the line."""
        return len(self._line)

    def enter_now(self) -> bool:
        """Take a slot if one is free, which means that nobody waits."""
        if self.used < self._limit.calls:
            self.used += 1
            return True
        return False

    async def wait(self, *, deadline: float) -> None:
        """Take a slot, if need be after a wait, which ends at `deadline` (`loop.time()`) at the latest.

        Raises Overloaded, and then has taken none: the line is full, the wait was too long, or the deadline came.
        """
        loop = asyncio.get_running_loop()
        if loop.time() >= deadline:
            raise self._refusal("too late to begin with it")
        if self.enter_now():
            return
        if len(self._line) >= LINE * self._limit.calls:
            raise self._refusal("too many requests wait for their turn")
        turn: asyncio.Future[bool] = loop.create_future()
        timer = loop.call_at(min(deadline, loop.time() + self._longest_wait()), _refuse, turn)
        self._line[turn] = None
        try:
            served = await turn
        except BaseException:  # whatever ends the wait: a slot given meanwhile is handed on (rule 2)
            if turn.done() and not turn.cancelled() and turn.result():
                self.leave()
            raise
        finally:
            timer.cancel()
            self._line.pop(turn, None)
        if not served:
            raise self._refusal("its turn did not come in time")
        if loop.time() >= deadline:  # rule 2
            self.leave()
            raise self._refusal("too late to begin with it")

    def leave(self) -> None:
        """Give a slot back; the next in line has it at once."""
        if not self._line:
            self.used -= 1
            return
        # While some wait, one leaves every (seconds of a call) / (calls at a time), by Little's law.
        now = self._now()
        self._took += _WEIGHT * ((now - self._left) * self.used - self._took)
        self._left = now
        self.used -= 1
        self._hand_over()

    def served(self) -> None:
        """A call was answered: an adaptive limit may grow. Say so for each one, before or after its `leave`."""
        self._limit.served(self.used, self._now())
        if self._line:
            self._hand_over()

    def pushed_back(self) -> None:
        """A call met 429, 529 or no first token in time: an adaptive limit shrinks."""
        self._limit.pushed_back(self._now())

    def _longest_wait(self) -> float:
        """Seconds that one who joins the line now may stand in it."""
        now = self._now()
        if not self._line:
            self._since = self._left = now
        return max(self._since + SETTLED - now, self.patience)

    def _hand_over(self) -> None:
        """Give the free slots to those whose turn it is."""
        newest_first = self._now() - self._since > SETTLED
        while self._line and self.used < self._limit.calls:
            turn, _ = self._line.popitem(last=newest_first)
            if turn.done():
                continue  # cancelled or refused, and not yet out of the line
            self.used += 1
            turn.set_result(True)

    def _refusal(self, why: str) -> Overloaded:
        """To come back is worth it when those who wait now have been served, at the pace of late or a stall's."""
        took = self._took
        if self._line:
            took = max(took, (self._now() - self._left) * self.used)
        drained = (len(self._line) + 1) * took / self._limit.calls
        return Overloaded(why, retry_after=min(max(drained, _SOONEST), _LATEST))


def _refuse(turn: asyncio.Future[bool]) -> None:
    if not turn.done():
        turn.set_result(False)
