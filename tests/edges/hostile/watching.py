"""What a hostile request does to others: how long the event loop is held, and what is written into the log."""

from __future__ import annotations

import asyncio
import gc
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from llm_pool.serve import YOUNG_OBJECTS
from llm_pool.telemetry.logs import JsonLines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from tests.running import Up

BEAT = 0.002  # seconds between two beats


class Heartbeat:
    """`held`: the longest time, in seconds, for which nobody else's turn came while the block lasted."""

    def __init__(self) -> None:
        self.held = 0.0

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._task = asyncio.create_task(self._beat())
        await asyncio.sleep(0)  # its first turn
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._look()
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            self._look()

    def _look(self) -> None:
        now = self._loop.time()
        self.held, self._last = max(self.held, now - self._last - BEAT), now


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.setFormatter(JsonLines())

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@contextmanager
def log_of(up: Up) -> Iterator[list[str]]:
    """Every line that the pool logs while the block lasts, as it would be written; after it, the access lines too."""
    log, handler = logging.getLogger("llm_pool"), _Lines()
    level, before = log.level, len(up.access)
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    try:
        yield handler.lines
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
    handler.lines += [str(line) for line in up.access[before:]]


@contextmanager
def collected_as_served() -> Iterator[None]:
    """The collector of garbage looks as often as in the process that serves: it holds up the loop, too."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
