"""How long one call of one deployment may take: to its first word, between two words, and in all.

1. To the first word, `first_token` seconds: of a `whole` request too, for from upstream it always streams.
2. Between two words, `idle` seconds. `Started` and `Warning` are no words, and a provider's pings are no events at all.
3. In all, `within` seconds; and by the instant `speak_by` the first word (of a `whole` request the last one) must be
   there, for then it is another's turn.
4. Only our own waits for the provider count. A timer around the whole call would also fire while the *caller* is busy
   with what it was given, and cancel the caller. So the alarm is on only during our waits, a silence begins where we
   begin to wait, and what is ready at once is had from whoever is late only because the caller was.
5. What cannot pass before the request's deadline is not watched: the pool's own timer is sooner.

Nearly no call ever meets a limit, so all calls of a deployment share one timer, set to where the oldest of them could
break one at the soonest. Words only note the time. A call that is still there then is looked at, and gets a timer of
its own for the next look.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from llm_pool.core.errors import OutOfTime, ProviderTimeout
from llm_pool.core.types import WORDS, Event, Finished

if TYPE_CHECKING:
    from llm_pool.core.types import Request

TICK = 0.001  # seconds by which a timer may fire early: uvloop's count in milliseconds


class Limits:
    """Of all calls of one deployment, in seconds: to the first word, between two words, and in all."""

    __slots__ = ("_calls", "_soonest", "_timer", "first_token", "idle", "within")

    def __init__(self, *, first_token: float = 30.0, idle: float = 20.0, within: float | None = None) -> None:
        self.first_token = first_token
        self.idle = idle
        self.within = within
        self._soonest = min(first_token, idle) if within is None else min(first_token, idle, within)
        self._calls: dict[Watch, float] = {}  # when to look at each, the soonest first
        self._timer: asyncio.TimerHandle | None = None

    def watch(
        self, name: str, request: Request, *, speak_by: float | None = None, loading: bool = False
    ) -> Watch | None:
        """A call of `name` begins, in the task that will wait for it. None where nothing can pass before its deadline.

        `speak_by` is an instant of `loop.time()`. One that is `loading` its model may take its time to the first word.
        """
        loop = asyncio.get_running_loop()
        opened = loop.time()
        soonest = opened + self._soonest
        if speak_by is not None and speak_by < soonest:
            soonest = speak_by
        if soonest >= request.deadline:
            return None
        watch = Watch(self, name, request, loop, opened=opened)
        if loading:
            watch.loading = True
        if speak_by is not None:  # out of the order of the others
            watch.speak_by = speak_by
            watch.look_at(soonest)
            return watch
        self._calls[watch] = soonest
        if self._timer is None:
            self._timer = loop.call_at(soonest, self._look)
        return watch

    def left(self, watch: Watch) -> None:
        """Not to be looked at any more. (The timer stays: to set one costs more than all the rest of this.)"""
        self._calls.pop(watch, None)

    def _look(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        while self._calls:
            oldest, soonest = next(iter(self._calls.items()))
            if soonest > loop.time() + TICK:
                self._timer = loop.call_at(soonest, self._look)
                return
            del self._calls[oldest]
            oldest.look()


class Watch:
    """Over one call: `waits` for each event, `broken` where it raised, `leave` at its end.

    `on` while we wait for the provider; it is off while the caller is given an event, and `pauses` tells of one that is
    no word. It interrupts its own task, as `core.alarm.Alarm` does. `_silent_since` is None until the call has spoken.
    """

    # What a call nearly never needs stands here, and costs none of them anything. (Slots cannot have values.)
    _broken: ProviderTimeout | None = None
    _missed = False  # it should have been looked at while the caller was busy
    _paused_at = 0.0
    _silent_since: float | None = None
    _timer: asyncio.TimerHandle | None = None
    loading = False
    on = True  # whether we wait for the provider now
    speak_by: float | None = None

    def __init__(
        self, limits: Limits, name: str, request: Request, loop: asyncio.AbstractEventLoop, *, opened: float
    ) -> None:
        self._limits = limits
        self._name = name
        self._request = request
        self._loop = loop
        self._opened = opened
        self._task = task = asyncio.current_task(loop)
        self._cancelling = task.cancelling() if task else 0

    def pauses(self) -> None:
        """What came is no word: the silence goes on, but not while the caller is given it."""
        self._paused_at = self._loop.time()

    def waits(self, after: Event | None) -> None:
        """The caller wants more than `after`; None: the first event."""
        if isinstance(after, WORDS):
            self._silent_since = self._loop.time()
            if self.speak_by is not None and (not self._request.whole or isinstance(after, Finished)):
                self.speak_by = None
        elif self._silent_since is not None:  # the silence goes on, but for the time that the caller took
            self._silent_since += self._loop.time() - self._paused_at
        if self._missed:
            self._missed = False
            self._arm()
        self.on = True

    def broken(self, error: BaseException) -> ProviderTimeout | None:
        """What is wrong, where `error` is our own cancellation; where another one came as well, that is obeyed."""
        self.on = False
        broken, self._broken = self._broken, None
        if broken is None or self._task is None:
            return None
        ours = self._task.uncancel() <= self._cancelling
        return broken if ours and isinstance(error, asyncio.CancelledError) else None

    def leave(self) -> None:
        self.on = False
        self._limits.left(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def look(self) -> None:
        """Whether a limit has passed. While nobody waits nothing is late, and the next wait looks again."""
        self._timer = None
        if not self.on:
            self._missed = True
            return
        self._broken = self._passed(self._loop.time() + TICK)
        if self._broken is None:
            self._arm()
        elif self._task is not None and self._task.cancelling() <= self._cancelling:
            self._task.cancel()
        else:  # somebody else has cancelled it, and is obeyed
            self._broken = None

    def _arm(self) -> None:
        """Look again where the first limit could pass. That only ever moves away: once beyond the deadline, always."""
        silent_since = self._silent_since
        instants = [(self._loop.time() if silent_since is None else silent_since) + self._limits.idle]
        if silent_since is None and not self.loading:
            instants.append(self._opened + self._limits.first_token)
        if self._limits.within is not None:
            instants.append(self._opened + self._limits.within)
        if self.speak_by is not None:
            instants.append(self.speak_by)
        soonest = min(instants)
        if soonest < self._request.deadline:
            self.look_at(soonest)

    def look_at(self, when: float) -> None:
        self._timer = self._loop.call_at(when, self.look)

    def _passed(self, now: float) -> ProviderTimeout | None:
        """What is wrong at `now`, the provider's own fault first."""
        limits, silent_since = self._limits, self._silent_since
        if silent_since is None and not self.loading and now >= self._opened + limits.first_token:
            return ProviderTimeout(f"{self._name} said nothing for {limits.first_token:g} s (first_token_timeout_ms)")
        if silent_since is not None and now >= silent_since + limits.idle:
            return ProviderTimeout(f"{self._name} fell silent for {limits.idle:g} s (idle_timeout_ms)")
        if limits.within is not None and now >= self._opened + limits.within:
            return OutOfTime(f"{self._name} took longer than {limits.within:g} s (timeout_ms)")
        if self.speak_by is not None and now >= self.speak_by:
            what = "was not done" if self._request.whole else "had not spoken"
            return OutOfTime(f"{self._name} {what} in the time that was left for it")
        return None
