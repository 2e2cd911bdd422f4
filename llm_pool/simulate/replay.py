"""Ask one configuration everything that a world has to ask, on a clock that jumps, and write down what came of it.

All but the providers is the real thing, composed as a server composes it. Every `[[providers]]` table keeps its name,
its models and its terms; what answers in its place takes the time that the world says. Answer schemas are left out, for
the words of a replayed answer say nothing: a task that has one is asked for a whole answer, as it always is.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections import Counter, defaultdict
from contextlib import aclosing
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from llm_pool import app
from llm_pool.config.catalog import Catalog
from llm_pool.core.errors import PoolError, ProviderMisconfigured
from llm_pool.core.outcome import OK
from llm_pool.core.ports.provider import Health
from llm_pool.core.tasks import Tasks
from llm_pool.core.trace import Trace
from llm_pool.core.types import Message, Request, Sampling
from llm_pool.dispatch.learned import Learned
from llm_pool.pool import Pool
from llm_pool.simulate.calls import Call
from llm_pool.simulate.clock import VirtualLoop
from llm_pool.simulate.provider import Replayed
from llm_pool.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from prometheus_client import CollectorRegistry

    from llm_pool.config.load import Loaded
    from llm_pool.config.settings import Settings
    from llm_pool.config.tables import ProviderTable
    from llm_pool.simulate.calls import Arrival, Draw, World

ANY = "*"
LOOKS = 1_000  # at the breakers, in the length of a replay
NO_MODEL = Call(first_token=0.005)  # what the builtin engine does
UNKNOWN = Call(math.inf, fails_after=0.0, error=ProviderMisconfigured)


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one request. Seconds; of one that was not answered there is neither duration."""

    at: float
    outcome: str  # `ok`, or the reason of what ended it
    first_token: float | None = None  # from its arrival to the first token of the call that answered it
    took: float | None = None
    winner: str = ""
    degraded: bool = False


@dataclass(slots=True)
class Outcome:
    """What a configuration did."""

    done: list[Done] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)  # by deployment, all that were made
    counts: Mapping[str, int] = field(default_factory=dict)  # of `COUNTED`
    openings: list[tuple[float, str]] = field(default_factory=list)  # of breakers: about when, and whose


