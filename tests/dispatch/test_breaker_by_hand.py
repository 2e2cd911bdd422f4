"""Against the breaker's own will: in panic, by an operator's hand, and where somebody saw it well again."""

from __future__ import annotations

from tests.dispatch.test_breaker import Bench

# --- Panic ------------------------------------------------------------------------------------------------------


def test_in_panic_it_is_asked_nevertheless_and_failures_change_nothing() -> None:
    bench = Bench()
    bench.trip()
    for _ in range(50):
        bench.breaker.ended(bench.begin(panic=True), "failure")
    assert bench.breaker.opens_in() == 5.0
    bench.at += 5.0
    bench.calls("f")
    assert bench.breaker.opens_in() == 10.0


def test_successes_in_panic_close_it() -> None:
    bench = Bench()
    bench.trip()
    bench.breaker.ended(bench.begin(panic=True), "success")
    assert bench.breaker.state == "open"
    bench.breaker.ended(bench.begin(panic=True), "success")
    assert (bench.breaker.state, bench.told[1:]) == ("closed", [("open", "closed")])


def test_a_success_in_panic_counts_with_a_later_probes() -> None:
    bench = Bench()
    bench.trip()
    panic = bench.begin(panic=True)
    bench.at += 5.0
    bench.begin()
    bench.breaker.ended(panic, "success")
    bench.calls("s")
    assert bench.breaker.closed


def test_a_call_in_panic_gives_back_no_place_of_a_probe() -> None:
    bench = Bench()
    bench.trip()
    panic = bench.begin(panic=True)
    bench.at += 5.0
    for _ in range(3):
        bench.begin(panic=True)  # admitted: probes like any other
    late = bench.begin(panic=True)
    for permit in (panic, late):
        bench.breaker.ended(permit, "neutral")
        assert bench.breaker.begin() is None
    bench.breaker.ended(bench.begin(panic=True), "failure")
    assert bench.breaker.state == "half_open"


def test_panic_means_nothing_to_a_closed_one() -> None:
    bench = Bench()
    for _ in range(10):
        bench.breaker.ended(bench.begin(panic=True), "failure")
    assert bench.breaker.state == "open"


# --- By hand ----------------------------------------------------------------------------------------------------


def test_held_open_it_stays_open_until_it_is_closed_by_hand() -> None:
    bench = Bench()
    bench.breaker.open()
    bench.at += 1e6
    for _ in range(5):
        bench.breaker.ended(bench.begin(panic=True), "success")
    assert (bench.breaker.state, bench.breaker.begin(), bench.breaker.opens_in()) == ("open", None, 30.0)
    assert bench.breaker.snapshot() == {"state": "open", "calls": 0, "failed": 0, "tries_again_in": None, "held": True}
    bench.breaker.close()
    assert (bench.breaker.state, bench.breaker.held) == ("closed", False)
    assert bench.told == [("closed", "open"), ("open", "closed")]


def test_opening_by_hand_takes_the_places_of_probes() -> None:
    bench = Bench()
    bench.half_open()
    probe = bench.begin()
    bench.breaker.open()
    bench.breaker.ended(probe, "failure")
    assert bench.breaker.held
    assert bench.told[-1] == ("half_open", "open")


def test_closed_by_hand_it_forgets_everything() -> None:
    bench = Bench()
    bench.half_open()
    bench.calls("f")
    bench.breaker.close()
    assert bench.breaker.snapshot() == {
        "state": "closed",
        "calls": 0,
        "failed": 0,
        "tries_again_in": 0.0,
        "held": False,
    }
    bench.trip()
    assert bench.breaker.opens_in() == 5.0


def test_closing_while_closed_forgets_failures_and_what_is_under_way() -> None:
    bench = Bench()
    old = bench.begin()
    bench.calls("f" * 9)
    bench.breaker.close()
    bench.breaker.ended(old, "failure")
    assert bench.breaker.snapshot()["calls"] == 0
    assert bench.told == []


# --- Somebody saw it well again ---------------------------------------------------------------------------------


def test_hastened_it_may_be_tried_at_once_and_two_successes_close_it() -> None:
    bench = Bench()
    bench.trip()
    bench.breaker.hasten()
    assert (bench.breaker.state, bench.breaker.opens_in()) == ("half_open", 0.0)
    assert bench.told == [("closed", "open")]  # it is told when the first probe begins
    bench.calls("ss")
    assert bench.breaker.state == "closed"


def test_hastened_in_vain_it_opens_for_twice_as_long_as_before() -> None:
    bench = Bench()
    bench.trip()
    bench.breaker.hasten()
    bench.calls("f")
    assert bench.breaker.opens_in() == 10.0


def test_to_hasten_makes_nothing_later() -> None:
    bench = Bench()
    bench.half_open()
    bench.at += 3.0
    bench.begin()
    bench.breaker.hasten()
    bench.at -= 2.0  # it was half-open by then already
    assert bench.breaker.state == "half_open"
    assert bench.breaker.admits()


def test_to_hasten_one_that_is_held_or_closed_changes_nothing() -> None:
    bench = Bench()
    bench.breaker.hasten()
    assert (bench.breaker.state, bench.told) == ("closed", [])
    bench.calls("f" * 9)
    bench.breaker.hasten()
    bench.calls("f")
    assert bench.breaker.state == "open"
    bench.breaker.open()
    bench.breaker.hasten()
    assert (bench.breaker.state, bench.breaker.held) == ("open", True)
