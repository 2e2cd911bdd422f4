"""Two contenders for one answer: who is asked when, who wins, and that the other is hung up on at once."""

from __future__ import annotations

import asyncio

import pytest

from llm_pool.core.errors import (
    AllProvidersFailed,
    ProviderOverloaded,
    StreamBroken,
)
from llm_pool.core.trace import Decision
from llm_pool.core.types import Event, Finished, ReasoningDelta, Started, TextDelta, ToolCallDelta, Usage, Warning
from llm_pool.edges.account import Account
from tests.dispatch.stories import (
    BOTH,
    DONE,
    STARTED,
    at_rest,
    failing,
    failure,
    heard,
    hedges,
    now,
    pool,
    speaking,
    texts,
    voices,
)
from tests.running import AccessLines
from tests.scripted import USAGE, Scripted, Step, answer, counted, request

# --- The hedge wins ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", BOTH)
async def test_a_silent_one_is_hedged_after_the_delay_and_hung_up_on_with_the_first_word(whole: bool) -> None:
    parts = {"a": speaking(5.0), "b": speaking(0.5, 0.25, TextDelta("more"), text="hedge")}
    asking = pool(parts)
    said, error = await heard(asking, asked := request("x" * 40, whole=whole))
    assert error is None
    assert [event for _, event in said] == [Started("sim/m", "b"), TextDelta("hedge"), TextDelta("more"), DONE]
    assert [at for at, _ in said] == ([1.75] * 4 if whole else [1.5, 1.5, 1.75, 1.75])
    assert parts["b"].calls[0].opened == 1.0
    assert parts["a"].closed_at == [1.5]
    assert voices(asked) == [("a", "first", "OUTRUN"), ("b", "hedge", "ok")]
    await at_rest(asking, parts, asked)


@pytest.mark.parametrize("whole", BOTH)
async def test_what_the_loser_may_charge_for_is_written_down(whole: bool) -> None:
    parts = {"a": speaking(5.0), "b": speaking(0.5)}
    await heard(asking := pool(parts), asked := request("x" * 40, whole=whole))
    lost, won = asked.trace.attempts
    assert lost.usage == Usage(input=10, output=0, estimated=True)
    assert won.usage == USAGE
    decision = Decision.of(asked.trace)
    assert (decision.hedged, decision.winner, decision.degraded) == (True, "b", False)
    assert (hedges(asking, "sent"), hedges(asking, "won")) == (1, 1)
    assert counted(asking.metrics, "llm_pool_hedges_total", {"deployment": "b"}) == 2
    assert counted(asking.metrics, "llm_pool_failovers_total") == 0
    assert counted(asking.metrics, "llm_pool_retries_total") == 0


@pytest.mark.parametrize(("first", "won", "lost_tokens"), [(5.0, True, 10), (1.25, False, 10), (0.5, None, 0)])
async def test_the_access_line_tells_of_a_hedge(first: float, won: bool | None, lost_tokens: int) -> None:
    asking = pool({"a": speaking(first), "b": speaking(0.5)})
    await heard(asking, asked := request("x" * 40))
    with AccessLines() as lines:
        account = Account("http", "/v1/infer", metrics=asking.metrics, now=now)
        account.request = asked
        account.close(status=200)
    [line] = lines
    expected = None if won is None else {"to": ["b"], "won": won, "lost_tokens": lost_tokens}
    assert line.get("hedged") == expected
    assert "failed" not in line  # who was outrun has not
    assert line["input_tokens"] == USAGE.input + lost_tokens


@pytest.mark.parametrize("word", [ReasoningDelta("hm"), ToolCallDelta(0, "id", "name", ""), DONE])
@pytest.mark.parametrize("whole", BOTH)
async def test_anything_that_is_a_word_wins(word: Event, whole: bool) -> None:
    rest = () if isinstance(word, Finished) else (DONE,)
    parts = {"a": speaking(5.0), "b": Scripted(STARTED, 0.5, word, *rest)}
    said, _ = await heard(pool(parts), request(whole=whole))
    assert said[1:] == [(1.5, word), *((1.5, event) for event in rest)]
    assert parts["a"].closed_at == [1.5]


