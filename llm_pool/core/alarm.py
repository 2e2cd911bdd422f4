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

    __slots__ = ("_cancelling", "_due", "_handle", "_loop", "_rang", "_soon", "_task", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None
        self._soon: asyncio.Handle | None = None
        self._task: asyncio.Task[object] | None = None  # asking which it is costs more than all the rest
        self._waiting: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._due = False
        self._rang = False

    @property
    def on(self) -> bool:
        """Whether somebody waits under it now."""
        return self._waiting is not None

    def set(self, when: float | None) -> None:
        """Be due at `when` (`loop.time()`), or never; a former setting no longer counts."""
        if self._handle is not None:
            self._handle.cancel()
        self._due = False
        self._handle = None if when is None else self._loop.call_at(when, self.ring)

    def start(self, when: float) -> None:
        """`set` and enter in one, for who waits once; `stop` is the way out."""
        self._due = False
        self._waiting = asyncio.current_task(self._loop)
        self._cancelling = self._waiting.cancelling() if self._waiting else 0
        self._handle = self._loop.call_at(when, self.ring)

    def stop(self, error: BaseException | None) -> None:
        """Leave, with what ended the wait. Raises Rang where that was the alarm's own doing."""
        if self._handle is not None:
            self._handle.cancel()
        if self._rang:
            self.end(error)
        self._waiting = None

    def ring(self) -> None:
        """Be due now, whoever says so; of two rings in one wait the second does nothing. It stays due until `set`."""
        self._due = True
        if self._waiting is not None and not self._rang:
            self._rang = True
            self._waiting.cancel()

    def begin(self) -> None:
        """Enter, for who cannot write `with` around a wait; `end` is the way out."""
        task = self._task
        if task is None:
            task = self._task = asyncio.current_task(self._loop)
        self._waiting = task
        self._cancelling = task.cancelling() if task else 0
        if self._due:
            self._soon = self._loop.call_soon(self.ring)

    def end(self, error: BaseException | None = None) -> None:
        """Leave, with what ended the wait. Raises Rang where that was the alarm's own doing."""
        task, self._waiting = self._waiting, None
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        if self._rang and task is not None:
            self._rang = False
            # As in asyncio.Timeout: a cancellation that came from elsewhere as well is not ours to swallow.
            if task.uncancel() <= self._cancelling and type(error) is asyncio.CancelledError:
                raise Rang from error

    def __enter__(self) -> None:
        self.begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(error)
