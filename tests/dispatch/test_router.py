"""Who may answer, in which order: shares of traffic, tasks, names, wildcards and health."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.core.ports.provider import Health
from llm_pool.core.trace import Trace
from llm_pool.core.types import Request
from llm_pool.dispatch.balance import balance_of
from llm_pool.dispatch.router import Deployment, Router
from tests.scripted import InOrder, Scripted, standing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_pool.core.ports.provider import State

STATES: tuple[State, ...] = ("healthy", "degraded", "unhealthy", "checking", "loading")


def deployment(
    name: str,
    *,
    model: str = "sim/m",
    upstream: str = "m",
    tasks: tuple[str, ...] = ("chat", "judge"),
    weight: float = 1.0,
    fallback: bool = False,
) -> Deployment:
    return Deployment(
        name=name,
        model=model,
        upstream=upstream,
        provider=Scripted(),
        standing=standing(name, model),
        tasks=frozenset(tasks),
        weight=weight,
        fallback=fallback,
    )


def router(*deployments: Deployment, states: Mapping[str, State] | None = None, random: Random | None = None) -> Router:
    known = states or {}
    balance = balance_of("latency", random=random or InOrder(), now=lambda: 0.0)
    return Router(deployments, health=lambda name: Health(known.get(name, "healthy")), balance=balance)


def candidates(pool: Router, request: Request) -> list[Deployment]:
    """Everybody, in the order to be asked."""
    plan = pool.plan(request)
    return [*plan.ready, *plan.fallbacks, *plan.unhealthy]


def asked(task: str = "chat", model: str | None = None) -> Request:
    return Request(id="test", messages=(), deadline=1.0, trace=Trace(started=0.0), task=task, model=model)


def names(found: list[Deployment]) -> list[str]:
    return [each.name for each in found]


# --- Shares -----------------------------------------------------------------------------------------------------


def test_a_weight_is_a_share_of_the_traffic() -> None:
    weights = {"a": 1.0, "b": 3.0, "c": 6.0}
    pool = router(*(deployment(name, weight=weight) for name, weight in weights.items()), random=Random(7))
    rounds = 20_000
    first = dict.fromkeys(weights, 0)
    for _ in range(rounds):
        first[candidates(pool, asked())[0].name] += 1
    for name, weight in weights.items():
        assert first[name] / rounds == pytest.approx(weight / 10, abs=0.015)  # more than four standard deviations


def test_of_those_that_are_left_each_has_its_share_of_the_rest() -> None:
    pool = router(*(deployment(name, weight=w) for name, w in [("a", 6.0), ("b", 3.0), ("c", 1.0)]), random=Random(7))
    drawn = [names(candidates(pool, asked())) for _ in range(20_000)]
    second = [order[1] for order in drawn if order[0] == "a"]
    assert second.count("b") / len(second) == pytest.approx(0.75, abs=0.02)


def test_equal_seeds_draw_equal_orders() -> None:
    def drawn(seed: int) -> list[list[str]]:
        pool = router(*(deployment(name) for name in "abcd"), random=Random(seed))
        return [names(candidates(pool, asked())) for _ in range(10)]

    assert drawn(1) == drawn(1) != drawn(2)


@given(
    st.lists(st.tuples(st.floats(1e-6, 1e6), st.booleans(), st.sampled_from(STATES)), min_size=1, max_size=8),
    st.integers(),
)
def test_every_candidate_is_there_once_and_in_its_tier(given_: list[tuple[float, bool, State]], seed: int) -> None:
    deployments = [
        deployment(str(index), weight=weight, fallback=fallback) for index, (weight, fallback, _) in enumerate(given_)
    ]
    states = {str(index): state for index, (_, _, state) in enumerate(given_)}
    found = candidates(router(*deployments, states=states, random=Random(seed)), asked())
    assert sorted(names(found)) == sorted(states)
    tiers = [1 if each.fallback else 2 if states[each.name] == "unhealthy" else 0 for each in found]
    assert tiers == sorted(tiers)


class Extreme(Random):
    """The least and the greatest number that chance may give."""

    def __init__(self, *drawn: float) -> None:
        super().__init__()
        self._left = list(drawn)

    def random(self) -> float:
        return self._left.pop(0)


def test_no_draw_is_out_of_range() -> None:
    pool = router(deployment("a"), deployment("b"), random=Extreme(1 - 2**-53, 0.0, 0.0))
    assert names(candidates(pool, asked())) == ["b", "a"]


# --- Tasks and names --------------------------------------------------------------------------------------------


def test_a_deployment_serves_its_tasks() -> None:
    pool = router(deployment("a", tasks=("judge", "chat")), deployment("b"), deployment("c", tasks=("judge",)))
    assert names(candidates(pool, asked())) == ["a", "b"]
    assert names(candidates(pool, asked("judge"))) == ["a", "b", "c"]
    assert names(candidates(pool, asked("another"))) == []
    assert names(candidates(router(deployment("a", tasks=("judge",))), asked())) == []


def test_a_named_model_is_asked_whatever_its_tasks() -> None:
    pool = router(deployment("a", tasks=("judge",)), deployment("b", model="sim/other", upstream="other"))
    assert names(candidates(pool, asked(model="sim/m"))) == ["a"]
    assert names(candidates(pool, asked(model="sim/other"))) == ["b"]
    assert names(candidates(pool, asked(model="sim/none"))) == []


def test_tables_of_one_id_are_deployments_of_one_model() -> None:
    pool = router(deployment("a"), deployment("b"), states={"a": "unhealthy"})
    assert names(candidates(pool, asked(model="sim/m"))) == ["b", "a"]


def test_a_wildcard_serves_any_model_by_name_and_is_never_balanced() -> None:
    pool = router(deployment("any", model="open/*", upstream="*"), deployment("b"))
    assert names(candidates(pool, asked())) == ["b"]
    [found] = candidates(pool, asked(model="open/meta/llama"))
    assert (found.name, found.model, found.upstream) == ("any", "open/meta/llama", "meta/llama")
    assert candidates(pool, asked(model="other/x")) == []


def test_a_model_that_has_a_table_of_its_own_does_not_go_to_the_wildcard() -> None:
    pool = router(deployment("any", model="sim/*", upstream="*"), deployment("b"))
    assert names(candidates(pool, asked(model="sim/m"))) == ["b"]
    assert names(candidates(pool, asked(model="sim/x"))) == ["any"]


def test_a_named_fallback_is_a_candidate_like_any_other() -> None:
    pool = router(
        deployment("a", fallback=True),
        deployment("b", fallback=True, model="any/*", upstream="*"),
    )
    for model in ("sim/m", "any/x"):
        assert [each.fallback for each in candidates(pool, asked(model=model))] == [False]
    assert [each.fallback for each in candidates(pool, asked())] == [True]


def test_health_is_looked_at_each_time() -> None:
    states: dict[str, State] = {"a": "checking"}
    pool = router(deployment("a"), deployment("b"), states=states)
    assert names(candidates(pool, asked())) == ["a", "b"]
    states["a"] = "unhealthy"
    assert names(candidates(pool, asked())) == ["b", "a"]
    states["a"] = "healthy"
    assert names(candidates(pool, asked())) == ["a", "b"]


def test_an_engine_without_a_model_is_told_from_one_also_where_it_is_named() -> None:
    """A fallback that is named is what was asked for; no language model is less than one, whoever asked."""
    engine = Deployment("a", "builtin/extractive", "extractive", Scripted(), standing(), fallback=True, model_free=True)
    model = deployment("b", fallback=True)
    pool = router(engine, model)
    assert [each.degraded for each in (engine, model)] == ["fallback", "fallback"]
    assert [each.degraded for each in candidates(pool, asked(model="builtin/extractive"))] == ["no language model"]
    assert [each.degraded for each in candidates(pool, asked(model="sim/m"))] == [""]
