"""The sketch: within 1 % of the true quantile, of what happened lately, in bounded room."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.dispatch.quantiles import ALPHA, GAMMA, LARGEST, PERIOD, PERIODS, SMALLEST, Sketch

SECONDS = st.floats(SMALLEST, LARGEST)
WITHIN = pytest.approx(1.0, rel=ALPHA * 1.000001)


def sketch_of(*values: float) -> Sketch:
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    return sketch


def buckets(sketch: Sketch) -> set[int]:
    return {bucket for period in sketch._periods for bucket in period}


def test_of_nothing_there_is_no_quantile() -> None:
    assert Sketch().quantile(0.5) is None
    assert Sketch().median is None
    assert len(Sketch()) == 0


@given(st.lists(SECONDS, min_size=1, max_size=60), st.sampled_from([0.0, 0.05, 0.5, 0.9, 0.95, 0.99, 1.0]))
def test_every_quantile_is_within_one_percent(values: list[float], q: float) -> None:
    quantile = sketch_of(*values).quantile(q)
    assert quantile is not None
    assert quantile / sorted(values)[math.floor(q * (len(values) - 1))] == WITHIN


@given(SECONDS)
def test_one_value_comes_back_within_one_percent(value: float) -> None:
    median = sketch_of(value).median
    assert median is not None
    assert median / value == WITHIN


def test_the_95th_percentile_of_a_hundred_is_the_95th() -> None:
    values = [float(second) for second in range(1, 101)]
    Random(1).shuffle(values)
    quantile = sketch_of(*values).quantile(0.95)
    assert quantile is not None
    assert quantile / 95 == WITHIN


@pytest.mark.parametrize("value", [0.0, -1.0, -math.inf, 1e-300, SMALLEST / 2, math.nan])
def test_what_took_no_time_counts_as_the_smallest(value: float) -> None:
    assert sketch_of(value).median == sketch_of(SMALLEST).median


@pytest.mark.parametrize("value", [2 * LARGEST, 1e300, math.inf])
def test_what_takes_for_ever_counts_as_the_largest(value: float) -> None:
    assert sketch_of(value).median == sketch_of(LARGEST).median


def test_there_are_no_more_than_1152_buckets() -> None:
    lowest, highest = min(buckets(sketch_of(0.0))), max(buckets(sketch_of(math.inf)))
    assert highest - lowest + 1 == 1152
    assert pytest.approx(1.0202, abs=1e-4) == GAMMA


def test_it_counts_its_samples_and_forgets_the_oldest_quarter_at_once() -> None:
    sketch, most = Sketch(), PERIODS * PERIOD
    for count in range(1, most + 1):
        sketch.add(1.0)
        assert len(sketch) == count
    sketch.add(1.0)
    assert len(sketch) == most - PERIOD + 1


@given(st.integers(0, 5 * PERIOD))
def test_it_never_remembers_more_than_a_thousand_samples(count: int) -> None:
    sketch = sketch_of(*[1.0] * count)
    assert len(sketch) == sum(sum(period.values()) for period in sketch._periods)
    assert min(count, 751) <= len(sketch) <= 1000


@pytest.mark.parametrize("old", [0.1, 10.0])
def test_the_past_is_forgotten(old: float) -> None:
    sketch = sketch_of(*[old] * PERIOD, *[1.0] * (3 * PERIOD))
    assert sketch_of(old).median in {sketch.quantile(0.0), sketch.quantile(1.0)}
    sketch.add(1.0)
    assert sketch.quantile(0.0) == sketch.quantile(1.0) == sketch_of(1.0).median
    assert len(sketch._counts) == 1


def test_the_median_is_in_the_middle() -> None:
    assert sketch_of(*(2.0**power for power in range(11))).median == sketch_of(32.0).median


def test_equal_values_take_the_room_of_one() -> None:
    assert len(buckets(sketch_of(*[0.7] * 500))) == 1
