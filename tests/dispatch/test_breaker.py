"""The breaker opens for failures and nothing else, lets few probes through, and can always close again."""

from __future__ import annotations

from random import Random

import pytest

from llm_pool.config import settings
from llm_pool.dispatch.breaker import Breaker, Rules, State, Verdict

VERDICTS: dict[str, Verdict] = {"s": "success", "f": "failure", "n": "neutral"}
RULES = Rules(fail_rate=0.5, window_size=20, window_seconds=30.0, min_calls=10, cooldown=5.0, longest=30.0)


class Longest(Random):
    """Chance takes nothing away."""

    def random(self) -> float:
        return 1.0


class Shortest(Random):
    def random(self) -> float:
        return 0.0


class Bench:
    """A breaker, its clock, and what it told."""

    def __init__(self, rules: Rules = RULES, *, random: Random | None = None) -> None:
        self.at = 0.0
        self.told: list[tuple[State, State]] = []
        self.breaker = Breaker(
            rules,
            now=lambda: self.at,
            random=random or Longest(),
            changed=lambda before, after: self.told.append((before, after)),
        )

    def begin(self, *, panic: bool = False) -> int:
        permit = self.breaker.begin(panic=panic)
        assert permit is not None
        return permit

    def calls(self, verdicts: str, *, every: float = 0.0) -> None:
        """One after another, a letter each, and a while between them."""
        for letter in verdicts:
            self.breaker.ended(self.begin(), VERDICTS[letter])
            self.at += every

    def trip(self) -> None:
        self.calls("f" * 10)
        assert self.breaker.state == "open"

    def half_open(self) -> None:
        self.trip()
        self.at += 5.0


# --- Opening ----------------------------------------------------------------------------------------------------


def test_it_opens_when_half_of_ten_calls_have_failed() -> None:
    bench = Bench()
    bench.calls("s" * 5 + "f" * 4)
    assert bench.breaker.admits()
    bench.calls("f")
    assert (bench.breaker.state, bench.breaker.admits(), bench.told) == ("open", False, [("closed", "open")])
    assert bench.breaker.begin() is None


def test_a_rate_that_has_no_exact_double_is_still_reached() -> None:
    bench = Bench(Rules(0.1, window_size=30, window_seconds=30, min_calls=30, cooldown=5, longest=30))
    bench.calls("s" * 27 + "f" * 3)
    assert bench.breaker.state == "open"


def test_a_success_never_opens_it() -> None:
    bench = Bench()
    bench.calls("f" * 9 + "s")
    assert bench.breaker.closed
    assert bench.breaker.snapshot()["failed"] == 9


def test_what_is_older_than_the_window_does_not_count() -> None:
    bench = Bench()
    bench.calls("f" * 9)
    bench.at = 30.0
    assert bench.breaker.snapshot()["calls"] == 9
    bench.at = 30.001
    assert bench.breaker.snapshot()["calls"] == 0
    bench.calls("s" + "f" * 4)
    assert bench.breaker.closed


def test_only_the_last_calls_of_a_full_window_count() -> None:
    bench = Bench()
    bench.calls("f" * 4 + "s" * 11 + "f" * 5)
    assert bench.breaker.snapshot() == {
        "state": "closed",
        "calls": 20,
        "failed": 9,
        "tries_again_in": 0.0,
        "held": False,
    }
    bench.calls("sf")  # two of the first ones have left
    assert bench.breaker.snapshot()["failed"] == 8
    bench.calls("ff")
    assert bench.breaker.snapshot()["failed"] == 8
    bench.calls("ff")
    assert bench.breaker.state == "open"


@pytest.mark.parametrize(
    ("calls", "every"),
    [
        ("f" * 10, 0.0),
        ("s" * 10 + "f" * 10, 0.0),
        ("s" * 15 + "f" * 5, 0.25),  # a row over a second
        ("s" * 15 + "f" * 6, 0.249),
        ("fffff", 3600.0),
    ],
)
def test_it_opens_with_the_last_of_these(calls: str, every: float) -> None:
    bench = Bench()
    bench.calls(calls[:-1], every=every)
    assert bench.breaker.closed
    bench.calls(calls[-1])
    assert not bench.breaker.closed


