"""A model that has to be loaded first takes as long as it takes: it is waited for, and held against nobody."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from llm_pool.core.errors import ProviderTimeout
from llm_pool.core.ports.provider import Health
from llm_pool.core.trace import Decision
from llm_pool.core.types import TextDelta
from tests.dispatch.outages import of
from tests.dispatch.servers import Server, watched
from tests.dispatch.stories import BOTH, DONE, STARTED, heard, nothing_under_way, now, pool, texts, voices
from tests.scripted import Scripted, counted, request

if TYPE_CHECKING:
    from llm_pool.core.types import Request
    from llm_pool.pool import Pool

COLD = Health("loading", "not in memory yet")
HEDGING = {"qos": {"hedge": "fixed", "hedge_after_ms": 1_000, "hedge_budget": 1.0}}


def opened(asking: Pool) -> float:
    """How often a breaker has opened, or anything else has become of one."""
    return counted(asking.metrics, "llm_pool_breaker_changes_total")


async def impatient(asking: Pool, *, until: float, deadline: float = 6.0, every: float = 0.5) -> Counter[str]:
    """A caller each so often, who waits so long; what they were told."""
    told: Counter[str] = Counter()

    async def ask() -> None:
        _, error = await heard(asking, asked := request(deadline=deadline))
        told[Decision.of(asked.trace).winner if error is None else error.reason] += 1

    async with asyncio.TaskGroup() as callers:
        while now() < until:
            callers.create_task(ask())
            await asyncio.sleep(every)
    return told


# --- Which one is being loaded ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("health", "loads"),
    [
        (Health("loading"), True),
        (Health("loading", cold=frozenset({"m", "n"})), True),
        (Health("loading", cold=frozenset({"n"})), False),
        (Health("loading", cold=frozenset({"sim/m"})), False),  # they are in the provider's own words
        (Health("healthy"), False),
        (Health("unhealthy"), False),
    ],
)
def test_a_provider_that_loads_names_the_models_that_it_loads_or_means_all(health: Health, loads: bool) -> None:
    assert health.loads("m") is loads


async def test_each_model_of_a_table_is_known_for_itself() -> None:
    table = {"models": ["family/m", "n"]}
    cold = Health("loading", cold=frozenset({"family/m"}))
    async with watched({"a": Scripted(healths=[cold, cold, Health("healthy")])}, tables={"a": table}) as asking:
        standings = asking.learned.of("a")
        assert [(each.model, each.loading) for each in standings] == [("sim/family/m", True), ("sim/n", False)]
        await asyncio.sleep(6.0)
        assert [each.loading for each in standings] == [True, False]
        await asyncio.sleep(5.0)
        assert [each.loading for each in standings] == [False, False]


# --- One provider, whose model takes forty seconds --------------------------------------------------------------


@pytest.mark.parametrize("whole", BOTH)
@pytest.mark.parametrize("max_retries", [0, 2])
async def test_the_impatient_leave_in_vain_and_the_patient_one_is_answered_when_it_is_there(
    whole: bool, max_retries: int
) -> None:
    parts = {"a": Server(loaded_at=40.0)}
    async with watched(parts, sections={"qos": {"max_retries": max_retries}}) as asking:
        assert await impatient(asking, until=6.0) == {"DEADLINE_EXCEEDED": 12}
        assert of(asking).refusal("chat") is None
        said, error = await heard(asking, patient := request(deadline=110.0, whole=whole))
        assert (error, texts(said), now()) == (None, ["word"], 40.5)
        assert voices(patient) == [("a", "first", "ok")]
        assert parts["a"].opened == 13
        assert opened(asking) == 0
        assert of(asking).breaker("chat").snapshot()["failed"] == 0


async def test_a_crowd_of_impatient_callers_opens_nothing() -> None:
    """Nor does what they have waited in vain keep anybody away afterwards."""
    parts = {"a": Server(loaded_at=40.0)}
    async with watched(parts) as asking:
        told = await impatient(asking, until=33.0)
        assert told == {"DEADLINE_EXCEEDED": 66}
        assert opened(asking) == 0
        await asyncio.sleep(45.0 - now())
        assert await impatient(asking, until=50.0) == {"a": 10}
        assert opened(asking) == 0


async def test_what_is_asked_while_it_loads_and_is_refused_is_a_failure_all_the_same() -> None:
    parts = {"a": Scripted(ProviderTimeout("its own gateway gave up"), healths=[COLD] * 99)}
    async with watched(parts, sections={"qos": {"max_retries": 0}}) as asking:
        for _ in range(10):
            await heard(asking, request())
        assert of(asking).breaker("chat").state == "open"


async def test_once_it_is_there_it_is_held_to_its_limits_again() -> None:
    parts = {"a": Server(loaded_at=4.0)}
    async with watched(parts, sections={"qos": {"max_retries": 0}}) as asking:
        await asyncio.sleep(6.0)
        parts["a"].takes = 1e6
        _, error = await heard(asking, request(deadline=110.0))
        assert isinstance(error, ProviderTimeout)
        assert error.message == "a said nothing for 30 s (first_token_timeout_ms)"
        assert now() == 36.0


async def test_one_that_has_spoken_while_it_loaded_may_still_not_fall_silent() -> None:
    parts = {"a": Scripted(STARTED, 50.0, TextDelta("word"), "stall", healths=[COLD] * 99)}
    async with watched(parts, sections={"qos": {"max_retries": 0}}) as asking:
        said, error = await heard(asking, request(deadline=110.0, whole=False))
        assert texts(said) == ["word"]
        assert error is not None
        assert (error.message, now()) == ("a fell silent for 20 s (idle_timeout_ms)", 70.0)


async def test_it_may_not_take_longer_in_all_than_it_was_given() -> None:
    table = {"a": {"timeout_ms": 45_000}}
    parts = {"a": Scripted("stall", healths=[COLD] * 99)}
    async with watched(parts, tables=table, sections={"qos": {"max_retries": 0}}) as asking:
        _, error = await heard(asking, request(deadline=110.0))
        assert error is not None
        assert (error.message, now()) == ("a took longer than 45 s (timeout_ms)", 45.0)
        assert of(asking).breaker("chat").snapshot()["failed"] == 0


async def test_the_fallback_still_answers_just_before_the_deadline() -> None:
    parts = {"a": Server(loaded_at=200.0), "b": Scripted()}
    async with watched(parts, tables={"b": {"fallback": True}}) as asking:
        _, error = await heard(asking, asked := request(deadline=60.0))
        assert error is None
        assert [name for name, _, _ in voices(asked)] == ["a", "b"]
        assert now() == pytest.approx(59.9)
        assert opened(asking) == 0


# --- Two hosts, one of them cold --------------------------------------------------------------------------------


@pytest.mark.parametrize("sections", [HEDGING, {}])
async def test_the_one_that_is_loaded_is_asked_and_the_other_takes_its_share_once_it_is(
    sections: dict[str, Any],
) -> None:
    parts = {"a": Server(loaded_at=40.0), "b": Server(takes=0.6)}
    async with watched(parts, sections=sections, random=Random(1)) as asking:
        for _ in range(3):
            assert set(await impatient(asking, until=now() + 9.0, every=0.2)) == {"b"}
        assert parts["a"].opened == 0
        await asyncio.sleep(46.0 - now())
        told = await impatient(asking, until=106.0, every=0.2)
        assert told["a"] + told["b"] == sum(told.values())
        assert told["a"] > 0.3 * sum(told.values())
        assert opened(asking) == 0


async def test_one_that_was_asked_in_vain_takes_its_share_once_it_is_loaded() -> None:
    """Nobody else was there, and all the patience that it has cost is not what it costs now."""
    parts = {"a": Server(loaded_at=40.0), "b": Server(takes=0.6, down=[(0.0, 20.0)])}
    async with watched(parts, sections={"qos": {"hedge": "off"}}, random=Random(1)) as asking:
        await impatient(asking, until=20.0)
        assert parts["a"].opened >= 30
        await asyncio.sleep(46.0 - now())
        told = await impatient(asking, until=166.0, every=0.2)
        assert told["a"] > 0.3 * sum(told.values())


@pytest.mark.parametrize("whole", BOTH)
async def test_nobody_hedges_to_one_that_is_being_loaded(whole: bool) -> None:
    parts = {"a": Server(takes=5.0), "b": Server(loaded_at=100.0)}
    async with watched(parts, sections=HEDGING) as asking:
        _, error = await heard(asking, asked := request(whole=whole))
        assert error is None
        assert voices(asked) == [("a", "first", "ok")]
        assert parts["b"].opened == 0
        await asyncio.sleep(101.0 - now())
        parts["a"].takes, parts["b"].takes = 5.0, 0.5
        await asyncio.sleep(5.0)
        of(asking, "b").load.silent(50.0)  # it is still thought slow, so it comes second
        await heard(asking, asked := request(whole=whole))
        assert voices(asked) == [("a", "first", "OUTRUN"), ("b", "hedge", "ok")]


async def test_where_the_loaded_one_fails_the_cold_one_is_waited_for() -> None:
    parts = {"a": Server(loaded_at=40.0), "b": Server(down=[(3.0, 99.0)])}
    async with watched(parts) as asking:
        await asyncio.sleep(3.0)
        _, error = await heard(asking, asked := request(deadline=110.0))
        assert error is None
        assert voices(asked) == [("b", "first", "PROVIDER_UNREACHABLE"), ("a", "failover", "ok")]
        assert now() == 40.5


async def test_one_whose_own_priority_wants_it_first_is_asked_first_and_is_hedged() -> None:
    """Priority is the operator's word; within one the loaded ones are first."""
    parts = {"a": Scripted("stall"), "b": Scripted(STARTED, TextDelta("b"), DONE)}
    asking = pool(parts)
    of(asking).loading = True
    asked: Request
    said, _ = await heard(asking, asked := request())
    assert (texts(said), voices(asked)) == (["b"], [("a", "first", "OUTRUN"), ("b", "hedge", "ok")])
    await nothing_under_way(asking, parts, asked)
