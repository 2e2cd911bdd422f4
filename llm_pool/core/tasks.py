"""Tasks with an owner: whatever is started here has ended when the block does."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType


log = logging.getLogger(__name__)


class Tasks(AbstractAsyncContextManager["Tasks"]):
    """Unlike a TaskGroup it does not wait for them, but cancels them, and one that fails leaves the others alone."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:  # a bug must not become a silence
            log.error("%s failed", task.get_name(), exc_info=error)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def ended(task: asyncio.Task[Any], *, patience: float = 0.05) -> None:
    """Wait until this task, which was told to, has ended. Told again after `patience` seconds, for it may hang where it
    cleans up. A cancellation meanwhile is passed on when it has ended.
    """
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task}, timeout=patience)
        except asyncio.CancelledError as error:
            cancelled = error
        if not task.done():
            task.cancel()
    if cancelled is not None:
        raise cancelled
