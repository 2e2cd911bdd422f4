"""Who said 429 is left alone as long as it asked, tried once a minute, and asked again after a success."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.core.errors import ProviderMisconfigured, ProviderUnavailable
from llm_pool.dispatch.cooldown import Cooldown

if TYPE_CHECKING:
    from llm_pool.core.errors import ProviderError


class Shortest(Random):
    """Chance adds nothing."""

    def random(self) -> float:
        return 0.0


class Longest(Random):
    def random(self) -> float:
        return 1.0


class Bench:
    """A cooldown and its clock, which starts late enough for something to have been before."""

    def __init__(self, *, random: Random | None = None) -> None:
        self.at = 1000.0
        self.cooldown = Cooldown("a", now=lambda: self.at, random=random or Shortest())

    def refused(self) -> ProviderError:
        refusal = self.cooldown.refusal()
        assert refusal is not None
        return refusal

    def waits(self) -> float:
        """Seconds until it may be asked, by its own account. It is asked then."""
        retry_after = self.refused().retry_after
        assert retry_after is not None
        self.at += retry_after
        assert self.cooldown.refusal() is None
        return retry_after


def wrong_key() -> ProviderMisconfigured:
    return ProviderMisconfigured("a does not know our key (401)", details={"deployment": "a"}, retry_after=2.0)


# --- Too many requests ------------------------------------------------------------------------------------------


def test_in_ordinary_life_there_is_nothing_to_look_at() -> None:
    bench = Bench()
    assert (bench.cooldown.active, bench.cooldown.refusal()) == (False, None)


def test_it_is_left_alone_until_the_time_that_it_named() -> None:
    bench = Bench(random=Longest())
    bench.cooldown.limited(20.0)
    refusal = bench.refused()
    assert bench.cooldown.active
    assert isinstance(refusal, ProviderUnavailable)
    assert (refusal.message, refusal.retry_after) == ("a wants to be left alone for a while", 20.0)
    bench.at += 19.75
    assert bench.waits() == 0.25


def test_an_hour_is_the_longest_that_it_may_name() -> None:
    bench = Bench()
    bench.cooldown.limited(1e9)
    assert bench.refused().retry_after == 3600.0


@pytest.mark.parametrize("retry_after", [None, 0.0, -5.0, float("nan")])
def test_without_a_time_it_is_left_alone_twice_as_long_each_time(retry_after: float | None) -> None:
    bench = Bench()
    waited = []
    for _ in range(8):
        bench.cooldown.limited(retry_after)
        waited.append(bench.waits())
    assert waited == [1, 2, 4, 8, 16, 32, 60, 60]


def test_chance_makes_it_a_little_longer_and_never_shorter() -> None:
    bench = Bench(random=Longest())
    waited = []
    for _ in range(3):
        bench.cooldown.limited(None)
        waited.append(bench.waits())
    assert waited == [1.25, 2.5, 5.0]


def test_a_time_that_it_names_once_does_not_lengthen_the_others() -> None:
    bench = Bench()
    bench.cooldown.limited(None)
    bench.cooldown.limited(30.0)
    assert bench.waits() == 30.0
    bench.cooldown.limited(None)
    assert bench.waits() == 2.0


def test_a_success_ends_it_and_it_begins_anew() -> None:
    bench = Bench()
    bench.cooldown.limited(None)
    bench.cooldown.limited(30.0)
    bench.cooldown.succeeded()
    assert (bench.cooldown.active, bench.cooldown.refusal()) == (False, None)
    bench.cooldown.limited(None)
    assert bench.waits() == 1.0


def test_what_was_begun_before_tells_of_then() -> None:
    bench = Bench()
    bench.cooldown.limited(None, begun=999.0)
    for begun in (998.0, 1000.0):
        bench.cooldown.limited(None, begun=begun)  # the same news
        bench.cooldown.succeeded(begun=begun)
    assert bench.waits() == 1.0
    bench.cooldown.limited(None, begun=1000.5)
    assert bench.waits() == 2.0
    bench.cooldown.succeeded(begun=1001.5)
    assert not bench.cooldown.active


def test_a_longer_time_named_to_an_earlier_call_counts_and_a_shorter_does_not() -> None:
    bench = Bench()
    bench.cooldown.limited(None)
    bench.cooldown.limited(10.0, begun=999.0)
    bench.cooldown.limited(5.0, begun=999.0)
    assert bench.refused().retry_after == 10.0
    bench.cooldown.limited(3.0, begun=1000.5)  # this one is news
    assert bench.refused().retry_after == 3.0


def test_after_a_success_an_earlier_call_brings_it_back_no_more() -> None:
    bench = Bench()
    bench.cooldown.limited(None)
    bench.cooldown.succeeded()
    bench.cooldown.limited(3600.0, begun=999.0)
    assert bench.cooldown.refusal() is None
    bench.cooldown.misconfigured(wrong_key())
    bench.at += 301.0
    assert bench.cooldown.refusal() is None


# --- Probes -----------------------------------------------------------------------------------------------------


def test_while_it_cools_long_one_call_a_minute_tries() -> None:
    bench = Bench()
    bench.cooldown.limited(3600.0)
    bench.at += 59.75
    assert bench.refused().retry_after == 3540.25
    bench.at += 0.25
    assert bench.cooldown.refusal() is None
    bench.cooldown.begin()
    assert bench.refused().retry_after == 3540.0
    bench.at += 60.0  # nothing was heard of it
    assert bench.cooldown.refusal() is None


def test_a_probe_that_is_told_429_is_followed_by_another_a_minute_later() -> None:
    bench = Bench()
    bench.cooldown.limited(3600.0)
    bench.at += 100.0
    bench.cooldown.begin()
    bench.at += 50.0
    bench.cooldown.limited(600.0, begun=1100.0)
    bench.at += 59.0
    assert bench.refused().retry_after == 541.0
    bench.at += 1.0
    assert bench.cooldown.refusal() is None


def test_a_probe_that_succeeds_ends_it() -> None:
    bench = Bench()
    bench.cooldown.limited(3600.0)
    bench.at += 60.0
    bench.cooldown.begin()
    bench.cooldown.succeeded(begun=bench.at)
    assert bench.cooldown.refusal() is None


def test_when_the_time_is_over_nobody_waits_for_a_probe() -> None:
    bench = Bench()
    bench.cooldown.limited(5.0)
    bench.at += 5.0
    bench.cooldown.begin()
    assert bench.cooldown.refusal() is None
    bench.cooldown.limited(5.0)
    assert bench.waits() == 5.0


# --- Misconfigured ----------------------------------------------------------------------------------------------


def test_misconfigured_it_is_not_asked_for_five_minutes_and_callers_are_told_what_it_said() -> None:
    bench = Bench()
    bench.cooldown.misconfigured(wrong_key())
    bench.at += 299.75
    bench.cooldown.begin()
    first, second = bench.refused(), bench.refused()
    assert isinstance(first, ProviderMisconfigured)
    assert (first.message, first.details) == ("a does not know our key (401)", {"deployment": "a"})
    assert first is not second
    assert first.details is not second.details
    bench.at += 0.25
    assert bench.cooldown.refusal() is None


def test_it_may_be_misconfigured_again() -> None:
    bench = Bench()
    for _ in range(2):
        bench.cooldown.misconfigured(wrong_key())
        bench.at += 300.0
        assert bench.cooldown.refusal() is None
    bench.cooldown.succeeded(begun=bench.at)
    assert not bench.cooldown.active


def test_the_health_check_ends_it_early() -> None:
    bench = Bench()
    bench.cooldown.misconfigured(wrong_key())
    bench.cooldown.recovered()
    assert (bench.cooldown.active, bench.cooldown.refusal()) == (False, None)


def test_a_success_ends_it_early_for_good() -> None:
    bench = Bench()
    bench.cooldown.misconfigured(wrong_key())
    bench.cooldown.succeeded(begun=1000.5)
    bench.cooldown.limited(2.0)
    assert bench.waits() == 2.0


def test_an_earlier_call_that_succeeds_does_not_end_it() -> None:
    bench = Bench()
    bench.cooldown.misconfigured(wrong_key())
    bench.cooldown.succeeded(begun=999.0)
    assert isinstance(bench.refused(), ProviderMisconfigured)


def test_the_health_check_says_nothing_of_a_quota() -> None:
    bench = Bench()
    bench.cooldown.limited(50.0)
    bench.cooldown.misconfigured(wrong_key())
    assert isinstance(bench.refused(), ProviderMisconfigured)
    bench.cooldown.recovered()
    assert bench.waits() == 50.0
    assert bench.cooldown.active


# --- Whatever happens -------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["limited", "limited", "misconfigured", "succeeded", "recovered", "ask", "ask", "ask"]),
        st.sampled_from([0.0, 0.5, 7.0, 61.0, 301.0]),  # seconds before
        st.sampled_from([None, 0.0, 2.0, 90.0, 1e6]),  # a Retry-After
        st.sampled_from([0.0, 1.0, 100.0, float("-inf")]),  # how long ago the call was begun
    ),
    max_size=40,
)


@given(STEPS, st.integers())
def test_nobody_waits_longer_than_five_minutes_and_one_probe_a_minute_is_enough(
    steps: list[tuple[str, float, float | None, float]], seed: int
) -> None:
    bench = Bench(random=Random(seed))
    cooldown = bench.cooldown
    for what, after, retry_after, ago in steps:
        bench.at += after
        match what:
            case "limited":
                cooldown.limited(retry_after, begun=bench.at - ago)
            case "misconfigured":
                cooldown.misconfigured(wrong_key())
            case "succeeded":
                cooldown.succeeded(begun=bench.at - ago)
            case "recovered":
                cooldown.recovered()
            case _ if cooldown.refusal() is None:
                cooldown.begin()
        refusal = cooldown.refusal()
        assert refusal is None or cooldown.active
        if isinstance(refusal, ProviderUnavailable):
            assert refusal.retry_after is not None
            assert 0 < refusal.retry_after <= 3600.0
    bench.at += 300.0
    assert cooldown.refusal() is None
    cooldown.succeeded(begun=bench.at)
    assert not cooldown.active
