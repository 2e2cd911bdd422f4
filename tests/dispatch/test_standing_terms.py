"""What operators and configurations do to what is known of a deployment, and how it is told."""

from __future__ import annotations

from typing import Any

import pytest

from llm_pool.config.settings import Breaker as BreakerSection
from llm_pool.core.errors import (
    ProviderOverloaded,
    ProviderUnavailable,
)
from llm_pool.dispatch.breaker import Rules
from llm_pool.dispatch.quota import Allowed
from llm_pool.dispatch.standing import Terms
from tests.dispatch.desk import Desk

# --- Operators --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("per_task", [False, True])
@pytest.mark.parametrize("asked_before", [False, True])
def test_what_an_operator_takes_out_stays_out(per_task: bool, asked_before: bool) -> None:
    desk = Desk(per_task=per_task)
    if asked_before:
        desk.end(desk.begin("judge"))
    desk.standing.operate("open")
    desk.at += 86_400.0
    for task in ("chat", "judge", "new"):
        why = desk.why_not(task)
        assert "operator" in why.message
        assert why.retry_after is None
        with pytest.raises(ProviderUnavailable):
            desk.begin(task)
    desk.standing.operate("close")
    assert [desk.standing.refusal(task) for task in ("chat", "judge", "new", "newer")] == [None] * 4


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


def test_one_that_is_no_more_is_in_no_metric() -> None:
    desk = Desk(per_task=True)
    desk.fail(task="chat")
    desk.fail(task="judge")
    assert desk.gauge == {"chat": 2.0, "judge": 2.0}
    desk.standing.forget()
    assert desk.gauge == {}
