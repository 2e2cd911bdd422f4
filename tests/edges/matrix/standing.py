"""One pool of all providers for a whole module of tests: it is built once, and its loop stands still between tests."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, TypeVar

import uvloop

from tests.edges.matrix.doors import callers
from tests.running import running_pool
from tests.virtual import nothing_left_running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from tests.edges.matrix.behind import Behind
    from tests.edges.matrix.doors import Callers

T = TypeVar("T")

NO_PROMPT = '[tasks.chat]\nprompt = ""\n'


@asynccontextmanager
async def pool_before(providers: Sequence[Behind], *, toml: str = NO_PROMPT) -> AsyncIterator[Callers]:
    """A pool on both edges before these providers, and its callers."""
    async with AsyncExitStack() as stack:
        for provider in providers:
            await stack.enter_async_context(provider.running())
        tables = "".join(provider.tables() for provider in providers)
        up = await stack.enter_async_context(running_pool(toml + tables))
        yield await stack.enter_async_context(callers(up))


class Standing:
    """A loop that runs while it is asked to."""

    def __init__(self, runner: asyncio.Runner, found: Callers) -> None:
        self.callers = found
        self._runner = runner

    def run(self, story: Coroutine[None, None, T]) -> T:
        return self._runner.run(story)


@contextmanager
def standing(context: AbstractAsyncContextManager[Callers]) -> Iterator[Standing]:
    """Held open by one task, as whatever is inside it may demand."""
    ready: asyncio.Queue[Callers] = asyncio.Queue()
    done = asyncio.Event()

    async def hold() -> None:
        async with context as found:
            ready.put_nowait(found)
            await done.wait()

    async def begin() -> tuple[asyncio.Task[None], Callers]:
        holding = asyncio.create_task(hold())
        getting = asyncio.create_task(ready.get())
        await asyncio.wait([holding, getting], return_when=asyncio.FIRST_COMPLETED)
        if holding.done():
            getting.cancel()
            await holding
        return holding, await getting

    async def end(holding: asyncio.Task[None]) -> None:
        done.set()
        await holding
        await nothing_left_running()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        holding, found = runner.run(begin())
        try:
            yield Standing(runner, found)
        finally:
            runner.run(end(holding))
