"""The rules of a gate (`llm_pool/core/streams.py`) as checks that any gate, or nest of gates, can be put to.

Each check runs the gate above a scripted upstream again and again, once for every place where something can happen,
and raises AssertionError where a rule is broken. `test_gates_conform.py` puts every gate to all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from types import AsyncGeneratorType
from typing import TYPE_CHECKING, TypeAlias

from llm_pool.core.errors import AllProvidersFailed, InvalidRequest, ProviderError, ProviderOverloaded, ProviderTimeout
from llm_pool.core.types import Event, Finished, ReasoningDelta, Started, TextDelta, ToolCallDelta, Usage
from llm_pool.telemetry.metrics import Metrics
from tests.scripted import Scripted, Step, counted, request
from tests.virtual import nothing_left_running

if TYPE_CHECKING:
    from llm_pool.core.streams import Ask, Events
    from llm_pool.core.types import Request

SAID: tuple[Event, ...] = (
    Started("sim/m", "a"),
    ReasoningDelta("so"),
    TextDelta("one"),
    ToolCallDelta(0, "id", "name", "{}"),
    TextDelta("two"),
    Finished("stop", Usage(input=3, output=2)),
)
FIRST_WORD = 1  # its index

TURN = 0  # a step: one turn of the loop, so that something can happen in between

NOTHING: tuple[BaseException | None, ...] = (None,)
UPSTREAM_ERRORS = (
    ProviderTimeout("slow"),
    ProviderOverloaded("busy"),
    KeyError("a bug"),
    ValueError("a bug"),
    TimeoutError("a bug"),
    ConnectionResetError("a bug"),
)
CONSUMER_ERRORS = (
    ValueError("mine"),
    KeyError("mine"),
    TimeoutError("mine"),
    ConnectionResetError("mine"),
    InvalidRequest("mine"),
    ProviderTimeout("mine"),
    AllProvidersFailed("mine"),
    asyncio.CancelledError("mine"),
    GeneratorExit("mine"),
)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is checked. `build` puts it above an upstream; the metrics are a pool's.

    `fails_over`: it reads up to the first word before it opens (all of a whole answer), has a second deployment of
    the same upstream, and asks it after a ProviderError. `counts`: it counts requests as recording does.
    """

    name: str
    build: Callable[[Scripted, Metrics], Ask]
    fails_over: bool = False
    counts: bool = False


@dataclass(slots=True)
class Run:
    """One question put to the subject by a consumer in its own task, and what became of it."""

    subject: Subject
    upstream: Scripted
    whole: bool
    metrics: Metrics = field(default_factory=Metrics)
    heard: list[Event] = field(default_factory=list)
    error: BaseException | None = None  # what came out of the block
    request: Request | None = None
    handed: Events | None = None

    async def consume(self, consumer: Callable[[Events], Awaitable[None]]) -> None:
        """Never raises but when cancelled; what comes out of the block is in `error`."""
        self.request = request(strategy="fastest", whole=self.whole)
        ask = self.subject.build(self.upstream, self.metrics)
        try:
            async with ask(self.request) as self.handed:
                await consumer(self.handed)
        except BaseException as error:  # noqa: BLE001 - the very object is what is asserted
            self.error = error
        self.assert_closed()  # by the time that the block ends, not some time later

    async def read(self, events: Events, *, most: int = 1000) -> None:
        """Hear `most` events, or all; after each one the consumer is busy for a turn."""
        if most == 0:
            return
        async for event in events:
            self.heard.append(event)
            await asyncio.sleep(0)
            if len(self.heard) == most:
                return

    async def settled(self, *, opened: int | None = 1) -> None:
        """Assert that no task is left of the run, and how often the upstream was asked."""
        if opened is not None:
            assert self.upstream.opened == opened, f"the upstream was asked {self.upstream.opened} times"
        await nothing_left_running()

    def assert_closed(self) -> None:
        where = f"{self.subject.name}: heard {len(self.heard)}, error {self.error!r}"
        assert self.upstream.open == 0, f"{where}: {self.upstream.open} upstream answers were left open"
        for call in self.upstream.calls:
            assert len(call.tasks) == 1, f"{where}: opened, iterated and left in {len(call.tasks)} tasks"
        # One left open would be closed by the collector of garbage, in a task of its own.
        closed = not isinstance(self.handed, AsyncGeneratorType) or self.handed.ag_frame is None
        assert closed, f"{where}: the events handed out were not closed"
        assert self.request is not None
        for attempt in self.request.trace.attempts:
            assert attempt.ended is not None, f"{where}: an attempt was not closed"
            assert attempt.outcome != "running", f"{where}: an attempt still runs"
        assert counted(self.metrics, "llm_pool_in_flight_requests") == 0, f"{where}: still in flight"
        if self.subject.counts:
            assert counted(self.metrics, "llm_pool_requests_total") == 1, f"{where}: not counted once"


def upstream(*steps: Step, opening: tuple[Step, ...] = ()) -> Scripted:
    """An upstream that takes turns of the loop to open, between its steps, and to be left."""
    between = [turned for step in steps for turned in (TURN, step)]
    return Scripted(*between, TURN, opening=(TURN, *opening), closing=(TURN, TURN))


