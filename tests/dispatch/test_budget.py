"""The budget: extra requests are a share of all, however they come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.dispatch.budget import CAP, INITIAL, Budget

SHARES = st.floats(0.0, 1.0)


def spent(budget: Budget) -> int:
    """Take all there is."""
    count = 0
    while budget.take():
        count += 1
    return count


def test_it_begins_with_two() -> None:
    assert Budget(0.05).tokens == INITIAL == 2.0
    assert spent(Budget(0.05)) == 2


def test_twenty_requests_earn_one_extra() -> None:
    budget = Budget(0.05, initial=0.0)
    for _ in range(19):
        budget.earn()
    assert not budget.take()
    budget.earn()
    budget.earn()  # one more, because twenty twentieths are not quite one
    assert budget.take()
    assert not budget.take()


def test_what_is_refused_costs_nothing() -> None:
    budget = Budget(0.5, initial=0.5)
    assert not budget.take()
    assert budget.tokens == 0.5
    budget.earn()
    assert budget.take()
    assert budget.tokens == 0.0


def test_no_more_than_ten_are_saved_up() -> None:
    budget = Budget(0.3)
    for _ in range(1000):
        budget.earn()
    assert budget.tokens == CAP == 10.0
    assert spent(budget) == 10


def test_another_cap_and_another_beginning() -> None:
    assert spent(Budget(0.05, initial=5.0, cap=3.0)) == 3
    assert spent(Budget(0.05, initial=5.0, cap=7.0)) == 5


def test_the_share_may_be_set_later_and_what_was_earned_stays() -> None:
    budget = Budget(0.05)
    budget.ratio = 1.0
    budget.earn()
    assert budget.tokens == 3.0
    budget.ratio = 0.0
    for _ in range(100):
        budget.earn()
    assert spent(budget) == 3


@given(SHARES, st.lists(st.integers(0, 12), max_size=300), st.data())
def test_in_any_window_at_most_the_share_and_ten_more(share: float, wanted: list[int], data: st.DataObject) -> None:
    """Each request wants some extra ones."""
    budget, took = Budget(share), []
    for wants in wanted:
        budget.earn()
        took.append(sum(budget.take() for _ in range(wants)))
    start = data.draw(st.integers(0, len(took)))
    end = data.draw(st.integers(start, len(took)))
    assert sum(took[start:end]) <= (end - start) * share + CAP + 1e-9


@pytest.mark.parametrize("share", [0.02, 0.05, 0.1, 0.5])
def test_who_always_wants_more_gets_the_whole_share(share: float) -> None:
    budget, took = Budget(share), 0
    for _ in range(10_000):
        budget.earn()
        took += budget.take()
    assert 10_000 * share <= took + 1
    assert took <= 10_000 * share + INITIAL
