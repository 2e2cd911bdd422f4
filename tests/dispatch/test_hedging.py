"""When one more is asked: where the tail begins, never for more than the budget, and not for one who is late anyhow."""

from __future__ import annotations

import math
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_pool.config.settings import Qos
from llm_pool.dispatch import hedging as module
from llm_pool.dispatch.hedging import Hedging, Rules

if TYPE_CHECKING:
    from collections.abc import Iterable

PAIR = ("a", "b")
PRIOR = 2.0  # seconds
ABOUT = partial(pytest.approx, rel=0.021)  # a bucket is so wide


def hedging_of(
    mode: Literal["adaptive", "fixed", "off"] = "adaptive", *, prior: float = PRIOR, budget: float = 0.05, seed: int = 1
) -> Hedging:
    return Hedging(Rules(mode, prior=prior, budget=budget), random=Random(seed))


def teach(hedging: Hedging, waits: Iterable[float], key: str = "a") -> None:
    for waited in waits:
        hedging.record(key, waited, hedged=False)


def tail(seconds: float, count: int = 100) -> list[float]:
    """One in ten takes so long, the others a quarter of it."""
    return [seconds if index % 10 == 0 else seconds / 4 for index in range(count)]


def asked_first(hedging: Hedging, times: int = 2000) -> float:
    """The share of requests that ask `a` first."""
    return sum(hedging.first(PAIR) == "a" for _ in range(times)) / times


def some(hedging: Hedging) -> int:
    """Take all there is."""
    return sum(hedging.take() for _ in range(50))


def replayed(hedging: Hedging, pairs: Iterable[tuple[float, float]]) -> tuple[list[float], list[bool]]:
    """Seconds that each caller waited, and who was hedged. A pair is what `a` and `b` would take."""
    waits, hedges = [], []
    for pair in pairs:
        key = hedging.first(PAIR)
        mine, other = pair if key == "a" else pair[::-1]
        delay = hedging.begin(key)
        hedged = mine > delay and hedging.take()
        waited = min(mine, delay + other) if hedged else mine
        hedging.record(key, waited, hedged=hedged)
        waits.append(waited)
        hedges.append(hedged)
    return waits, hedges


def traffic(count: int, *, stalls: float, seed: int = 1) -> list[tuple[float, float]]:
    """Some of `a` take six seconds longer."""
    random = Random(seed)
    return [
        (random.lognormvariate(-0.8, 0.45) + 6.0 * (random.random() < stalls), random.lognormvariate(-0.4, 0.45))
        for _ in range(count)
    ]


# --- The delay --------------------------------------------------------------------------------------------------


def test_the_rules_come_from_the_settings() -> None:
    assert Rules.of(Qos()) == Rules("adaptive", prior=2.0, budget=0.05)
    assert Rules.of(Qos(hedge="off", hedge_after_ms=150, hedge_budget=0.02)) == Rules("off", prior=0.15, budget=0.02)


def test_a_hundred_samples_are_needed_before_the_prior_is_given_up() -> None:
    hedging = hedging_of()
    teach(hedging, tail(1.0, 99))
    assert hedging.begin("a") == PRIOR
    teach(hedging, [1.0])
    assert hedging.begin("a") == ABOUT(1.0)


def test_the_delay_is_the_percentile_that_the_budget_can_pay_for() -> None:
    for budget, slowest in ((0.02, 98), (0.05, 95), (0.1, 90)):
        hedging = hedging_of(budget=budget)
        teach(hedging, [wait / 100 for wait in range(1, 101)])
        assert hedging.begin("a") == ABOUT(slowest / 100)
        assert hedging.begin("a") >= slowest / 100


def test_it_looks_again_every_fifty_samples() -> None:
    hedging = hedging_of()
    teach(hedging, tail(1.0))
    teach(hedging, tail(0.1, 1000))
    teach(hedging, [0.2] * 49)
    assert hedging.begin("a") == ABOUT(0.1)
    teach(hedging, [0.2])
    assert hedging.begin("a") == ABOUT(0.2)


