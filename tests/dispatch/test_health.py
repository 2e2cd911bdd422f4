"""How every provider is, asked now and then: what is known, what a bad check does, and that start-up does not hang."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from llm_pool.core.ports.provider import Health
from llm_pool.dispatch.health import HealthWatch
from llm_pool.telemetry.metrics import Metrics
from tests.scripted import Scripted, counted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import TypeAlias

    Looked: TypeAlias = Callable[[str, Health, bool], None]

ILL, WELL = Health("unhealthy", "no connection"), Health("healthy")


@asynccontextmanager
async def watch(
    *, metrics: Metrics | None = None, looked: Looked = lambda *_: None, **providers: Scripted
) -> AsyncIterator[HealthWatch]:
    now = asyncio.get_running_loop().time
    async with HealthWatch(metrics or Metrics(), every=5.0, now=now, looked=looked) as health:
        await health.follow(providers)
        yield health


async def test_before_the_first_answer_a_provider_is_checking() -> None:
    async with watch(a=Scripted(healths=[2.0, WELL])) as health:
        assert health.of("a").state == "checking"
        await asyncio.sleep(1)
        assert health.of("a").state == "checking"
        await asyncio.sleep(1.5)
        assert health.of("a").state == "healthy"


@pytest.mark.parametrize("state", ["healthy", "degraded", "unhealthy", "checking", "loading"])
async def test_what_the_provider_says_is_known_with_its_reason(state: str) -> None:
    said = Health(state, "because")  # type: ignore[arg-type]
    metrics = Metrics()
    async with watch(a=Scripted(healths=[said]), metrics=metrics) as health:
        await health.settled(within=1)
        assert health.all() == {"a": said}
        assert counted(metrics, "llm_pool_provider_up", {"deployment": "a"}) == (state != "unhealthy")


async def test_it_is_asked_again_every_few_seconds() -> None:
    provider = Scripted(healths=[WELL, ILL, WELL])
    async with watch(a=provider) as health:
        seen = []
        for _ in range(3):
            await asyncio.sleep(4.9)
            seen.append(health.of("a").state)
            await asyncio.sleep(0.1)
        assert seen == ["healthy", "unhealthy", "healthy"]
        assert 3 <= provider.asked_how_it_is <= 4


async def test_every_change_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with watch(a=Scripted(healths=[WELL, WELL, ILL, ILL, WELL])) as _:
        await asyncio.sleep(24)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "provider is healthy"),
        ("WARNING", "provider is unhealthy"),
        ("INFO", "provider is healthy"),
    ]


async def test_a_health_check_that_raises_makes_unhealthy_and_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    async with watch(a=Scripted(healths=[KeyError("bug"), WELL]), b=Scripted()) as health:
        await health.settled(within=1)
        assert health.all()["a"] == Health("unhealthy", "its health check failed")
        assert health.of("b").state == "healthy"
        assert "health check failed" in caplog.text
        await asyncio.sleep(5.5)
        assert health.of("a").state == "healthy"


async def test_a_health_check_that_hangs_holds_up_nobody_else() -> None:
    async with watch(a=Scripted(healths=["stall"]), b=Scripted()) as health:
        await health.settled(within=3)
        assert asyncio.get_running_loop().time() == 3.0
        assert (health.of("a").state, health.of("b").state) == ("checking", "healthy")
        await asyncio.sleep(60)
        assert health.of("b").state == "healthy"


async def test_settled_waits_no_longer_than_the_slowest_first_answer() -> None:
    async with watch(a=Scripted(healths=[2.0, ILL]), b=Scripted(healths=[1.0, WELL])) as health:
        await health.settled(within=30)
        assert asyncio.get_running_loop().time() == 2.0
        assert (health.of("a").state, health.of("b").state) == ("unhealthy", "healthy")
        await health.settled(within=30)
        assert asyncio.get_running_loop().time() == 2.0


async def test_with_its_block_every_watch_ends() -> None:
    provider = Scripted(healths=["stall"])
    async with watch(a=provider, b=Scripted(healths=[100.0]), c=Scripted()):
        await asyncio.sleep(1)
    assert len(asyncio.all_tasks()) == 1
    assert asyncio.get_running_loop().time() == 1.0


# --- A change of who is looked after ----------------------------------------------------------------------------


async def test_what_is_known_of_one_that_stays_stays_and_its_next_question_comes_when_it_would_have() -> None:
    stays = Scripted(healths=[ILL, WELL])
    async with watch(a=stays, b=Scripted()) as health:
        await asyncio.sleep(3)
        for _ in range(20):
            await health.follow({"a": stays, "c": Scripted()})
            assert health.of("a") == ILL
        assert stays.asked_how_it_is == 1
        await asyncio.sleep(1.9)
        assert health.of("a") == ILL
        await asyncio.sleep(0.2)
        assert health.of("a") == WELL


async def test_another_provider_of_the_same_name_is_asked_at_once_and_the_one_before_never_again() -> None:
    before, after = Scripted(healths=[ILL]), Scripted(healths=[1.0, WELL])
    metrics = Metrics()
    async with watch(a=before, metrics=metrics) as health:
        await asyncio.sleep(1)
        await health.follow({"a": after})
        assert health.of("a").state == "checking"
        await asyncio.sleep(1.5)
        assert health.of("a") == WELL
        assert counted(metrics, "llm_pool_provider_up", {"deployment": "a"}) == 1
        await asyncio.sleep(60)
        assert before.asked_how_it_is == 1


async def test_one_that_is_gone_is_shown_no_more() -> None:
    """Not even where its health check was under way."""
    metrics = Metrics()
    async with watch(a=Scripted(), b=Scripted(healths=[WELL, 60.0]), metrics=metrics) as health:
        await asyncio.sleep(5.5)
        metrics.asked["a"], metrics.asked["b"] = 1, 0
        assert _shown(metrics) == _shown(metrics, "llm_pool_provider_in_flight") == {"a", "b"}
        await health.follow({"c": Scripted(), "a": Scripted()})
        assert list(health.all()) == ["c", "a"]  # in this order
        assert health.of("b").state == "checking"
        await asyncio.sleep(60)
        assert _shown(metrics) == {"a", "c"}
        assert _shown(metrics, "llm_pool_provider_in_flight") == {"a"}


async def test_many_changes_leave_one_watch_for_each() -> None:
    async with watch(a=Scripted()) as health:
        for _ in range(50):
            await health.follow({"a": Scripted(), "b": Scripted(healths=["stall"])})
            await asyncio.sleep(0.1)
        assert len(asyncio.all_tasks()) == 1 + 2
    assert len(asyncio.all_tasks()) == 1


# --- One that keeps falling ill ---------------------------------------------------------------------------------


WATCHED_5 = "well again, which is relied upon after 5 s: it fell ill again once within 5 minutes"
WATCHED_10 = "well again, which is relied upon after 10 s: it fell ill again 2 times in a row within 5 minutes"


async def test_a_recovery_after_one_that_did_not_last_is_doubted_for_a_while(caplog: pytest.LogCaptureFixture) -> None:
    """And each change of what is believed is logged once, not each check."""
    caplog.set_level(logging.INFO)
    metrics = Metrics()
    async with watch(a=Scripted(healths=[ILL, WELL, ILL, WELL, ILL, WELL, WELL]), metrics=metrics) as health:
        seen = []
        for _ in range(8):
            await asyncio.sleep(4)
            up = counted(metrics, "llm_pool_provider_up", {"deployment": "a"})
            assert up == (health.of("a").state != "unhealthy")
            seen.append((health.of("a").state, health.of("a").why))
            await asyncio.sleep(1)
    ill = ("unhealthy", "no connection")
    assert seen[:4] == [ill, ("healthy", ""), ill, ("degraded", WATCHED_5)]
    assert seen[4:] == [ill, ("degraded", WATCHED_10), ("degraded", WATCHED_10), ("healthy", "")]
    assert [record.levelname for record in caplog.records] == 3 * ["WARNING", "INFO"] + ["INFO"]


async def test_what_is_known_of_its_illnesses_stays_while_others_change() -> None:
    stays = Scripted(healths=[ILL, WELL, ILL])
    async with watch(a=stays) as health:
        await asyncio.sleep(11)
        await health.follow({"a": stays, "b": Scripted()})
        await asyncio.sleep(5)
        assert health.of("a") == Health("degraded", WATCHED_5, doubted=True)


async def test_one_that_is_watched_still_says_which_models_it_does_not_have() -> None:
    absent = frozenset({"m"})
    async with watch(a=Scripted(healths=[ILL, WELL, ILL, Health("healthy", absent=absent)])) as health:
        await asyncio.sleep(16)
        assert health.of("a") == Health("degraded", WATCHED_5, absent, doubted=True)


# --- Who is told of a recovery ----------------------------------------------------------------------------------


def recoveries(told: list[str]) -> Looked:
    """Notes the names of those that became better."""

    def looked(name: str, _: Health, better: bool) -> None:
        if better:
            told.append(name)

    return looked


@pytest.mark.parametrize("state", ["healthy", "degraded", "checking", "loading"])
async def test_a_recovery_is_told_once_and_with_the_name(state: str) -> None:
    told: list[str] = []
    well = Health(state)  # type: ignore[arg-type]
    async with watch(looked=recoveries(told), a=Scripted(healths=[ILL, ILL, well, well]), b=Scripted()):
        await asyncio.sleep(9)
        assert told == []
        await asyncio.sleep(60)
    assert told == ["a"]


async def test_a_recovery_that_is_doubted_is_told_at_once_and_not_again_when_it_is_believed() -> None:
    told: list[str] = []
    async with watch(looked=recoveries(told), a=Scripted(healths=[ILL, WELL, ILL, WELL, WELL])) as health:
        await asyncio.sleep(14)
        assert told == ["a"]
        await asyncio.sleep(4)
        assert (told, health.of("a").doubted) == (["a", "a"], True)
        await asyncio.sleep(5)
        assert (told, health.of("a").doubted) == (["a", "a"], False)


async def test_every_look_is_told_with_what_is_believed() -> None:
    """Also one that changed nothing, for one that came into being since has not heard it."""
    told: list[tuple[str, Health, bool]] = []
    cold = Health("loading", "cold", cold=frozenset({"m"}))
    looks = Scripted(healths=[cold, cold, ILL, WELL, KeyError("bug"), WELL, WELL])
    async with watch(looked=lambda *look: told.append(look), a=looks):
        await asyncio.sleep(34)
    doubted = Health("degraded", WATCHED_5, doubted=True)
    failed = Health("unhealthy", "its health check failed")
    assert told == [
        ("a", cold, False), ("a", cold, False), ("a", ILL, False), ("a", WELL, True), ("a", failed, False),
        ("a", doubted, True), ("a", WELL, False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "then", "told"),
    [
        ({"m", "n"}, {"n"}, ["a"]),
        ({"m"}, {"n"}, ["a"]),
        ({"m"}, set(), ["a"]),
        ({"m"}, {"m"}, []),
        (set(), {"m"}, []),
    ],
)
async def test_a_model_that_is_there_at_last_is_told_as_well(first: set[str], then: set[str], told: list[str]) -> None:
    heard: list[str] = []
    healths = [Health("healthy", absent=frozenset(absent)) for absent in (first, then, then)]
    async with watch(looked=recoveries(heard), a=Scripted(healths=healths)):
        await asyncio.sleep(14)
    assert heard == told


async def test_falling_ill_is_no_recovery_of_what_was_absent() -> None:
    heard: list[str] = []
    without = Health("healthy", absent=frozenset({"m"}))
    async with watch(looked=recoveries(heard), a=Scripted(healths=[without, ILL])):
        await asyncio.sleep(9)
    assert heard == []


def _shown(metrics: Metrics, gauge: str = "llm_pool_provider_up") -> set[str]:
    return {
        sample.labels["deployment"]
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == gauge
    }