@pytest.mark.parametrize("whole", BOTH)
async def test_neither_a_beginning_nor_a_warning_is_a_word(whole: bool) -> None:
    parts = {"a": Scripted(STARTED, Warning("code", "of a"), 5.0, TextDelta("a"), DONE), "b": speaking(0.5, text="b")}
    said, _ = await heard(pool(parts), request(whole=whole))
    assert texts(said) == ["b"]


@pytest.mark.parametrize("whole", BOTH)
async def test_one_that_does_not_even_open_is_hedged_too(whole: bool) -> None:
    parts = {"a": Scripted(*answer("a"), opening=["stall"]), "b": speaking(0.5, text="b")}
    asking = pool(parts)
    said, _ = await heard(asking, asked := request(whole=whole))
    assert texts(said) == ["b"]
    assert parts["a"].closed_at == [1.5]
    await at_rest(asking, parts, asked)


async def test_the_loser_is_hung_up_on_before_the_winner_has_ended() -> None:
    """Its connection costs money as long as it is open."""
    parts = {"a": speaking(9.0), "b": speaking(0.5, 4.0)}
    await heard(pool(parts), request(whole=True))
    assert parts["a"].closed_at == [1.5]
    assert parts["b"].closed_at == [5.5]


@pytest.mark.parametrize("whole", BOTH)
@pytest.mark.parametrize("closing", [2.0, "stall"])
async def test_a_loser_that_is_slow_to_close_holds_back_nobodys_words(closing: Step, whole: bool) -> None:
    """It hangs: that is why another one was asked."""
    parts = {"a": Scripted("stall", closing=[closing]), "b": speaking(0.5, text="b")}
    said, error = await heard(pool(parts), request(whole=whole))
    assert (error, texts(said)) == (None, ["b"])
    assert said[0][0] <= 1.5 + 0.1


@pytest.mark.parametrize("whole", BOTH)
async def test_only_the_one_who_answers_warns(whole: bool) -> None:
    parts = {"a": Scripted(STARTED, Warning("code", "of a"), "stall"), "b": speaking(0.5)}
    await heard(pool(parts), asked := request(whole=whole))
    assert Decision.of(asked.trace).warnings == ()


@pytest.mark.parametrize("whole", BOTH)
async def test_what_it_warns_of_after_its_first_word_is_told_once(whole: bool) -> None:
    late = Warning("code", "of b")
    parts = {"a": Scripted("stall"), "b": speaking(0.5, 0.5, late)}
    said, _ = await heard(pool(parts), asked := request(whole=whole))
    assert [event for _, event in said if isinstance(event, Warning)] == [late]
    assert Decision.of(asked.trace).warnings == (late,)


async def test_waiting_for_a_turn_is_silence_too() -> None:
    parts = {"a": speaking(3.0), "b": speaking(0.5, text="b")}
    asking = pool(parts, tables={"a": {"max_concurrent": 1}}, hedge_after_ms=500)
    other = request(whole=False)
    async with asking.open(other):  # which holds the one slot; it was hedged itself, and so is over by 1.0
        said, _ = await heard(asking, asked := request())
    assert texts(said) == ["b"]
    await at_rest(asking, parts, asked, other)


# --- The first one wins -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", BOTH)
async def test_the_first_one_may_still_win_and_the_hedge_is_hung_up_on_at_once(whole: bool) -> None:
    parts = {"a": speaking(1.25, 3.0, text="first"), "b": speaking(0.5)}
    asking = pool(parts)
    said, error = await heard(asking, asked := request("x" * 40, whole=whole))
    assert (error, texts(said)) == (None, ["first"])
    assert said[-1] == (4.25, DONE)
    assert parts["b"].closed_at == [1.25]
    assert voices(asked) == [("a", "first", "ok"), ("b", "hedge", "OUTRUN")]
    assert asked.trace.attempts[1].usage == Usage(input=10, estimated=True)
    assert (hedges(asking, "sent"), hedges(asking, "won")) == (1, 0)
    assert Decision.of(asked.trace).hedged
    await at_rest(asking, parts, asked)


