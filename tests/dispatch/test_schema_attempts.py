"""An answer that does not fit its schema is one more failure before the first word: counted, told, and failed over."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import pytest

from llm_pool.config.schemas import spec_of
from llm_pool.core.errors import (
    AllProvidersFailed,
    DeadlineExceeded,
    InvalidOutput,
    NoProvider,
    PoolError,
    ProviderOverloaded,
    ProviderUnreachable,
    StreamBroken,
)
from llm_pool.core.ports.provider import Health
from llm_pool.core.streams import Events
from llm_pool.core.trace import Decision
from llm_pool.core.types import Event, Finished, ReasoningDelta, Started, TextDelta, Usage, Warning, replace
from llm_pool.dispatch.attempts import Attempts
from llm_pool.dispatch.balance import balance_of
from llm_pool.dispatch.learned import Learned
from llm_pool.dispatch.router import Deployment, Router
from llm_pool.telemetry.metrics import Metrics
from tests.scripted import USAGE, InOrder, Scripted, answer, counted, pool_of, request, standing

if TYPE_CHECKING:
    from types import TracebackType

    from llm_pool.core.streams import Answering, Ask
    from llm_pool.core.types import Request
    from llm_pool.dispatch.metering import Asking
    from llm_pool.pool import Pool

SCHEMA = {"type": "object", "additionalProperties": False, "required": ["a"], "properties": {"a": {"type": "string"}}}
TASK: dict[str, dict[str, Any]] = {"tasks": {"mine": {"schema": SCHEMA}}}
GOOD = '{"a": "x"}'
WRONG = '{"b": "CANARY"}'
LOST = Usage(input=7, output=9)
WHY = "{}: the answer does not fit its schema: has a key that the schema does not have"


def wrong(text: str = WRONG) -> Scripted:
    return Scripted(*answer(text, usage=LOST))


def good() -> Scripted:
    return Scripted(*answer(GOOD))


def pool(parts: dict[str, Scripted], *, qos: dict[str, Any] | None = None, **more: Any) -> Pool:
    return pool_of(parts, sections=TASK | ({"qos": qos} if qos else {}), **more)


async def heard(asking: Pool, asked: Request) -> tuple[list[Event], PoolError | None]:
    """Everything that was said, and the error that ended it."""
    said: list[Event] = []
    try:
        async with asking.open(asked) as events:
            async for event in events:
                said.append(event)
    except PoolError as error:
        return said, error
    return said, None


def mine(**more: Any) -> Request:
    return request(task="mine", **more)


def outcomes(asked: Request) -> list[tuple[str, str, str]]:
    return [(attempt.deployment, attempt.outcome, attempt.why) for attempt in asked.trace.attempts]


# --- Failover ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("text", [WRONG, "I cannot.", "", "{'b': 1}"])
async def test_after_an_answer_that_does_not_fit_the_next_deployment_is_asked(text: str, whole: bool) -> None:
    first = wrong(text)
    asking = pool({"a": first, "b": good()})
    events, error = await heard(asking, asked := mine(whole=whole))
    assert error is None
    assert events == [Started("sim/m", "b"), TextDelta(GOOD), Finished("stop", USAGE)]
    assert [each[:2] for each in outcomes(asked)] == [("a", "INVALID_OUTPUT"), ("b", "ok")]
    assert counted(asking.metrics, "llm_pool_failovers_total", {"deployment": "a"}) == 1
    assert first.open == 0


async def test_the_decision_tells_who_answered_wrongly_and_why_without_the_answer() -> None:
    asking = pool({"a": wrong(), "b": good()})
    await asking.infer(asked := mine())
    decision = Decision.of(asked.trace)
    assert (decision.winner, decision.why, decision.degraded) == ("b", "", False)
    assert outcomes(asked) == [("a", "INVALID_OUTPUT", WHY.format("a")), ("b", "ok", "")]


async def test_what_an_invalid_answer_consumed_is_counted() -> None:
    asking = pool({"a": wrong(), "b": good()})
    got = await asking.infer(asked := mine())
    assert asked.trace.usage() == LOST + USAGE
    assert not asked.trace.usage().estimated
    assert got.usage == USAGE
    count = asking.metrics
    assert counted(count, "llm_pool_tokens_total", {"deployment": "a", "kind": "output"}) == LOST.output
    assert counted(count, "llm_pool_tokens_total", {"kind": "input"}) == LOST.input + USAGE.input
    assert counted(count, "llm_pool_attempts_total", {"deployment": "a", "outcome": "INVALID_OUTPUT"}) == 1
    assert counted(count, "llm_pool_attempts_total", {"deployment": "a"}) == 1
    assert counted(count, "llm_pool_attempts_total", {"deployment": "b", "outcome": "ok"}) == 1
    assert counted(count, "llm_pool_provider_wins_total", {"deployment": "a"}) == 0
    assert counted(count, "llm_pool_requests_total", {"task": "mine", "outcome": "ok"}) == 1


async def test_the_time_of_an_invalid_answer_is_its_own() -> None:
    slow = Scripted(Started("sim/m", "a"), 2.0, TextDelta(WRONG), 1.0, Finished("stop", LOST), closing=[5.0])
    asking = pool({"a": slow, "b": good()}, qos={"hedge": "off"})
    await asking.infer(asked := mine())
    first, second = asked.trace.attempts
    assert (first.started, first.first_token, first.ended) == (0.0, 2.0, 3.0)
    assert second.started == 8.0, "it is closed before the next is asked"


async def test_a_free_answer_is_never_held_to_anything() -> None:
    asking = pool({"a": wrong("no JSON")})
    assert (await asking.infer(request())).content == "no JSON"


async def test_the_fallback_stands_behind_invalid_answers_and_is_held_to_the_schema_too() -> None:
    fallback = {"b": {"fallback": True}}
    asking = pool({"a": wrong(), "b": good()}, tables=fallback)
    await asking.infer(asked := mine())
    assert (Decision.of(asked.trace).degraded, Decision.of(asked.trace).why) == (True, "fallback")
    asking = pool({"a": wrong(), "b": wrong()}, tables=fallback)
    _, error = await heard(asking, mine())
    assert isinstance(error, InvalidOutput)


# --- Nobody's answer fits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [True, False])
async def test_where_nobodys_answer_fits_each_is_named_and_nothing_is_said(whole: bool) -> None:
    asking = pool({"a": wrong(), "b": wrong("CANARY")})
    events, error = await heard(asking, mine(whole=whole))
    assert events == []
    assert isinstance(error, InvalidOutput)
    assert error.message == "no answer fits the schema of task mine"
    assert error.details == {"a": "INVALID_OUTPUT", "b": "INVALID_OUTPUT"}
    assert counted(asking.metrics, "llm_pool_requests_total", {"task": "mine", "outcome": "INVALID_OUTPUT"}) == 1


async def test_one_answer_that_does_not_fit_speaks_for_itself() -> None:
    _, error = await heard(pool({"a": wrong()}), mine())
    assert isinstance(error, InvalidOutput)
    assert error.message == WHY.format("a")


@pytest.mark.parametrize("order", ["ab", "ba"])
async def test_one_wrong_answer_among_failures_is_what_is_reported(order: str) -> None:
    """The caller learns that the schema is the trouble: more of the same would not help."""
    each = {"a": wrong(), "b": Scripted(opening=[ProviderUnreachable("gone")])}
    _, error = await heard(pool({name: each[name] for name in order}), mine())
    assert isinstance(error, InvalidOutput)
    assert error.details == {"a": "INVALID_OUTPUT", "b": "PROVIDER_UNREACHABLE"}


async def test_without_a_wrong_answer_it_is_the_providers_that_failed() -> None:
    each = {"a": Scripted(opening=[ProviderOverloaded("busy")]), "b": Scripted(TextDelta("{"), StreamBroken("broke"))}
    _, error = await heard(pool(each), mine())
    assert isinstance(error, AllProvidersFailed)
    assert error.details == {"a": "PROVIDER_OVERLOADED", "b": "STREAM_BROKEN"}


async def test_nobody_configured_is_still_nobody() -> None:
    _, error = await heard(pool({"a": good()}, tables={"a": {"tasks": ["chat"]}}), mine())
    assert isinstance(error, NoProvider)


# --- What was done to an answer ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "content", "why"),
    [
        (GOOD, GOOD, ""),
        (f" {GOOD}\n", GOOD, ""),
        (f"```json\n{GOOD}\n```", GOOD, "the answer of a was unwrapped"),
        (f"<think>hm</think>{GOOD}", GOOD, "the answer of a was unwrapped"),
        ("{a: 'x'}", '{"a":"x"}', "the answer of a was mended"),
    ],
)
async def test_what_was_done_to_an_answer_is_told(text: str, content: str, why: str) -> None:
    got = await pool({"a": Scripted(*answer(*text))}).infer(asked := mine())
    assert (got.content, Decision.of(asked.trace).why) == (content, why)


async def test_what_was_done_is_told_beside_the_fallback_and_only_of_the_answer_that_counts() -> None:
    parts = {"a": wrong("{'b': 1}"), "b": Scripted(*answer("{a: 'x'}"))}
    await pool(parts, tables={"b": {"fallback": True}}).infer(asked := mine())
    assert Decision.of(asked.trace).why == "the answer of b was mended; fallback"


async def test_an_answer_that_was_cut_off_is_not_mended_but_failed_over() -> None:
    cut = Scripted(Started("sim/m", "a"), TextDelta('{"a": "half a sen'), Finished("length", LOST))
    asking = pool({"a": cut, "b": good()})
    assert (await asking.infer(asked := mine())).content == GOOD
    assert outcomes(asked)[0] == ("a", "INVALID_OUTPUT", "a: the answer was cut off at max_tokens")


async def test_a_stream_is_one_delta_with_everything_else_before_it() -> None:
    thought, warned = ReasoningDelta("hm"), Warning("code", "of a")
    steps = (
        Started("sim/m", "a"),
        TextDelta('{"a":'),
        thought,
        1.0,
        TextDelta(' "x"}'),
        warned,
        Finished("stop", USAGE),
    )
    asking = pool({"a": Scripted(*steps)}, tables={"a": {"max_tokens": 64}})
    events, error = await heard(asking, mine(whole=False, max_tokens=100))
    assert error is None
    reduced = Warning("max_tokens_reduced", "a may be asked for 64 tokens, not 100")
    assert events == [Started("sim/m", "a"), reduced, thought, warned, TextDelta(GOOD), Finished("stop", USAGE)]


# --- Ways out ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [True, False])
async def test_the_deadline_ends_an_answer_that_is_not_complete(whole: bool) -> None:
    slow = Scripted(Started("sim/m", "a"), TextDelta(GOOD), "stall")
    never = good()
    events, error = await heard(pool({"a": slow, "b": never}), asked := mine(deadline=4.0, whole=whole))
    assert events == []
    assert isinstance(error, DeadlineExceeded)
    assert asyncio.get_running_loop().time() == 4.0
    [attempt] = asked.trace.attempts
    assert (attempt.outcome, attempt.usage.estimated) == ("DEADLINE_EXCEEDED", True)
    assert (slow.open, never.opened) == (0, 0)


async def test_the_deadline_holds_for_the_second_one_too() -> None:
    first, second = Scripted(3.0, *answer(WRONG)), Scripted("stall")
    _, error = await heard(pool({"a": first, "b": second}, qos={"hedge": "off"}), asked := mine(deadline=4.0))
    assert isinstance(error, DeadlineExceeded)
    assert [each[:2] for each in outcomes(asked)] == [("a", "INVALID_OUTPUT"), ("b", "DEADLINE_EXCEEDED")]


async def test_the_fallback_has_its_reserve_where_an_answer_came_late_and_wrong() -> None:
    stand_in = good()
    asking = pool({"a": Scripted(9.95, *answer(WRONG)), "b": stand_in}, tables={"b": {"fallback": True}})
    await asking.infer(asked := mine(deadline=10.0))
    assert [each[:2] for each in outcomes(asked)] == [("a", "PROVIDER_TIMEOUT"), ("b", "ok")]
    assert stand_in.calls[0].opened == 9.9


@pytest.mark.parametrize("most", [1, 2, 3])
async def test_a_caller_who_leaves_early_leaves_nothing_open(most: int) -> None:
    """The provider's call has ended by then: the answer was read to its end to be looked at."""
    provider = good()
    async with pool({"a": provider}).open(asked := mine(whole=False)) as events:
        for _ in range(most):
            await anext(events)
        assert provider.open == 0
    assert [each[:2] for each in outcomes(asked)] == [("a", "ok")]
    assert asked.trace.usage() == USAGE


