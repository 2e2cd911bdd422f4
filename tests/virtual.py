"""The event loop of the tests, whose clock jumps, and the census of what a test leaves running on it."""

from __future__ import annotations

import asyncio
from typing import Any

from llm_pool.simulate.clock import Deadlock, RealInputOutput, VirtualLoop

__all__ = ["Deadlock", "RealInputOutput", "VirtualLoop", "nothing_left_running"]

_TICKS = 10  # turns of the loop that a cancelled task may need to end
_REAL_GRACE = 0.5  # seconds that a task on a real loop may need to see its connection close


async def nothing_left_running() -> None:
    """Raise AssertionError naming each task of the running loop that is neither the caller nor about to end."""
    virtual = isinstance(asyncio.get_running_loop(), VirtualLoop)
    for _ in range(_TICKS):
        if not _others():
            return
        await asyncio.sleep(0)
    others = _others()
    if others and not virtual:  # on the virtual clock any grace would be endless: it would run the tasks' own timers
        await asyncio.wait(others, timeout=_REAL_GRACE)
    left = "".join(f"\n  {task!r}" for task in _others())
    if left:
        raise AssertionError(f"tasks were left running:{left}")


def _others() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}
