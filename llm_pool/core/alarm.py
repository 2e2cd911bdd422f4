"""A timer that interrupts the waits of one task, and nothing else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType


class Rang(Exception):
    """The alarm rang. Not a TimeoutError: that may also be somebody else's."""


class Alarm:
    """`with alarm: await something` raises Rang once the alarm is due. One timer serves many waits.

    What is ready at once is had even from an alarm that is due: the time went by between the waits, and was not ours.
    Otherwise as `asyncio.timeout`, which is for one wait, and asks thrice which loop is running: a call of the system
    each time.
    """

    __slots__ = ("_cancelling", "_due", "_handle", "_loop", "_rang", "_soon", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
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

    def start(self, when: float) -> None:
        """`set` and enter in one, for who waits once; `stop` is the way out."""
        self._waiting = asyncio.current_task(self._loop)
        self._cancelling = self._waiting.cancelling() if self._waiting else 0
        self._handle = self._loop.call_at(when, self._ring)

    def stop(self, error: BaseException | None) -> None:
        """Leave, with what ended the wait. Raises Rang where that was the alarm's own doing."""
        if self._handle is not None:
            self._handle.cancel()
        if self._rang:
            self.__exit__(type(error) if error else None, error, None)
        self._waiting = None

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
