"""Who wants to be left alone, does not know our key, or has given us all it would, is not asked: nor later."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from llm_pool.core.errors import (
    ProviderLimited,
    ProviderMisconfigured,
    ProviderUnavailable,
    StreamBroken,
)
from llm_pool.core.ports.provider import Health
from tests.dispatch.outages import ask, down, of, pool, well
from tests.dispatch.stories import STARTED, failure
from tests.scripted import Scripted, request

if TYPE_CHECKING:
    from collections.abc import Callable


# --- Resting ----------------------------------------------------------------------------------------------------


async def test_one_that_says_429_is_left_alone_as_long_as_it_wants() -> None:
    parts = {"a": down(ProviderLimited("429", retry_after=30.0)), "b": Scripted()}
    asking = pool(parts)
    assert await ask(asking) == ["b"]
    well(parts["a"])
    assert await ask(asking, 29, every=1.0) == ["b"] * 29
    assert parts["a"].opened == 1
    await asyncio.sleep(1.0)
    assert await ask(asking) == ["a"]


async def test_where_the_only_one_rests_callers_are_told_how_long() -> None:
    asking = pool({"a": down(ProviderLimited("429", retry_after=30.0))})
    assert await ask(asking) == ["PROVIDER_RATE_LIMITED"]
    error = await failure(asking, request())
    assert isinstance(error, ProviderUnavailable)
    assert error.retry_after == 30.0


async def test_one_that_does_not_know_our_key_is_left_alone_until_its_health_check_is_well() -> None:
    parts = {"a": down(ProviderMisconfigured("it does not know the key")), "b": Scripted()}
    asking = pool(parts)
    assert await ask(asking, 10, every=20.0) == ["b"] * 10
    assert parts["a"].opened == 1
    well(parts["a"])
    asking.learned.looked("a", Health("healthy"), True)
    assert await ask(asking) == ["a"]


async def test_where_it_is_the_only_one_callers_are_told_what_it_said() -> None:
    parts = {"a": down(ProviderMisconfigured("it does not know the key"))}
    asking = pool(parts)
    assert await ask(asking, 5) == ["PROVIDER_MISCONFIGURED"] * 5
    assert parts["a"].opened == 1
    await asyncio.sleep(300.0)
    well(parts["a"])
    assert await ask(asking) == ["a"]


@pytest.mark.parametrize("table", [{"requests_per_minute": 6}, {"daily_tokens": 5}])
async def test_one_whose_quota_is_spent_is_skipped(table: dict[str, Any]) -> None:
    parts = {"a": Scripted(), "b": Scripted()}
    asking = pool(parts, tables={"a": table})
    assert await ask(asking, 5) == ["a", "b", "b", "b", "b"]


async def test_where_the_quota_of_the_only_one_is_spent_callers_are_told_when_to_come_back() -> None:
    asking = pool({"a": Scripted()}, tables={"a": {"requests_per_minute": 6}})
    assert await ask(asking) == ["a"]
    error = await failure(asking, request())
    assert isinstance(error, ProviderUnavailable)
    assert error.retry_after == pytest.approx(10.0)
    await asyncio.sleep(error.retry_after or 0.0)
    assert await ask(asking) == ["a"]


@pytest.mark.parametrize("how", ["429", "401", "quota"])
async def test_what_was_heard_of_one_while_another_was_asked_counts(how: str) -> None:
    """The plan is as old as the wait for the one before."""
    parts = {"a": Scripted(STARTED, 5.0, StreamBroken("it broke")), "b": Scripted(), "c": Scripted()}
    asking = pool(parts, tables={"b": {"requests_per_minute": 6} if how == "quota" else {}})
    standing = of(asking, "b")

    def spend(tokens: int) -> None:
        assert standing.quota is not None
        standing.quota.begin(tokens)

    heard_of_it: dict[str, Callable[[], None]] = {
        "429": lambda: standing.cooldown.limited(60.0),
        "401": lambda: standing.cooldown.misconfigured(ProviderMisconfigured("who are you")),
        "quota": lambda: spend(0),
    }
    asyncio.get_running_loop().call_at(4.0, heard_of_it[how])
    assert await ask(asking) == ["c"]
    assert parts["b"].opened == 0
