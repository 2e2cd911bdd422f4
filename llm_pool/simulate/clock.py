"""An event loop whose clock jumps to the next timer, so that a 60-second scenario runs in a millisecond.

The simulation lives on it, and so does every test that needs no real sockets, threads or processes.

1. `loop.time()` starts at 0.0 and moves only when nothing is ready to run: then it becomes the very instant of the
   next timer. `asyncio.sleep(3)` therefore takes exactly 3.0, and two timers a rounding error apart stay apart.
2. It does not move while a call of `run_in_executor` is pending: the loop really waits for that thread.
3. Sockets and pipes cannot live on it, for their other end knows nothing of this clock: registering one is refused.
4. With nothing to run, no timer and no thread pending, nothing can ever happen: `Deadlock`, not a test that hangs.
"""

from __future__ import annotations

import asyncio
import math
import selectors
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from _typeshed import FileDescriptorLike

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")


class Deadlock(RuntimeError):
    """Every task waits for something that no task, timer or thread will bring."""


class RealInputOutput(RuntimeError):
    """A socket or pipe was opened on virtual time."""


class _Jumping(selectors.DefaultSelector):
    """Polls without waiting; where the loop would wait, it asks the loop to jump."""

    loop: VirtualLoop | None = None  # None while the loop itself is being made and registers its wake-up socket
    refused: RealInputOutput | None = None

    def register(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        if self.loop is not None:
            self.refused = RealInputOutput(
                "a socket or pipe was opened on the virtual clock, where it cannot work: mark the test `real_time`"
            )
            raise self.refused
        return super().register(fileobj, events, data)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if events or self.loop is None or (timeout is not None and timeout <= 0):
            return events
        if self.loop.waits_for_threads:
            return super().select(None)
        self.loop.jump()
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the top of this file. A factory for `asyncio.Runner(loop_factory=VirtualLoop)` as it stands."""

    _scheduled: list[asyncio.TimerHandle]  # asyncio's heap of timers; its head is not cancelled when it selects
    _clock_resolution: float

    def __init__(self) -> None:
        self._now = 0.0
        self._threads = 0
        self._jumping = _Jumping()
        super().__init__(self._jumping)
        self._jumping.loop = self
        self._set_time(0.0)

    def time(self) -> float:
        """Seconds since the loop was made, in virtual time."""
        return self._now

    @property
    def waits_for_threads(self) -> bool:
        """Whether a call of `run_in_executor` is pending."""
        return self._threads > 0

    def jump(self) -> None:
        """Make it the instant of the next timer. Raises `Deadlock` where there is none."""
        if not self._scheduled or math.isinf(self._scheduled[0].when()):
            tasks = "".join(f"\n  {task!r}" for task in asyncio.all_tasks(self))
            raise Deadlock(
                "nothing can ever happen: no callback is ready, no timer is set and no executor call is pending. "
                "If a thread or process of its own should wake this test, mark it `real_time`. "
                f"Tasks that wait:{tasks or ' none'}"
            ) from self._jumping.refused
        self._set_time(self._scheduled[0].when())

    def _set_time(self, now: float) -> None:
        self._now = now
        # asyncio runs timers that are due within its clock's resolution, early. One unit in the last place is the
        # least with which a timer that is due now counts as due, and the most with which no other one does.
        self._clock_resolution = math.ulp(now)

    def run_in_executor(self, executor: Executor | None, func: Callable[[*_Ts], _T], *args: *_Ts) -> asyncio.Future[_T]:
        future = super().run_in_executor(executor, func, *args)
        self._threads += 1
        future.add_done_callback(self._thread_ended)
        return future

    def _thread_ended(self, _: asyncio.Future[_T]) -> None:
        self._threads -= 1

    async def shutdown_default_executor(self, *timeout: float | None) -> None:
        self._threads += 1
        try:
            await super().shutdown_default_executor(*timeout)
        finally:
            self._threads -= 1
