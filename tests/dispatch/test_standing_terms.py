"""What operators and configurations do to what is known of a deployment, and how it is told."""

from __future__ import annotations

from typing import Any

import pytest

from llm_pool.config.settings import Breaker as BreakerSection
from llm_pool.core.errors import (
    ProviderLimited,
    ProviderMisconfigured,
    ProviderOverloaded,
    ProviderUnavailable,
)
from llm_pool.core.ports.provider import Health
from llm_pool.dispatch.breaker import Rules
from llm_pool.dispatch.quota import Allowed
from llm_pool.dispatch.standing import Terms
from tests.dispatch.desk import Desk

# --- Operators --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("per_task", [False, True])
@pytest.mark.parametrize("asked_before", [False, True])
def test_what_an_operator_takes_out_stays_out_and_callers_may_come_back_after_the_longest_cooldown(
    per_task: bool, asked_before: bool
) -> None:
    desk = Desk(per_task=per_task)
    if asked_before:
        desk.end(desk.begin("judge"))
    desk.standing.operate("open")
    desk.at += 86_400.0
    for task in ("chat", "judge", "new"):
        why = desk.why_not(task)
        assert "operator" in why.message
        assert why.retry_after == 30.0  # nobody knows: the longest that a breaker is open by itself
        with pytest.raises(ProviderUnavailable):
            desk.begin(task)
    desk.standing.operate("close")
    assert [desk.standing.refusal(task) for task in ("chat", "judge", "new", "newer")] == [None] * 4


def test_where_each_task_has_a_breaker_none_is_made_for_all_of_them() -> None:
    desk = Desk(per_task=True)
    desk.standing.operate("open")
    assert (desk.standing.snapshot()["breakers"], desk.gauge) == ([], {})


@pytest.mark.parametrize("action", ["close", "reset"])
def test_an_operator_closes_what_failures_have_opened(action: Any) -> None:
    desk = Desk(per_task=True)
    desk.fail(task="chat")
    desk.fail(task="judge")
    desk.standing.operate(action)
    assert desk.standing.refusal("chat") is None
    assert desk.standing.refusal("judge") is None
    desk.fail(1)
    assert desk.standing.refusal("chat") is None


@pytest.mark.parametrize("before", [False, True])
def test_it_stays_out_where_the_configuration_wants_other_breakers(before: bool) -> None:
    desk = Desk(per_task=before)
    desk.standing.operate("open")
    desk.standing.adopt(Terms(per_task=not before))
    assert "operator" in desk.why_not().message


def test_a_reset_ends_any_pause_and_to_close_it_does_not() -> None:
    limited, unknown = Desk(), Desk()
    limited.standing.cooldown.limited(600.0)
    unknown.standing.cooldown.misconfigured(ProviderMisconfigured("who are you"))
    for desk in (limited, unknown):
        desk.standing.operate("close")
        assert desk.standing.refusal("chat") is not None
        desk.standing.operate("reset")
        assert desk.standing.refusal("chat") is None
        desk.end(desk.begin())
    limited.end(limited.begin(), ProviderLimited("429", retry_after=5.0), verdict="neutral")
    assert limited.why_not().retry_after == 5.0


@pytest.mark.parametrize("per_task", [False, True])
def test_it_is_out_while_somebody_has_to_do_something(per_task: bool) -> None:
    desk = Desk(per_task=per_task)
    seen = [desk.standing.out]
    desk.standing.operate("open")
    seen.append(desk.standing.out)
    desk.standing.operate("close")
    seen.append(desk.standing.out)
    desk.standing.cooldown.misconfigured(ProviderMisconfigured("who are you"))
    seen.append(desk.standing.out)
    desk.at += 300.0  # somebody may try
    seen.append(desk.standing.out)
    assert seen == [False, True, False, True, False]


def test_what_passes_by_itself_does_not_put_it_out() -> None:
    desk = Desk(max_concurrent=1)
    desk.fail()
    desk.standing.adopt(Terms(quota=Allowed(requests_per_minute=1), max_concurrent=1))
    desk.begin(panic=True)
    assert desk.standing.slots is not None
    desk.standing.slots.enter_now()
    desk.standing.cooldown.limited(600.0)
    assert desk.standing.refusal("chat") is not None
    assert not desk.standing.out


# --- What its health check sees ---------------------------------------------------------------------------------


def test_seen_better_every_breaker_may_be_tried_and_its_key_too() -> None:
    desk = Desk(per_task=True)
    desk.fail(task="chat")
    desk.fail(task="judge")
    desk.standing.cooldown.misconfigured(ProviderMisconfigured("who are you"))
    desk.standing.looked(Health("healthy"), better=False)
    assert [desk.standing.refusal(task) is None for task in ("chat", "judge")] == [False, False]
    desk.standing.looked(Health("healthy"), better=True)
    assert [desk.standing.refusal(task) is None for task in ("chat", "judge")] == [True, True]


def test_seen_better_it_stays_out_where_an_operator_took_it_out_and_quotas_are_as_they_were() -> None:
    desk = Desk()
    desk.standing.operate("open")
    desk.standing.looked(Health("healthy"), better=True)
    assert "operator" in desk.why_not().message
    desk.standing.operate("close")
    desk.standing.cooldown.limited(60.0)
    desk.standing.looked(Health("healthy"), better=True)
    assert desk.why_not().retry_after == 60.0


