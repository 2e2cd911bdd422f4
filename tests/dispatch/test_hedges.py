"""When a second one is asked beside a silent first one, and when it must not be."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from llm_pool.core.errors import (
    ProviderRefused,
)
from llm_pool.core.types import TextDelta
from tests.dispatch.stories import (
    BOTH,
    DONE,
    QOS,
    STARTED,
    at_rest,
    failing,
    heard,
    now,
    pool,
    speaking,
    texts,
    voices,
)
from tests.scripted import Scripted, counted, pool_of, request

if TYPE_CHECKING:
    from llm_pool.pool import Pool

# --- No hedge ---------------------------------------------------------------------------------------------------------


async def test_without_anybody_to_hedge_to_no_task_is_made() -> None:
    running: list[int] = []
    asyncio.get_running_loop().call_at(2.0, lambda: running.append(len(asyncio.all_tasks())))
    await heard(pool({"a": speaking(3.0)}), request())
    assert running == [1]


async def test_with_somebody_to_hedge_to_one_task_is_made_and_not_too_soon() -> None:
    running: list[set[str]] = []

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
        ("http://gpu:11434", "http://GPU:11434"),
        ("http://gpu:11434", "http://gpu:11434/ollama"),
        ("http://gpu", "http://gpu:80"),
        ("https://gpu", "https://gpu:443/ollama"),
        (None, None),
    ],
)
async def test_two_on_one_host_are_slow_together(first: str | None, second: str | None) -> None:
    parts = {"a": speaking(4.0), "b": Scripted(), "c": Scripted()}
    urls = {"a": first, "b": second}
    tables: dict[str, dict[str, Any]] = {
        name: {"driver": "ollama"} | ({"base_url": url} if url is not None else {}) for name, url in urls.items()
    }
    tables["c"] = {"driver": "ollama", "base_url": "http://other:11434", "fallback": True}
    await never_hedged(parts, pool(parts, tables=tables))


async def test_two_ports_of_one_name_are_two_hosts() -> None:
    """They are most often tunnels, or have a processor each."""
    parts = {"a": speaking(4.0), "b": speaking(0.5, text="b")}
    urls = {"a": "https://gpu", "b": "https://gpu:80"}
    asking = pool(parts, tables={name: {"driver": "ollama", "base_url": url} for name, url in urls.items()})
    said, _ = await heard(asking, request())
    assert texts(said) == ["b"]


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


async def test_two_failures_later_it_is_still_at_most_one() -> None:
    parts = {"a": failing(1.5), "b": failing(0.25), "c": speaking(9.0), "d": Scripted()}
    await heard(pool(parts), asked := request())
    assert voices(asked)[2:] == [("c", "failover", "ok")]
    assert parts["d"].opened == 0


@pytest.mark.parametrize("whole", BOTH)
async def test_after_a_quick_failure_the_next_one_is_hedged(whole: bool) -> None:
    parts = {"a": failing(0.25), "b": speaking(9.0), "c": speaking(0.5, text="c")}
    asking = pool(parts)
    said, _ = await heard(asking, asked := request(whole=whole))
    assert texts(said) == ["c"]
    assert parts["c"].calls[0].opened == 1.25
    assert voices(asked) == [("a", "first", "STREAM_BROKEN"), ("b", "failover", "OUTRUN"), ("c", "hedge", "ok")]
    await at_rest(asking, parts, asked)


# --- The budget -------------------------------------------------------------------------------------------------------


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


# --- Learning ---------------------------------------------------------------------------------------------------------


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


def late_pool(parts: dict[str, Scripted], *, hedge_budget: float = 0.05, **table: Any) -> Pool:
    qos = {
        "hedge": "adaptive", "hedge_after_ms": 1_000, "hedge_budget": hedge_budget, "balance": "priority",
        "max_retries": 0,
    }  # fmt: skip
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
    assert standing.slots.enter_now()
    for _ in range(10):
        began = now()
        await heard(asking, asked := request())
        assert voices(asked) == [("a", "first", "ok")]
        assert now() - began == 3.0
    standing.slots.leave()


async def test_a_caller_who_leaves_in_vain_teaches_too() -> None:
    parts = {"a": Scripted("stall"), "b": Scripted("stall")}
    asking = late_pool(parts)
    for _ in range(9):
        await heard(asking, request(deadline=2.0))
    parts["b"].steps = speaking(0.5).steps
    assert (await first_asked(asking, 10)).count("b") >= 7


async def test_the_hedges_that_win_teach_who_is_late() -> None:
    parts = {"a": Scripted("stall"), "b": speaking(0.5)}
    asking = late_pool(parts, hedge_budget=1.0)
    assert set(await first_asked(asking, 3)) == {"a"}
    await first_asked(asking, 20)
    assert (await first_asked(asking, 20)).count("b") >= 15
