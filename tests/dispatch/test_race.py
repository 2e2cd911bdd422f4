"""Two contenders for one answer: who is asked when, who wins, and that of the other nothing is left."""

from __future__ import annotations

import asyncio
import itertools
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from llm_pool.core.errors import (
    AllProvidersFailed,
    DeadlineExceeded,
    ProviderOverloaded,
    ProviderRefused,
    ProviderUnreachable,
    StreamBroken,
)
from llm_pool.core.trace import Decision
from llm_pool.core.types import Event, Finished, ReasoningDelta, Started, TextDelta, ToolCallDelta, Usage, Warning
from llm_pool.edges.account import Account
from tests.dispatch.stories import BOTH, STARTED, at_rest, failure, heard, now, texts, voices, words
from tests.running import AccessLines
from tests.scripted import USAGE, Scripted, Step, answer, counted, pool_of, request
from tests.virtual import nothing_left_running

if TYPE_CHECKING:
    from llm_pool.core.types import Request
    from llm_pool.pool import Pool

DONE = Finished("stop", USAGE)
QOS = {"hedge": "fixed", "hedge_after_ms": 1_000, "hedge_budget": 1.0, "max_retries": 0, "balance": "priority"}
ORDER = {"a": {"priority": 0}, "b": {"priority": 1}, "c": {"priority": 2}}


def pool(parts: dict[str, Scripted], *, tables: dict[str, dict[str, Any]] | None = None, **qos: Any) -> Pool:
    """In which the first is asked first, and hedged after a second."""
    these = {name: {**ORDER[name], **(tables or {}).get(name, {})} for name in parts}
    return pool_of(parts, tables=these, sections={"qos": {**QOS, **qos}})


def speaking(after: float, *rest: Step, text: str = "word") -> Scripted:
    """Says a word after a while, then the rest, then that it is done."""
    return Scripted(STARTED, after, TextDelta(text), *rest, DONE)


def failing(after: float, error: BaseException | None = None) -> Scripted:
    return Scripted(STARTED, after, error or StreamBroken("it broke"))


def hedges(of: Pool, outcome: str) -> float:
    return counted(of.metrics, "llm_pool_hedges_total", {"outcome": outcome})


# --- The hedge wins ---------------------------------------------------------------------------------------------


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


async def test_waiting_for_a_turn_is_silence_too() -> None:
    parts = {"a": speaking(3.0), "b": speaking(0.5, text="b")}
    asking = pool(parts, tables={"a": {"max_concurrent": 1}}, hedge_after_ms=500)
    other = request(whole=False)
    async with asking.open(other):  # which holds the one slot; it was hedged itself, and so is over by 1.0
        said, _ = await heard(asking, asked := request())
    assert texts(said) == ["b"]
    await at_rest(asking, parts, asked, other)


# --- The first one wins -----------------------------------------------------------------------------------------


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
async def test_a_loser_that_is_slow_to_close_holds_up_nobodys_words(whole: bool) -> None:
    parts = {"a": speaking(1.25, text="first"), "b": Scripted(STARTED, "stall", closing=[60.0])}
    said, error = await heard(pool(parts), request(whole=whole))
    assert (error, [at for at, _ in said]) == (None, [1.25] * 3)
    assert now() == 1.25  # the second time that it is told to, it does not wait


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


# --- No hedge ---------------------------------------------------------------------------------------------------


async def test_without_anybody_to_hedge_to_no_task_is_made() -> None:
    running: list[int] = []
    asyncio.get_running_loop().call_at(2.0, lambda: running.append(len(asyncio.all_tasks())))
    await heard(pool({"a": speaking(3.0)}), request())
    assert running == [1]


async def test_with_somebody_to_hedge_to_one_task_is_made_and_not_too_soon() -> None:
    running: list[set[str]] = []

    def look() -> None:
        running.append({task.get_name() for task in asyncio.all_tasks()} - {asyncio.current_task().get_name()})  # type: ignore[union-attr]

    loop, me = asyncio.get_running_loop(), asyncio.current_task()

    def names() -> None:
        running.append({task.get_name() for task in asyncio.all_tasks() if task is not me})

    for at in (0.0, 0.99, 1.01, 2.99):
        loop.call_at(at, names)
    await heard(pool({"a": speaking(3.0), "b": Scripted("stall")}), request())
    assert running == [set(), set(), {"hedge to b"}, {"hedge to b"}]


