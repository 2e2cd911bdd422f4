"""What passes is asked about again, later each time and never before the provider wants it. Nothing else is."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.core.errors import (
    AllProvidersFailed,
    DeadlineExceeded,
    InvalidOutput,
    OutOfTime,
    ProviderError,
    ProviderGarbled,
    ProviderLimited,
    ProviderMisconfigured,
    ProviderOverloaded,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
    ProviderUnreachable,
    StreamBroken,
)
from llm_pool.dispatch.retrying import wait_before


class Drawing(random.Random):
    """Chance that always draws the same."""

    drawn = 0.0

    def random(self) -> float:
        return self.drawn


def wait(error: BaseException, *, tries: int = 1, drawn: float = 0.0) -> float | None:
    chance = Drawing()
    chance.drawn = drawn
    return wait_before(error, tries=tries, random=chance)


PASSING = [
    ProviderError, ProviderGarbled, ProviderOverloaded, ProviderUnreachable, StreamBroken,
]  # fmt: skip
LASTING = [
    AllProvidersFailed, InvalidOutput, OutOfTime, ProviderMisconfigured, ProviderRefused, ProviderUnavailable,
    DeadlineExceeded, ProviderTimeout,
]  # fmt: skip


@pytest.mark.parametrize("kind", PASSING)
def test_what_may_pass_is_asked_about_again(kind: type[ProviderError]) -> None:
    assert wait(kind("it failed")) == 0.1


@pytest.mark.parametrize("kind", LASTING)
def test_what_would_only_come_again_is_not(kind: type[ProviderError]) -> None:
    assert wait(kind("it failed", retry_after=1.0)) is None


@pytest.mark.parametrize("error", [ValueError("a bug"), TimeoutError(), KeyboardInterrupt()])
def test_a_bug_is_not_asked_about_again(error: BaseException) -> None:
    assert wait(error) is None


def test_a_new_kind_of_error_is_not_until_it_is_named() -> None:
    class Moved(ProviderError):
        pass

    assert wait(Moved("it moved")) is None


def test_a_spent_quota_is_asked_about_again_only_when_it_is_known_for_how_long() -> None:
    assert wait(ProviderLimited("enough")) is None
    assert wait(ProviderLimited("enough", retry_after=0.001)) == 0.1
    assert wait(ProviderLimited("enough", retry_after=7.0)) == 7.0


def test_the_wait_doubles_up_to_two_seconds() -> None:
    error = ProviderUnreachable("it failed")
    waits = [wait(error, tries=tries) for tries in range(1, 8)]
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    assert wait(error, tries=10_000) == 2.0


def test_jitter_only_ever_makes_it_longer() -> None:
    error = ProviderOverloaded("busy")
    assert wait(error, drawn=0.5) == pytest.approx(0.125)
    assert wait(ProviderOverloaded("busy", retry_after=10.0), drawn=0.5) == pytest.approx(10.5)


@given(st.integers(1, 40), st.floats(0, 1, exclude_max=True), st.none() | st.floats(0, 3600))
def test_never_sooner_than_the_provider_wants_nor_much_later(tries: int, drawn: float, told: float | None) -> None:
    least = max(min(0.1 * 2.0 ** (tries - 1), 2.0), told or 0.0)
    waited = wait(ProviderOverloaded("busy", retry_after=told), tries=tries, drawn=drawn)
    assert waited is not None
    assert least <= waited <= least * 1.5
    if drawn > 0.001:
        assert waited > least
