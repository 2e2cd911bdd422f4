"""A provider that comes back is asked again within ten seconds, however long it was away and however often it went."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import pytest

from llm_pool.core.errors import ProviderOverloaded, ProviderUnreachable
from llm_pool.core.trace import Decision
from tests.dispatch.outages import of
from tests.dispatch.servers import Server, watched
from tests.dispatch.stories import heard, now
from tests.scripted import Scripted, request

if TYPE_CHECKING:
    from llm_pool.pool import Pool

ILL_EVERY, WELL_FOR = 20.0, 13.5  # seconds
AGAIN_WITHIN = 10.0  # seconds; the promise


class Told(list[tuple[float, str]]):
    """When each request ended, and who answered it or why nobody did."""

    def first(self, name: str, *, since: float) -> float:
        """Seconds from then to the first answer of this one."""
        return min((at for at, who in self if who == name and at >= since), default=float("inf")) - since


async def traffic(asking: Pool, told: Told, *, until: float, every: float = 0.5) -> None:
    async def ask() -> None:
        _, error = await heard(asking, asked := request())
        told.append((now(), Decision.of(asked.trace).winner if error is None else error.reason))

    async with asyncio.TaskGroup() as callers:
        while now() < until:
            callers.create_task(ask())
            await asyncio.sleep(every)


@pytest.mark.parametrize("fallback", [False, True])
@pytest.mark.parametrize("away", [90.0, 300.0])
@pytest.mark.parametrize("says", [ProviderUnreachable("gone"), ProviderOverloaded("503")])
async def test_after_an_outage_it_answers_within_ten_seconds(says: Exception, away: float, fallback: bool) -> None:
    server = Server(down=[(20.0, back := 20.0 + away)], instead=says)
    parts: dict[str, Scripted] = {"a": server} | ({"b": Scripted()} if fallback else {})
    told = Told()
    async with watched(parts, tables={"b": {"fallback": True}}, random=Random(7)) as asking:
        await traffic(asking, told, until=back + 15.0)
        assert told.first("a", since=back) <= AGAIN_WITHIN
        since = [who for at, who in told if at > back + AGAIN_WITHIN + 0.5]
        assert set(since) == {"a"}
        if fallback:
            assert {who for _, who in told} == {"a", "b"}  # nobody ever got an error
        assert of(asking).breaker("chat").state == "closed"


@pytest.mark.parametrize("seed", range(3))
async def test_a_breaker_that_would_stay_open_for_half_a_minute_does_not_outlast_the_outage(seed: int) -> None:
    server = Server(down=[(20.0, 320.0)])
    told = Told()
    async with watched({"a": server}, random=Random(seed)) as asking:
        await traffic(asking, told, until=319.0)
        of(asking).breaker("chat")._until = 345.0  # it has just been tried in vain
        await traffic(asking, told, until=330.0)
    assert told.first("a", since=320.0) <= 5.0 + 0.5 + 0.5  # a look, a request, its answer


async def test_one_that_an_operator_holds_stays_out_though_it_is_well_again() -> None:
    server = Server(down=[(20.0, 30.0)])
    async with watched({"a": server}) as asking:
        await asyncio.sleep(25.0)
        of(asking).operate("open")
        before = server.opened
        await traffic(asking, told := Told(), until=60.0)
        assert ({who for _, who in told}, server.opened) == ({"PROVIDER_UNAVAILABLE"}, before)


@pytest.mark.parametrize("seed", range(3))
async def test_the_only_provider_is_used_between_its_restarts(seed: int) -> None:
    """Five of 6.5 seconds each: that it falls ill again and again makes it doubted, but there is nobody else."""
    restarts = [(begin := 20.0 + number * ILL_EVERY, begin + ILL_EVERY - WELL_FOR) for number in range(5)]
    server, told = Server(down=restarts), Told()
    doubted = []
    async with watched({"a": server}, random=Random(seed)) as asking:
        going = asyncio.create_task(traffic(asking, told, until=130.0))
        for _, back in restarts:
            await asyncio.sleep(back + 5.5 - now())
            doubted.append(asking.health.of("a").doubted)
            assert asking.usable("a")
        await going
    assert [told.first("a", since=back) <= 6.0 for _, back in restarts] == [True] * 5
    assert doubted[1:] == [True] * 4


async def test_one_that_is_doubted_leaves_the_others_first_and_the_fallback_last() -> None:
    restarts = [(10.0, 16.5), (30.0, 36.5)]
    parts: dict[str, Scripted] = {"a": Server(down=restarts), "b": Server(takes=5.0), "c": Scripted()}
    sections = {"qos": {"hedge": "off"}}
    async with watched(parts, tables={"c": {"fallback": True}}, sections=sections) as asking:
        await asyncio.sleep(42.0)
        assert asking.health.of("a").doubted
        _, error = await heard(asking, asked := request())
        assert (error, Decision.of(asked.trace).winner) == (None, "b")
        of(asking, "b").operate("open")
        await heard(asking, asked := request())
        assert Decision.of(asked.trace).winner == "a"