@pytest.mark.parametrize("better", [False, True])
def test_every_look_tells_whether_it_is_being_loaded(better: bool) -> None:
    standing = Desk(model="sim/a/b").standing
    for health, loading in [
        (Health("loading"), True),
        (Health("loading", cold=frozenset({"b"})), False),
        (Health("loading", cold=frozenset({"a/b"})), True),
        (Health("healthy"), False),
    ]:
        standing.looked(health, better=better)
        assert standing.loading is loading


# --- Configuration ----------------------------------------------------------------------------------------------


def test_what_was_learned_outlives_other_terms() -> None:
    desk = Desk()
    desk.fail()
    desk.standing.words.add(1.0)
    desk.standing.adopt(Terms(max_concurrent=2, quota=Allowed(requests_per_minute=60)))
    assert desk.standing.refusal("chat") is not None
    assert len(desk.standing.words) == 1


def test_the_breakers_obey_new_rules_at_once() -> None:
    desk = Desk()
    desk.fail(9)
    desk.standing.adopt(Terms(breaker=Rules.of(BreakerSection(fail_rate=0.5, min_calls=2))))
    assert desk.standing.refusal("chat") is None
    desk.fail(1)
    assert desk.standing.refusal("chat") is not None


@pytest.mark.parametrize(("before", "after"), [(None, 2), (5, 2), ("adaptive", 2), (1, 2), (2, 2)])
def test_a_new_limit_holds_at_once(before: Any, after: int) -> None:
    desk = Desk(max_concurrent=before)
    desk.standing.adopt(Terms(max_concurrent=after, patience=7.0))
    slots = desk.standing.slots
    assert slots is not None
    assert (slots.limit, slots.patience) == (after, 7.0)
    assert slots.enter_now()
    assert slots.enter_now()
    assert desk.standing.full


def test_an_adaptive_limit_keeps_what_it_has_learned() -> None:
    desk = Desk(max_concurrent="adaptive")
    desk.end(desk.begin(), ProviderOverloaded("503"))
    desk.standing.adopt(Terms(max_concurrent="adaptive", per_task=True))
    assert desk.standing.slots is not None
    assert desk.standing.slots.limit == 9


def test_a_limit_and_a_quota_may_go() -> None:
    desk = Desk(max_concurrent=1, quota=Allowed(requests_per_minute=1))
    assert desk.standing.slots is not None
    assert desk.standing.slots.enter_now()
    call = desk.begin(tokens=5)
    assert desk.standing.refusal("chat") is not None
    desk.standing.adopt(Terms())
    assert (desk.standing.full, desk.standing.refusal("chat")) == (False, None)
    desk.end(call, tokens=5)


# --- Reports ----------------------------------------------------------------------------------------------------


def test_a_report_of_one_that_was_never_asked() -> None:
    assert Desk().standing.snapshot() == {
        "model": "sim/m", "breakers": [], "resting": "", "outstanding": 0, "first_token_ms": None,
        "per_token_ms": None, "limit": None, "waiting": 0,
    }  # fmt: skip


def test_a_report_tells_why_it_is_not_asked() -> None:
    desk = Desk(max_concurrent=2)
    desk.begin()
    desk.standing.words.add(0.25)
    desk.fail()
    desk.standing.cooldown.limited(9.0)
    told: dict[str, Any] = desk.standing.snapshot()
    assert (told["outstanding"], told["limit"], told["waiting"]) == (1, 2, 0)
    assert told["first_token_ms"] == pytest.approx(250.0, rel=0.02)
    assert told["resting"]
    [breaker] = told["breakers"]
    assert (breaker["task"], breaker["state"], breaker["held"]) == ("", "open", False)


def test_a_report_tells_of_a_spent_quota_too() -> None:
    desk = Desk(quota=Allowed(requests_per_minute=6))
    assert desk.standing.snapshot()["resting"] == ""
    desk.begin()
    assert desk.standing.snapshot()["resting"] == "the quota of a is spent"
    desk.standing.cooldown.limited(9.0)
    assert "left alone" in str(desk.standing.snapshot()["resting"])
    desk.at += 10.0
    assert desk.standing.snapshot()["resting"] == ""


def test_its_trouble_is_why_it_is_not_asked_for_some_task() -> None:
    desk = Desk(per_task=True)
    assert desk.standing.trouble == ""
    desk.end(desk.begin("chat"))
    desk.fail(task="judge")
    assert (desk.standing.trouble, desk.standing.refusal("chat")) == ("a has failed too often lately", None)
    desk.standing.cooldown.misconfigured(ProviderMisconfigured("who are you"))
    assert desk.standing.trouble == "who are you"
    desk.standing.operate("reset")
    assert desk.standing.trouble == ""
    desk.standing.operate("open")
    assert "operator" in desk.standing.trouble


def test_a_breaker_is_shown_as_closed_as_soon_as_there_is_one() -> None:
    desk = Desk(per_task=True)
    assert desk.gauge == {}
    desk.standing.refusal("chat")
    assert desk.gauge == {"chat": 0.0}
    desk.standing.operate("open")
    desk.standing.refusal("judge")
    assert desk.gauge == {"chat": 2.0, "judge": 2.0}


def test_one_that_is_no_more_is_in_no_metric() -> None:
    desk = Desk(per_task=True)
    desk.fail(task="chat")
    desk.fail(task="judge")
    assert desk.gauge == {"chat": 2.0, "judge": 2.0}
    desk.standing.forget()
    assert desk.gauge == {}
