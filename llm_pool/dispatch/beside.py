"""One call in a task of its own, which owns the whole of its `async with` and hands its events over.

Its reading is had by `answer`; what follows the first word of a stream comes through a queue of one, so that it is read
no faster than it is wanted. Whatever ends it, also its own bug or a cancellation out of nowhere, reaches who waits.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from llm_pool.core.errors import PoolError, StreamBroken
from llm_pool.core.tasks import ended
from llm_pool.core.types import Event, Finished
from llm_pool.dispatch.reading import Reading, read

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_pool.core.streams import Answering, Events
    from llm_pool.core.types import Request
    from llm_pool.dispatch.line import Line
    from llm_pool.dispatch.metering import Asking
    from llm_pool.dispatch.router import Deployment


log = logging.getLogger(__name__)


class Beside:
    """Begins at once. `heard` is told of every event up to the first word, `known` when there is an answer or an error.

    `left` must be awaited in the end.
    """

    def __init__(
        self,
        line: Line,
        deployment: Deployment,
        request: Request,
        asking: Asking,
        *,
        heard: Callable[[Event], None],
        known: Callable[[Exception | None], None],
    ) -> None:
        self.deployment = deployment
        self.asking = asking
        self._line = line
        self._request = request
        self._heard = heard
        self._known = known
        loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[Reading | Exception] = loop.create_future()
        self._rest: asyncio.Queue[Event | Exception | None] = asyncio.Queue(1)
        self._relay: Events | None = None
        self._all_said = False
        self._hung_up = False
        self._task = loop.create_task(self._run(), name=f"{asking.kind} to {deployment.name}")

    async def answer(self) -> Reading:
        """Raises what ended it."""
        answer = await self._answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    def hang_up(self) -> None:
        """It is not wanted any more."""
        self._hung_up = True
        self._task.cancel()

    async def left(self) -> None:
        """End it, unless it has said everything: then it is only closing."""
        if not self._all_said:
            self.hang_up()
        try:
            if self._relay is not None:
                await self._relay.aclose()
        finally:
            await ended(self._task)

    async def _run(self) -> None:
        try:
            reading = await read(self._line, self.deployment, self._request, self.asking, self._heard)
        except asyncio.CancelledError:
            if self._hung_up:
                raise
            self._tell(self._broke_off())
        except Exception as error:  # noqa: BLE001 - handed over, whatever it is
            self._tell(error)
        else:
            if reading.rest is None or reading.inner is None:
                self._tell(reading)
                return
            self._relay = self._relayed(reading.head)
            self._tell(Reading(reading.head, self._relay))
            await self._hand_over(reading.rest, reading.inner)

    def _tell(self, answer: Reading | Exception) -> None:
        if self._hung_up and isinstance(answer, Exception) and not isinstance(answer, PoolError):
            log.error("%s failed", self._task.get_name(), exc_info=answer)  # nobody else will hear of this bug
        self._known(answer if isinstance(answer, Exception) else None)
        if not self._answer.done():  # else nobody waits any more
            self._answer.set_result(answer)

    async def _hand_over(self, rest: Events, inner: Answering) -> None:
        try:
            if not await self._put_all(rest, inner):
                await self._rest.put(None)  # nothing comes any more
        except asyncio.CancelledError:
            if self._hung_up:
                raise
            await self._rest.put(self._broke_off())
        except Exception as error:  # noqa: BLE001 - handed over, whatever it is
            await self._rest.put(error)

    async def _put_all(self, rest: Events, inner: Answering) -> bool:
        """Whether it came to its end."""
        event: Event | None = None
        try:
            async for event in rest:
                await self._rest.put(event)
        except BaseException as error:  # whatever ends it: what was entered is left, and told why
            await inner.__aexit__(type(error), error, error.__traceback__)
            raise
        await inner.__aexit__(None, None, None)
        return isinstance(event, Finished)

    async def _relayed(self, head: list[Event]) -> Events:
        event: Event | Exception | None = head[-1]
        while not isinstance(event, Finished):
            event = await self._rest.get()
            if isinstance(event, Exception):
                raise event
            if event is None:
                return
            self._all_said = isinstance(event, Finished)
            yield event

    def _broke_off(self) -> StreamBroken:
        """Some libraries cancel who waits where a connection is closed under them."""
        return StreamBroken(f"{self.deployment.name} broke off")
