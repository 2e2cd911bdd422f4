"""Let in as many requests as there are slots, have a few wait, refuse the others before anybody works for them."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from llm_pool.core.errors import DeadlineExceeded, Overloaded, ProviderUnavailable
from llm_pool.core.streams import Events

if TYPE_CHECKING:
    from types import TracebackType

    from llm_pool.core.streams import Answering, Ask
    from llm_pool.core.types import Request
    from llm_pool.dispatch.slots import Slots


class Admission:
    """Around everything. Raises Overloaded, or DeadlineExceeded where the deadline passed before its turn came."""

    __slots__ = ("slots",)

    def __init__(self, slots: Slots) -> None:
        self.slots = slots

    def open(self, request: Request, then: Ask) -> Answering:
        return _Admitted(self, request, then)

    async def turn(self, deadline: float) -> None:
        """Have one of the slots, if need be after a wait."""
        await self.slots.wait(deadline=deadline)


class Turns(Admission):
    """Around the calls of one deployment. Raises ProviderUnavailable for Overloaded, so that another one is asked.

    `by` (`loop.time()`) is when its turn must have come, where that is sooner than the deadline.
    """

    __slots__ = ("_by", "_name")

    def __init__(self, slots: Slots, name: str, *, by: float | None = None) -> None:
        super().__init__(slots)
        self._name = name
        self._by = by

    async def turn(self, deadline: float) -> None:
        try:
            await self.slots.wait(deadline=deadline if self._by is None else min(deadline, self._by))
        except Overloaded as busy:
            full = f"{self._name} is as busy as it may be"
            raise ProviderUnavailable(full, retry_after=busy.retry_after) from None


class _Admitted(AbstractAsyncContextManager[Events]):
    __slots__ = ("_admission", "_inner", "_request", "_then")

    def __init__(self, admission: Admission, request: Request, then: Ask) -> None:
        self._admission = admission
        self._request = request
        self._then = then

    async def __aenter__(self) -> Events:
        slots, request = self._admission.slots, self._request
        if asyncio.get_running_loop().time() >= request.deadline:
            raise _too_late()
        if not slots.enter_now():
            await self._turn()
        try:
            self._inner = self._then(request)
            return await self._inner.__aenter__()
        except BaseException:  # whatever ends it: the slot is free again
            slots.leave()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._inner.__aexit__(kind, error, trace)
        finally:
            self._admission.slots.leave()

    async def _turn(self) -> None:
        deadline = self._request.deadline
        try:
            await self._admission.turn(deadline)
        except (Overloaded, ProviderUnavailable):
            if asyncio.get_running_loop().time() >= deadline:  # nobody has the time to come back, or to ask another
                raise _too_late() from None
            raise


def _too_late() -> DeadlineExceeded:
    return DeadlineExceeded("the deadline passed before anybody was asked")