@pytest.mark.parametrize(
    ("calls", "every"),
    [
        ("f" * 9, 0.0),  # too few calls
        ("s" * 11 + "f" * 9, 0.0),  # too few of them
        ("s" * 15 + "f" * 5, 0.249),  # within a second: one fault
        ("ffffsffff", 3.0),  # four in a row, twice
    ],
)
def test_it_stays_closed_after_these(calls: str, every: float) -> None:
    bench = Bench()
    bench.calls(calls, every=every)
    assert bench.breaker.closed
    assert bench.told == []


def test_a_neutral_call_breaks_no_row_and_enters_no_window() -> None:
    bench = Bench()
    bench.calls("fnfnff" + "n" * 20, every=0.5)
    assert bench.breaker.snapshot()["calls"] == 4
    bench.calls("f")
    assert bench.breaker.state == "open"


def test_calls_under_way_count_while_the_window_is_not_full() -> None:
    """At 20 calls a second of 2 s each, a quarter failing at once, ten failures are there before many answers are."""
    bench = Bench(Rules(0.5, window_size=100, window_seconds=30, min_calls=10, cooldown=5, longest=30))
    permits = [bench.begin() for _ in range(40)]
    for permit in permits[:10]:
        bench.breaker.ended(permit, "failure")
    assert bench.breaker.closed
    for permit in permits[10:]:
        bench.breaker.ended(permit, "success")
    assert bench.breaker.closed


def test_calls_that_hang_cannot_hide_the_failure_of_all_others() -> None:
    bench = Bench()
    for _ in range(1000):
        bench.begin()
    bench.calls("f" * 9)
    assert bench.breaker.closed
    bench.calls("f")
    assert bench.breaker.state == "open"


def test_a_permit_of_another_breaker_does_no_harm() -> None:
    bench = Bench()
    for _ in range(20):
        bench.breaker.ended(0, "neutral")
    bench.trip()


# --- Open -------------------------------------------------------------------------------------------------------


def test_it_stays_open_for_its_cooldown_and_says_how_long() -> None:
    bench = Bench()
    bench.trip()
    assert bench.breaker.opens_in() == 5.0
    bench.at += 4.75
    assert (bench.breaker.opens_in(), bench.breaker.state, bench.breaker.begin()) == (0.25, "open", None)
    bench.at += 0.25
    assert (bench.breaker.opens_in(), bench.breaker.state, bench.breaker.admits()) == (0.0, "half_open", True)


def test_chance_takes_up_to_half_of_it() -> None:
    bench = Bench(random=Shortest())
    bench.trip()
    assert bench.breaker.opens_in() == 2.5


def test_it_doubles_up_to_the_longest_and_begins_anew_after_closing() -> None:
    bench = Bench()
    bench.trip()
    opened: list[float] = []
    for _ in range(2000):  # a night
        opened.append(bench.breaker.opens_in())
        bench.at += opened[-1]
        bench.calls("f")
    assert opened[:5] == [5.0, 10.0, 20.0, 30.0, 30.0]
    assert opened[-1] == 30.0
    bench.at += 30.0
    bench.calls("ss")
    bench.trip()
    assert bench.breaker.opens_in() == 5.0


def test_calls_of_before_it_opened_change_nothing() -> None:
    bench = Bench()
    old = [bench.begin() for _ in range(30)]
    for permit in old[:10]:
        bench.breaker.ended(permit, "failure")
    for permit in old[10:14]:
        bench.breaker.ended(permit, "success")
    bench.at += 5.0
    probes = [bench.begin() for _ in range(3)]
    for permit in old[14:18]:
        bench.breaker.ended(permit, "neutral")
    bench.breaker.ended(old[18], "failure")
    bench.breaker.ended(old[19], "success")
    assert (bench.breaker.state, bench.breaker.begin()) == ("half_open", None)
    for permit in probes[:2]:
        bench.breaker.ended(permit, "success")
    assert bench.breaker.closed
    for permit in [*old[20:], probes[2]]:
        bench.breaker.ended(permit, "failure")
    assert bench.breaker.snapshot()["calls"] == 0


