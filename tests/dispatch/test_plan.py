"""Tier by tier: who is ready, full, a stand-in, ill, or must not be asked; and who is asked in panic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.core.errors import ProviderMisconfigured, ProviderUnavailable
from llm_pool.core.ports.provider import Health
from llm_pool.core.trace import Trace
from llm_pool.core.types import Request
from llm_pool.dispatch.balance import balance_of
from llm_pool.dispatch.quota import Allowed
from llm_pool.dispatch.router import Deployment, Plan, Router
from llm_pool.dispatch.standing import Standing, Terms
from llm_pool.telemetry.metrics import Metrics
from tests.scripted import InOrder, Scripted

if TYPE_CHECKING:
    from collections.abc import Iterable

HOW = (
    "well",
    "open",
    "probing",
    "held",
    "cooling",
    "misconfigured",
    "spent",
    "full",
    "fallback",
    "ill",
    "open fallback",
    "doubted",
    "doubted fallback",
)


class World:
    """Deployments of one model, each in a state of its own, on one clock."""

    def __init__(self, **how: str) -> None:
        self.at = 100.0
        self.ill = {name for name, state in how.items() if state == "ill"}
        self.doubted = {name for name, state in how.items() if "doubted" in state}
        self.all = {name: self.made(name, state) for name, state in how.items()}
        self.router = Router(
            self.all.values(),
            health=lambda name: Health("unhealthy" if name in self.ill else "healthy", doubted=name in self.doubted),
            balance=balance_of("priority", random=InOrder(), now=lambda: self.at),
        )

    def made(self, name: str, how: str) -> Deployment:
        terms = Terms(
            max_concurrent=1 if how == "full" else None,
            quota=Allowed(requests_per_minute=1) if how == "spent" else Allowed(),
        )
        standing = Standing(name, "sim/m", terms, metrics=Metrics(), now=lambda: self.at, random=InOrder())
        match how:
            case "open" | "open fallback":
                self.open(standing)
            case "probing":
                self.open(standing)
                self.at += 60.0
                for _ in range(3):
                    standing.begin("chat", tokens=0, panic=False)
            case "held":
                standing.operate("open")
            case "open and cooling":
                self.open(standing)
                standing.cooldown.limited(60.0)
            case "cooling":
                standing.cooldown.limited(60.0)
            case "misconfigured":
                standing.cooldown.misconfigured(ProviderMisconfigured("who are you"))
            case "spent":
                standing.begin("chat", tokens=0, panic=False)
            case "full":
                assert standing.slots is not None
                standing.slots.enter_now()
            case _:
                pass
        return Deployment(
            name, "sim/m", "m", Scripted(), standing,
            tasks=frozenset({"chat"}), fallback="fallback" in how, priority=len(name),
        )  # fmt: skip

    def open(self, standing: Standing) -> None:
        for _ in range(10):
            breaker, permit = standing.begin("chat", tokens=0, panic=False)
            breaker.ended(permit, "failure")
            standing.load.end()

    def plan(self, model: str | None = None) -> Plan:
        asked = Request(id="test", messages=(), deadline=1e9, trace=Trace(started=0.0), task="chat", model=model)
        return self.router.plan(asked)


def names(some: Iterable[Deployment]) -> list[str]:
    return [each.name for each in some]


def refused(plan: Plan) -> list[str]:
    return [each.name for each, _ in plan.refused]


# --- Tiers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [None, "sim/m"])
def test_each_has_its_tier(model: str | None) -> None:
    world = World(a="well", b="open", c="held", d="cooling", e="misconfigured", f="spent", g="full", h="ill")
    plan = world.plan(model)
    assert names(plan.ready) == ["a", "g"]
    assert names(plan.unhealthy) == ["h"]
    assert refused(plan) == ["b", "c", "d", "e", "f"]
    assert plan.desperate is None
    assert [type(why) for _, why in plan.refused] == [
        ProviderUnavailable, ProviderUnavailable, ProviderUnavailable, ProviderMisconfigured, ProviderUnavailable,
    ]  # fmt: skip


def test_a_fallback_is_ready_for_nobody_but_who_names_it() -> None:
    world = World(a="well", b="fallback")
    assert names(world.plan().ready) == ["a"]
    assert names(world.plan().fallbacks) == ["b"]
    named = world.plan("sim/m")
    assert sorted(names(named.ready)) == ["a", "b"]
    assert named.fallbacks == []


def test_the_full_come_after_the_free_whatever_the_balance_thinks_of_them() -> None:
    world = World(a="full", bb="full", ccc="well", dddd="well")
    assert names(world.plan().ready) == ["ccc", "dddd", "a", "bb"]


def test_the_doubted_come_after_all_others_but_before_fallbacks_and_the_ill() -> None:
    world = World(a="doubted", bb="doubted", ccc="full", dddd="well", e="fallback", f="ill")
    plan = world.plan()
    assert names(plan.ready) == ["dddd", "ccc", "a", "bb"]
    assert (names(plan.fallbacks), names(plan.unhealthy)) == (["e"], ["f"])


def test_a_doubted_one_that_is_alone_is_asked_as_if_it_were_not() -> None:
    world = World(a="doubted")
    assert world.plan().alone is world.all["a"]
    assert world.plan() is world.plan()


def test_a_doubted_fallback_is_a_fallback() -> None:
    plan = World(a="well", b="doubted fallback").plan()
    assert (names(plan.ready), names(plan.fallbacks)) == (["a"], ["b"])


def test_one_that_does_not_have_the_model_is_as_good_as_ill() -> None:
    for absent, ill in (({"m"}, ["bb"]), ({"sim/m", "n"}, [])):
        world = World(a="well", bb="well")
        health = {"a": Health("healthy"), "bb": Health("degraded", absent=frozenset(absent), doubted=True)}
        world.router._health = health.__getitem__
        assert names(world.plan().unhealthy) == ill


def test_the_only_one_is_asked_though_it_is_ill() -> None:
    assert names(World(a="ill").plan().ready) == ["a"]
    assert names(World(a="ill", b="open").plan().unhealthy) == ["a"]


def test_an_open_fallback_is_refused_like_any_other() -> None:
    plan = World(a="well", b="open fallback").plan()
    assert (names(plan.fallbacks), refused(plan)) == ([], ["b"])


@pytest.mark.parametrize(
    ("how", "alone"),
    [
        ({"a": "well"}, True),
        ({"a": "full"}, True),
        ({"a": "well", "b": "open"}, True),
        ({"a": "well", "b": "ill"}, True),
        ({"a": "well", "b": "fallback"}, False),
        ({"a": "well", "b": "well"}, False),
        ({"a": "well", "b": "doubted"}, False),
        ({"a": "open"}, False),
        ({"a": "fallback"}, False),
    ],
)
def test_one_is_alone_where_there_is_nobody_to_ask_beside_or_after_it(how: dict[str, str], alone: bool) -> None:
    assert (World(**how).plan().alone is not None) == alone


@given(st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(HOW), max_size=6))
def test_everybody_is_in_exactly_one_tier(how: dict[str, str]) -> None:
    plan = World(**how).plan()
    tiers = [*names(plan.ready), *names(plan.fallbacks), *names(plan.unhealthy), *refused(plan)]
    assert sorted(tiers) == sorted(how)
    if plan.desperate is not None:
        assert plan.desperate.name in refused(plan)
        assert not plan.ready
        assert how[plan.desperate.name] in {"open", "probing", "open fallback"}
    for each in (*plan.ready, *plan.fallbacks, *plan.unhealthy):
        assert each.standing.refusal("chat") is None


# --- What is remembered of one who is alone ---------------------------------------------------------------------


def test_who_is_alone_is_not_asked_when_its_breaker_has_opened_since() -> None:
    world = World(a="well")
    assert world.plan() is world.plan()
    world.open(world.all["a"].standing)
    assert (names(world.plan().ready), refused(world.plan())) == ([], ["a"])
    world.at += 60.0
    assert names(world.plan().ready) == ["a"]


def test_who_is_alone_for_one_task_may_be_out_for_another() -> None:
    world = World(a="well")
    deployment = world.all["a"]
    deployment.standing.adopt(Terms(per_task=True))
    assert names(world.plan().ready) == ["a"]
    world.open(deployment.standing)
    assert refused(world.plan()) == ["a"]


# --- Panic ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "asked"),
    [
        ({"a": "open"}, None),  # its breaker is obeyed
        ({"a": "open", "b": "open"}, "a"),
        ({"a": "open", "b": "cooling"}, None),
        ({"a": "open", "b": "held"}, None),
        ({"a": "held", "b": "held"}, None),
        ({"a": "open and cooling", "b": "open and cooling"}, None),
        ({"a": "cooling", "b": "cooling"}, None),
        ({"a": "open", "b": "open", "c": "ill"}, None),
        ({"a": "open", "b": "open", "c": "well"}, None),
        ({"a": "open", "b": "open", "c": "full"}, None),
        ({"a": "open", "b": "open", "c": "fallback"}, "a"),  # once the fallback has failed
        ({"a": "open", "b": "open fallback"}, "a"),
    ],
)
def test_where_all_are_open_one_is_asked_all_the_same(how: dict[str, str], asked: str | None) -> None:
    desperate = World(**how).plan().desperate
    assert (desperate.name if desperate else None) == asked


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_it_is_the_one_that_is_tried_soonest(order: str) -> None:
    world = World(**dict.fromkeys(order, "well"))
    for name in order:
        world.open(world.all[name].standing)
        world.at += 1.0
    assert (world.plan().desperate or world.all[order[1]]).name == order[0]


def test_one_whose_quota_is_spent_is_not_asked_in_panic() -> None:
    """It would only say 429."""
    world = World(a="open", b="open")
    spent: Any = world.all["a"].standing
    spent.adopt(Terms(quota=Allowed(requests_per_minute=1)))
    spent.quota.begin(0)
    desperate = world.plan().desperate
    assert desperate is None or desperate.name == "b"