def test_every_key_learns_for_itself() -> None:
    hedging = hedging_of()
    teach(hedging, tail(1.0), "a")
    teach(hedging, tail(0.1), "b")
    assert hedging.begin("a") == ABOUT(1.0)
    assert hedging.begin("b") == ABOUT(0.1)
    assert hedging.begin("c") == PRIOR


def test_one_that_becomes_slow_is_not_waited_for_much_longer_at_first() -> None:
    hedging = hedging_of()
    teach(hedging, tail(1.0, 3000))
    teach(hedging, [20.0] * 50)
    base = 1.0 + (PRIOR - 1.0) * 0.95**59  # 2 s at first, and 5 % nearer each time
    assert hedging.begin("a") == ABOUT(1.5 * (base + 0.01 * (20.0 - base)))


def test_one_that_stays_slow_is_in_the_end_taken_as_it_is() -> None:
    hedging = hedging_of()
    teach(hedging, tail(10.0, 2000))
    assert hedging.begin("a") < 8.0
    teach(hedging, tail(10.0, 6000))
    assert hedging.begin("a") == ABOUT(10.0)
    assert asked_first(hedging) == 1.0


def test_the_base_falls_faster_than_it_rises() -> None:
    hedging = hedging_of()
    teach(hedging, tail(10.0, 8000))
    teach(hedging, tail(1.0, 2000))
    teach(hedging, [10.0] * 100)
    assert hedging.begin("a") < 5.0


def test_among_those_who_all_take_about_as_long_none_is_slow() -> None:
    hedging = hedging_of()
    teach(hedging, [1.0 + index / 1000 for index in range(100)])
    assert hedging.begin("a") == ABOUT(1.5 * 1.05)


@pytest.mark.parametrize("seconds", [0.0007, 0.1, 0.5, 1.0, 1.7])
def test_who_takes_as_long_as_ever_is_neither_hedged_nor_late(seconds: float) -> None:
    """A bucket's middle may be less than the one value that fills it."""
    for waits in ([seconds] * 500, [seconds, seconds / 4] * 250, tail(seconds, 500)):
        hedging = hedging_of()
        teach(hedging, waits)
        assert hedging.begin("a") > seconds
        assert asked_first(hedging) == 1.0


def test_to_become_a_little_slower_is_not_to_be_late() -> None:
    hedging = hedging_of()
    teach(hedging, [1.0] * 2000)
    for _ in range(100):
        teach(hedging, [1.1])
        assert asked_first(hedging, 5) == 1.0


def test_a_fixed_delay_stays_what_it_is() -> None:
    hedging = hedging_of("fixed", prior=0.5)
    teach(hedging, [3.0] * 500)
    assert hedging.begin("a") == 0.5
    assert hedging.take()


@pytest.mark.parametrize(("mode", "budget"), [("off", 0.05), ("adaptive", 0.0), ("fixed", 0.0)])
def test_without_hedges_there_is_no_delay_and_nothing_to_spend(
    mode: Literal["adaptive", "fixed", "off"], budget: float
) -> None:
    hedging = hedging_of(mode, budget=budget)
    teach(hedging, [1.0] * 100)
    assert hedging.begin("a") == math.inf
    assert not hedging.take()


# --- The budget -------------------------------------------------------------------------------------------------


def test_what_is_asked_earns_what_is_spent() -> None:
    hedging = hedging_of()
    assert some(hedging) == 2
    for _ in range(45):
        hedging.begin("a")
    assert some(hedging) == 2
    for _ in range(1000):
        hedging.begin("a")
    assert some(hedging) == 10


