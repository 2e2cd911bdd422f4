"""Models that are cold, or come back, in less common ways."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import pytest

from llm_pool.core.ports.provider import Health
from llm_pool.providers.ollama.models import state
from tests.dispatch.outages import of
from tests.dispatch.servers import GONE, Server, watched
from tests.dispatch.stories import heard, now, voices
from tests.dispatch.test_breaker import Bench
from tests.dispatch.test_recovery import AGAIN_WITHIN, Told, traffic
from tests.scripted import Scripted, counted, request

if TYPE_CHECKING:
    from llm_pool.core.streams import Answering
    from llm_pool.core.types import Request


class Hanging(Server):
    """While it is down its calls hang for so long, and fail then."""

    hangs = 8.0

    def chat(self, request: Request) -> Answering:
        answering = super().chat(request)
        self.opening = [self.hangs, GONE] if self.opening else []
        return answering


# --- 1: a probe that hangs over the end of the outage -----------------------------------------------------------


@pytest.mark.parametrize("hangs", [3.0, 8.0, 1e6])  # the connection's limit; something between; the first token's
@pytest.mark.parametrize("away", [90.0, 300.0])
@pytest.mark.parametrize("seed", range(4))
async def test_after_an_outage_in_which_calls_hung_it_answers_within_ten_seconds(
    hangs: float, away: float, seed: int
) -> None:
    server = Hanging(down=[(20.0, back := 20.0 + away)])
    server.hangs = hangs
    told = Told()
    async with watched({"a": server}, random=Random(seed)) as asking:
        await traffic(asking, told, until=back + 40.0)
    assert told.first("a", since=back) <= AGAIN_WITHIN


def test_a_probe_of_before_it_was_hastened_tells_of_before() -> None:
    """It holds no place, and its failure opens nothing."""
    bench = Bench()
    bench.trip()
    bench.at += 5.0
    before = bench.begin()
    bench.breaker.hasten()
    bench.begin()
    bench.breaker.ended(before, "failure")
    assert bench.breaker.state == "half_open"


# --- 2: doubted, it is not known to load any more ---------------------------------------------------------------


async def test_one_that_is_doubted_may_still_be_loading() -> None:
    ill, cold = Health("unhealthy", "gone"), Health("loading", "cold", cold=frozenset({"m"}))
    async with watched({"a": Scripted(healths=[ill, Health("healthy"), ill, *[cold] * 9])}) as asking:
        await asyncio.sleep(17.0)
        assert asking.health.of("a").doubted
        assert of(asking).loading


# --- 3: a cold one in second place ------------------------------------------------------------------------------


async def test_nobody_is_sent_to_a_cold_one_because_the_loaded_one_is_late() -> None:
    parts = {"a": Server(takes=0.2), "b": Server(loaded_at=1e9)}
    tables = {"a": {"priority": 0}, "b": {"priority": 1}}
    async with watched(parts, tables=tables, sections={"qos": {"balance": "priority"}}, random=Random(1)) as asking:
        for _ in range(100):
            await heard(asking, request())
        parts["a"].takes = 12.0
        for _ in range(40):
            await heard(asking, request())
    assert parts["b"].opened == 0


async def test_the_hedge_goes_past_a_cold_one_to_one_that_is_loaded() -> None:
    parts = {"a": Scripted("stall"), "b": Server(loaded_at=1e9), "c": Server()}
    tables = {name: {"priority": at} for at, name in enumerate(parts)}
    qos = {"balance": "priority", "hedge": "fixed", "hedge_after_ms": 1_000, "hedge_budget": 1.0}
    async with watched(parts, tables=tables, sections={"qos": qos}) as asking:
        await heard(asking, asked := request())
        assert voices(asked) == [("a", "first", "OUTRUN"), ("c", "hedge", "ok")]


# --- 4: who else is cold ----------------------------------------------------------------------------------------


def test_while_one_is_preloaded_those_that_wait_for_their_turn_are_cold_too() -> None:
    both = frozenset({"a:latest", "b:latest"})
    told = state(("a", "b"), installed=both, loaded=frozenset(), loading="a")
    assert (told.loads("a"), told.loads("b")) == (True, True)


def test_where_one_is_not_installed_the_other_may_still_be_cold() -> None:
    told = state(("a", "b"), installed=frozenset({"a:latest"}), loaded=frozenset(), loading=None)
    assert told.loads("a")


# --- 5: its load has just ended ---------------------------------------------------------------------------------


async def test_who_waited_mostly_for_a_load_holds_nothing_against_it_though_the_load_has_just_ended() -> None:
    server = Server(takes=0.2)
    async with watched({"a": server}) as asking:
        for _ in range(20):
            await heard(asking, request())
        server.loaded_at = 44.5  # which is seen at 45
        await asyncio.sleep(34.0 - now())
        server.takes = 3.0  # and 6 s of patience
        async with asyncio.TaskGroup() as callers:
            while now() < 60.0:
                callers.create_task(heard(asking, request(deadline=6.0)))
                await asyncio.sleep(0.2)
        assert counted(asking.metrics, "llm_pool_breaker_changes_total") == 0
