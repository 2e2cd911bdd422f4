"""Every provider call is written down: usage, times and how it ended, whatever its way out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from llm_pool.core.errors import DeadlineExceeded, InvalidOutput, ProviderOverloaded, StreamBroken
from llm_pool.core.trace import Decision
from llm_pool.core.types import Event, Finished, ReasoningDelta, Started, TextDelta, ToolCallDelta, Usage, Warning
from llm_pool.dispatch.metering import Metering
from llm_pool.dispatch.router import Deployment
from llm_pool.telemetry.metrics import Metrics
from tests.scripted import USAGE, Scripted, Step, answer, counted, pool_of, request, standing

if TYPE_CHECKING:
    from llm_pool.core.streams import Answering
    from llm_pool.core.trace import Attempt
    from llm_pool.core.types import Request

STARTED = Started("sim/m", "a")
FULL = Usage(input=5, cache_read=4, cache_write=3, output=2, reasoning=1)
ASKED = "x" * 9  # three tokens by the rule of thumb


class Desk:
    """Metering above one scripted upstream."""

    def __init__(self, *steps: Step, opening: tuple[Step, ...] = (), fallback: bool = False) -> None:
        self.metrics = Metrics()
        self.upstream = Scripted(*steps, opening=opening)
        self.request: Request = request(ASKED, deadline=60.0)
        deployment = Deployment("a", "sim/m", "m", self.upstream, standing(), fallback=fallback)
        self._gate = Metering(deployment, self.metrics, now=asyncio.get_running_loop().time)

    def open(self) -> Answering:
        return self._gate.open(self.request, self.upstream)

    async def hear(self, *, most: int = 100) -> list[Event]:
        said: list[Event] = []
        async with self.open() as events:
            async for event in events:
                said.append(event)
                if len(said) == most:
                    break
        return said

    @property
    def attempt(self) -> Attempt:
        [attempt] = self.request.trace.attempts
        return attempt

    def tokens(self, kind: str) -> float:
        return counted(self.metrics, "llm_pool_tokens_total", {"deployment": "a", "kind": kind})

    def ended(self, outcome: str) -> float:
        return counted(self.metrics, "llm_pool_attempts_total", {"deployment": "a", "outcome": outcome})


# --- Usage ------------------------------------------------------------------------------------------------------


async def test_what_the_provider_reports_is_exact() -> None:
    desk = Desk(*answer("one", "two", usage=FULL))
    await desk.hear()
    assert desk.attempt.usage == FULL
    for kind, count in (("input", 5), ("cache_read", 4), ("cache_write", 3), ("output", 2), ("reasoning", 1)):
        assert desk.tokens(kind) == count


async def test_a_caller_who_leaves_during_the_answer_loses_no_usage() -> None:
    desk = Desk(*answer("x" * 10, "y" * 3, "never heard"))
    await desk.hear(most=3)
    assert desk.attempt.usage == Usage(input=3, output=4, estimated=True)
    assert (desk.tokens("input"), desk.tokens("output")) == (3, 4)


@pytest.mark.parametrize(
    ("said", "output"),
    [
        ([TextDelta("x" * 4)], 1),
        ([ReasoningDelta("x" * 5)], 2),
        ([ToolCallDelta(0, "id", "name", "x" * 8)], 2),
        ([TextDelta("x"), ReasoningDelta("x"), ToolCallDelta(0, "id", "name", "x")], 1),
    ],
)
async def test_a_broken_answer_is_estimated_from_everything_it_said(said: list[Step], output: int) -> None:
    desk = Desk(STARTED, *said, StreamBroken("it broke"))
    with pytest.raises(StreamBroken):
        await desk.hear()
    assert desk.attempt.usage == Usage(input=3, output=output, estimated=True)


async def test_who_said_nothing_consumed_nothing() -> None:
    desk = Desk(STARTED, "stall")
    await desk.hear(most=1)
    assert desk.attempt.usage == Usage()


async def test_the_usage_of_a_lost_attempt_is_not_lost() -> None:
    broken = Scripted(STARTED, TextDelta("x" * 8), StreamBroken("it broke"))
    await pool_of({"a": broken, "b": Scripted()}).infer(asked := request("y" * 4))
    assert asked.trace.usage() == Usage(input=1, output=2, estimated=True) + USAGE


# --- Times ------------------------------------------------------------------------------------------------------


async def test_times_are_those_of_the_call() -> None:
    desk = Desk(1.0, STARTED, 2.0, TextDelta("one"), 3.0, Finished("stop", USAGE), opening=(0.5,))
    await asyncio.sleep(10)
    await desk.hear()
    attempt = desk.attempt
    assert (attempt.started, attempt.first_token, attempt.ended) == (10.0, 13.5, 16.5)
    assert counted(desk.metrics, "llm_pool_time_to_first_token_seconds_sum") == 3.5


async def test_started_is_not_a_token() -> None:
    desk = Desk(STARTED, StreamBroken("it broke"))
    with pytest.raises(StreamBroken):
        await desk.hear()
    assert desk.attempt.first_token is None
    assert counted(desk.metrics, "llm_pool_time_to_first_token_seconds_count") == 0


async def test_the_trace_is_closed_when_the_last_event_is_heard() -> None:
    desk = Desk(STARTED, 1.0, Finished("stop", USAGE))
    async with desk.open() as events:
        async for event in events:
            if isinstance(event, Finished):
                assert (desk.attempt.outcome, desk.attempt.ended, desk.attempt.usage) == ("ok", 1.0, USAGE)
                await asyncio.sleep(5)
    assert desk.attempt.ended == 1.0
    assert desk.ended("ok") == 1


# --- Ways out ---------------------------------------------------------------------------------------------------


async def test_the_answer_is_named_by_the_public_id_and_the_deployment() -> None:
    desk = Desk(Started("the provider's own name", "whatever"), Finished("stop", USAGE), fallback=True)
    assert (await desk.hear())[0] == Started("sim/m", "a")
    assert (desk.attempt.deployment, desk.attempt.model, desk.attempt.degraded) == ("a", "sim/m", "fallback")


@pytest.mark.parametrize("opening", [True, False])
async def test_a_providers_error_is_the_outcome(opening: bool) -> None:
    busy = ProviderOverloaded("busy")
    desk = Desk(opening=(busy,)) if opening else Desk(STARTED, busy)
    with pytest.raises(ProviderOverloaded):
        await desk.hear()
    assert (desk.attempt.outcome, desk.attempt.why) == ("PROVIDER_OVERLOADED", "busy")
    assert desk.ended("PROVIDER_OVERLOADED") == 1


async def test_an_error_that_the_consumer_handled_is_still_the_outcome() -> None:
    desk = Desk(STARTED, TextDelta("half"), StreamBroken("it broke"))
    async with desk.open() as events:
        with pytest.raises(StreamBroken):
            async for _ in events:
                pass
    assert (desk.attempt.outcome, desk.attempt.why) == ("STREAM_BROKEN", "it broke")


@pytest.mark.parametrize("opening", [True, False])
async def test_a_bug_is_no_fault_of_a_provider(opening: bool) -> None:
    desk = Desk(opening=(KeyError("bug"),)) if opening else Desk(STARTED, KeyError("bug"))
    with pytest.raises(KeyError):
        await desk.hear()
    assert (desk.attempt.outcome, desk.attempt.why) == ("INTERNAL", "")


@pytest.mark.parametrize("most", [1, 2])
async def test_a_consumer_who_leaves_cancels(most: int) -> None:
    desk = Desk(*answer("one"))
    await desk.hear(most=most)
    assert desk.attempt.outcome == "CANCELLED"
    assert desk.ended("CANCELLED") == 1


async def test_a_consumer_who_leaves_after_the_end_has_been_answered() -> None:
    desk = Desk(*answer("one"))
    await desk.hear(most=3)
    assert desk.attempt.outcome == "ok"


@pytest.mark.parametrize("steps", [(STARTED, "stall"), ("stall",)])
async def test_a_cancelled_call_is_cancelled(steps: tuple[Step, ...]) -> None:
    desk = Desk(*steps)
    task = asyncio.create_task(desk.hear())
    await asyncio.sleep(2)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert (desk.attempt.outcome, desk.attempt.ended) == ("CANCELLED", 2.0)


async def test_a_call_that_the_deadline_ended_says_so() -> None:
    pool = pool_of({"a": Scripted(STARTED, "stall")})
    with pytest.raises(DeadlineExceeded):
        await pool.infer(asked := request(deadline=4.0))
    [attempt] = asked.trace.attempts
    assert (attempt.outcome, attempt.ended) == ("DEADLINE_EXCEEDED", 4.0)


async def test_a_warning_of_a_provider_reaches_those_who_ask_for_whole_answers_and_is_no_word() -> None:
    said = (Started("sim/m", "a"), Warning("c", "t"), 3.0, TextDelta("word"), Finished("stop", USAGE))
    pool = pool_of({"a": Scripted(*said)})
    asked = request()
    await pool.infer(asked)
    assert Decision.of(asked.trace).warnings == (Warning("c", "t"),)
    assert asked.trace.attempts[0].first_token == 3.0


# --- What an answer says ----------------------------------------------------------------------------------------


async def test_an_answer_that_turns_out_not_to_fit_keeps_its_time_and_usage_and_loses_its_success() -> None:
    desk = Desk(*answer("one"))
    with pytest.raises(InvalidOutput):
        async with desk.open() as events:
            assert [event async for event in events][-1] == Finished("stop", USAGE)
            await asyncio.sleep(5)
            raise InvalidOutput("a: the answer is not JSON")
    attempt = desk.attempt
    assert (attempt.outcome, attempt.why) == ("INVALID_OUTPUT", "a: the answer is not JSON")
    assert (attempt.usage, attempt.ended) == (USAGE, 0.0)
    assert (desk.ended("INVALID_OUTPUT"), desk.ended("ok"), desk.tokens("output")) == (1, 0, USAGE.output)


async def test_any_other_error_after_the_end_is_the_consumers_own() -> None:
    for own in (KeyError("bug"), StreamBroken("of another line"), asyncio.CancelledError()):
        desk = Desk(*answer("one"))
        with pytest.raises(type(own)):
            async with desk.open() as events:
                async for _ in events:
                    pass
                raise own
        assert (desk.attempt.outcome, desk.attempt.why) == ("ok", "")
