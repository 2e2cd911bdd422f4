"""What follows the first word of a hedge, and the race of answers that come slowly."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from llm_pool.core.errors import (
    StreamBroken,
)
from llm_pool.core.trace import Decision
from llm_pool.core.types import TextDelta
from tests.dispatch.stories import (
    DONE,
    STARTED,
    Changing,
    at_rest,
    heard,
    hedges,
    now,
    pool,
    speaking,
    texts,
    voices,
    words,
)
from tests.scripted import Scripted, Step, answer, request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_pool.pool import Pool

# --- After the first word ---------------------------------------------------------------------------------------------


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


class Produced(list[Step]):
    """Steps that note how many of them have been played."""

    played = 0

    def __iter__(self) -> Iterator[Step]:
        for step in super().__iter__():
            self.played += 1
            yield step


async def test_a_hedge_does_not_run_ahead_of_a_slow_reader() -> None:
    steps = Produced([STARTED, 0.5, *(TextDelta(str(number)) for number in range(50)), DONE])
    parts = {"a": Scripted("stall"), "b": Scripted()}
    parts["b"].steps = steps
    async with pool(parts).open(request(whole=False)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
        await asyncio.sleep(5.0)
        assert steps.played <= 3 + 2  # one is in the queue, one waits for room in it
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
    assert unclosed() == []
    assert voices(asked) == [("a", "first", "OUTRUN"), ("b", "hedge", "CANCELLED")]
    await at_rest(asking, parts, asked)


def unclosed() -> list[str]:
    """Generators that were begun and not closed: whenever memory is cleared up, a task would be made for each."""
    known: set[Any] = asyncio.get_running_loop()._asyncgens  # type: ignore[attr-defined]
    return [each.__qualname__ for each in known if each.ag_frame is not None and each.__name__ != "_census"]


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
    got = await asking.infer(asked := request(whole=True))
    assert got.content == "all"
    outcomes = {"a": "OUTRUN", "b": "OUTRUN", at: "STREAM_BROKEN"}
    assert voices(asked) == [
        ("a", "first", outcomes["a"]), ("b", "hedge", outcomes["b"]), ("c", "failover", "ok"),
    ]  # fmt: skip
    assert hedges(asking, "won") == 0
    await at_rest(asking, parts, asked)


@pytest.mark.parametrize("broken", ["a", "b"])
async def test_who_was_outrun_has_not_failed_and_is_asked_before_a_whole_request_is_given_up(broken: str) -> None:
    """It was hung up on because the other one spoke, not because anything is wrong with it."""
    after = {"a": 1.25, "b": 0.5}[broken]
    breaking = Scripted(STARTED, after, TextDelta("half"), 0.5, StreamBroken("it broke"))
    other = Changing([STARTED, "stall"], answer("all"))
    parts = {"a": breaking, "b": other} if broken == "a" else {"a": other, "b": breaking}
    asking = pool(parts)
    assert (await asking.infer(request(whole=True))).content == "all"
    await at_rest(asking, parts)


async def test_a_winner_is_given_the_time_to_close() -> None:
    """A connection that is closed in peace serves the next one."""
    parts = {"a": Scripted("stall"), "b": Scripted(STARTED, 0.5, TextDelta("b"), DONE, closing=[0.03125])}
    await heard(pool(parts), request(whole=False))
    assert parts["b"].closed_at == [1.5 + 0.03125]


# --- Slow words -------------------------------------------------------------------------------------------------------

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
    await heard(asking, asked := request())
    assert [kind for _, kind, _ in voices(asked)] == ["first", "race"]
    assert [outcome for _, _, outcome in voices(asked)].count("ok") == 1
    await at_rest(asking, parts, asked)
