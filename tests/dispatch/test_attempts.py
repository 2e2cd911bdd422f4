"""One dependable voice: failover before the first word, the fallback tier, and what is never asked twice."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from llm_pool.core.errors import (
    AllProvidersFailed,
    NoProvider,
    PoolError,
    ProviderOverloaded,
    ProviderUnreachable,
    StreamBroken,
)
from llm_pool.core.trace import Decision
from llm_pool.core.types import Event, Finished, ReasoningDelta, Started, TextDelta, ToolCallDelta, Warning
from tests.scripted import USAGE, Scripted, Step, answer, counted, pool_of, request

if TYPE_CHECKING:
    from llm_pool.core.types import Request
    from llm_pool.pool import Pool

FALLBACK = {"fallback": True}
ONCE = {"qos": {"max_retries": 0, "hedge": "off"}}
STARTED = Started("sim/m", "a")


def failing() -> Scripted:
    return Scripted(opening=[ProviderOverloaded("busy")])


def breaking(*said: Step) -> Scripted:
    return Scripted(STARTED, *said, StreamBroken("it broke"))


async def heard(pool: Pool, asked: Request) -> tuple[list[Event], PoolError | None]:
    """Everything that was said, and the error that ended it."""
    said: list[Event] = []
    try:
        async with pool.open(asked) as events:
            async for event in events:
                said.append(event)
    except PoolError as error:
        return said, error
    return said, None


def outcomes(asked: Request) -> list[tuple[str, str]]:
    return [(attempt.deployment, attempt.outcome) for attempt in asked.trace.attempts]


# --- Failover ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("said", [None, (), (1.0,), (Warning("code", "of the first"),)])
async def test_before_the_first_word_another_deployment_answers(said: tuple[Step, ...] | None, whole: bool) -> None:
    first = failing() if said is None else breaking(*said)
    pool = pool_of({"a": first, "b": Scripted()})
    events, error = await heard(pool, asked := request(whole=whole))
    assert error is None
    assert events == [Started("sim/m", "b"), TextDelta("hello"), Finished("stop", USAGE)]
    assert [attempt.deployment for attempt in asked.trace.attempts] == ["a", "b"]
    assert counted(pool.metrics, "llm_pool_failovers_total", {"deployment": "a"}) == 1
    assert counted(pool.metrics, "llm_pool_failovers_total") == 1
    assert first.open == 0


@pytest.mark.parametrize("word", [TextDelta("half"), ReasoningDelta("hm"), ToolCallDelta(0, "id", "name", "")])
async def test_a_stream_that_has_spoken_never_changes_its_voice(word: Event) -> None:
    second = Scripted()
    events, error = await heard(pool_of({"a": breaking(word), "b": second}), asked := request(whole=False))
    assert events == [STARTED, word]
    assert isinstance(error, StreamBroken)
    assert second.opened == 0
    assert outcomes(asked) == [("a", "STREAM_BROKEN")]


async def test_a_whole_answer_survives_a_line_that_drops_half_way() -> None:
    pool = pool_of({"a": breaking(TextDelta("half")), "b": Scripted(*answer("all"))})
    got = await pool.infer(asked := request())
    assert (got.content, got.provider) == ("all", "b")
    assert outcomes(asked) == [("a", "STREAM_BROKEN"), ("b", "ok")]


async def test_the_one_that_failed_is_closed_before_the_next_is_asked() -> None:
    first, second = Scripted(STARTED, StreamBroken("it broke"), closing=[2.0]), Scripted()
    await pool_of({"a": first, "b": second}).infer(request())
    assert first.closed_at == [2.0]
    assert second.calls[0].opened == 2.0


@pytest.mark.parametrize("whole", [True, False])
async def test_each_deployment_is_asked_at_most_once_and_each_is_named(whole: bool) -> None:
    gone = Scripted(opening=[ProviderUnreachable("gone")])
    tables: dict[str, dict[str, object]] = {"c": {"fallback": True}, "d": {"weight": 9.0}}
    parts = {"a": failing(), "b": gone, "c": breaking(), "d": failing()}
    _, error = await heard(
        pool_of(parts, tables=tables, states={"d": "unhealthy"}, sections=ONCE), asked := request(whole=whole)
    )
    assert isinstance(error, AllProvidersFailed)
    assert error.details == {
        "a": "PROVIDER_OVERLOADED", "b": "PROVIDER_UNREACHABLE", "c": "STREAM_BROKEN", "d": "PROVIDER_OVERLOADED",
    }  # fmt: skip
    assert [part.opened for part in parts.values()] == [1, 1, 1, 1]
    assert [part.open for part in parts.values()] == [0, 0, 0, 0]
    assert [attempt.deployment for attempt in asked.trace.attempts] == ["a", "b", "c", "d"]


async def test_one_failure_speaks_for_itself() -> None:
    busy = ProviderOverloaded("busy", retry_after=7.0)
    _, error = await heard(pool_of({"a": Scripted(opening=[busy])}), request())
    assert error is busy


async def test_nobody_configured_for_a_task_is_told_so() -> None:
    tables = {"a": {"tasks": ["judge"]}}
    with pytest.raises(NoProvider, match="task chat"):
        await pool_of({"a": Scripted()}, tables=tables).infer(request())


async def test_a_bug_is_not_failed_over() -> None:
    second = Scripted()
    with pytest.raises(KeyError):
        await pool_of({"a": Scripted(STARTED, KeyError("bug")), "b": second}).infer(request())
    assert second.opened == 0


# --- Who is asked -----------------------------------------------------------------------------------------------


async def test_the_unhealthy_are_asked_last() -> None:
    ill, well = Scripted(), Scripted()
    pool = pool_of({"a": ill, "b": well}, states={"a": "unhealthy"})
    assert (await pool.infer(request())).provider == "b"
    assert ill.opened == 0


@pytest.mark.parametrize("state", ["healthy", "degraded", "checking", "loading"])
async def test_whoever_is_not_unhealthy_is_asked(state: str) -> None:
    pool = pool_of({"a": Scripted(), "b": Scripted()}, states={"a": state})  # type: ignore[dict-item]
    assert (await pool.infer(request())).provider == "a"


async def test_a_named_model_fails_over_to_deployments_of_that_model_only() -> None:
    parts = {"a": failing(), "b": Scripted(), "c": Scripted(), "d": failing()}
    pool = pool_of(parts, tables={"b": {"model": "other"}, "c": {"provider": "elsewhere"}})
    _, error = await heard(pool, request(model="sim/m"))
    assert isinstance(error, AllProvidersFailed)
    assert error.details.keys() == {"a", "d"}
    assert (parts["b"].opened, parts["c"].opened) == (0, 0)


async def test_a_provider_is_asked_by_its_own_name_of_the_model() -> None:
    parts = {"a": Scripted(), "b": Scripted()}
    pool = pool_of(parts, tables={"a": {"model": "org/m"}, "b": {"provider": "any", "models": ["*"]}})
    await pool.infer(request(model="sim/org/m"))
    assert (await pool.infer(request(model="any/org/x"))).model == "any/org/x"
    assert [part.requests[0].model for part in parts.values()] == ["org/m", "org/x"]


# --- The fallback tier ------------------------------------------------------------------------------------------


async def test_the_fallback_is_asked_when_every_other_has_failed() -> None:
    parts = {"a": Scripted(), "b": failing(), "c": failing()}
    pool = pool_of(parts, tables={"a": FALLBACK})
    got = await pool.infer(asked := request())
    assert got.provider == "a"
    decision = Decision.of(asked.trace)
    assert (decision.degraded, decision.why, decision.winner) == (True, "fallback", "a")
    assert counted(pool.metrics, "llm_pool_degraded_total", {"task": "chat"}) == 1
    assert outcomes(asked)[-1] == ("a", "ok")


async def test_the_fallback_is_asked_before_the_unhealthy() -> None:
    ill = Scripted()
    pool = pool_of({"a": ill, "b": Scripted()}, tables={"b": FALLBACK}, states={"a": "unhealthy"})
    assert (await pool.infer(request())).provider == "b"
    assert ill.opened == 0


async def test_the_fallback_has_no_share_of_the_traffic() -> None:
    parts = {"a": Scripted(), "b": Scripted()}
    pool = pool_of(parts, tables={"a": FALLBACK | {"weight": 1_000_000.0}})
    for _ in range(20):
        asked = request()
        assert (await pool.infer(asked)).provider == "b"
        assert not Decision.of(asked.trace).degraded


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(("opening", "steps"), [(("stall",), ()), ((), ("stall",)), ((), (STARTED, "stall"))])
async def test_the_fallback_is_asked_100_ms_before_the_deadline_of_a_silent_one(
    opening: tuple[Step, ...], steps: tuple[Step, ...], whole: bool
) -> None:
    stand_in, silent = Scripted(), Scripted(*steps, opening=opening)
    pool = pool_of({"a": silent, "b": stand_in}, tables={"b": FALLBACK})
    events, error = await heard(pool, asked := request(deadline=10.0, whole=whole))
    assert error is None
    assert events[0] == Started("sim/m", "b")
    assert stand_in.calls[0].opened == silent.closed_at[0] == 10.0 - 0.1
    assert outcomes(asked) == [("a", "PROVIDER_TIMEOUT"), ("b", "ok")]


async def test_one_that_has_spoken_in_time_keeps_the_word_until_the_deadline() -> None:
    slow = Scripted(STARTED, 9.8, TextDelta("well"), 0.15, Finished("stop", USAGE))
    stand_in = Scripted()
    pool = pool_of({"a": slow, "b": stand_in}, tables={"b": FALLBACK})
    events, error = await heard(pool, request(deadline=10.0, whole=False))
    assert error is None
    assert events[-1] == Finished("stop", USAGE)
    assert stand_in.opened == 0


async def test_where_nothing_is_said_before_everything_is_a_slow_answer_gives_way_to_the_fallback() -> None:
    """A model that is still writing when the deadline comes has said nothing to anybody."""
    slow = Scripted(STARTED, 1.0, *[step for _ in range(100) for step in (TextDelta("and "), 0.3)])
    pool = pool_of({"a": slow, "b": Scripted(*answer("in short"))}, tables={"b": FALLBACK})
    asked = request(deadline=10.0, whole=True)
    assert (await pool.infer(asked)).content == "in short"
    [first, second] = asked.trace.attempts
    assert (first.outcome, second.degraded) == ("PROVIDER_TIMEOUT", "fallback")
    assert first.usage.estimated


async def test_without_a_fallback_silence_may_last_until_the_deadline() -> None:
    pool = pool_of({"a": Scripted(STARTED, 9.95, TextDelta("at last"), Finished("stop", USAGE))})
    assert (await pool.infer(request(deadline=10.0))).content == "at last"


async def test_who_comes_too_late_for_the_reserve_is_skipped_for_the_fallback() -> None:
    never, stand_in = Scripted(), Scripted()
    parts = {"a": Scripted(STARTED, "stall"), "b": never, "c": stand_in}
    pool = pool_of(parts, tables={"c": FALLBACK}, sections=ONCE)
    assert (await pool.infer(request(deadline=5.0))).provider == "c"
    assert never.opened == 0


async def test_a_deadline_shorter_than_the_reserve_is_shared_with_the_fallback() -> None:
    quick, silent, stand_in = Scripted(), Scripted("stall"), Scripted()
    pool = pool_of({"a": quick, "b": stand_in}, tables={"b": FALLBACK})
    assert (await pool.infer(request(deadline=0.05))).provider == "a"
    pool = pool_of({"a": silent, "b": stand_in}, tables={"b": FALLBACK})
    assert (await pool.infer(request(deadline=0.05))).provider == "b"
    assert stand_in.calls[0].opened == 0.025


async def test_a_fallback_that_is_named_is_no_stand_in() -> None:
    pool = pool_of({"a": Scripted(), "b": Scripted()}, tables={"b": FALLBACK | {"model": "small"}})
    got = await pool.infer(asked := request(model="sim/small"))
    assert got.provider == "b"
    decision = Decision.of(asked.trace)
    assert (decision.degraded, decision.why) == (False, "")
    assert counted(pool.metrics, "llm_pool_degraded_total") == 0


async def test_a_named_fallback_has_all_the_time_there_is() -> None:
    slow = Scripted(9.95, *answer("late"))
    pool = pool_of({"a": slow}, tables={"a": FALLBACK})
    assert (await pool.infer(request(model="sim/m", deadline=10.0))).content == "late"
    assert asyncio.get_running_loop().time() == 9.95


# --- Fewer tokens than asked for --------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [True, False])
async def test_fewer_tokens_than_asked_for_are_warned_of(whole: bool) -> None:
    capped = Scripted()
    pool = pool_of({"a": capped}, tables={"a": {"max_tokens": 64}})
    events, _ = await heard(pool, asked := request(max_tokens=100, whole=whole))
    told = Warning("max_tokens_reduced", "a may be asked for 64 tokens, not 100")
    assert events == [STARTED, told, TextDelta("hello"), Finished("stop", USAGE)]
    assert Decision.of(asked.trace).warnings == (told,)
    assert capped.requests[0].sampling.max_tokens == 64


async def test_as_many_tokens_as_it_may_be_asked_for_are_no_news() -> None:
    capped = Scripted()
    pool = pool_of({"a": capped}, tables={"a": {"max_tokens": 64}})
    await pool.infer(asked := request(max_tokens=64))
    assert asked.trace.warnings == []
    assert capped.requests[0].sampling.max_tokens == 64


async def test_only_the_one_who_answers_warns() -> None:
    second = Scripted()
    pool = pool_of({"a": failing(), "b": second}, tables={"a": {"max_tokens": 64}})
    events, _ = await heard(pool, asked := request(max_tokens=100))
    assert events == [Started("sim/m", "b"), TextDelta("hello"), Finished("stop", USAGE)]
    assert asked.trace.warnings == []
    assert second.requests[0].sampling.max_tokens == 100


async def test_two_models_of_one_table_that_fail_are_both_named() -> None:
    busy = Scripted(opening=[ProviderOverloaded("busy")])
    pool = pool_of({"a": busy}, tables={"a": {"models": ["m", "n"]}})
    with pytest.raises(AllProvidersFailed) as caught:
        await pool.infer(request())
    assert caught.value.details == {"a sim/m": "PROVIDER_OVERLOADED", "a sim/n": "PROVIDER_OVERLOADED"}
