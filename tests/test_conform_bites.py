"""The checks of `conform.py` can tell a wrong gate from a right one: each rule, broken on purpose, is caught."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Protocol

import pytest

from llm_pool.core.errors import ProviderError, ProviderRefused
from llm_pool.core.streams import Events, Mapped
from llm_pool.core.types import Started
from tests import conform
from tests.conform import CHECKS, Subject

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

    from llm_pool.core.streams import Answering, Ask
    from llm_pool.core.types import Event, Request
    from llm_pool.telemetry.metrics import Metrics
    from tests.scripted import Scripted


class Opens(Protocol):
    def __call__(self, request: Request, then: Ask) -> Answering: ...


async def passed_on(events: Events) -> Events:
    async for event in events:
        yield event


@asynccontextmanager
async def right(request: Request, then: Ask) -> AsyncIterator[Events]:
    """The pattern of rule 4."""
    async with then(request) as events, aclosing(passed_on(events)) as out:
        yield out


class RightClass(Mapped):
    def __init__(self, request: Request, then: Ask) -> None:
        super().__init__(then, request)

    async def _map(self, events: Events) -> Events:
        async for event in events:
            yield event


@asynccontextmanager
async def swallows_the_consumers_error(request: Request, then: Ask) -> AsyncIterator[Events]:
    with suppress(ValueError):
        async with then(request) as events:
            yield events


class ReturnsTrue(AbstractAsyncContextManager[Events]):
    def __init__(self, request: Request, then: Ask) -> None:
        self._inner = then(request)

    async def __aenter__(self) -> Events:
        return await self._inner.__aenter__()

    async def __aexit__(self, *error: object) -> bool:
        await self._inner.__aexit__(None, None, None)
        return isinstance(error[1], Exception)


class LeaksUpstream(AbstractAsyncContextManager[Events]):
    def __init__(self, request: Request, then: Ask) -> None:
        self._inner = then(request)

    async def __aenter__(self) -> Events:
        return await self._inner.__aenter__()

    async def __aexit__(self, *_: object) -> None:
        """Forgets it."""


class LeaksWhenEnteredInVain(RightClass):
    async def __aenter__(self) -> Events:
        events = await super().__aenter__()
        await asyncio.sleep(0)  # cancelled here, nobody leaves the inner block
        return events


class LeavesItsEventsOpen(RightClass):
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._inner.__aexit__(kind, error, trace)


class ClosesLater(AbstractAsyncContextManager[Events]):
    def __init__(self, request: Request, then: Ask) -> None:
        self._inner = then(request)

    async def __aenter__(self) -> Events:
        return await self._inner.__aenter__()

    async def __aexit__(self, *_: object) -> None:
        self._closing = asyncio.ensure_future(self._inner.__aexit__(None, None, None))


@asynccontextmanager
async def translates_around_yield(request: Request, then: Ask) -> AsyncIterator[Events]:
    try:
        async with then(request) as events:
            yield events
    except TimeoutError as error:
        raise ProviderRefused("took too long") from error


@asynccontextmanager
async def translates_bugs(request: Request, then: Ask) -> AsyncIterator[Events]:
    async def mapped(events: Events) -> Events:
        try:
            async for event in events:
                yield event
        except KeyError:
            raise ProviderRefused("garbled") from None

    async with then(request) as events, aclosing(mapped(events)) as out:
        yield out


@asynccontextmanager
async def retries_after_yield(request: Request, then: Ask) -> AsyncIterator[Events]:
    try:
        async with then(request) as events:
            yield events
    except ProviderError:
        async with then(request) as events:
            yield events


@asynccontextmanager
async def starts_over_in_the_middle(request: Request, then: Ask) -> AsyncIterator[Events]:
    async def mapped(events: Events) -> Events:
        try:
            async for event in events:
                yield event
        except ProviderError:
            async with then(request) as others:
                async for event in others:
                    yield event  # noqa: ASYNC119 - wrong on purpose

    async with then(request) as events, aclosing(mapped(events)) as out:
        yield out


@asynccontextmanager
async def iterates_in_another_task(request: Request, then: Ask) -> AsyncIterator[Events]:
    queue: asyncio.Queue[Event | BaseException | None] = asyncio.Queue()

    async def pump(events: Events) -> None:
        try:
            async for event in events:
                queue.put_nowait(event)
        except Exception as error:  # noqa: BLE001 - handed on as it is
            queue.put_nowait(error)
        queue.put_nowait(None)

    async def out() -> Events:
        while (event := await queue.get()) is not None:
            if isinstance(event, BaseException):
                raise event
            yield event

    async with then(request) as events:
        task = asyncio.create_task(pump(events))
        try:
            async with aclosing(out()) as result:
                yield result
        finally:
            task.cancel()
            await asyncio.wait({task})


@asynccontextmanager
async def leaves_a_task_running(request: Request, then: Ask) -> AsyncIterator[Events]:
    task = asyncio.create_task(asyncio.sleep(0.01))
    async with then(request) as events:
        yield events
    del task


@asynccontextmanager
async def drops_an_event(request: Request, then: Ask) -> AsyncIterator[Events]:
    async def mapped(events: Events) -> Events:
        async for event in events:
            if not isinstance(event, Started):
                yield event

    async with then(request) as events, aclosing(mapped(events)) as out:
        yield out


@asynccontextmanager
async def swallows_a_cancellation(request: Request, then: Ask) -> AsyncIterator[Events]:
    async def mapped(events: Events) -> Events:
        with suppress(asyncio.CancelledError):
            async for event in events:
                yield event  # noqa: ASYNC119 - wrong on purpose

    async with then(request) as events, aclosing(mapped(events)) as out:
        yield out


@asynccontextmanager
async def raises_a_handled_error_again(request: Request, then: Ask) -> AsyncIterator[Events]:
    kept: list[Exception] = []

    async def mapped(events: Events) -> Events:
        try:
            async for event in events:
                yield event
        except Exception as error:
            kept.append(error)
            raise

    async with then(request) as events, aclosing(mapped(events)) as out:
        yield out
    if kept:
        raise kept[0]


class CountsOnlyWhatOpened(RightClass):
    def __init__(self, request: Request, then: Ask, metrics: Metrics) -> None:
        super().__init__(request, then)
        self._metrics = metrics

    async def __aenter__(self) -> Events:
        self._metrics.in_flight += 1
        return await super().__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._metrics.in_flight -= 1
        self._metrics.requests("chat", "fastest", "ok").inc()
        await super().__aexit__(kind, error, trace)


def subject(gate: Opens) -> Subject:
    def build(upstream: Scripted, metrics: Metrics) -> Ask:
        return lambda request: gate(request, upstream)

    return Subject("on trial", build)


@pytest.mark.parametrize("gate", [right, RightClass])
@pytest.mark.parametrize("whole", [True, False])
async def test_a_right_gate_passes_all_checks(gate: Opens, whole: bool) -> None:
    for check in CHECKS:
        await check(subject(gate), whole=whole)


@pytest.mark.parametrize(
    ("gate", "check"),
    [
        (drops_an_event, conform.hands_events_through),
        (iterates_in_another_task, conform.hands_events_through),
        (LeaksUpstream, conform.closes_upstream_when_left_early),
        (ClosesLater, conform.closes_upstream_when_left_early),
        (LeavesItsEventsOpen, conform.closes_upstream_when_left_early),
        (leaves_a_task_running, conform.closes_upstream_when_left_early),
        (swallows_the_consumers_error, conform.lets_the_consumers_error_out),
        (ReturnsTrue, conform.lets_the_consumers_error_out),
        (translates_around_yield, conform.lets_the_consumers_error_out),
        (retries_after_yield, conform.lets_the_consumers_error_out),
        (translates_bugs, conform.lets_upstream_errors_out),
        (starts_over_in_the_middle, conform.lets_upstream_errors_out),
        (raises_a_handled_error_again, conform.lets_the_consumer_handle_upstream_errors),
        (swallows_a_cancellation, conform.ends_when_cancelled),
        (LeaksWhenEnteredInVain, conform.ends_when_cancelled),
    ],
    ids=lambda given: given.__name__,
)
@pytest.mark.parametrize("whole", [True, False])
async def test_a_wrong_gate_is_caught(gate: Opens, check: conform.Check, whole: bool) -> None:
    with pytest.raises(AssertionError):
        await check(subject(gate), whole=whole)
    # What it left running is the wrong gate's, not this test's.
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others)


@pytest.mark.parametrize("check", [conform.lets_upstream_errors_out, conform.ends_when_cancelled])
async def test_a_request_that_is_not_counted_is_caught(check: conform.Check) -> None:
    def build(upstream: Scripted, metrics: Metrics) -> Ask:
        return lambda request: CountsOnlyWhatOpened(request, upstream, metrics)

    await conform.hands_events_through(Subject("on trial", build, counts=True), whole=True)
    with pytest.raises(AssertionError):
        await check(Subject("on trial", build, counts=True), whole=True)
