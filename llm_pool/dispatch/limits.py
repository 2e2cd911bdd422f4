"""How long one call of one deployment may take: to its first word, and in all. Of a `whole` request nothing is said
before everything is there, so its first word is its last.

A timer around the whole call would also fire while the *caller* is busy with what it was given, and cancel the caller.
So the alarm is on only during our own waits for the provider.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from llm_pool.core.alarm import Alarm, Rang
from llm_pool.core.errors import ProviderTimeout
from llm_pool.core.streams import Events, Mapped
from llm_pool.core.types import WORDS, Finished

if TYPE_CHECKING:
    from types import TracebackType

    from llm_pool.core.streams import Answering, Ask
    from llm_pool.core.types import Request


class Limits:
    """`speak_by` is an instant, `within` the seconds that the whole call may take; None: no limit but the deadline."""

    def __init__(self, name: str, *, speak_by: float | None, within: float | None) -> None:
        self._name = name
        self._speak_by = speak_by
        self._within = within

    def open(self, request: Request, then: Ask) -> Answering:
        end_by = None if self._within is None else asyncio.get_running_loop().time() + self._within
        if end_by is not None and end_by >= request.deadline:  # the pool's own timer is sooner
            end_by = None
        if self._speak_by is None and end_by is None:
            return then(request)
        return _Limited(request, then, name=self._name, speak_by=_earlier(self._speak_by, end_by), end_by=end_by)


class _Limited(Mapped):
    __slots__ = ("_alarm", "_end_by", "_name")

    def __init__(self, request: Request, then: Ask, *, name: str, speak_by: float | None, end_by: float | None) -> None:
        super().__init__(then, request)
        self._name = name
        self._end_by = end_by
        self._alarm = Alarm(asyncio.get_running_loop())
        self._alarm.set(speak_by)

    async def __aenter__(self) -> Events:
        try:
            with self._alarm:
                return await super().__aenter__()
        except Rang:
            self._alarm.set(None)
            raise self._too_slow() from None
        except BaseException:  # whatever ends it: no timer stays behind
            self._alarm.set(None)
            raise

    async def _map(self, events: Events) -> Events:
        spoken = False
        while True:
            try:
                with self._alarm:
                    event = await anext(events)
            except StopAsyncIteration:
                return
            except Rang:
                raise self._too_slow() from None
            if not spoken and isinstance(event, Finished if self._request.whole else WORDS):
                spoken = True
                self._alarm.set(self._end_by)
            yield event

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._alarm.set(None)
        await super().__aexit__(kind, error, trace)

    def _too_slow(self) -> ProviderTimeout:
        return ProviderTimeout(f"{self._name} took longer than it may")


def _earlier(first: float | None, second: float | None) -> float | None:
    given = [instant for instant in (first, second) if instant is not None]
    return min(given, default=None)