@pytest.mark.parametrize("whole", BOTH)
async def test_who_speaks_in_time_is_not_hedged(whole: bool) -> None:
    parts = {"a": speaking(0.99, 10.0), "b": Scripted()}
    asking = pool(parts)
    await heard(asking, asked := request(whole=whole))
    assert parts["b"].opened == 0
    assert not Decision.of(asked.trace).hedged
    assert counted(asking.metrics, "llm_pool_hedges_total") == 0


@pytest.mark.parametrize("whole", BOTH)
@pytest.mark.parametrize("second", [0.5, 0.25, 0.75])
async def test_words_at_the_same_instant_make_one_answer(second: float, whole: bool) -> None:
    parts = {"a": speaking(1.5, 0.25, text="a"), "b": speaking(second, 0.25, text="b")}
    asking = pool(parts)
    said, error = await heard(asking, asked := request(whole=whole))
    assert error is None
    assert len(texts(said)) == 1
    assert sorted(outcome for _, _, outcome in voices(asked)) == ["OUTRUN", "ok"]
    await at_rest(asking, parts, asked)


# --- Errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", BOTH)
async def test_where_the_first_fails_the_hedge_goes_on(whole: bool) -> None:
    parts = {"a": failing(1.25), "b": speaking(0.5, text="b"), "c": Scripted()}
    asking = pool(parts)
    said, error = await heard(asking, asked := request(whole=whole))
    assert (error, texts(said), now()) == (None, ["b"], 1.5)
    assert voices(asked) == [("a", "first", "STREAM_BROKEN"), ("b", "hedge", "ok")]
    assert hedges(asking, "won") == 1
    await at_rest(asking, parts, asked)


@pytest.mark.parametrize("whole", BOTH)
async def test_where_the_hedge_fails_the_first_goes_on(whole: bool) -> None:
    parts = {"a": speaking(3.0, text="a"), "b": failing(0.5), "c": Scripted()}
    asking = pool(parts)
    said, error = await heard(asking, asked := request(whole=whole))
    assert (error, texts(said), now()) == (None, ["a"], 3.0)
    assert voices(asked) == [("a", "first", "ok"), ("b", "hedge", "STREAM_BROKEN")]
    assert (hedges(asking, "sent"), hedges(asking, "won")) == (1, 0)
    await at_rest(asking, parts, asked)


@pytest.mark.parametrize("whole", BOTH)
@pytest.mark.parametrize(("first", "second"), [(1.5, 0.25), (1.25, 0.5), (1.5, 0.5)])
async def test_where_both_fail_both_are_named(first: float, second: float, whole: bool) -> None:
    parts = {"a": failing(first), "b": failing(second, ProviderOverloaded("busy"))}
    asking = pool(parts)
    error = await failure(asking, asked := request(whole=whole))
    assert isinstance(error, AllProvidersFailed)
    assert error.details == {"a": "STREAM_BROKEN", "b": "PROVIDER_OVERLOADED"}
    assert now() == 1.5
    await at_rest(asking, parts, asked)


@pytest.mark.parametrize("whole", BOTH)
@pytest.mark.parametrize(
    ("first", "second", "at"),
    [
        (failing(1.5, KeyError("bug")).steps, ("stall",), 1.5),
        (("stall",), failing(0.5, KeyError("bug")).steps, 1.5),
        (("stall",), (KeyError("bug"),), 1.0),
        (failing(1.25).steps, failing(0.5, KeyError("bug")).steps, 1.5),
        (failing(1.5, KeyError("bug")).steps, failing(0.25).steps, 1.5),
        (failing(0.5, KeyError("bug")).steps, (), 0.5),
    ],
)
async def test_a_bug_settles_it_at_once(first: list[Step], second: list[Step], at: float, whole: bool) -> None:
    parts = {"a": Scripted(*first), "b": Scripted(*second), "c": Scripted()}
    asking = pool(parts)
    asked = request(whole=whole)
    with pytest.raises(KeyError):
        await heard(asking, asked)
    assert now() == at
    assert parts["c"].opened == 0
    await at_rest(asking, parts, asked)