def replayed(world: World, loaded: Loaded, *, seed: int, progress: Callable[[int], None] | None = None) -> Outcome:
    """Run it to its end. `progress` is told now and then how many requests have ended.

    Raises KeyboardInterrupt, once everything has ended.
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_replay(world, loaded, seed=seed, progress=progress or (lambda _: None)))


def unknown(world: World, settings: Settings) -> list[str]:
    """The models that this configuration would balance over and of whose calls the world knows nothing."""
    return [
        f"{table.name} ({model})" if len(table.served) > 1 else table.name
        for table in settings.providers
        for model in table.served
        if _is_unknown(table, model, world)
    ]


async def _replay(world: World, loaded: Loaded, *, seed: int, progress: Callable[[int], None]) -> Outcome:
    outcome = Outcome()
    metrics = Metrics()
    pool = _pool(world, loaded, metrics, seed=seed)
    schemas = {task.name for task in Catalog.of(loaded.settings, loaded.prompts).tasks.values() if task.spec}
    arrivals = world.arrivals
    step = max(1, len(arrivals) // 100)
    breakers = _Breakers(metrics.registry, outcome.openings)

    async def ask(number: int, arrival: Arrival) -> None:
        done, trace = await _asked(pool, number, arrival, whole=arrival.whole or arrival.task in schemas)
        outcome.calls.update(attempt.deployment for attempt in trace.attempts)
        outcome.done.append(done)
        if len(outcome.done) % step == 0:
            progress(len(outcome.done))

    async with Tasks() as watching:
        every = max(1.0, arrivals[-1].at / LOOKS) if arrivals else 1.0
        watching.start(breakers.watch(every), name="watching the breakers")
        async with asyncio.TaskGroup() as asking:
            for number, arrival in enumerate(arrivals):
                if (wait := arrival.at - pool.time()) > 0:
                    await asyncio.sleep(wait)
                asking.create_task(ask(number, arrival))
    breakers.look()
    outcome.counts = _counts(metrics.registry)
    return outcome


def _pool(world: World, loaded: Loaded, metrics: Metrics, *, seed: int) -> Pool:
    """As `app.Alive` makes it, on the running loop, but for what answers, and for its health, which is always good."""
    now, random = asyncio.get_running_loop().time, Random(seed)  # noqa: S311 - it spreads load, it guards nothing
    settings = _without_schemas(loaded.settings)
    built = {table.name: _provider(table, world) for table in settings.providers}
    board = _Board({table.name: _health(table, world) for table in settings.providers})
    learned = Learned(metrics=metrics, now=now, random=random)
    snapshot = app.composed(
        settings,
        version=loaded.version,
        prompts={task: dataclasses.replace(prompt, spec=None) for task, prompt in loaded.prompts.items()},
        built=built,
        health=board,
        learned=learned,
        metrics=metrics,
        now=now,
        random=random,
    )
    return Pool(snapshot, health=board, learned=learned, metrics=metrics, now=now)


def _without_schemas(settings: Settings) -> Settings:
    tasks = {name: task.model_copy(update={"answer": None}) for name, task in settings.tasks.items()}
    return settings.model_copy(update={"tasks": tasks})


def _provider(table: ProviderTable, world: World) -> Replayed:
    def draw_of(upstream: str) -> Draw:
        if table.driver == "builtin":
            return lambda _at, _request, _again: NO_MODEL
        known = world.draw(table.name, f"{table.prefix}/{upstream}")
        return known or (lambda _at, _request, _again: UNKNOWN)

    return Replayed(draw_of, world.bounds(table.name))


def _health(table: ProviderTable, world: World) -> Health:
    """What nothing is known of is asked only where nobody else is left."""
    return Health("healthy", absent=frozenset(model for model in table.served if _is_unknown(table, model, world)))


def _is_unknown(table: ProviderTable, model: str, world: World) -> bool:
    return table.driver != "builtin" and model != ANY and world.draw(table.name, f"{table.prefix}/{model}") is None


class _Board:
    """A `HealthBoard` that never changes."""

    def __init__(self, healths: Mapping[str, Health]) -> None:
        self._healths = healths

    def of(self, name: str) -> Health:
        return self._healths[name]

    def all(self) -> Mapping[str, Health]:
        return self._healths

    async def settled(self, *, within: float) -> None:
        """It is, always."""


async def _asked(pool: Pool, number: int, arrival: Arrival, *, whole: bool) -> tuple[Done, Trace]:
    now = pool.time()
    allowed = arrival.deadline if arrival.deadline is not None else pool.settings.qos.default_deadline_ms / 1000
    trace = Trace(started=now)
    request = Request(
        id=str(number),
        messages=(Message.of("user", "x" * arrival.prompt),),
        deadline=now + allowed,
        trace=trace,
        task=arrival.task,
        model=arrival.model,
        sampling=Sampling(max_tokens=arrival.tokens),
        whole=whole,
    )
    try:
        async with pool.open(request) as events, aclosing(events):
            async for _ in events:
                pass
    except PoolError as error:
        return Done(arrival.at, error.reason), trace
    won = trace.winner()
    if won is None or won.first_token is None:
        raise AssertionError("an answer has a call that gave it")
    done = Done(
        at=arrival.at,
        outcome=OK,
        first_token=won.first_token - now,
        took=pool.time() - now,
        winner=won.deployment,
        degraded=bool(won.degraded),
    )
    return done, trace


# --- What the pool counts itself ------------------------------------------------------------------------------------

# Ours -> the sample, and the label that it must have.
COUNTED: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "hedges": ("llm_pool_hedges_total", {"outcome": "sent"}),
    "hedges_won": ("llm_pool_hedges_total", {"outcome": "won"}),
    "retries": ("llm_pool_retries_total", {}),
    "failovers": ("llm_pool_failovers_total", {}),
    "breakers_opened": ("llm_pool_breaker_changes_total", {"state": "open"}),
}


def _counts(registry: CollectorRegistry) -> dict[str, int]:
    return {name: sum(_counted(registry, *sample).values()) for name, sample in COUNTED.items()}


def _counted(registry: CollectorRegistry, sample: str, labels: Mapping[str, str]) -> dict[str, int]:
    """By deployment, how often. Nothing of what is not counted."""
    found: dict[str, int] = defaultdict(int)
    for family in registry.restricted_registry([sample]).collect():
        for each in family.samples:
            if labels.items() <= each.labels.items():
                found[each.labels.get("deployment", "")] += int(each.value)
    return found


class _Breakers:
    """Notes each opening of a breaker, as early as it is looked at."""

    def __init__(self, registry: CollectorRegistry, openings: list[tuple[float, str]]) -> None:
        self._registry = registry
        self._openings = openings
        self._known: Mapping[str, int] = {}

    async def watch(self, every: float) -> None:
        """For ever; its owner cancels it."""
        while True:
            self.look()
            await asyncio.sleep(every)

    def look(self) -> None:
        now, opened = asyncio.get_running_loop().time(), _counted(self._registry, *COUNTED["breakers_opened"])
        for deployment, times in opened.items():
            self._openings.extend([(now, deployment)] * (times - self._known.get(deployment, 0)))
        self._known = opened
