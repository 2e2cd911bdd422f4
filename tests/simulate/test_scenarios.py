"""Scenarios do what they say, and are the same for everybody who is asked the same."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import mean, median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.core.errors import ProviderError, ProviderUnreachable
from llm_pool.simulate.calls import QUOTA_WINDOW, Call
from llm_pool.simulate.scenarios import SCENARIOS, Synthetic

SPAN = 1_200.0  # seconds of a usual run
TROUBLE = range(310, 590, 10)  # instants in it, whatever the scenario


def calls(name: str, instants: range, deployment: str = "a", *, seed: int = 0) -> list[Call]:
    """Ten calls at each of these."""
    draw = Synthetic(name, ["a", "b"], seed=seed).draw(deployment, "sim/m")
    return [draw(at, 10 * at + number, 0) for at in instants for number in range(10)]


def failed(some: list[Call]) -> float:
    return mean(call.fails_after < math.inf for call in some)


def test_requests_come_at_random_at_their_rate() -> None:
    arrivals = Synthetic("steady", ["a"], seed=0, requests=4_000, rate=8.0).arrivals
    gaps = [later.at - earlier.at for earlier, later in pairwise(arrivals)]
    assert arrivals[0].at == 0.0
    assert mean(gaps) == pytest.approx(1 / 8, rel=0.1)
    assert mean(gap**2 for gap in gaps) == pytest.approx(2 / 8**2, rel=0.2)  # of an exponential distribution
    assert mean(arrival.whole for arrival in arrivals) == 0.5
    assert median(arrival.tokens for arrival in arrivals) == pytest.approx(150, rel=0.1)


@pytest.mark.parametrize(("name", "ratio"), [("steady", 4.0), ("heavy", 16.0)])
def test_one_first_token_in_a_hundred_takes_so_much_longer(name: str, ratio: float) -> None:
    spoken = sorted(call.first_token for call in calls(name, range(1_000)) if call.first_token < math.inf)
    assert spoken[len(spoken) * 99 // 100] / median(spoken) == pytest.approx(ratio, rel=0.2)


def test_a_drift_slows_everybody_down() -> None:
    for deployment in ("a", "b"):
        early, late = calls("drift", range(100), deployment), calls("drift", range(1_100, 1_200), deployment)
        ratio = median(call.per_token for call in late) / median(call.per_token for call in early)
        assert ratio == pytest.approx(3 ** (1_100 / SPAN), rel=0.1)


@pytest.mark.parametrize(
    ("name", "lasts", "fails", "error"),
    [("outage", 300, 1.0, ProviderUnreachable), ("brownout", 600, 0.6, ProviderError)],
)
def test_the_first_fails_in_its_trouble_and_only_then(
    name: str, lasts: int, fails: float, error: type[ProviderError]
) -> None:
    troubled = calls(name, range(300, 300 + lasts, 5))
    assert failed(troubled) == pytest.approx(fails, abs=0.06)
    assert {call.error for call in troubled if call.fails_after < math.inf} <= {error, ProviderError}
    assert all(call.first_token == math.inf for call in troubled if call.fails_after < math.inf), "it says nothing"
    assert failed(calls(name, range(300))) < 0.01
    assert failed(calls(name, range(300 + lasts, 1_200))) < 0.01
    assert failed(calls(name, TROUBLE, "b")) < 0.02


def test_an_incident_makes_the_first_slow() -> None:
    usual, slow = calls("steady", TROUBLE), calls("incident", TROUBLE)
    ratios = {
        round(one.per_token / other.per_token, 6) for one, other in zip(slow, usual, strict=True) if one.per_token
    }
    assert ratios == {6.0}
    assert calls("incident", TROUBLE, "b") == calls("steady", TROUBLE, "b")


def test_trouble_lasts_at_most_half_of_a_short_run() -> None:
    draw = Synthetic("outage", ["a"], seed=0, requests=400, rate=4.0).draw("a", "sim/m")
    assert [draw(at, 0, 0).fails_after < math.inf for at in (24.0, 25.0, 74.0, 75.0)] == [False, True, True, False]


def test_in_an_overload_everybody_bears_half_of_what_comes() -> None:
    world = Synthetic("overload", ["a", "b"], seed=0, rate=20.0)
    slots, line = world.bounds("a").slots or 0, world.bounds("a").line
    answered = [call.first_token + call.per_token * 191 for call in calls("overload", range(500)) if call.per_token]
    answered += [
        call.first_token + call.per_token * 191 for call in calls("overload", range(500), "b") if call.per_token
    ]
    assert 2 * slots / mean(answered) == pytest.approx(10.0, rel=0.5)  # deployments differ by that much
    assert line == 512  # as Ollama keeps
    assert world.bounds("b") == world.bounds("a")


def test_with_rate_limits_the_first_takes_half_of_its_share() -> None:
    world = Synthetic("ratelimits", ["a", "b"], seed=0, rate=8.0)
    assert world.bounds("a").quota == 8.0 / 2 / 2 * QUOTA_WINDOW
    assert world.bounds("b").quota is None


@given(
    st.sampled_from(sorted(SCENARIOS)), st.integers(0, 3), st.floats(0, SPAN), st.integers(0, 5_999), st.integers(0, 2)
)
def test_a_call_depends_on_nothing_but_who_is_asked_for_what(
    name: str, seed: int, at: float, request: int, again: int
) -> None:
    """Not on who else is there, nor on what was asked before."""
    draw = Synthetic(name, ["a", "b"], seed=seed).draw("a", "sim/m")
    draw(0.0, 17, 0)
    alone = Synthetic(name, ["a"], seed=seed).draw("a", "sim/m")
    call = draw(at, request, again)
    assert call == alone(at, request, again)
    assert call.fails_after < math.inf or (call.first_token > 0 and call.per_token > 0)
    assert call != draw(at, request, again + 1) or call.fails_after < math.inf
