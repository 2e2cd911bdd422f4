"""Ten thousand callers who leave hedged calls at any moment leave nothing behind: no task, descriptor or connection."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import pytest

from llm_pool.app import running
from llm_pool.core.errors import PoolError, ProviderUnreachable, StreamBroken
from llm_pool.core.types import Finished, Started, TextDelta
from tests.fakes.ollama import FakeOllama, Script
from tests.faults.rig import census, left_as_it_was, play
from tests.running import loaded, until
from tests.scripted import USAGE, Scripted, pool_of, request

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_pool.core.types import Request
    from llm_pool.pool import Pool
    from tests.scripted import Step

pytestmark = pytest.mark.faults

CALLS, SIDE_BY_SIDE = 10_000, 100
ON_SOCKETS = 500
DELAYS = (1, 2, 3, 5)  # milliseconds without a word, after which another one is asked
GRID = 0.0005  # seconds; half of all instants are on it, so that many things happen at the same one
SPREAD = 60  # milliseconds, in which those who ask side by side begin
TURNS = 8  # of the loop, after an instant


async def test_ten_thousand_cancelled_in_process() -> None:
    before = asyncio.all_tasks()
    random = Random(20)
    hedged = cancelled = 0
    for delay in DELAYS:
        first, second = Scripted(), Scripted()
        qos = {"hedge": "fixed", "hedge_after_ms": delay, "hedge_budget": 1.0}
        pool = pool_of({"first": first, "second": second}, sections={"qos": qos}, random=Random(delay))

        def change(both: tuple[Scripted, Scripted] = (first, second)) -> None:
            for each in both:
                vary(each, random)

        for _ in range(CALLS // len(DELAYS) // SIDE_BY_SIDE):
            asked = [request(whole=random.random() < 0.5) for _ in range(SIDE_BY_SIDE)]
            cancelled += sum(await asyncio.gather(*(left(pool, each, random, change) for each in asked)))
            hedged += sum(any(attempt.kind == "hedge" for attempt in each.trace.attempts) for each in asked)
            assert (first.open, second.open, pool.metrics.in_flight) == (0, 0, 0)
            assert asyncio.all_tasks() == before
    assert hedged > CALLS / 4
    assert cancelled > CALLS / 2


def vary(provider: Scripted, random: Random) -> None:
    """Let it play something else from the next call on."""
    ending: list[Step] = [Finished("stop", USAGE)]
    if random.random() < 0.1:
        ending = [random.choice([StreamBroken("it broke off"), "stall"])]
    words: list[Step] = [
        Started("sim/m", "a"),
        instant(random, 4),
        TextDelta("one"),
        instant(random, 4),
        TextDelta(" two"),
    ]
    provider.opening = [instant(random, 8)] + ([ProviderUnreachable("no")] if random.random() < 0.05 else [])
    provider.steps = [*words, *ending]
    provider.closing = [instant(random, 1)] if random.random() < 0.5 else []


def instant(random: Random, most: int) -> float:
    """In seconds, of at most so many milliseconds."""
    seconds = random.uniform(0.0, most / 1000)
    return round(seconds / GRID) * GRID if random.random() < 0.5 else seconds


async def left(pool: Pool, asked: Request, random: Random, change: Callable[[], None]) -> bool:
    """Ask, and leave at some moment. Whether it was before the end: then it ended with this, and nothing else."""
    await asyncio.sleep(instant(random, SPREAD))  # for little of the budget can be saved up
    change()
    call = asyncio.ensure_future(read(pool, asked))
    await asyncio.sleep(instant(random, 12))
    for _ in range(random.randrange(TURNS)):
        await asyncio.sleep(0)
    leaves = call.cancel()
    await asyncio.wait({call})
    assert call.cancelled() is leaves
    assert all(attempt.ended is not None for attempt in asked.trace.attempts), "what was begun ends with it"
    return leaves


async def read(pool: Pool, asked: Request) -> None:
    try:
        async with pool.open(asked) as events:
            async for _ in events:
                pass
    except PoolError:
        pass  # some fail, too


# --- On sockets -----------------------------------------------------------------------------------------------------

POOL = """
[qos]
hedge = "fixed"
hedge_after_ms = 3
hedge_budget = 1.0
[tasks.chat]
prompt = ""
"""
TABLE = '[[providers]]\nname = "{}"\ndriver = "ollama"\nmodel = "llama3"\nbase_url = "{}"\n'


def test_five_hundred_cancelled_on_sockets() -> None:
    async def story() -> None:
        async with FakeOllama() as first, FakeOllama() as second:
            toml = POOL + TABLE.format("first", first.url) + TABLE.format("second", second.url)
            await cancel_many(toml, first, second, calls=40)  # what is made once and stays
            await until(lambda: census(first, second)["connections"] == 0, within=5)
            before = census(first, second)
            await cancel_many(toml, first, second, calls=ON_SOCKETS)
            await left_as_it_was(before, first, second)

    play(story())


async def cancel_many(toml: str, first: FakeOllama, second: FakeOllama, *, calls: int) -> None:
    random = Random(21)

    def change() -> None:
        for fake in (first, second):
            before, each = random.uniform(0.0, 0.008), random.uniform(0.0, 0.003)
            fake.scripts["llama3:latest"] = Script(answer="One two three", headers_after=before, token_after=each)

    async with running(loaded(toml), environ={}, random=Random(0)) as pool:
        await pool.health.settled(within=5)
        asked = [request(whole=index % 2 == 0) for index in range(calls)]
        for start in range(0, calls, 20):
            await asyncio.gather(*(left(pool, each, random, change) for each in asked[start : start + 20]))
            assert not [task for task in asyncio.all_tasks() if task.get_name().startswith(("hedge", "race"))]
        hedged = sum(any(attempt.kind == "hedge" for attempt in each.trace.attempts) for each in asked)
        assert hedged > calls / 4
        await until(lambda: (first.open_streams, second.open_streams) == (0, 0), within=5)
        assert pool.metrics.in_flight == 0