async def never_hedged(parts: dict[str, Scripted], asking: Pool, *, deadline: float = 30.0) -> None:
    """The first is slow, and yet nobody else is asked."""
    said, _ = await heard(asking, asked := request(deadline=deadline))
    assert texts(said) == ["word"]
    assert voices(asked) == [("a", "first", "ok")]
    assert counted(asking.metrics, "llm_pool_hedges_total") == 0
    assert sum(part.opened for part in parts.values()) == 1


@pytest.mark.parametrize("more", [{"hedge": "off"}, {"hedge_budget": 0.0}, {"hedge_after_ms": 5_000}])
async def test_it_can_be_switched_off(more: dict[str, Any]) -> None:
    parts = {"a": speaking(4.0), "b": Scripted()}
    await never_hedged(parts, pool(parts, **more))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("http://gpu:11434", "http://gpu:11434"),
        ("http://gpu:11434", "http://gpu:11434/"),
        ("http://gpu:11434", "http://gpu:11434/ollama"),
        (None, None),
    ],
)
async def test_two_on_one_host_are_slow_together(first: str | None, second: str | None) -> None:
    parts = {"a": speaking(4.0), "b": Scripted(), "c": Scripted()}
    urls = {"a": first, "b": second}
    tables = {
        name: {"driver": "ollama"} | ({"base_url": url} if url is not None else {}) for name, url in urls.items()
    }
    tables["c"] = {"driver": "ollama", "base_url": "http://other:11434", "fallback": True}
    await never_hedged(parts, pool(parts, tables=tables))


async def test_of_several_others_the_one_on_another_host_is_hedged_to() -> None:
    parts = {"a": speaking(4.0), "b": Scripted(), "c": speaking(0.5, text="c")}
    same = {"driver": "ollama", "base_url": "http://gpu:11434"}
    asking = pool(parts, tables={"a": same, "b": same, "c": {"driver": "ollama", "base_url": "http://cpu:11434"}})
    said, _ = await heard(asking, request())
    assert texts(said) == ["c"]
    assert parts["b"].opened == 0


async def test_a_fallback_is_no_hedge() -> None:
    parts = {"a": speaking(4.0), "b": Scripted()}
    await never_hedged(parts, pool(parts, tables={"b": {"fallback": True}}))


async def test_an_unhealthy_one_is_no_hedge() -> None:
    parts = {"a": speaking(4.0), "b": Scripted()}
    asking = pool_of(parts, sections={"qos": QOS}, states={"b": "unhealthy"})
    await never_hedged(parts, asking)


