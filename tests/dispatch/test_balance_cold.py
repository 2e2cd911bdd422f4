"""One that is not in memory is asked last where latency decides, and never only to see how it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llm_pool.dispatch.balance import EXPLORE
from tests.dispatch.test_balance import Drawing, Some, balance, firsts, names

if TYPE_CHECKING:
    from llm_pool.dispatch.balance import Mode


def test_latency_asks_what_is_being_loaded_last_however_quick_it_was() -> None:
    some = [Some("a", loading=True).knows(0.1), Some("b").knows(9.0, under_way=9), Some("c", loading=True)]
    assert names(balance("latency").order(some)) == "bca"


def test_priority_asks_it_last_of_its_own_priority() -> None:
    some = [
        Some("a", priority=1, loading=True).knows(0.1),
        Some("b", priority=2).knows(0.1),
        Some("c", priority=1).knows(9.0),
    ]
    assert names(balance("priority").order(some)) == "cab"


@pytest.mark.parametrize("mode", ["latency", "priority"])
def test_it_is_never_explored(mode: Mode) -> None:
    """That would cost its load, and might push another one out of memory."""
    some = [Some("a").knows(0.1), Some("b").knows(1.0), Some("c", loading=True), Some("d", priority=9, loading=True)]
    shares = firsts(mode, *some)
    assert shares.keys() == {"a", "b"}
    assert shares["b"] == pytest.approx(EXPLORE / 2, abs=0.003)


@pytest.mark.parametrize("mode", ["latency", "priority"])
def test_where_all_are_being_loaded_one_is_asked(mode: Mode) -> None:
    drawing = Drawing(0.5, 0.1, 0.999, 0.999)
    assert names(balance(mode, drawing).order([Some("a", loading=True), Some("b", loading=True)])) == "ba"
