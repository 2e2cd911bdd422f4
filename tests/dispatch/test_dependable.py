"""Stories of a pool whose deployments fail, hang, rest and come back, and of what its callers see of that."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from llm_pool.core.errors import (
    InvalidOutput,
    ProviderError,
    ProviderLimited,
    ProviderMisconfigured,
    ProviderOverloaded,
    ProviderRefused,
    ProviderUnavailable,
)
from llm_pool.core.types import TextDelta
from tests.dispatch.outages import DOWN, ask, down, gauge, of, pool, well
from tests.dispatch.stories import BOTH, DONE, STARTED, at_rest, failure, heard, now, voices
from tests.scripted import Scripted, answer, counted, request

if TYPE_CHECKING:
    from tests.scripted import Step

# --- A deployment is down ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", BOTH)
async def test_one_that_is_down_is_soon_not_asked_any_more_and_callers_see_nothing_of_it(whole: bool) -> None:
    parts = {"a": down(), "b": Scripted()}
    asking = pool(parts)
    assert await ask(asking, 100, every=0.01, whole=whole) == ["b"] * 100
    assert parts["a"].opened <= 15
    assert gauge(asking) == 2
    assert gauge(asking, "b") == 0
    await at_rest(asking, parts)


async def test_it_is_tried_again_after_a_while_and_asked_when_it_is_well() -> None:
    parts = {"a": down(), "b": Scripted()}
    asking = pool(parts)
    await ask(asking, 20)
    before = parts["a"].opened
    await asyncio.sleep(5.0)
    assert await ask(asking) == ["b"]
    assert parts["a"].opened == before + 1
    well(parts["a"])
    await asyncio.sleep(10.0)
    assert await ask(asking, 10) == ["a"] * 10
    assert gauge(asking) == 0
    assert counted(asking.metrics, "llm_pool_breaker_changes_total", {"state": "closed"}) == 1


async def test_where_the_only_one_is_open_callers_are_told_when_to_come_back() -> None:
    parts = {"a": down()}
    asking = pool(parts)
    assert await ask(asking, 10) == ["PROVIDER_UNREACHABLE"] * 10
    error = await failure(asking, asked := request())
    assert isinstance(error, ProviderUnavailable)
    assert error.retry_after is not None
    assert 2.5 <= error.retry_after <= 5.0
    assert (parts["a"].opened, voices(asked)) == (10, [])
    well(parts["a"])
    await asyncio.sleep(error.retry_after)
    assert await ask(asking) == ["a"]


async def test_where_all_are_open_the_one_that_is_tried_soonest_is_asked_all_the_same() -> None:
    parts = {"a": down(), "b": down()}
    asking = pool(parts)
    await ask(asking, 20, every=0.01)
    assert (gauge(asking, "a"), gauge(asking, "b")) == (2, 2)
    opened = parts["a"].opened + parts["b"].opened
    assert await ask(asking) == ["ALL_PROVIDERS_FAILED"]
    assert parts["a"].opened + parts["b"].opened == opened + 1
    soonest = min("ab", key=lambda name: of(asking, name).breaker("chat").opens_in())
    well(parts[soonest])
    assert await ask(asking, 2) == [soonest] * 2
    assert gauge(asking, soonest) == 0  # two successes close it


async def test_what_an_operator_has_taken_out_is_not_asked_in_panic_either() -> None:
    parts = {"a": Scripted(), "b": Scripted()}
    asking = pool(parts)
    for name in parts:
        of(asking, name).operate("open")
    assert await ask(asking, 5) == ["PROVIDER_UNAVAILABLE"] * 5
    assert (parts["a"].opened, parts["b"].opened) == (0, 0)


async def test_the_fallback_answers_while_all_others_are_open() -> None:
    parts = {"a": down(), "b": Scripted()}
    asking = pool(parts, tables={"b": {"fallback": True}})
    assert await ask(asking, 30) == ["b"] * 30
    assert parts["a"].opened == 10


async def test_breakers_of_tasks_open_one_by_one() -> None:
    parts = {"a": down(), "b": Scripted()}
    asking = pool(parts, breaker={"per_task": True}, sections={"tasks": {"mine": {"prompt": ""}}})
    await ask(asking, 20)
    before = parts["a"].opened
    await ask(asking)
    assert parts["a"].opened == before
    await ask(asking, task="mine")
    assert parts["a"].opened == before + 1


async def test_a_brown_out_opens_it_and_a_few_errors_do_not() -> None:
    parts: dict[str, Scripted] = {"a": Scripted(), "b": Scripted()}
    for share, opens in ((10, False), (2, True)):
        asking = pool(parts)
        for number in range(60):
            parts["a"].opening = [DOWN] if number % share == 0 else []
            await ask(asking, every=0.2)
        assert (counted(asking.metrics, "llm_pool_breaker_changes_total") > 0) == opens


# --- What opens no breaker --------------------------------------------------------------------------------------

NOT_ITS_FAULT = [
    ProviderRefused("400"), ProviderLimited("429", retry_after=0.01), InvalidOutput("no JSON"), KeyError("bug"),
]  # fmt: skip


@pytest.mark.parametrize("error", NOT_ITS_FAULT)
@pytest.mark.parametrize("whole", BOTH)
async def test_what_is_not_its_fault_never_opens_it(error: BaseException, whole: bool) -> None:
    parts = {"a": Scripted(STARTED, error)}
    asking = pool(parts)
    for _ in range(40):
        with contextlib.suppress(KeyError):
            await heard(asking, request(whole=whole))
        await asyncio.sleep(0.1)
    assert parts["a"].opened == 40
    assert gauge(asking) == 0
    well(parts["a"])
    assert await ask(asking) == ["a"]
    await at_rest(asking, parts)


async def test_answers_that_fit_no_schema_never_open_it() -> None:
    parts = {"a": Scripted(*answer("not JSON"))}
    asking = pool(parts, sections={"tasks": {"mine": {"schema": {"type": "object"}}}})
    assert await ask(asking, 40, task="mine", every=0.1) == ["INVALID_OUTPUT"] * 40
    assert gauge(asking) == 0


@pytest.mark.parametrize("after", [0, 1, 2])
async def test_callers_who_leave_never_open_it(after: int) -> None:
    parts = {"a": Scripted(STARTED, TextDelta("word"), "stall")}
    asking = pool(parts)
    for _ in range(40):
        task = asyncio.create_task(heard(asking, request(whole=bool(after))))
        await asyncio.sleep(0.25)
        task.cancel()
        await asyncio.wait({task})
    assert gauge(asking) == 0
    assert parts["a"].opened == 40
    await at_rest(asking, parts)


@pytest.mark.parametrize(
    ("usual", "deadline", "opens"),
    [
        (None, 21.0, True),  # twenty seconds without a word are held against one of which nothing is known
        (None, 19.0, False),
        (1.0, 1.5, True),
        (1.0, 0.5, False),  # it was not given the time that it needs
    ],
)
async def test_one_that_hangs_is_held_to_what_it_usually_takes(
    usual: float | None, deadline: float, opens: bool
) -> None:
    parts = {"a": Scripted("stall")}
    asking = pool(parts)
    if usual is not None:
        parts["a"].steps = [STARTED, usual, TextDelta("word"), DONE]
        await ask(asking, 5)
        await asyncio.sleep(31.0)  # and the window is empty
        parts["a"].steps = ["stall"]
    told = await ask(asking, 20, deadline=deadline)
    assert told[0] == "DEADLINE_EXCEEDED"
    assert (told[-1] == "PROVIDER_UNAVAILABLE") == opens
    assert (gauge(asking) == 2) == opens


async def test_a_stream_that_spoke_and_was_cut_by_the_deadline_is_no_failure() -> None:
    parts = {"a": Scripted(STARTED, TextDelta("word"), "stall")}
    asking = pool(parts)
    assert set(await ask(asking, 20, deadline=10.0, whole=False)) == {"DEADLINE_EXCEEDED"}
    assert gauge(asking) == 0


async def test_the_loser_of_a_hedge_is_neither_well_nor_ill() -> None:
    parts = {"a": Scripted("stall"), "b": Scripted()}
    asking = pool(parts, qos={"hedge": "fixed", "hedge_after_ms": 1_000, "hedge_budget": 1.0})
    assert await ask(asking, 40) == ["b"] * 40
    assert parts["a"].opened == 40
    assert gauge(asking) == 0
    assert counted(asking.metrics, "llm_pool_attempts_total", {"outcome": "OUTRUN"}) == 40


# --- Half-open --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["cancel", "deadline", "leave", "bug", "refused"])
async def test_a_probe_that_tells_nothing_does_not_wedge_it(how: str) -> None:
    parts = {"a": down()}
    asking = pool(parts)
    await ask(asking, 10)
    await asyncio.sleep(5.0)
    silent: list[Step] = [STARTED, "stall"]
    scripts: dict[str, list[Step]] = {
        "bug": [STARTED, KeyError("bug")], "refused": [STARTED, ProviderRefused("400")],
        "leave": [STARTED, TextDelta("word"), "stall"],
    }  # fmt: skip
    parts["a"].opening, parts["a"].steps = [], scripts.get(how, silent)
    for _ in range(7):
        asked = request(deadline=1.0 if how == "deadline" else 30.0, whole=how != "leave")
        task = asyncio.create_task(heard(asking, asked))
        await asyncio.sleep(1.5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert len(asked.trace.attempts) == 1
    assert gauge(asking) == 1
    well(parts["a"])
    assert await ask(asking, 2) == ["a", "a"]
    assert gauge(asking) == 0
    await at_rest(asking, parts)


async def test_a_probe_that_is_outrun_does_not_wedge_it() -> None:
    parts = {"a": down(), "b": Scripted()}
    asking = pool(parts, qos={"hedge": "fixed", "hedge_after_ms": 1_000, "hedge_budget": 1.0})
    await ask(asking, 20)
    await asyncio.sleep(5.0)
    parts["a"].opening, parts["a"].steps = [], ["stall"]
    assert await ask(asking, 10) == ["b"] * 10
    well(parts["a"])
    assert await ask(asking, 3) == ["a"] * 3
    await at_rest(asking, parts)


async def test_few_are_spent_on_one_that_hangs_after_an_outage() -> None:
    parts = {"a": down(), "b": Scripted()}
    asking = pool(parts)
    await ask(asking, 20)
    await asyncio.sleep(5.0)
    parts["a"].opening, parts["a"].steps = [], ["stall"]
    before = parts["a"].opened
    many = [asyncio.create_task(heard(asking, request(deadline=8.0))) for _ in range(50)]
    await asyncio.gather(*many)
    assert parts["a"].opened - before <= 3
    await at_rest(asking, parts)


# --- In sum -----------------------------------------------------------------------------------------------------


async def test_nobody_asked_and_nobody_to_ask_are_told_apart() -> None:
    asking = pool({"a": down(ProviderMisconfigured("who are you")), "b": down()})
    assert await ask(asking, 12) == ["ALL_PROVIDERS_FAILED"] * 12
    error = await failure(asking, request())
    assert error.details == {"a": "PROVIDER_MISCONFIGURED", "b": "b has failed too often lately"}


async def test_several_that_must_not_be_asked_name_the_soonest_time() -> None:
    parts = {"a": down(ProviderLimited("429", retry_after=30.0)), "b": down(ProviderLimited("429", retry_after=7.0))}
    asking = pool(parts)
    await ask(asking)
    error = await failure(asking, request())
    assert isinstance(error, ProviderUnavailable)
    assert error.retry_after == 7.0


@pytest.mark.parametrize("error", [DOWN, ProviderOverloaded("503"), ProviderError("500")])
async def test_half_an_hour_with_an_outage_costs_callers_nothing_where_there_is_another(error: ProviderError) -> None:
    parts = {"a": Scripted(), "b": Scripted()}
    asking = pool(parts, qos={"max_retries": 2, "hedge": "adaptive"})
    for second in range(0, 1_800, 5):
        parts["a"].opening = [error] if 300 <= second < 600 else []
        [told] = await ask(asking)
        assert told in {"a", "b"}
        await asyncio.sleep(second + 5 - now())
    assert of(asking).breaker("chat").state == "closed"
