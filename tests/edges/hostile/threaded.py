"""A pool that runs in a thread of its own, for tests whose clients know no event loop."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvloop

from tests.running import running_pool
from tests.virtual import nothing_left_running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.running import Up

BEGINS_WITHIN = 30.0  # seconds


@contextmanager
def pool_in_a_thread(toml: str) -> Iterator[Up]:
    """Only what is safe from another thread may be used of it: its addresses, and its access lines."""
    begun = threading.Event()
    up: list[Up] = []
    end: list[Callable[[], object]] = []

    async def stand() -> None:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        async with running_pool(toml) as running:
            up.append(running)
            end.append(lambda: loop.call_soon_threadsafe(ended.set))
            begun.set()
            await ended.wait()
        await nothing_left_running()

    failed: list[BaseException] = []

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(stand())
        except BaseException as error:  # noqa: BLE001 - it is raised again where the test sees it
            failed.append(error)
        finally:
            begun.set()

    thread = threading.Thread(target=run, name="pool", daemon=True)
    thread.start()
    assert begun.wait(BEGINS_WITHIN)
    try:
        if up:
            yield up[0]
    finally:
        for each in end:
            each()
        thread.join(BEGINS_WITHIN)
        assert not thread.is_alive()
        for error in failed:
            raise error
