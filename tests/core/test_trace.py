"""What was done for a request, and the decision that is read from it."""

from __future__ import annotations

from dataclasses import replace

from llm_pool.core.trace import Attempt, Decision, Trace
from llm_pool.core.types import Usage, Warning
from tests.scripted import request

NOTHING = Usage()


def attempt(deployment: str, outcome: str = "ok", *, degraded: str = "", usage: Usage = NOTHING) -> Attempt:
    return Attempt(deployment, "sim/m", degraded, started=0.0, ended=1.0, usage=usage, outcome=outcome)


def trace(*attempts: Attempt) -> Trace:
    return Trace(started=0.0, attempts=list(attempts), strategy="fastest")


def test_an_attempt_runs_until_it_is_closed() -> None:
    fresh = Attempt("a", "sim/m", degraded="", started=1.0)
    assert (fresh.outcome, fresh.ended, fresh.first_token, fresh.usage) == ("running", None, None, Usage())


def test_the_winner_is_the_last_that_answered() -> None:
    first, second = attempt("b"), attempt("c")
    assert trace(attempt("a", "PROVIDER_FAILED"), first, second, attempt("d", "CANCELLED")).winner() is second
    assert trace(attempt("a", "PROVIDER_FAILED")).winner() is None
    assert trace().winner() is None


def test_the_usage_is_that_of_all_the_lost_ones_too() -> None:
    lost = attempt("a", "STREAM_BROKEN", usage=Usage(input=1, output=2, estimated=True))
    won = attempt("b", usage=Usage(input=10, cache_read=20, cache_write=30, output=40, reasoning=50))
    together = Usage(input=11, cache_read=20, cache_write=30, output=42, reasoning=50, estimated=True)
    assert trace(lost, won).usage() == together
    assert trace(won).usage() == won.usage
    assert trace().usage() == Usage()


def test_usage_is_estimated_as_soon_as_a_part_is() -> None:
    exact, estimated = Usage(input=1), Usage(input=1, estimated=True)
    assert not (exact + exact).estimated
    assert (exact + estimated).estimated
    assert (estimated + exact).estimated


async def test_every_copy_of_a_request_shares_its_trace() -> None:
    asked = request()
    replace(asked, model="sim/m").trace.notes.append("noted")
    assert asked.trace.notes == ["noted"]


def test_a_decision_names_who_was_asked_and_who_won() -> None:
    lost, won = attempt("a", "PROVIDER_FAILED"), attempt("b")
    decision = Decision.of(trace(lost, won))
    assert decision == Decision(
        strategy="fastest", voices=(lost, won), winner="b", degraded=False, hedged=False, why="", warnings=()
    )


def test_an_answer_of_the_fallback_is_degraded() -> None:
    decision = Decision.of(trace(attempt("a", "PROVIDER_FAILED"), attempt("b", degraded="fallback")))
    assert (decision.winner, decision.degraded, decision.why) == ("b", True, "fallback")


def test_a_fallback_that_failed_degrades_nothing() -> None:
    decision = Decision.of(trace(attempt("b", "PROVIDER_FAILED", degraded="fallback"), attempt("c")))
    assert (decision.winner, decision.degraded, decision.why) == ("c", False, "")


def test_without_an_answer_there_is_no_winner() -> None:
    decision = Decision.of(trace(attempt("a", "CANCELLED")))
    assert (decision.winner, decision.degraded) == ("", False)


def test_notes_say_why_and_warnings_are_told() -> None:
    noted = trace(attempt("a", degraded="fallback"))
    noted.notes.extend(["one", "two"])
    noted.warnings.append(Warning("code", "text"))
    decision = Decision.of(noted)
    assert (decision.why, decision.warnings) == ("one; two; fallback", (Warning("code", "text"),))
    noted.notes.append("later")
    assert decision.why == "one; two; fallback"