@pytest.mark.parametrize("when", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("how", ["opened", "cooling", "misconfigured", "spent"])
async def test_one_that_must_not_be_asked_is_no_hedge(how: str, when: float) -> None:
    """Also where that was heard only after the plan was made."""
    parts = {"a": speaking(4.0), "b": Scripted()}
    asking = pool(parts, tables={"b": {"requests_per_minute": 1}})
    [standing] = asking.learned.of("b")

    def refuse() -> None:
        match how:
            case "opened":
                standing.operate("open")
            case "cooling":
                standing.cooldown.limited(60.0)
            case "misconfigured":
                standing.cooldown.misconfigured(ProviderRefused("who are you"))
            case _:
                assert standing.quota is not None
                standing.quota.begin(0)

    if when:
        asyncio.get_running_loop().call_at(when, refuse)
    else:
        refuse()
    await never_hedged(parts, asking)


async def test_a_full_one_is_no_hedge() -> None:
    parts = {"a": speaking(4.0), "b": Scripted()}
    asking = pool(parts, tables={"b": {"max_concurrent": 1}})
    [standing] = asking.learned.of("b")
    assert standing.slots is not None
    assert standing.slots.enter_now()
    await never_hedged(parts, asking)
    standing.slots.leave()


@pytest.mark.parametrize(("deadline", "hedged"), [(5.9, False), (6.1, True)])
async def test_where_its_word_would_come_too_late_there_is_no_hedge(deadline: float, hedged: bool) -> None:
    parts = {"a": speaking(4.0), "b": Scripted("stall")}
    asking = pool(parts)
    [standing] = asking.learned.of("b")
    for _ in range(9):
        standing.words.add(4.95)
    await heard(asking, request(deadline=deadline))
    assert parts["b"].opened == hedged


@pytest.mark.parametrize("whole", BOTH)
async def test_of_one_request_at_most_one_is_asked_beside_another(whole: bool) -> None:
    parts = {"a": failing(1.5), "b": failing(0.25), "c": speaking(9.0)}
    said, error = await heard(pool(parts), asked := request(whole=whole))
    assert (error, texts(said)) == (None, ["word"])
    assert voices(asked) == [
        ("a", "first", "STREAM_BROKEN"), ("b", "hedge", "STREAM_BROKEN"), ("c", "failover", "ok"),
    ]  # fmt: skip


@pytest.mark.parametrize("whole", BOTH)
async def test_after_a_quick_failure_the_next_one_is_hedged(whole: bool) -> None:
    parts = {"a": failing(0.25), "b": speaking(9.0), "c": speaking(0.5, text="c")}
    asking = pool(parts)
    said, _ = await heard(asking, asked := request(whole=whole))
    assert texts(said) == ["c"]
    assert parts["c"].calls[0].opened == 1.25
    assert voices(asked) == [("a", "first", "STREAM_BROKEN"), ("b", "failover", "OUTRUN"), ("c", "hedge", "ok")]
    await at_rest(asking, parts, asked)


# --- The budget -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [0.05, 0.2])
async def test_no_more_requests_are_hedged_than_the_budget_has(budget: float) -> None:
    parts = {"a": speaking(1.5), "b": Scripted("stall")}
    asking = pool(parts, hedge_budget=budget)
    for _ in range(400):
        await heard(asking, request())
    assert 400 * budget - 1 <= parts["b"].opened <= 400 * budget + 10


async def test_requests_that_fail_over_do_not_widen_the_budget() -> None:
    """It is a share of the requests, not of the deployments that they try."""
    parts = {"a": Scripted(opening=[ProviderRefused("not this one")]), "b": speaking(1.5), "c": Scripted("stall")}
    asking = pool(parts, hedge_budget=0.05)
    for _ in range(1_000):
        await heard(asking, request())
    assert parts["c"].opened <= 1_000 * 0.05 + 10


async def test_a_hedge_that_could_not_be_sent_is_not_paid_for() -> None:
    parts = {"a": speaking(1.5), "b": Scripted("stall")}
    asking = pool(parts, hedge_budget=0.05)
    [standing] = asking.learned.of("b")
    standing.operate("open")
    for _ in range(60):
        await heard(asking, request())
    standing.operate("close")
    for _ in range(4):
        await heard(asking, request())
    assert parts["b"].opened >= 2  # at the least what a new pool has


# --- Learning ---------------------------------------------------------------------------------------------------


async def test_the_delay_comes_near_the_95th_percentile() -> None:
    parts = {"a": Scripted(), "b": Scripted("stall")}
    asking = pool(parts, hedge="adaptive", hedge_budget=0.05)
    chance = Random(3)
    for _ in range(200):
        parts["a"].steps = [STARTED, chance.uniform(0.1, 1.1), TextDelta("a"), DONE]
        await heard(asking, request())
    parts["a"].steps = [STARTED, "stall"]
    began, before = now(), parts["b"].opened
    await heard(asking, request(deadline=5.0))
    assert parts["b"].opened == before + 1
    assert parts["b"].calls[-1].opened - began == pytest.approx(1.05, rel=0.06)


async def first_asked(asking: Pool, count: int) -> list[str]:
    found = []
    for _ in range(count):
        await heard(asking, asked := request())
        found.append(asked.trace.attempts[0].deployment)
    return found


def late_pool(parts: dict[str, Scripted], **table: Any) -> Pool:
    qos = {"hedge": "adaptive", "hedge_after_ms": 1_000, "balance": "priority", "max_retries": 0}
    tables = {"a": {"priority": 0}, "b": {"priority": 1, **table}}
    return pool_of(parts, tables=tables, sections={"qos": qos}, random=Random(5))


async def test_while_the_first_is_late_most_requests_begin_with_the_next_one() -> None:
    parts = {"a": speaking(3.0), "b": speaking(0.5)}
    asking = late_pool(parts)
    assert set(await first_asked(asking, 3)) == {"a"}
    await first_asked(asking, 20)
    share = (await first_asked(asking, 100)).count("a")
    assert 2 <= share <= 25  # some look whether it is over
    parts["a"].steps = speaking(0.25).steps
    await first_asked(asking, 600)
    assert (await first_asked(asking, 50)).count("a") >= 40


async def test_nobody_is_sent_to_wait_in_the_line_of_a_full_one_because_the_free_one_is_late() -> None:
    parts = {"a": speaking(3.0), "b": speaking(0.5)}
    asking = late_pool(parts, max_concurrent=1)
    await first_asked(asking, 30)
    [standing] = asking.learned.of("b")
    assert standing.slots is not None
    while not standing.slots.enter_now():
        await asyncio.sleep(0.1)
    for _ in range(10):
        began = now()
        await heard(asking, asked := request())
        assert voices(asked) == [("a", "first", "ok")]
        assert now() - began == 3.0
    standing.slots.leave()


async def test_a_caller_who_leaves_in_vain_teaches_too() -> None:
    parts = {"a": Scripted("stall"), "b": Scripted("stall")}
    asking = late_pool(parts)
    for _ in range(30):
        await heard(asking, request(deadline=2.0))
    parts["b"].steps = speaking(0.5).steps
    assert (await first_asked(asking, 30)).count("b") >= 20


# --- Errors -----------------------------------------------------------------------------------------------------


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


# --- After the first word ---------------------------------------------------------------------------------------


async def test_a_slow_reader_gets_every_word_of_a_hedge_once_and_in_order() -> None:
    said = [f"{number} " for number in range(20)]
    steps: list[Step] = [STARTED, 0.5, *(step for text in said for step in (TextDelta(text), 0.125)), DONE]
    parts = {"a": Scripted("stall"), "b": Scripted(*steps)}
    asking = pool(parts, tables={"b": {"idle_timeout_ms": 2_000}})
    got: list[str] = []
    asked = request(whole=False, deadline=100.0)
    async with asking.open(asked) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                got.append(event.text)
                await asyncio.sleep(3.0)
    assert got == said
    await at_rest(asking, parts, asked)


async def test_a_hedge_does_not_run_far_ahead_of_a_slow_reader() -> None:
    produced: list[float] = []

    class Noting(Scripted):
        pass

    steps: list[Step] = [STARTED, 0.5, *(TextDelta(str(number)) for number in range(50)), DONE]
    parts = {"a": Scripted("stall"), "b": Noting(*steps)}
    asking = pool(parts)
    async with asking.open(request(whole=False)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
        await asyncio.sleep(5.0)
        # One is in the queue, one waits for room in it; said are, with the one heard, twelve characters at most.
        produced.append(asking.metrics.asked["b"])
    await nothing_left_running()
    assert produced == [1]
    assert parts["b"].open == 0


@pytest.mark.parametrize("most", range(1, 6))
async def test_a_reader_who_leaves_early_leaves_nothing_behind(most: int) -> None:
    parts = {"a": Scripted("stall"), "b": speaking(0.5, *words(20, every=0.25))}
    asking = pool(parts)
    asked = request(whole=False)
    count = 0
    async with asking.open(asked) as events:
        async for _ in events:
            count += 1
            if count == most:
                break
        left = now()
    assert parts["b"].closed_at == [left]
    assert len(asyncio.all_tasks()) == 1
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1, "a task was made for what was left open"
    assert voices(asked) == [("a", "first", "OUTRUN"), ("b", "hedge", "CANCELLED")]
    await at_rest(asking, parts, asked)


async def test_a_readers_own_error_is_his_own() -> None:
    parts = {"a": Scripted("stall"), "b": speaking(0.5, *words(20, every=0.25))}
    asking = pool(parts)
    asked = request(whole=False)
    with pytest.raises(ZeroDivisionError):
        async with asking.open(asked) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    raise ZeroDivisionError
    await at_rest(asking, parts, asked)


@pytest.mark.parametrize("at", ["b", "a"])
async def test_a_stream_that_breaks_after_its_first_word_ends_with_one_error(at: str) -> None:
    breaking = Scripted(STARTED, 0.5 if at == "b" else 1.25, TextDelta("half"), 0.5, StreamBroken("it broke"))
    other = Scripted("stall")
    parts = {"a": other, "b": breaking} if at == "b" else {"a": breaking, "b": other}
    parts["c"] = Scripted()
    asking = pool(parts)
    said, error = await heard(asking, asked := request(whole=False))
    assert texts(said) == ["half"]
    assert isinstance(error, StreamBroken)
    assert parts["c"].opened == 0
    await at_rest(asking, parts, asked)


@pytest.mark.parametrize("at", ["b", "a"])
async def test_a_whole_answer_that_breaks_half_way_is_had_from_a_third(at: str) -> None:
    breaking = Scripted(STARTED, 0.5 if at == "b" else 1.25, TextDelta("half"), 0.5, StreamBroken("it broke"))
    parts = {"a": Scripted("stall"), "b": breaking} if at == "b" else {"a": breaking, "b": Scripted("stall")}
    parts["c"] = Scripted(*answer("all"))
    asking = pool(parts)
    assert (await asking.infer(asked := request(whole=True))).content == "all"
    outcomes = {"a": "OUTRUN", "b": "OUTRUN", at: "STREAM_BROKEN"}
    assert voices(asked) == [
        ("a", "first", outcomes["a"]), ("b", "hedge", outcomes["b"]), ("c", "failover", "ok"),
    ]  # fmt: skip
    assert hedges(asking, "won") == 0
    await at_rest(asking, parts, asked)


async def test_who_was_outrun_has_not_failed_and_is_asked_before_a_whole_request_is_given_up() -> None:
    """It was hung up on because the other one spoke, not because anything is wrong with it."""
    breaking = Scripted(STARTED, 1.25, TextDelta("half"), 0.5, StreamBroken("it broke"))
    parts = {"a": breaking, "b": speaking(0.5, text="all")}
    assert (await pool(parts).infer(request(whole=True))).content == "all"


# --- Slow words -------------------------------------------------------------------------------------------------

LONG = 100  # words of a token each


async def practised(asking: Pool, parts: dict[str, Scripted], *, times: int = 30, every: float = 0.0625) -> None:
    """Its usual pace is known."""
    steps, parts["a"].steps = parts["a"].steps, [STARTED, *words(LONG, every=every), DONE]
    for _ in range(times):
        await heard(asking, request())
    parts["a"].steps = steps


def slow(every: float, *, count: int = LONG) -> Scripted:
    return Scripted(STARTED, *words(count, every=every), DONE)


async def test_a_whole_answer_that_comes_much_slower_than_usual_is_raced() -> None:
    parts = {"a": slow(0.25), "b": slow(0.0625)}
    asking = pool(parts)
    await practised(asking, parts)
    began = now()
    await heard(asking, asked := request())
    # The 65th word is the first at which 64 tokens have come, a quarter of a second each since the first.
    opened = parts["b"].calls[0].opened - began
    assert 63 * 0.25 <= opened <= 66 * 0.25
    assert now() - began == opened + LONG * 0.0625
    assert voices(asked) == [("a", "first", "OUTRUN"), ("b", "race", "ok")]
    assert asked.trace.attempts[0].usage.output > 60
    assert Decision.of(asked.trace).hedged
    assert (hedges(asking, "sent"), hedges(asking, "won")) == (1, 1)
    await at_rest(asking, parts, asked)


async def test_who_is_raced_may_still_be_the_first_at_the_end() -> None:
    parts = {"a": slow(0.25), "b": slow(0.25)}
    asking = pool(parts)
    await practised(asking, parts)
    began = now()
    await heard(asking, asked := request())
    assert now() - began == LONG * 0.25
    assert voices(asked) == [("a", "first", "ok"), ("b", "race", "OUTRUN")]
    assert parts["b"].closed_at == [now()]
    await at_rest(asking, parts, asked)


@pytest.mark.parametrize(
    ("every", "count", "times", "whole"),
    [
        (0.25, LONG, 30, False),  # a stream has spoken
        (0.25, 60, 30, True),  # short
        (0.15, LONG, 30, True),  # less than two and a half times
        (0.25, LONG, 19, True),  # what is usual is not known
    ],
)
async def test_nobody_else_is_raced(every: float, count: int, times: int, whole: bool) -> None:
    parts = {"a": slow(every, count=count), "b": Scripted()}
    asking = pool(parts)
    await practised(asking, parts, times=times)
    await heard(asking, asked := request(whole=whole))
    assert voices(asked) == [("a", "first", "ok")]


@pytest.mark.parametrize("error", [StreamBroken("it broke"), KeyError("bug")])
@pytest.mark.parametrize("who", ["a", "b"])
async def test_an_error_in_a_race_of_slow_answers(who: str, error: BaseException) -> None:
    parts = {"a": slow(0.25), "b": slow(0.0625)}
    parts[who].steps = [*list(parts[who].steps)[: 2 * (70 if who == "a" else 10)], error]
    asking = pool(parts)
    await practised(asking, parts)
    asked = request()
    if isinstance(error, KeyError):
        with pytest.raises(KeyError):
            await heard(asking, asked)
    else:
        _, failed = await heard(asking, asked)
        assert failed is None
        assert [kind for _, kind, _ in voices(asked)] == ["first", "race"]
    await at_rest(asking, parts, asked)


async def test_an_answer_that_is_complete_is_not_outrun_while_its_connection_closes() -> None:
    parts = {"a": slow(0.25), "b": slow(0.0625)}
    asking = pool(parts)
    await practised(asking, parts)
    # The last word of the first comes shortly before that of the second.
    parts["a"].closing = [2.0]
    parts["b"].steps = [STARTED, *words(LONG, every=0.0905), DONE]
    said, _ = await heard(asking, asked := request())
    assert [kind for _, kind, _ in voices(asked)] == ["first", "race"]
    assert [outcome for _, _, outcome in voices(asked)].count("ok") == 1
    await at_rest(asking, parts, asked)


# --- Leaving at any moment --------------------------------------------------------------------------------------

CONTENDERS: dict[str, tuple[list[Step], list[Step]]] = {
    "the hedge wins": ([STARTED, "stall"], [STARTED, 0.5, *words(3, every=0.25), DONE]),
    "the first wins": ([STARTED, 1.25, *words(3, every=0.25), DONE], [STARTED, 0.5, *words(3, every=0.25), DONE]),
    "the first fails": ([STARTED, 1.25, StreamBroken("it broke")], [STARTED, 0.5, *words(2, every=0.25), DONE]),
    "the hedge fails": ([STARTED, 2.0, *words(2, every=0.25), DONE], [STARTED, 0.25, StreamBroken("it broke")]),
    "both fail": ([STARTED, 1.5, StreamBroken("it broke")], [STARTED, 0.75, StreamBroken("it broke")]),
    "both fail at once": ([STARTED, 1.5, StreamBroken("it broke")], [STARTED, 0.5, StreamBroken("it broke")]),
    "both speak at once": ([STARTED, 1.5, *words(2, every=0.25), DONE], [STARTED, 0.5, *words(2, every=0.25), DONE]),
    "one speaks as the other fails": ([STARTED, 1.5, StreamBroken("it broke")], [STARTED, 0.5, TextDelta("b"), DONE]),
    "the first speaks as it is hedged": ([STARTED, 1.0, *words(2, every=0.25), DONE], [STARTED, TextDelta("b"), DONE]),
    "the hedge breaks half-way": ([STARTED, "stall"], [STARTED, 0.5, TextDelta("b"), 0.5, StreamBroken("it broke")]),
    "both are silent": ([STARTED, "stall"], ["stall"]),
    "the hedge speaks at once": ([STARTED, "stall"], [TextDelta("b"), DONE]),
}
CLOSINGS: dict[str, tuple[list[Step], list[Step]]] = {
    "at once": ([], []),
    "a turn of the loop": ([0.0], [0.0, 0.0]),
    "slowly": ([0.375], [0.25]),
}
MOMENTS = [number / 8 for number in range(25)]  # to 3.0
TURNS = (0, 1, 2, 3, 4, 6)


def contenders(script: str, closing: str) -> tuple[dict[str, Scripted], Pool, float]:
    """With them the longest time that it takes to close both."""
    first, second = CONTENDERS[script]
    closing_first, closing_second = CLOSINGS[closing]
    parts = {"a": Scripted(*first, closing=closing_first), "b": Scripted(*second, closing=closing_second)}
    tables = {name: {**ORDER[name], "max_concurrent": 1} for name in parts}
    asking = pool_of(parts, tables=tables, sections={"qos": QOS})
    slowly = sum(step for step in (*closing_first, *closing_second) if isinstance(step, float))
    return parts, asking, slowly


async def settled(asking: Pool, parts: dict[str, Scripted], asked: Request) -> None:
    await at_rest(asking, parts, asked)
    for name in parts:
        for standing in asking.learned.of(name):
            standing.operate("reset")


@pytest.mark.parametrize("whole", BOTH)
@pytest.mark.parametrize("closing", CLOSINGS)
@pytest.mark.parametrize("script", CONTENDERS)
async def test_a_caller_may_be_cancelled_at_any_moment(script: str, closing: str, whole: bool) -> None:
    parts, asking, slowly = contenders(script, closing)
    for at, turns in itertools.product(MOMENTS, TURNS):
        began = now()
        asked = request(whole=whole)
        task = asyncio.create_task(heard(asking, asked))
        await asyncio.sleep(at)
        for _ in range(turns):
            await asyncio.sleep(0)
        done = task.done()
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled() != done, (at, turns)
        assert now() - began <= at + slowly, (at, turns)
        await settled(asking, parts, asked)


@pytest.mark.parametrize("whole", BOTH)
@pytest.mark.parametrize("closing", CLOSINGS)
@pytest.mark.parametrize("script", CONTENDERS)
async def test_the_deadline_may_come_at_any_moment(script: str, closing: str, whole: bool) -> None:
    parts, asking, slowly = contenders(script, closing)
    for at in [each / 16 for each in range(1, 50)]:
        began = now()
        asked = request(whole=whole, deadline=at)
        _, error = await heard(asking, asked)
        assert now() - began <= at + slowly, at
        if now() - began > at:
            assert isinstance(error, DeadlineExceeded), at
        await settled(asking, parts, asked)


@pytest.mark.parametrize("closing", CLOSINGS)
@pytest.mark.parametrize("script", CONTENDERS)
async def test_a_reader_may_leave_after_any_event(script: str, closing: str) -> None:
    parts, asking, _ = contenders(script, closing)
    for most in range(1, 6):
        asked, count = request(whole=False), 0
        try:
            async with asking.open(asked) as events:
                async for _event in events:
                    count += 1
                    if count == most:
                        break
        except (StreamBroken, AllProvidersFailed, DeadlineExceeded):
            pass
        await settled(asking, parts, asked)


@pytest.mark.parametrize("after", [None, 1, 2, 4])
async def test_a_winner_that_does_not_close_is_given_up_at_the_deadline(after: int | None) -> None:
    """As one that is asked alone is."""
    stuck = Scripted(STARTED, 0.5, *words(3, every=0.25), DONE, closing=["stall"])
    parts = {"a": Scripted("stall"), "b": stuck}
    asking = pool(parts)
    asked = request(whole=False, deadline=10.0)

    async def hear() -> None:
        count = 0
        async with asking.open(asked) as events:
            async for _ in events:
                count += 1
                if count == after:
                    break

    task = asyncio.create_task(hear())
    await asyncio.wait({task}, timeout=10.1)
    ended = task.done()
    for hung in asyncio.all_tasks() - {asyncio.current_task()}:
        hung.cancel()
    await asyncio.wait({task})
    task.exception()
    assert ended, "the caller was held beyond his deadline"


async def test_ten_thousand_hedges_leave_nothing_behind() -> None:
    """A thousand at a time."""
    parts = {"a": speaking(1.5), "b": speaking(0.25), "c": Scripted()}
    asking = pool(parts, max_concurrent_requests=1_000)
    parts["b"].closing = [0.0]
    for _ in range(3):
        await asyncio.gather(*(heard(asking, request(whole=bool(number % 2))) for number in range(1_000)))
    await at_rest(asking, parts)
    assert parts["a"].opened == 3_000


async def test_the_first_of_many_errors_is_no_ones_but_the_requests_own() -> None:
    """The same error object, raised for many requests, is not changed by any."""
    gone = ProviderUnreachable("gone")
    parts = {"a": failing(1.25, gone), "b": failing(0.5, gone)}
    asking = pool(parts)
    errors = await asyncio.gather(*(failure(asking, request()) for _ in range(4)))
    assert {type(error) for error in errors} == {AllProvidersFailed}