async def test_a_bug_of_a_hedge_after_its_first_word_is_no_silence() -> None:
    parts = {"a": Scripted("stall"), "b": Scripted(STARTED, 0.5, TextDelta("b"), 0.5, KeyError("bug"))}
    asking = pool(parts)
    asked = request(whole=False)
    with pytest.raises(KeyError):
        await heard(asking, asked)
    assert now() == 2.0
    await at_rest(asking, parts, asked)


async def test_a_hedge_that_ends_without_an_end_is_no_silence() -> None:
    """As of one that is asked alone: it is a bug of its provider, and told at once."""
    parts = {"a": Scripted("stall"), "b": Scripted(STARTED, 0.5, TextDelta("b"), 0.5)}
    asking = pool(parts)
    said, error = await heard(asking, request(whole=False))
    assert now() == 2.0, error
    assert texts(said) == ["b"]


@pytest.mark.parametrize("closing", [KeyError("bug"), StreamBroken("reset")])
async def test_a_hedge_that_breaks_and_cannot_even_be_closed_is_no_silence(closing: BaseException) -> None:
    broken = Scripted(STARTED, 0.5, TextDelta("b"), 0.5, StreamBroken("it broke"), closing=[closing])
    asking = pool({"a": Scripted("stall"), "b": broken})
    with pytest.raises((KeyError, StreamBroken)):
        await asking.infer(request(whole=False))
    assert now() == 2.0


@pytest.mark.parametrize("whole", BOTH)
async def test_a_loser_that_fails_while_it_is_closed_takes_nothing_from_the_winner(whole: bool) -> None:
    parts = {"a": Scripted("stall", closing=[StreamBroken("reset")]), "b": speaking(0.5, 0.5, text="b")}
    said, error = await heard(pool(parts), asked := request(whole=whole))
    assert (error, texts(said)) == (None, ["b"])
    assert voices(asked) == [("a", "first", "OUTRUN"), ("b", "hedge", "ok")]


@pytest.mark.parametrize("whole", BOTH)
async def test_a_hedge_that_fails_while_it_is_closed_takes_nothing_from_the_winner(whole: bool) -> None:
    parts = {"a": speaking(1.5, text="a"), "b": Scripted("stall", closing=[StreamBroken("reset")])}
    said, error = await heard(pool(parts), asked := request(whole=whole))
    assert (error, texts(said)) == (None, ["a"])
    assert voices(asked) == [("a", "first", "ok"), ("b", "hedge", "OUTRUN")]


async def test_a_bug_of_a_loser_that_is_hung_up_on_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody else would hear of it; what a provider does wrong is in the trace."""
    for closing, told in ((KeyError("bug"), ["hedge to b failed"]), (StreamBroken("reset"), [])):
        caplog.clear()
        parts = {"a": speaking(1.5, 1.0, text="a"), "b": Scripted("stall", closing=[closing])}
        said, error = await heard(pool(parts), request())
        assert (error, texts(said)) == (None, ["a"])
        assert [each.getMessage() for each in caplog.records if each.levelname == "ERROR"] == told


@pytest.mark.parametrize("whole", BOTH)
async def test_one_that_failed_was_not_outrun_by_who_spoke_while_it_was_closed(whole: bool) -> None:
    """Its breaker must hear of it."""
    first = Scripted(STARTED, 1.25, StreamBroken("it broke"), closing=[0.5])
    parts = {"a": first, "b": speaking(0.5, text="b")}
    said, error = await heard(pool(parts), asked := request(whole=whole))
    assert (error, texts(said)) == (None, ["b"])
    assert voices(asked) == [("a", "first", "STREAM_BROKEN"), ("b", "hedge", "ok")]


async def test_a_contender_that_cancels_itself_is_no_silence() -> None:
    """Some libraries do, where a connection is closed under them."""
    parts = {"a": failing(3.0), "b": Scripted(STARTED, 0.5, asyncio.CancelledError())}
    await failure(pool(parts), request())
    assert now() == 3.0
