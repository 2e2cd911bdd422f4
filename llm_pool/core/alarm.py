"""Interrupt the wait of one task, and nothing else: at an instant, or when somebody says so."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType


class Rang(Exception):
    """The alarm rang. Not a TimeoutError: that may also be somebody else's."""


class Alarm:
    """`with alarm: await something` raises Rang once somebody rings it; `start` and `stop` do the same with a timer.
    Rung again it interrupts again, for who was woken may hang where it cleans up.

    Otherwise as `asyncio.timeout`, which cannot be rung by hand, and asks thrice which loop is running: a call of the
    system each time.
    """

    __slots__ = ("_cancelling", "_handle", "_loop", "_rung", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None
        self._waiting: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._rung = 0  # times, in this wait

    def start(self, when: float | None) -> None:
        """The wait begins. It rings by itself at `when` (`loop.time()`)."""
        self._waiting = asyncio.current_task(self._loop)
        self._cancelling = self._waiting.cancelling() if self._waiting else 0
        self._handle = None if when is None else self._loop.call_at(when, self.ring)

    def stop(self, error: BaseException | None) -> None:
        """The wait is over, with what ended it. Raises Rang where that was the alarm's own doing."""
        if self._handle is not None:
            self._handle.cancel()
        task, self._waiting = self._waiting, None
        if self._rung and task is not None:
            left = min(task.uncancel() for _ in range(self._rung))
            self._rung = 0
            # As in asyncio.Timeout: a cancellation that came from elsewhere as well is not ours to swallow.
            if left <= self._cancelling and isinstance(error, asyncio.CancelledError):
                raise Rang from error

    def ring(self) -> None:
        """End the wait, whoever says so. Where nobody waits it does nothing."""
        if self._waiting is not None:
            self._rung += 1
            self._waiting.cancel()

    def __enter__(self) -> None:
        self.start(None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(error)
