"""How long one call of one deployment may take: to its first word, and in all.

The naive way, `asyncio.timeout` around the whole call, would also fire while the *caller* is busy with what it was
given, and cancel the caller. An `Alarm` interrupts only our own waits for the provider.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from llm_pool.core.errors import ProviderTimeout
from llm_pool.core.streams import Events, Mapped
from llm_pool.core.types import WORDS

if TYPE_CHECKING:
    from types import TracebackType

    from llm_pool.core.streams import Answering, Ask
    from llm_pool.core.types import Request


class Rang(Exception):
    """An alarm rang during a wait. Not a TimeoutError: that may also be somebody else's."""


class Alarm:
    """`with alarm: await something` raises Rang once the alarm is due. One timer serves many waits.

    What is ready at once is had even from an alarm that is due: the time went by between the waits, and was not ours.
    """

    __slots__ = ("_cancelling", "_due", "_handle", "_loop", "_rang", "_soon", "_waiting")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.TimerHandle | None = None
        self._soon: asyncio.Handle | None = None
        self._waiting: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._due = False
        self._rang = False

    def set(self, when: float | None) -> None:
        """Be due at `when` (`loop.time()`), or never; a former setting no longer counts."""
        if self._handle is not None:
            self._handle.cancel()
        self._due = False
        self._handle = None if when is None else self._loop.call_at(when, self._ring)

    def _ring(self) -> None:
        self._due = True
        if self._waiting is not None:
            self._rang = True
            self._waiting.cancel()

    def __enter__(self) -> None:
        self._waiting = asyncio.current_task(self._loop)
        self._cancelling = self._waiting.cancelling() if self._waiting else 0
        if self._due:
            self._soon = self._loop.call_soon(self._ring)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._waiting = self._waiting, None
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        if self._rang and task is not None:
            self._rang = False
            # As in asyncio.Timeout: a cancellation that came from elsewhere as well is not ours to swallow.
            if task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
                raise Rang from error


class Limits:
    """`speak_by` is an instant, `within` the seconds that the whole call may take; None: no limit but the deadline."""

    def __init__(self, name: str, *, speak_by: float | None, within: float | None) -> None:
        self._name = name
        self._speak_by = speak_by
        self._within = within

    def open(self, request: Request, then: Ask) -> Answering:
        end_by = None if self._within is None else asyncio.get_running_loop().time() + self._within
        if end_by is not None and end_by >= request.deadline:  # the pool's own timer is sooner
            end_by = None
        if self._speak_by is None and end_by is None:
            return then(request)
        return _Limited(request, then, name=self._name, speak_by=_earlier(self._speak_by, end_by), end_by=end_by)


class _Limited(Mapped):
    __slots__ = ("_alarm", "_end_by", "_name")

    def __init__(self, request: Request, then: Ask, *, name: str, speak_by: float | None, end_by: float | None) -> None:
        super().__init__(then, request)
        self._name = name
        self._end_by = end_by
        self._alarm = Alarm()
        self._alarm.set(speak_by)

    async def __aenter__(self) -> Events:
        try:
            with self._alarm:
                return await super().__aenter__()
        except Rang:
            self._alarm.set(None)
            raise self._too_slow() from None
        except BaseException:
            self._alarm.set(None)
            raise

    async def _map(self, events: Events) -> Events:
        spoken = False
        while True:
            try:
                with self._alarm:
                    event = await anext(events)
            except StopAsyncIteration:
                return
            except Rang:
                raise self._too_slow() from None
            if not spoken and isinstance(event, WORDS):
                spoken = True
                self._alarm.set(self._end_by)
            yield event

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._alarm.set(None)
        await super().__aexit__(kind, error, trace)

    def _too_slow(self) -> ProviderTimeout:
        return ProviderTimeout(f"{self._name} took longer than it may")


def _earlier(first: float | None, second: float | None) -> float | None:
    given = [instant for instant in (first, second) if instant is not None]
    return min(given, default=None)