@settings(max_examples=25)
@given(
    st.floats(0.01, 0.2),
    st.integers(0, 2**32),
    st.sampled_from(["adaptive", "fixed"]),
    st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3),
)
def test_in_every_window_of_a_thousand_hedges_stay_within_the_budget(
    budget: float, seed: int, mode: Literal["adaptive", "fixed"], stalls: list[float]
) -> None:
    hedging = hedging_of(mode, budget=budget, prior=0.1, seed=seed)
    pairs = [pair for index, share in enumerate(stalls) for pair in traffic(400, stalls=share, seed=seed + index)]
    _, hedges = replayed(hedging, pairs)
    for start in range(len(hedges) - 999):
        assert sum(hedges[start : start + 1000]) <= 1000 * budget + 10 + 1e-9


def test_the_worst_that_can_come_spends_the_budget_and_no_more() -> None:
    _, hedges = replayed(hedging_of("fixed", prior=0.001), traffic(4000, stalls=1.0))
    assert 195 <= sum(hedges) <= 202


# --- Who is late ------------------------------------------------------------------------------------------------


def test_the_best_one_is_asked_first() -> None:
    hedging = hedging_of()
    assert asked_first(hedging) == 1.0
    teach(hedging, [1.0] * 1000)
    assert asked_first(hedging) == 1.0
    assert hedging.first(("only",)) == "only"


def test_who_is_late_is_asked_first_by_one_in_ten() -> None:
    hedging = hedging_of()
    teach(hedging, [9.0] * 30)
    assert asked_first(hedging) == pytest.approx(0.1, abs=0.03)


def test_lateness_is_noticed_after_a_few_requests() -> None:
    hedging = hedging_of()
    teach(hedging, [PRIOR * 1.01] * 8)
    assert asked_first(hedging) == 1.0
    teach(hedging, [PRIOR * 1.01])
    assert asked_first(hedging) < 0.2


def test_one_slow_request_in_ten_is_not_late() -> None:
    hedging = hedging_of()
    for _ in range(50):
        teach(hedging, [*[0.5] * 9, 9.0])
        assert asked_first(hedging, 5) == 1.0


def test_a_hedged_request_was_late_whatever_the_delay_is_now() -> None:
    hedging = hedging_of()
    for _ in range(30):
        hedging.record("a", 1.0, hedged=True)
    assert asked_first(hedging) < 0.2


def test_to_have_waited_exactly_the_delay_is_not_late() -> None:
    hedging = hedging_of()
    teach(hedging, [PRIOR] * 60)
    assert asked_first(hedging) == 1.0


def test_the_next_one_that_is_not_late_is_asked() -> None:
    hedging = hedging_of()
    for key in ("a", "b"):
        teach(hedging, [9.0] * 30, key)
    firsts = {hedging.first(("a", "b", "c", "d")) for _ in range(200)}
    assert firsts == {"a", "c"}


def test_where_all_are_late_the_best_one_is_asked() -> None:
    hedging = hedging_of()
    for key in PAIR:
        teach(hedging, [9.0] * 30, key)
    assert asked_first(hedging) == 1.0


def test_who_is_quick_again_is_asked_again() -> None:
    hedging = hedging_of()
    teach(hedging, [9.0] * 90)
    teach(hedging, [0.5] * 30)
    assert asked_first(hedging) < 0.2
    teach(hedging, [0.5] * 15)
    assert asked_first(hedging) == 1.0


@pytest.mark.parametrize("mode", ["fixed", "off"])
def test_only_where_it_learns_does_it_change_the_order(mode: Literal["fixed", "off"]) -> None:
    hedging = hedging_of(mode)
    teach(hedging, [9.0] * 30)
    assert asked_first(hedging) == 1.0


# --- All together -----------------------------------------------------------------------------------------------


def test_a_tail_is_cut_off() -> None:
    pairs = traffic(6000, stalls=0.03)
    waits, hedges = replayed(hedging_of(), pairs)
    assert sorted(waits)[-60] < 0.5 * sorted(mine for mine, _ in pairs)[-60]
    assert sum(hedges) < 0.05 * len(pairs)


