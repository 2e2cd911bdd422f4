"""A recovery that did not last makes the next one count later, up to a minute, and is forgotten after five."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llm_pool.dispatch.flapping import LASTS, MOST, Flapping


class Story:
    """One provider, told of second by second."""

    def __init__(self) -> None:
        self.time = 0.0
        self.flapping = Flapping(now=lambda: self.time)

    def ill(self, seconds: float = 5.0) -> None:
        self.flapping.ill()
        self.time += seconds

    def well(self, seconds: float = 0.0) -> bool:
        """Whether it is believed after so long, during which it was found well throughout."""
        self.flapping.well()
        self.time += seconds
        return self.flapping.well()

    def relapse(self, times: int) -> None:
        self.ill()
        for _ in range(times):
            self.well()
            self.ill()


def test_one_that_was_never_ill_is_believed() -> None:
    assert Story().well()


def test_the_first_recovery_is_believed_at_once_however_long_the_illness() -> None:
    for seconds in (0.0, 5.0, 3_600.0):
        story = Story()
        for _ in range(10):
            story.ill(seconds)
        assert story.well()


def test_each_recovery_that_does_not_last_doubles_the_wait_for_the_next() -> None:
    for times, wait in enumerate([5.0, 10.0, 20.0, 40.0, 60.0, 60.0], start=1):
        story = Story()
        story.relapse(times)
        assert not story.well(wait - 1)
        assert story.well(1)
        assert (story.flapping.falls, story.flapping.watched) == (times, wait)


def test_it_does_not_matter_whether_the_recovery_was_believed() -> None:
    story = Story()
    story.relapse(1)
    assert story.well(100)
    story.ill()
    assert not story.well(9)
    assert story.well(1)


def test_checks_of_one_illness_count_once() -> None:
    story = Story()
    story.relapse(1)
    for _ in range(10):
        story.ill()
    assert story.well(5)


def test_after_a_recovery_that_lasted_the_next_is_the_first_again() -> None:
    for seen_meanwhile in (True, False):
        story = Story()
        story.relapse(3)
        assert not story.well()
        story.time += LASTS
        if seen_meanwhile:
            assert story.well()
        story.ill()
        assert story.well()
        assert story.flapping.falls == 0


def test_a_recovery_that_almost_lasted_did_not() -> None:
    story = Story()
    story.ill()
    assert story.well(LASTS - 1)
    story.ill()
    assert not story.well(4)
    assert story.well(1)


def test_five_quiet_minutes_are_believed_even_at_the_longest_wait() -> None:
    story = Story()
    story.relapse(5_000)
    assert not story.well(MOST - 1)
    assert story.well(1)
    assert story.well(LASTS - MOST)
    story.ill()
    assert story.well()


def test_a_minute_of_them_after_the_longest_wait_is_not_enough_to_forget() -> None:
    story = Story()
    story.relapse(5_000)
    assert story.well(LASTS - 1)
    story.ill()
    assert not story.well(MOST - 1)
    assert story.well(1)


@given(st.lists(st.tuples(st.booleans(), st.floats(0.1, 400)), max_size=60))
def test_whoever_is_well_for_the_longest_wait_is_believed(checks: list[tuple[bool, float]]) -> None:
    story = Story()
    for well, seconds in checks:
        if well:
            story.well()
            story.time += seconds
        else:
            story.ill(seconds)
    assert 0 <= story.flapping.watched <= MOST
    assert story.well(MOST)