# --- The checks -------------------------------------------------------------------------------------------------


async def hands_events_through(subject: Subject, *, whole: bool) -> None:
    """(a) What is heard equals what upstream said."""
    run = Run(subject, upstream(*SAID), whole)
    await run.consume(run.read)
    await run.settled()
    assert run.error is None, run.error
    assert run.heard == list(SAID)


async def closes_upstream_when_left_early(subject: Subject, *, whole: bool) -> None:
    """(b) After any number of events, also none: the upstream is closed when the block ends."""
    for heard in range(len(SAID) + 1):
        run = Run(subject, upstream(*SAID), whole)
        await run.consume(lambda events, run=run, heard=heard: run.read(events, most=heard))  # type: ignore[misc]
        await run.settled()
        assert run.error is None, run.error
        assert run.heard == list(SAID[:heard])


async def lets_the_consumers_error_out(subject: Subject, *, whole: bool) -> None:
    """(c) The very exception that a consumer raises in its block comes out of it, and nobody is asked again."""
    for mine in CONSUMER_ERRORS:
        for heard in range(len(SAID) + 1):
            run = Run(subject, upstream(*SAID), whole)

            async def consumer(events: Events, run: Run = run, heard: int = heard, mine: BaseException = mine) -> None:
                await run.read(events, most=heard)
                raise mine

            await run.consume(consumer)
            await run.settled()
            assert run.error is mine, f"{mine!r} of the consumer came out as {run.error!r}"


async def lets_upstream_errors_out(subject: Subject, *, whole: bool) -> None:
    """(d) An upstream error comes out as itself, at its place; only failover before the first word asks again."""
    for error in UPSTREAM_ERRORS:
        for at in range(-1, len(SAID)):  # -1: before the answer is open
            opening: tuple[Step, ...] = (error,) if at < 0 else ()
            run = Run(subject, upstream(*SAID[: max(at, 0)], error, opening=opening), whole)
            await run.consume(run.read)
            read_ahead = subject.fails_over and (whole or at <= FIRST_WORD)
            assert run.heard == ([] if read_ahead else list(SAID[: max(at, 0)]))
            if read_ahead and isinstance(error, ProviderError):
                await run.settled(opened=2)
                assert isinstance(run.error, AllProvidersFailed)
                assert run.error.details == {"a": error.reason, "b": error.reason}
            else:
                await run.settled()
                assert run.error is error, f"{error!r} of the upstream came out as {run.error!r}"


async def lets_the_consumer_handle_upstream_errors(subject: Subject, *, whole: bool) -> None:
    """(d) A consumer that handles an upstream error inside its block leaves as if nothing had been."""
    for error in UPSTREAM_ERRORS:
        for at in range(len(SAID)):
            run = Run(subject, upstream(*SAID[:at], error), whole)
            caught: list[BaseException] = []

            async def consumer(events: Events, run: Run = run, caught: list[BaseException] = caught) -> None:
                try:
                    await run.read(events)
                except Exception as handled:  # noqa: BLE001 - whatever it is, it is handled
                    caught.append(handled)

            await run.consume(consumer)
            if subject.fails_over and (whole or at <= FIRST_WORD):
                assert not caught, "the error was there before the block began"
                await run.settled(opened=None)
            else:
                await run.settled()
                assert caught == [error]
                assert run.error is None, f"the handled error came again as {run.error!r}"


async def ends_when_cancelled(subject: Subject, *, whole: bool) -> None:
    """(e) A cancellation at any await, also at that of a clean-up, comes out as itself and leaves nothing behind."""
    late = ProviderTimeout("slow")
    scripts: tuple[tuple[Callable[[], Scripted], int], ...] = (
        (lambda: upstream(*SAID), len(SAID)),
        (lambda: upstream(*SAID), 2),  # the consumer leaves after two events
        (lambda: upstream(opening=(late,)), len(SAID)),
        (lambda: upstream(*SAID[:3], late), len(SAID)),
    )
    for make, most in scripts:
        for again in (False, True):
            for turns in _until_it_ends():
                if not await _cancelled_after(turns, Run(subject, make(), whole), most=most, again=again):
                    break


def _until_it_ends() -> Iterator[int]:
    yield from range(500)
    raise AssertionError("it never ends")


async def _cancelled_after(turns: int, run: Run, *, most: int, again: bool) -> bool:
    """Whether there was something to cancel after so many turns. `again`: it is cancelled once more while it ends."""
    task = asyncio.create_task(run.consume(lambda events: run.read(events, most=most)))
    for _ in range(turns):
        await asyncio.sleep(0)
    running = task.cancel()
    if again:
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.wait({task})
    if turns == 0:  # cancelled before its first step: it never was
        assert run.request is None
        assert task.cancelled()
        return True
    task.result()
    if running:
        assert isinstance(run.error, asyncio.CancelledError), f"after {turns} turns {run.error!r} came out"
    await run.settled(opened=None)
    return running


Check: TypeAlias = Callable[..., Awaitable[None]]

CHECKS: tuple[Check, ...] = (
    hands_events_through,
    closes_upstream_when_left_early,
    lets_the_consumers_error_out,
    lets_upstream_errors_out,
    lets_the_consumer_handle_upstream_errors,
    ends_when_cancelled,
)
