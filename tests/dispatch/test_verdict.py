"""What the end of a call says about its deployment: only its own failures are held against it."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

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
from llm_pool.dispatch.verdict import UNUSUAL, verdict_of

if TYPE_CHECKING:
    from llm_pool.dispatch.breaker import Verdict

OWN = [
    ProviderError, ProviderGarbled, ProviderOverloaded, ProviderTimeout, ProviderUnreachable, StreamBroken,
]  # fmt: skip
NOT_OWN = [ProviderLimited, ProviderMisconfigured, ProviderRefused, InvalidOutput, ProviderUnavailable]

SILENCES = st.none() | st.floats(0.0, 1e6)


@pytest.mark.parametrize("kind", OWN)
@given(late=st.booleans(), silent_for=SILENCES, usual=SILENCES)
def test_its_own_failures_are_failures(
    kind: type[ProviderError], late: bool, silent_for: float | None, usual: float | None
) -> None:
    assert verdict_of(kind("it failed"), late=late, silent_for=silent_for, usual=usual) == "failure"


@pytest.mark.parametrize("kind", NOT_OWN)
@given(late=st.booleans(), silent_for=SILENCES, usual=SILENCES)
def test_what_is_not_its_fault_says_nothing(
    kind: type[ProviderError], late: bool, silent_for: float | None, usual: float | None
) -> None:
    assert verdict_of(kind("no"), late=late, silent_for=silent_for, usual=usual) == "neutral"


@pytest.mark.parametrize("error", [KeyError("bug"), GeneratorExit(), DeadlineExceeded("late"), ZeroDivisionError()])
@given(late=st.booleans(), silent_for=SILENCES)
def test_neither_does_a_bug_of_ours_nor_the_callers_own_error(
    error: BaseException, late: bool, silent_for: float | None
) -> None:
    assert verdict_of(error, late=late, silent_for=silent_for, usual=None) == "neutral"


@given(silent_for=SILENCES, usual=SILENCES)
def test_a_caller_who_leaves_says_nothing(silent_for: float | None, usual: float | None) -> None:
    left = asyncio.CancelledError()
    assert verdict_of(left, late=False, silent_for=silent_for, usual=usual) == "neutral"


@pytest.mark.parametrize(("error", "late"), [(asyncio.CancelledError(), True), (OutOfTime("late"), False)])
@pytest.mark.parametrize(
    ("silent_for", "usual", "verdict"),
    [
        (None, None, "neutral"),  # it has spoken
        (None, 0.1, "neutral"),
        (0.4, 0.5, "neutral"),  # it was not given the time that it usually takes
        (0.5, 0.5, "failure"),
        (60.0, 0.5, "failure"),
        (UNUSUAL - 0.1, None, "neutral"),  # of which nothing is known yet
        (UNUSUAL, None, "failure"),
        (UNUSUAL + 1.0, UNUSUAL + 5.0, "neutral"),
        (1e9, math.inf, "neutral"),  # it is loading its model
        (0.0, 0.0, "failure"),
    ],
)
def test_when_time_runs_out_only_an_unusual_silence_is_a_failure(
    error: BaseException, late: bool, silent_for: float | None, usual: float | None, verdict: Verdict
) -> None:
    assert verdict_of(error, late=late, silent_for=silent_for, usual=usual) == verdict


def test_the_sum_of_all_failures_is_never_asked_about() -> None:
    """It is made above the deployments; were it one's own, it would be a failure like any other."""
    assert verdict_of(AllProvidersFailed("all"), late=False, silent_for=None, usual=None) == "failure"