# --- Half-open --------------------------------------------------------------------------------------------------


def test_three_probes_are_admitted_at_a_time() -> None:
    bench = Bench()
    bench.half_open()
    assert bench.told == [("closed", "open")]
    probes = [bench.begin() for _ in range(3)]
    assert bench.told[1:] == [("open", "half_open")]
    assert (bench.breaker.admits(), bench.breaker.begin()) == (False, None)
    assert bench.breaker.opens_in() == 1.0
    bench.breaker.ended(probes[0], "neutral")
    assert bench.breaker.opens_in() == 0.0
    bench.begin()
    assert bench.breaker.begin() is None


def test_two_successes_close_it() -> None:
    bench = Bench()
    bench.half_open()
    bench.calls("s")
    assert not bench.breaker.closed
    bench.calls("s")
    assert bench.told[1:] == [("open", "half_open"), ("half_open", "closed")]


def test_one_failure_opens_it_again() -> None:
    bench = Bench()
    bench.half_open()
    bench.calls("sf")
    assert (bench.breaker.state, bench.breaker.opens_in()) == ("open", 10.0)
    bench.at += 10.0
    bench.calls("s")
    assert bench.breaker.state == "half_open"


def test_after_a_failed_probe_one_goes_ahead_alone_and_others_follow_its_success() -> None:
    bench = Bench()
    bench.half_open()
    bench.calls("f")
    bench.at += 10.0
    first = bench.begin()
    assert bench.breaker.begin() is None
    bench.breaker.ended(first, "neutral")
    bench.calls("s")
    assert [bench.breaker.begin() is None for _ in range(4)] == [False, False, False, True]


def test_probes_of_an_earlier_half_open_hold_no_place_in_the_next() -> None:
    bench = Bench()
    bench.half_open()
    first, second, third = bench.begin(), bench.begin(), bench.begin()
    bench.breaker.ended(first, "failure")
    bench.at += 10.0
    probe = bench.begin()
    bench.breaker.ended(second, "neutral")
    assert bench.breaker.begin() is None
    bench.breaker.ended(third, "success")
    bench.breaker.ended(probe, "success")
    assert bench.breaker.state == "half_open"


def test_the_failures_are_forgotten_when_it_closes() -> None:
    bench = Bench()
    bench.half_open()
    assert bench.breaker.snapshot() == {
        "state": "half_open", "calls": 10, "failed": 10, "tries_again_in": 0.0, "held": False,
    }  # fmt: skip
    bench.calls("ss")
    assert bench.breaker.snapshot()["calls"] == 0
    bench.calls("f" * 4, every=1.0)
    assert bench.breaker.closed
    bench.calls("f")
    assert bench.breaker.state == "open"


# --- Rules ------------------------------------------------------------------------------------------------------


def test_rules_come_from_the_settings() -> None:
    assert Rules.of(settings.Breaker(window_size=20)) == RULES
    bent = Rules.of(settings.Breaker(window_size=3, open_cooldown_ms=40_000))
    assert (bent.min_calls, bent.cooldown, bent.longest) == (3, 40.0, 40.0)


def test_rules_may_be_replaced_while_it_runs() -> None:
    bench = Bench()
    bench.calls("f" * 3 + "s" * 12)
    bench.breaker.rules = Rules(1.0, window_size=4, window_seconds=30, min_calls=4, cooldown=7, longest=7)
    assert bench.breaker.snapshot()["calls"] == 4
    bench.calls("f" * 3)
    assert bench.breaker.closed
    bench.calls("f")
    assert bench.breaker.opens_in() == 7.0