async def test_a_caller_who_is_cancelled_takes_the_call_along() -> None:
    slow = Scripted(Started("sim/m", "a"), TextDelta("{"), "stall")
    caller = asyncio.create_task(pool({"a": slow, "b": good()}).infer(asked := mine()))
    await asyncio.sleep(2)
    caller.cancel()
    await asyncio.wait({caller})
    assert caller.cancelled()
    assert [each[:2] for each in outcomes(asked)] == [("a", "CANCELLED")]
    assert slow.open == 0


class Noted(AbstractAsyncContextManager[Events]):
    """A call whose owner notes with what it was left."""

    def __init__(self, inner: Answering, left: list[type[BaseException] | None]) -> None:
        self._inner = inner
        self._left = left

    async def __aenter__(self) -> Events:
        return await self._inner.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.append(kind)
        await self._inner.__aexit__(kind, error, trace)


async def test_the_line_is_left_with_the_error_so_that_who_guards_it_can_count_it() -> None:
    left: dict[str, list[type[BaseException] | None]] = {"a": [], "b": []}
    parts = {"a": wrong(), "b": good()}
    mine_only = frozenset({"mine"})
    deployments = [
        Deployment(name, "sim/m", "m", part, standing(name), tasks=mine_only) for name, part in parts.items()
    ]

    def line(deployment: Deployment, _: Asking) -> Ask:
        return lambda asked: Noted(deployment.provider.chat(asked), left[deployment.name])

    chance, metrics = InOrder(), Metrics()
    balance = balance_of("latency", random=chance, now=lambda: 0.0)
    router = Router(deployments, health=lambda _: Health("healthy"), balance=balance)
    learned = Learned(metrics=metrics, now=lambda: 0.0, random=chance)
    attempts = Attempts(router, metrics, line=line, learned=learned, max_retries=0, random=chance)
    async with attempts.ask(replace(mine(), spec=spec_of(SCHEMA))) as events:
        assert [event async for event in events][1] == TextDelta(GOOD)
    assert left == {"a": [InvalidOutput], "b": [None]}
