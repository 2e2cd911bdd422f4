"""Who is asked first: what a load knows, and the five orders of `qos.balance`."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.config.settings import Qos
from llm_pool.dispatch.balance import BETTER, EXPLORE, FADES, SETS, SILENT, WINDOW, WORSE, Load, RoundRobin, balance_of
from tests.scripted import InOrder

if TYPE_CHECKING:
    from llm_pool.dispatch.balance import Balance, Mode

MODES: tuple[Mode, ...] = get_args(Qos.model_fields["balance"].annotation)
CHANCE: tuple[Mode, ...] = tuple(mode for mode in MODES if mode != "round_robin")


class Time:
    def __init__(self) -> None:
        self.now = 100.0
        self.step = 0.0  # how far it runs on when it is read

    def __call__(self) -> float:
        self.now += self.step
        return self.now


TIME = Time()  # of all whose time does not matter


@dataclass(frozen=True, slots=True, eq=False)
class Some:
    name: str
    weight: float = 1.0
    priority: int = 0
    loading: bool = False
    load: Load = field(default_factory=lambda: Load(now=TIME))

    def knows(self, seconds: float, *, under_way: int = 0) -> Some:
        """It has spoken after so long, and has so many calls now."""
        self.load.begin()
        self.load.first_token(seconds)
        self.load.end()
        return self.busy(under_way)

    def busy(self, calls: int) -> Some:
        for _ in range(calls):
            self.load.begin()
        return self


class Drawing(Random):
    """Draws these numbers, and none after them."""

    def __init__(self, *numbers: float) -> None:
        super().__init__()
        self.left = list(numbers)

    def random(self) -> float:
        return self.left.pop(0)


def balance(mode: Mode, random: Random | None = None) -> Balance:
    return balance_of(mode, random=random or InOrder(), now=TIME)


def names(found: list[Some]) -> str:
    return "".join(each.name for each in found)


def firsts(mode: Mode, *some: Some, rounds: int = 20_000) -> dict[str, float]:
    """The share of the rounds in which each was first."""
    choices = balance(mode, Random(7))
    return {
        name: number / rounds for name, number in Counter(choices.order(some)[0].name for _ in range(rounds)).items()
    }


# --- What a load knows ------------------------------------------------------------------------------------------


def test_nothing_is_known_at_first_and_its_first_call_is_a_penalty_until_it_speaks() -> None:
    load = Load(now=TIME)
    assert load.latency_at(load._now()) == 0
    load.begin()
    assert load.latency_at(load._now()) == SILENT
    load.first_token(0.4)
    assert load.latency_at(load._now()) == 0.4
    load.end()
    assert load.latency_at(load._now()) == 0.4


def test_calls_under_way_are_counted_and_one_that_never_spoke_leaves_nothing_known() -> None:
    load = Load(now=TIME)
    load.begin()
    load.begin()
    assert load.outstanding == 2
    load.end()
    assert load.outstanding == 1
    load.end()
    assert (load.latency_at(load._now()), load.outstanding) == (0, 0)


def test_a_sample_weighs_by_the_time_since_the_one_before() -> None:
    time = Time()
    load = Load(now=time)
    load.begin()
    load.first_token(1.0)
    time.now += 0.05 * WINDOW
    load.first_token(2.0)
    expected = 2.0 - math.exp(-0.05)
    assert load.latency_at(load._now()) == pytest.approx(expected)
    load.first_token(50.0)  # at the same instant: no more than one sample of many
    assert load.latency_at(load._now()) == pytest.approx(expected)
    time.now += 0.2 * WINDOW
    load.first_token(0.5)
    assert load.latency_at(load._now()) == pytest.approx(0.5 + (expected - 0.5) * math.exp(-0.2))


def test_no_single_sample_weighs_much_and_a_good_one_more_than_a_bad_one() -> None:
    time = Time()
    load = Load(now=time)
    load.begin()
    load.first_token(1.0)
    time.now += 100 * WINDOW
    load.first_token(21.0)
    assert load.latency_at(load._now()) == pytest.approx(1.0 + 20 * WORSE)
    time.now += 100 * WINDOW
    load.first_token(1.0)
    assert load.latency_at(load._now()) == pytest.approx(1.0 + 20 * WORSE * (1 - BETTER))


def test_what_took_no_time_is_known() -> None:
    load = Load(now=TIME)
    load.begin()
    load.first_token(0.0)
    assert load.latency_at(load._now()) == 0


def test_what_is_known_fades_while_it_is_idle_and_only_then() -> None:
    time = Time()
    load = Load(now=time)
    load.begin()
    load.first_token(1.0)
    time.now += 10 * FADES
    assert load.latency_at(load._now()) == 1.0
    load.end()
    assert load.latency_at(load._now()) == 1.0
    time.now += FADES
    assert load.latency_at(load._now()) == pytest.approx(1 / math.e)
    load.begin()
    assert load.latency_at(load._now()) == 1.0


def test_of_two_calls_the_end_of_the_last_begins_the_idle_time() -> None:
    time = Time()
    load = Load(now=time)
    load.begin()
    load.begin()
    load.first_token(1.0)
    load.end()
    time.now += FADES
    load.end()
    assert load.latency_at(load._now()) == 1.0


def test_silence_counts_where_it_is_longer_than_was_expected() -> None:
    time = Time()
    load = Load(now=time)
    load.begin()
    load.first_token(2.0)
    time.now += WINDOW
    load.silent(1.0)
    assert load.latency_at(load._now()) == 2.0
    load.silent(3.0)
    assert load.latency_at(load._now()) == pytest.approx(2.0 + WORSE)


def test_the_silence_of_one_that_never_spoke_counts_until_it_speaks() -> None:
    load = Load(now=TIME)
    load.begin()
    load.silent(9.0)
    load.silent(1.0)
    assert load.latency_at(load._now()) == SILENT
    load.end()
    assert load.latency_at(load._now()) == 9.0
    load.begin()
    load.first_token(0.5)
    assert load.latency_at(load._now()) == 0.5


@given(st.lists(st.tuples(st.floats(0.001, 100), st.floats(0, 1_000)), min_size=1, max_size=30))
def test_a_mean_stays_within_what_was_measured(samples: list[tuple[float, float]]) -> None:
    time = Time()
    load = Load(now=time)
    load.begin()
    for seconds, later in samples:
        load.first_token(seconds)
        time.now += later
    measured = [seconds for seconds, _ in samples]
    assert min(measured) * (1 - 1e-9) <= load.latency_at(load._now()) <= max(measured) * (1 + 1e-9)


# --- What all orders have in common -----------------------------------------------------------------------------


@given(
    mode=st.sampled_from(MODES),
    some=st.lists(
        st.tuples(st.floats(0.01, 9), st.integers(0, 2), st.booleans(), st.none() | st.floats(0, 9), st.integers(0, 5)),
        max_size=6,
    ),
    seed=st.integers(),
)
def test_every_candidate_is_in_the_order_once(
    mode: Mode, some: list[tuple[float, int, bool, float | None, int]], seed: int
) -> None:
    """Also where two have the same name, as two models of one table have."""
    candidates = []
    for at, (weight, priority, cold, known, calls) in enumerate(some):
        each = Some(str(at % 4), weight, priority, cold)
        candidates.append(each.busy(calls) if known is None else each.knows(known, under_way=calls))
    before = list(candidates)
    choices = balance(mode, Random(seed))
    for _ in range(3):
        ordered = choices.order(candidates)
        assert sorted(map(id, ordered)) == sorted(map(id, before))
        assert candidates == before  # it is a new list


@pytest.mark.parametrize("mode", MODES)
def test_where_there_is_no_choice_nothing_is_drawn(mode: Mode) -> None:
    only = Some("a")
    choices = balance(mode, Drawing())
    assert choices.order([only]) == [only]
    none: list[Some] = []
    assert choices.order(none) == []


@pytest.mark.parametrize("mode", CHANCE)
def test_among_equals_the_lower_number_is_first_and_each_draws_one_in_turn(mode: Mode) -> None:
    explores = [0.0] if mode in {"latency", "priority"} else []
    drawing = Drawing(0.5, 0.1, 0.9, *explores)
    assert names(balance(mode, drawing).order([Some("a"), Some("b"), Some("c")])) == "bac"
    assert drawing.left == []


@pytest.mark.parametrize("mode", CHANCE)
def test_equals_share_by_weight(mode: Mode) -> None:  # their order is drawn anew each time
    some = [Some("a", 1.0), Some("b", 3.0), Some("c", 6.0)]
    if mode == "least_outstanding":  # a weight is what one can carry: it counts before chance does
        some = [Some("a").busy(1), Some("b").busy(1), Some("c").busy(1)]
    shares = firsts(mode, *some)
    expected = {each.name: each.weight / sum(other.weight for other in some) for each in some}
    assert shares == pytest.approx(expected, abs=0.02)


# --- The orders -------------------------------------------------------------------------------------------------


def test_latency_asks_who_speaks_soonest() -> None:
    assert names(balance("latency").order([Some("a").knows(0.9), Some("b").knows(0.3), Some("c").knows(0.6)])) == "bca"


def test_latency_multiplies_by_what_is_under_way_and_divides_by_weight() -> None:
    some = [
        Some("a").knows(0.3, under_way=3),  # 1.2
        Some("b").knows(1.0),  # 1.0
        Some("c", weight=4.0).knows(1.0, under_way=2),  # 0.75
        Some("d", weight=0.5).knows(0.55),  # 1.1
    ]
    assert names(balance("latency").order(some)) == "cbda"


def test_latency_gives_one_that_is_new_a_single_call_at_first() -> None:
    new, known, slow = Some("a"), Some("b").knows(2.0), Some("c").knows(90.0)
    assert names(balance("latency").order([slow, known, new])) == "abc"
    new.load.begin()
    assert names(balance("latency").order([new, slow, known])) == "bca"
    new.load.first_token(1.0)  # 1.0 x 2 calls: as good as b, and it is drawn before
    assert names(balance("latency").order([new, slow, known])) == "abc"


def test_latency_looks_at_all_loads_at_one_instant() -> None:
    """Equals stay equal though the clock runs on while they are compared."""
    time = Time()
    some = [Some(name, load=Load(now=time)).knows(1.0) for name in "ab"]
    time.step = 0.1
    choices = balance_of("latency", random=Drawing(0.1, 0.9, 0.0), now=time)
    assert names(choices.order(some)) == "ab"


def test_one_that_was_slow_is_tried_again_after_a_while() -> None:
    time = Time()
    fast, slow = (Some(name, load=Load(now=time)).knows(seconds) for name, seconds in [("a", 1.0), ("b", math.e)])
    choices = balance_of("latency", random=InOrder(), now=time)
    for later, first in [(0.9 * FADES, "a"), (0.2 * FADES, "b")]:
        time.now += later
        fast.knows(1.0)  # it is asked all the time
        assert choices.order([fast, slow])[0].name == first


def test_latency_explores_two_times_in_a_hundred() -> None:
    best, *others = Some("a").knows(0.1), Some("b").knows(1.0), Some("c").knows(1.0), Some("d").knows(1.0)
    shares = firsts("latency", best, *others)
    assert all(shares[each.name] == pytest.approx(EXPLORE / 4, abs=0.003) for each in others)


@pytest.mark.parametrize(("drawn", "order"), [((0.9799,), "abc"), ((0.98, 0.5), "bac"), ((0.98, 0.99), "cab")])
def test_the_explored_one_goes_first_and_the_others_keep_their_order(drawn: tuple[float, ...], order: str) -> None:
    drawing = Drawing(0.9, 0.5, 0.1, *drawn)
    some = [Some("a").knows(0.1), Some("b").knows(0.2), Some("c").knows(0.3)]
    assert names(balance("latency", drawing).order(some)) == order
    assert drawing.left == []


def test_weight_alone_does_not_look_at_loads() -> None:
    some = [Some("a", 1.0), Some("b", 3.0).knows(9.0, under_way=9)]
    assert firsts("weighted", *some)["b"] == pytest.approx(0.75, abs=0.015)


def test_least_outstanding_asks_who_has_least_to_do_for_its_weight() -> None:
    some = [Some("a").busy(1), Some("b", 4.0).busy(4), Some("c", 0.4), Some("d", 2.0).busy(2).knows(0.1)]
    assert names(balance("least_outstanding").order(some)) == "bdac"  # 5/4, 3/2, 2, 1/0.4


def test_priority_asks_the_lowest_first_and_within_one_who_speaks_soonest() -> None:
    some = [
        Some("a", priority=1).knows(0.1),
        Some("b", priority=0).knows(9.0, under_way=5),
        Some("c", priority=1),
        Some("d", priority=0).knows(1.0),
    ]
    assert names(balance("priority").order(some)) == "dbca"


@pytest.mark.parametrize(("drawn", "order"), [((0.97,), "dba"), ((0.98, 0.49), "dba"), ((0.98, 0.99), "bda")])
def test_priority_explores_within_the_lowest(drawn: tuple[float, ...], order: str) -> None:
    some = [Some("a", priority=2), Some("b", priority=1).knows(3.0), Some("d", priority=1).knows(1.0)]
    assert names(balance("priority", Drawing(0.5, 0.5, 0.5, *drawn)).order(some)) == order


# --- Taking turns -----------------------------------------------------------------------------------------------


def turns(choices: Balance, some: list[Some], rounds: int) -> str:
    return "".join(choices.order(some)[0].name for _ in range(rounds))


def test_a_round_robin_spreads_the_turns_of_the_heavy_one() -> None:
    """The example of nginx: weights 5, 1, 1."""
    some = [Some("a", 5.0), Some("b"), Some("c")]
    assert turns(balance("round_robin"), some, 14) == "aabacaa" * 2


def test_a_round_robin_names_who_comes_next_as_second() -> None:
    choices, some = balance("round_robin"), [Some("a"), Some("b"), Some("c")]
    assert [names(choices.order(some)) for _ in range(3)] == ["abc", "bca", "cab"]


@given(st.lists(st.integers(1, 9), min_size=2, max_size=5))
def test_in_every_round_each_is_first_as_often_as_it_weighs(weights: list[int]) -> None:
    some = [Some(str(at), float(weight)) for at, weight in enumerate(weights)]
    choices = balance("round_robin")
    for _ in range(2):
        counted = Counter(turns(choices, some, sum(weights)))
        assert [counted[each.name] for each in some] == weights


def test_each_set_of_candidates_takes_turns_of_its_own() -> None:
    choices = balance("round_robin")
    a, b, c = Some("a"), Some("b"), Some("c")
    assert turns(choices, [a, b], 1) == "a"
    assert turns(choices, [a, b, c], 1) == "a"
    assert turns(choices, [a, b], 1) == "b"
    assert turns(choices, [a, b, c], 2) == "bc"


def test_two_of_one_name_take_turns() -> None:
    choices, some = balance("round_robin"), [Some("a"), Some("a")]
    assert [choices.order(some)[0] for _ in range(4)] == some * 2


def test_a_round_robin_forgets_the_oldest_sets() -> None:
    choices, some = RoundRobin(), [Some("a"), Some("b")]
    assert turns(choices, some, 1) == "a"
    others = [[Some("a"), Some(str(number))] for number in range(SETS)]
    for other in others[:-1]:
        choices.order(other)
    assert turns(choices, some, 2) == "ba"
    choices.order(others[-1])
    assert turns(choices, some, 1) == "a"
