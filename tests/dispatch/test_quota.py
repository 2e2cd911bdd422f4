"""A provider's quota is used and never overdrawn: in no minute, and on no day however the clock is set."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.dispatch.quota import Allowed, Quota

MIDNIGHT = 20_000 * 86_400.0
HOUR = 3600.0


class Clocks:
    """Both of them. Time that passes passes on both; `wall` may also be set."""

    def __init__(self, wall: float = MIDNIGHT) -> None:
        self.now = 1000.0
        self.wall = wall

    def passes(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds


def quota(clocks: Clocks, **allowed: int) -> Quota:
    return Quota(Allowed(**allowed), now=lambda: clocks.now, wall=lambda: clocks.wall)


def sent(mine: Quota, tokens: int = 1) -> bool:
    """Send a call where it may be sent."""
    if mine.refusal_in(tokens) > 0:
        return False
    mine.begin(tokens)
    return True


def test_without_a_quota_everything_may_be_sent() -> None:
    mine = quota(Clocks())
    assert all(sent(mine, 10**9) for _ in range(100))


# --- By the minute ----------------------------------------------------------------------------------------------


def test_ten_seconds_worth_may_come_at_once_then_one_at_a_time() -> None:
    clocks = Clocks()
    mine = quota(clocks, requests_per_minute=60)
    assert [sent(mine) for _ in range(12)] == [True] * 10 + [False] * 2
    assert mine.refusal_in() == pytest.approx(1.0)
    clocks.passes(0.9)
    assert mine.refusal_in() == pytest.approx(0.1)
    clocks.passes(mine.refusal_in())
    assert [sent(mine), sent(mine)] == [True, False]


def test_looking_counts_nothing() -> None:
    mine = quota(Clocks(), requests_per_minute=6)
    assert [mine.refusal_in() for _ in range(5)] == [0.0] * 5


def test_a_quota_below_one_in_ten_seconds_still_lets_one_through() -> None:
    clocks = Clocks()
    mine = quota(clocks, requests_per_minute=2)
    assert [sent(mine), sent(mine)] == [True, False]
    assert mine.refusal_in() == pytest.approx(30.0)
    clocks.passes(HOUR)
    assert [sent(mine), sent(mine)] == [True, False], "what was not used is not saved up"


def test_a_call_that_failed_was_a_request_and_used_no_tokens() -> None:
    mine = quota(Clocks(), requests_per_minute=6, tokens_per_minute=6000)
    assert sent(mine, 900)
    mine.end(900, 0)
    assert mine.refusal_in(900) == pytest.approx(10.0)
    mine.allowed = Allowed(tokens_per_minute=6000)
    assert mine.refusal_in(900) == 0.0


def test_tokens_are_reserved_and_settled() -> None:
    mine = quota(Clocks(), tokens_per_minute=6000)  # 100 a second, 1000 at once
    assert [sent(mine, 600), sent(mine, 600)] == [True, False]
    assert mine.refusal_in(600) == pytest.approx(2.0)
    mine.end(600, 400)
    assert sent(mine, 600)
    mine.end(600, 800)
    assert mine.refusal_in(600) == pytest.approx(8.0), "what it used above its estimate is owed"


def test_what_is_owed_counts_from_when_it_is_known() -> None:
    clocks = Clocks()
    mine = quota(clocks, tokens_per_minute=6000)
    assert sent(mine, 100)
    clocks.passes(HOUR)
    mine.end(100, 1100)
    assert mine.refusal_in(1000) == pytest.approx(10.0)


def test_a_huge_call_waits_until_nothing_is_owed_and_not_for_ever() -> None:
    clocks = Clocks()
    mine = quota(clocks, tokens_per_minute=6000)
    assert sent(mine, 100)
    assert mine.refusal_in(50_000) == pytest.approx(1.0)
    clocks.passes(1.0)
    assert sent(mine, 50_000)
    assert mine.refusal_in(1) > 400, "and is then worked off"


def test_who_does_not_know_how_large_a_call_is_asks_whether_there_is_any_room() -> None:
    mine = quota(Clocks(), tokens_per_minute=6000)
    mine.begin(999)
    assert mine.refusal_in() == 0.0
    mine.begin(1)
    assert mine.refusal_in() == pytest.approx(0.01)


@given(
    st.integers(1, 600),
    st.lists(st.floats(0, 40), min_size=1, max_size=30),
    st.lists(st.tuples(st.integers(0, 59), st.integers(0, 59)), max_size=20),
)
def test_in_no_interval_are_there_more_requests_than_a_burst_and_the_rate(
    rate: int, gaps: list[float], intervals: list[tuple[int, int]]
) -> None:
    clocks = Clocks()
    mine = quota(clocks, requests_per_minute=rate)
    instants = []
    for gap in gaps:
        clocks.passes(gap)
        while sent(mine):
            instants.append(clocks.now)
    assert len(instants) >= 1
    burst = max(rate / 6, 1)
    for first, last in [*intervals, (0, len(gaps) * 100)]:
        some = instants[first : last + 1]
        if some:
            assert len(some) <= burst + rate / 60 * (some[-1] - some[0]) + 0.001


def test_twenty_thousand_random_arrivals_never_pass_the_bound_and_use_what_there_is() -> None:
    clocks, chance = Clocks(), random.Random(1)
    mine = quota(clocks, requests_per_minute=600)
    began, admitted = clocks.now, 0
    lead = 0.0  # of the requests over the rate: a bucket that leaks
    for _ in range(20_000):
        gap = chance.expovariate(20)
        clocks.passes(gap)
        lead = max(lead - 10 * gap, 0.0)
        if sent(mine):
            admitted += 1
            lead += 1
            assert lead <= 100 + 0.001
    assert admitted >= 10 * (clocks.now - began)


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 3000)), min_size=1, max_size=25))
def test_in_no_interval_are_more_tokens_reserved_than_a_burst_and_the_rate(calls: list[tuple[float, int]]) -> None:
    clocks = Clocks()
    mine = quota(clocks, tokens_per_minute=6000)
    admitted = []
    for gap, tokens in calls:
        clocks.passes(gap)
        if sent(mine, tokens):
            admitted.append((clocks.now, tokens))
    for first in range(len(admitted)):
        for last in range(first, len(admitted)):
            some = admitted[first : last + 1]
            burst = max(1000, *(tokens for _, tokens in some))
            passed = some[-1][0] - some[0][0]
            assert sum(tokens for _, tokens in some) <= burst + 100 * passed + 0.001


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(0, 9000)), max_size=30), st.integers(1, 9000))
def test_after_the_wait_that_it_names_a_call_may_be_sent(history: list[tuple[float, int]], tokens: int) -> None:
    clocks = Clocks()
    mine = quota(clocks, requests_per_minute=7, tokens_per_minute=6100, daily_tokens=9000)
    for gap, used in history:
        clocks.passes(gap)
        mine.begin(used)
        mine.end(used, used)
    for _ in range(2):  # a midnight may lie between
        clocks.passes(mine.refusal_in(tokens))
    assert mine.refusal_in(tokens) == 0.0


# --- By the day -------------------------------------------------------------------------------------------------


def test_a_spent_day_ends_at_midnight_utc() -> None:
    clocks = Clocks(MIDNIGHT + 22 * HOUR)
    mine = quota(clocks, daily_tokens=1000)
    assert sent(mine, 1000)
    mine.end(1000, 1000)
    assert mine.refusal_in() == 2 * HOUR
    clocks.passes(2 * HOUR - 1)
    assert not sent(mine)
    clocks.passes(1)
    assert sent(mine)


def test_what_is_under_way_is_reserved_and_what_was_not_used_is_given_back() -> None:
    mine = quota(Clocks(), daily_tokens=1000)
    assert [sent(mine, 600), sent(mine, 600)] == [True, False]
    assert mine.refusal_in(400) == 0.0
    mine.end(600, 100)
    assert [sent(mine, 901), sent(mine, 900)] == [False, True]


def test_a_call_larger_than_the_day_may_have_a_day_of_its_own() -> None:
    mine = quota(Clocks(), daily_tokens=1000)
    assert sent(mine, 5000)
    mine.end(5000, 1)
    assert not sent(mine, 5000)


def test_a_call_over_midnight_counts_for_the_day_on_which_it_ends() -> None:
    clocks = Clocks(MIDNIGHT + 23 * HOUR)
    mine = quota(clocks, daily_tokens=1000)
    assert sent(mine, 700)
    mine.end(700, 700)
    assert sent(mine, 300)
    clocks.passes(2 * HOUR)
    assert not sent(mine, 701)
    mine.end(300, 250)
    assert [sent(mine, 751), sent(mine, 750)] == [False, True]


@pytest.mark.parametrize("hours", [2, 23])
def test_a_clock_that_is_set_back_over_midnight_gives_no_second_day(hours: int) -> None:
    clocks = Clocks(MIDNIGHT + HOUR)
    mine = quota(clocks, daily_tokens=1000)
    assert sent(mine, 1000)
    mine.end(1000, 1000)
    clocks.wall -= hours * HOUR
    assert not sent(mine)
    mine.begin(0)
    mine.end(0, 0)
    clocks.passes(hours * HOUR)
    assert not sent(mine)
    clocks.passes(23 * HOUR)
    assert sent(mine)


def test_a_clock_that_was_years_ahead_does_not_stop_the_days() -> None:
    clocks = Clocks(MIDNIGHT + 1000 * 24 * HOUR)
    mine = quota(clocks, daily_tokens=1000)
    assert sent(mine, 1000)
    mine.end(1000, 900)
    clocks.wall = MIDNIGHT + HOUR
    assert [sent(mine, 101), sent(mine, 100)] == [False, True]
    mine.end(100, 100)
    assert mine.refusal_in() == 23 * HOUR
    clocks.passes(23 * HOUR)
    assert sent(mine)


@given(st.lists(st.tuples(st.floats(0, 30), st.floats(-12, 12)), max_size=40))
def test_a_clock_that_jumps_by_hours_never_gives_more_than_a_quota_for_each_date_that_began(
    steps: list[tuple[float, float]],
) -> None:
    clocks = Clocks()
    mine = quota(clocks, daily_tokens=3)
    used, furthest = 0, clocks.wall
    true = clocks.wall
    for passed, wrong in steps:
        true += passed * HOUR
        clocks.wall = max(true + wrong * HOUR, furthest - 24 * HOUR)
        furthest = max(furthest, clocks.wall)
        while sent(mine):
            mine.end(1, 1)
            used += 1
    assert used <= 3 * (1 + (furthest // 86_400 - MIDNIGHT // 86_400))


def test_another_configuration_counts_on() -> None:
    clocks = Clocks()
    mine = quota(clocks, requests_per_minute=60, daily_tokens=1000)
    assert all(sent(mine, 100) for _ in range(8))
    for _ in range(8):
        mine.end(100, 100)
    mine.allowed = Allowed(requests_per_minute=60, daily_tokens=900)
    assert [sent(mine, 101), sent(mine, 100)] == [False, True]
    mine.end(100, 0)
    mine.allowed = Allowed(requests_per_minute=30, daily_tokens=900)
    assert [sent(mine, 100), sent(mine, 100)] == [False, False]
    mine.allowed = Allowed()
    assert sent(mine, 10**9)


def test_a_call_that_began_under_another_quota_gives_nothing_back() -> None:
    mine = quota(Clocks(), daily_tokens=1000)
    mine.end(500, 100)
    assert [sent(mine, 901), sent(mine, 900)] == [False, True]
