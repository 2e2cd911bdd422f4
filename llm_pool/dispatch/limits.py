"""How long one call of one deployment may take: to its first word, between two words, and in all.

1. To the first word, `first_token` seconds: of a `whole` request too, for from upstream it always streams.
2. Between two words, `idle` seconds. `Started` and `Warning` are no words, and a provider's pings are no events at all.
3. In all, `within` seconds; and by the instant `speak_by` the first word (of a `whole` request the last one) must be
   there, for then it is another's turn.
4. Only our own waits for the provider count. A timer around the whole call would also fire while the *caller* is busy
   with what it was given, and cancel the caller. So the alarm is on only during our waits, a silence begins where we
   begin to wait, and what is ready at once is had from whoever is late only because the caller was.
5. What cannot pass before the request's deadline is not watched: the pool's own timer is sooner.

Nearly no call ever meets a limit, so each has one timer, set to where the first limit could pass at the soonest. Words
only note the time. When the timer fires it looks whether a limit has passed, and is else set to where one could.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from llm_pool.core.errors import OutOfTime, ProviderTimeout
from llm_pool.core.streams import Events, Mapped
from llm_pool.core.types import WORDS, Finished

if TYPE_CHECKING:
    from types import TracebackType

    from llm_pool.core.streams import Answering, Ask
    from llm_pool.core.types import Request

TICK = 0.001  # seconds by which a timer may fire early: uvloop's count in milliseconds


class Limits:
    """`speak_by` is an instant of `loop.time()`, the others are seconds.

    What breaks `first_token` or `idle` raises ProviderTimeout; what breaks `within` or `speak_by`, OutOfTime.
    """

    __slots__ = ("first_token", "idle", "name", "soonest", "speak_by", "within")

    def __init__(
        self,
        name: str,
        *,
        first_token: float,
        idle: float,
        within: float | None = None,
        speak_by: float | None = None,
    ) -> None:
        self.name = name
        self.first_token = first_token
        self.idle = idle
        self.within = within
        self.speak_by = speak_by
        self.soonest = min(first_token, idle) if within is None else min(first_token, idle, within)

    def open(self, request: Request, then: Ask) -> Answering:
        loop = asyncio.get_running_loop()
        opened = loop.time()
        soonest = opened + self.soonest
        if self.speak_by is not None and self.speak_by < soonest:
            soonest = self.speak_by
        if soonest >= request.deadline:
            return then(request)
        return _Limited(request, then, self, loop, opened=opened, soonest=soonest)


class _Limited(Mapped):
    """A call under limits. `_silent_since` is None until it has spoken.

    It interrupts its own task, as `core.alarm.Alarm` does; but being on and off is no more than an attribute here, for
    this is done twice for every event.
    """

    __slots__ = (
        "_broken", "_cancelling", "_limits", "_loop", "_missed", "_on", "_opened", "_silent_since", "_speak_by",
        "_task", "_timer",
    )  # fmt: skip

    def __init__(
        self,
        request: Request,
        then: Ask,
        limits: Limits,
        loop: asyncio.AbstractEventLoop,
        *,
        opened: float,
        soonest: float,
    ) -> None:
        self._then = then
        self._request = request
        self._limits = limits
        self._loop = loop
        self._opened = opened
        self._speak_by = limits.speak_by
        self._silent_since: float | None = None
        self._on = False  # whether we wait for the provider now
        self._missed = False  # the timer fired while the caller was busy
        self._broken: ProviderTimeout | None = None
        self._timer: asyncio.TimerHandle | None = loop.call_at(soonest, self._look)

    async def __aenter__(self) -> Events:
        self._task = asyncio.current_task(self._loop)
        self._cancelling = self._task.cancelling() if self._task else 0
        self._on = True
        try:
            self._inner = self._then(self._request)
            self._out = self._map(await self._inner.__aenter__())
        except BaseException as error:  # whatever ends it: no timer stays behind
            self._disarm()
            self._raise_broken(error)
            raise
        self._on = False
        return self._out

    async def _map(self, events: Events) -> Events:
        time = self._loop.time
        self._on = True
        try:
            async for event in events:
                self._on = False
                if isinstance(event, WORDS):
                    if self._speak_by is not None and (not self._request.whole or isinstance(event, Finished)):
                        self._speak_by = None
                    yield event
                    self._silent_since = time()
                elif self._silent_since is None:
                    yield event
                else:  # the silence goes on, but for the time that the caller takes
                    handed = time()
                    yield event
                    self._silent_since += time() - handed
                if self._missed:
                    self._missed = False
                    self._arm()
                self._on = True
        except Exception as error:
            self._raise_broken(error)
            raise
        except asyncio.CancelledError as error:
            self._raise_broken(error)
            raise
        finally:
            self._on = False

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._disarm()
        try:
            await self._out.aclose()
        finally:
            await self._inner.__aexit__(kind, error, trace)

    def _look(self) -> None:
        """The timer fired. While nobody waits for the provider nothing is late; the next wait sets the timer anew."""
        self._timer = None
        if not self._on:
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
        if silent_since is None:
            instants.append(self._opened + self._limits.first_token)
        if self._limits.within is not None:
            instants.append(self._opened + self._limits.within)
        if self._speak_by is not None:
            instants.append(self._speak_by)
        soonest = min(instants)
        if soonest < self._request.deadline:
            self._timer = self._loop.call_at(soonest, self._look)

    def _passed(self, now: float) -> ProviderTimeout | None:
        """What is wrong at `now`, the provider's own fault first."""
        limits, silent_since = self._limits, self._silent_since
        if silent_since is None and now >= self._opened + limits.first_token:
            return ProviderTimeout(f"{limits.name} said nothing for {limits.first_token:g} s")
        if silent_since is not None and now >= silent_since + limits.idle:
            return ProviderTimeout(f"{limits.name} fell silent for {limits.idle:g} s")
        if limits.within is not None and now >= self._opened + limits.within:
            return OutOfTime(f"{limits.name} took longer than {limits.within:g} s")
        if self._speak_by is not None and now >= self._speak_by:
            what = "was not done" if self._request.whole else "had not spoken"
            return OutOfTime(f"{limits.name} {what} in the time that was left for it")
        return None

    def _raise_broken(self, error: BaseException) -> None:
        """Raises what is wrong where `error` is our own cancellation. One that came from elsewhere as well is not ours
        to swallow.
        """
        broken, self._broken = self._broken, None
        if broken is not None and self._task is not None:
            ours = self._task.uncancel() <= self._cancelling
            if ours and isinstance(error, asyncio.CancelledError):
                raise broken from None

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
