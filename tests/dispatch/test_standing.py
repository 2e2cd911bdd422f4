"""What is known of a deployment: every call that begins is told to all parts, and so is every end."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from llm_pool.core.errors import (
    OutOfTime,
    ProviderError,
    ProviderLimited,
    ProviderMisconfigured,
    ProviderOverloaded,
    ProviderTimeout,
    ProviderUnavailable,
)
from llm_pool.core.types import Usage
from llm_pool.dispatch.quota import Allowed
from llm_pool.dispatch.standing import Terms
from tests.dispatch.desk import Desk
from tests.scripted import counted

# --- Why it must not be asked -----------------------------------------------------------------------------------


def test_of_one_that_was_never_asked_nothing_is_held_against_it() -> None:
    desk = Desk()
    assert desk.standing.refusal("chat") is None
    assert not desk.standing.full
    assert desk.gauge == {"": 0.0}  # it is shown before anything happens to it


def test_one_that_fails_too_often_is_not_asked_until_its_breaker_lets_somebody_through() -> None:
    desk = Desk()
    desk.fail()
    why = desk.why_not()
    assert isinstance(why, ProviderUnavailable)
    assert why.retry_after is not None
    assert 2.5 <= why.retry_after <= 5.0
    desk.at += why.retry_after
    assert desk.standing.refusal("chat") is None


def test_when_to_come_back_is_never_at_once() -> None:
    desk = Desk()
    desk.fail()
    desk.at += (desk.why_not().retry_after or 0.0) - 1e-6
    assert (desk.why_not().retry_after or 0.0) >= 0.1


def test_a_call_that_comes_too_late_for_a_probes_place_is_told_when_to_come_back() -> None:
    desk = Desk()
    desk.fail()
    desk.at += 10.0
    for _ in range(3):
        desk.begin()
    with pytest.raises(ProviderUnavailable) as caught:
        desk.begin()
    assert (caught.value.retry_after or 0.0) >= 0.1
    assert desk.standing.load.outstanding == 3


@pytest.mark.parametrize("allowed", [Allowed(requests_per_minute=1), Allowed(tokens_per_minute=60)])
def test_one_whose_quota_is_spent_is_not_asked(allowed: Allowed) -> None:
    desk = Desk(quota=allowed)
    desk.end(desk.begin(tokens=20), tokens=20, usage=Usage(input=10, output=10))
    why = desk.why_not()
    assert isinstance(why, ProviderUnavailable)
    assert why.retry_after is not None
    desk.at += why.retry_after
    assert desk.standing.refusal("chat") is None


def test_tokens_that_were_reserved_and_not_used_are_given_back() -> None:
    desk = Desk(quota=Allowed(tokens_per_minute=600))
    call = desk.begin(tokens=10_000)
    assert desk.standing.refusal("chat") is not None
    desk.end(call, ProviderError("500"), tokens=10_000)
    assert desk.standing.refusal("chat") is None


def test_a_call_of_more_tokens_than_are_left_is_refused_when_it_begins() -> None:
    """For one of fewer it may be asked meanwhile: the plan does not know how many."""
    desk = Desk(quota=Allowed(tokens_per_minute=600))
    desk.begin(tokens=60)
    assert desk.standing.refusal("chat") is None
    with pytest.raises(ProviderUnavailable) as caught:
        desk.begin(tokens=90)
    assert caught.value.retry_after == pytest.approx(5.0)
    desk.begin(tokens=30)
    assert desk.standing.load.outstanding == 2


def test_in_panic_no_quota_is_asked() -> None:
    desk = Desk(quota=Allowed(tokens_per_minute=600))
    desk.begin(tokens=600)
    desk.begin(tokens=600, panic=True)
    assert desk.standing.load.outstanding == 2


def test_one_that_wants_to_be_left_alone_is() -> None:
    desk = Desk()
    desk.end(desk.begin(), ProviderLimited("429", retry_after=7.0), verdict="neutral")
    assert desk.why_not().retry_after == 7.0
    desk.at += 7.0
    assert desk.standing.refusal("chat") is None


def test_one_that_does_not_know_our_key_says_so_for_five_minutes(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    desk.end(desk.begin(), ProviderMisconfigured("it does not know the key"), verdict="neutral")
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    why = desk.why_not()
    assert isinstance(why, ProviderMisconfigured)
    assert why.message == "it does not know the key"
    desk.at += 299.0
    assert desk.standing.refusal("chat") is not None
    desk.at += 1.0
    assert desk.standing.refusal("chat") is None


def test_a_table_of_any_model_is_not_blamed_for_a_name_that_a_caller_made_up() -> None:
    desk = Desk(model="any/*")
    desk.end(desk.begin(), ProviderMisconfigured("no such model"), verdict="neutral")
    assert desk.standing.refusal("chat") is None


def test_a_success_of_before_a_429_does_not_end_the_rest() -> None:
    desk = Desk()
    early = desk.begin()
    desk.at += 1.0
    desk.end(desk.begin(), ProviderLimited("429", retry_after=60.0), verdict="neutral")
    desk.at += 1.0
    desk.end(early)
    assert desk.standing.refusal("chat") is not None


def test_a_burst_that_meets_429_counts_once() -> None:
    desk = Desk()
    burst = [desk.begin() for _ in range(8)]
    desk.at += 0.5
    for call in burst:
        desk.end(call, ProviderLimited("429"), verdict="neutral")
    assert (desk.why_not().retry_after or 0.0) <= 1.25


# --- One call ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 3])
def test_it_is_full_while_all_its_slots_are_taken(limit: int) -> None:
    desk = Desk(max_concurrent=limit)
    slots = desk.standing.slots
    assert slots is not None
    for _ in range(limit):
        assert not desk.standing.full
        assert slots.enter_now()
    assert desk.standing.full


@pytest.mark.parametrize(
    ("error", "shrinks"),
    [
        (ProviderLimited("429"), True),
        (ProviderOverloaded("503"), True),
        (ProviderTimeout("said nothing"), True),
        (OutOfTime("too long"), False),
        (ProviderError("500"), False),
        (asyncio.CancelledError(), False),
        (None, False),
    ],
)
def test_an_adaptive_limit_shrinks_where_it_was_asked_too_much(error: BaseException | None, shrinks: bool) -> None:
    desk = Desk(max_concurrent="adaptive")
    slots = desk.standing.slots
    assert slots is not None
    desk.end(desk.begin(), error, verdict=None if error is None else "neutral")
    assert (slots.limit < 10) == shrinks


def test_an_adaptive_limit_grows_with_answers() -> None:
    desk = Desk(max_concurrent="adaptive")
    slots = desk.standing.slots
    assert slots is not None
    calls = []
    for _ in range(8):
        assert slots.enter_now()
        calls.append(desk.begin())
    for call in calls[:4]:
        desk.end(call)
        slots.leave()
    assert slots.limit > 10


@pytest.mark.parametrize(("error", "slow"), [(ProviderTimeout("silent"), True), (ProviderError("500"), False)])
def test_silence_makes_it_slow_and_a_quick_failure_does_not_make_it_quick(error: ProviderError, slow: bool) -> None:
    desk = Desk()
    call = desk.begin()
    call[1].first_token = desk.at + 1.0
    desk.standing.spoke(1.0)
    desk.end(call)
    before = desk.standing.load.latency_at(desk.at)
    silent = desk.begin()
    desk.at += 30.0 if slow else 0.001
    desk.end(silent, error)
    assert (desk.standing.load.latency_at(desk.at) > before) == slow
    assert len(desk.standing.words) == 1


def test_the_pace_is_that_of_longer_answers_only() -> None:
    desk = Desk()
    for said in (63, 400):
        call = desk.begin()
        call[1].first_token = desk.at
        desk.at += 10.0
        desk.end(call, said=said)
    assert len(desk.standing.pace) == 1
    assert desk.standing.pace.median == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize("error", [None, ProviderError("500"), asyncio.CancelledError(), KeyError("bug")])
def test_whatever_ends_a_call_gives_back_what_its_beginning_took(error: BaseException | None) -> None:
    desk = Desk(quota=Allowed(daily_tokens=1_000))
    desk.end(desk.begin(tokens=1_000), error, verdict="neutral", tokens=1_000)
    assert desk.standing.load.outstanding == 0
    assert desk.standing.refusal("chat") is None
    desk.fail(9)
    assert desk.standing.load.outstanding == 0


# --- Breakers of tasks ------------------------------------------------------------------------------------------


def test_one_breaker_is_for_all_tasks_unless_there_is_one_for_each() -> None:
    together, apart = Desk(), Desk(per_task=True)
    for desk in (together, apart):
        desk.fail(task="judge")
    assert together.standing.refusal("chat") is not None
    assert apart.standing.refusal("chat") is None
    assert apart.standing.refusal("judge") is not None
    assert together.gauge == {"": 2.0}
    assert apart.gauge == {"judge": 2.0, "chat": 0.0}


def test_a_call_that_ends_after_the_breakers_were_changed_ends_in_its_own() -> None:
    desk = Desk()
    calls = [desk.begin() for _ in range(10)]
    desk.standing.adopt(Terms(per_task=True))
    desk.begin()
    for call in calls:
        desk.end(call, ProviderError("500"))
    assert desk.standing.breaker("chat")._under_way == 1
    assert desk.standing.refusal("chat") is None


def test_a_call_of_breakers_that_are_no_more_shows_in_no_metric() -> None:
    """Its series would stay for ever, and lie."""
    desk = Desk()
    calls = [desk.begin() for _ in range(10)]
    desk.standing.adopt(Terms(per_task=True))
    for call in calls:
        desk.end(call, ProviderError("500"))
    assert desk.gauge == {}


def test_each_change_of_a_breaker_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    desk = Desk(per_task=True)
    desk.fail()
    desk.at += 10.0
    for _ in range(2):
        desk.end(desk.begin())
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert told == [
        ("WARNING", "circuit breaker is open"),
        ("INFO", "circuit breaker is half-open"),
        ("INFO", "circuit breaker is closed"),
    ]
    fields: dict[str, Any] = vars(caplog.records[0])["fields"]
    assert fields.pop("failed") == fields.pop("calls") >= 5
    assert fields == {"deployment": "a", "model": "sim/m", "before": "closed", "task": "chat"}
    assert counted(desk.metrics, "llm_pool_breaker_changes_total", {"deployment": "a", "state": "open"}) == 1
    assert counted(desk.metrics, "llm_pool_breaker_changes_total") == 3
    assert desk.gauge == {"chat": 0.0}