def test_an_incident_is_gone_around_and_its_end_is_noticed() -> None:
    hedging = hedging_of()
    replayed(hedging, traffic(3000, stalls=0.03))
    waits, _ = replayed(hedging, traffic(1000, stalls=0.6))
    assert sum(waited > 5.0 for waited in waits) < 100
    assert asked_first(hedging) < 0.2
    replayed(hedging, traffic(1000, stalls=0.0))
    assert asked_first(hedging) == 1.0


def test_the_same_seed_decides_the_same() -> None:
    pairs = traffic(1500, stalls=0.4)
    assert replayed(hedging_of(seed=7), pairs) == replayed(hedging_of(seed=7), pairs)
    assert replayed(hedging_of(seed=7), pairs) != replayed(hedging_of(seed=8), pairs)


# --- Other rules ------------------------------------------------------------------------------------------------


def test_other_rules_hold_at_once_and_what_was_learned_stays() -> None:
    hedging = hedging_of()
    teach(hedging, tail(1.0))
    learned = hedging.begin("a")
    for mode, delay in (("off", math.inf), ("fixed", 0.7), ("adaptive", learned)):
        hedging.rules = Rules.of(Qos.model_validate({"hedge": mode, "hedge_after_ms": 700}))
        assert hedging.rules.mode == mode
        assert hedging.begin("a") == delay
    assert hedging.begin("new") == 0.7


def test_who_has_not_learned_enough_goes_by_the_new_prior() -> None:
    hedging = hedging_of()
    teach(hedging, tail(1.0, 50))
    hedging.rules = Rules("adaptive", prior=0.3, budget=0.05)
    assert hedging.begin("a") == 0.3
    teach(hedging, tail(1.0, 50))
    assert hedging.begin("a") == ABOUT(1.5 * (0.3 + 0.01 * 0.7))  # where the base begins


def test_it_learns_also_while_it_does_not_hedge() -> None:
    hedging = hedging_of("off")
    teach(hedging, tail(1.0))
    hedging.rules = Rules("adaptive", prior=PRIOR, budget=0.05)
    assert hedging.begin("a") == ABOUT(1.0)


def test_a_short_fixed_delay_makes_nobody_late_for_later() -> None:
    hedging = hedging_of("fixed", prior=2.0)
    teach(hedging, [1.0] * 100)
    hedging.rules = Rules("fixed", prior=0.2, budget=0.05)
    for _ in range(60):
        hedging.record("a", 0.5, hedged=True)
    hedging.rules = Rules("adaptive", prior=2.0, budget=0.05)
    assert asked_first(hedging) == 1.0


def test_another_budget_earns_another_share() -> None:
    hedging = hedging_of()
    some(hedging)
    hedging.rules = Rules("adaptive", prior=PRIOR, budget=0.5)
    for _ in range(8):
        hedging.begin("a")
    assert some(hedging) == 4


def test_keys_are_bounded_and_those_that_go_on_learning_are_kept() -> None:
    hedging = hedging_of()
    teach(hedging, tail(0.1), "kept")
    for index in range(module.MOST_KEYS - 1):
        hedging.record(index, 1.0, hedged=False)
    teach(hedging, tail(0.1, 50), "kept")
    for index in range(module.MOST_KEYS - 1):
        hedging.record(-index - 1, 1.0, hedged=False)
    assert len(hedging._known) == module.MOST_KEYS
    assert hedging.begin("kept") == ABOUT(0.1)
    assert 5 not in hedging._known


def test_what_is_so_quick_is_not_worth_a_second_question() -> None:
    hedging = Hedging(Rules("adaptive", prior=0.012, budget=0.5), random=Random(0))
    for _ in range(5_000):
        hedging.begin("key")
        hedging.record("key", 0.0001, hedged=False)
    assert hedging.delay("key") == 0.01
