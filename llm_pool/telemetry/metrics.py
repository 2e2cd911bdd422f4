"""The numbers of the pool, for Prometheus. Labels are configured names and fixed words, never a caller's text."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.registry import Collector

from llm_pool.core.outcome import OUTRUN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from prometheus_client import Metric

    from llm_pool.core.trace import Attempt

DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120)
OVERHEADS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1)

AT_ONCE = 256  # notes that are counted together

Child = TypeVar("Child", Counter, Gauge, Histogram)
Note = TypeVar("Note")


class Labelled(Generic[Child]):
    """A metric whose children are kept: `labels()` costs four times as much as the count itself."""

    __slots__ = ("_children", "_metric")

    def __init__(self, metric: Child) -> None:
        self._metric: Child = metric
        self._children: dict[tuple[str, ...], Child] = {}

    def __call__(self, *labels: str) -> Child:
        child = self._children.get(labels)
        if child is None:
            child = self._children[labels] = self._metric.labels(*labels)
        return child

    def forget(self, *labels: str) -> None:
        """Show it no more."""
        if self._children.pop(labels, None) is not None:
            self._metric.remove(*labels)


@dataclass(slots=True)
class Ended:
    """What is counted of one request. Durations are in seconds."""

    task: str
    strategy: str
    outcome: str
    took: float
    overhead: float
    winner: str = ""  # the deployment that answered
    degraded: bool = False


class Metrics:
    """Every metric of one pool, in a registry of its own.

    What has ended is noted first and counted many at a time, at the latest when somebody looks: one by one the ten
    counters that a request moves would cost it 30 us, a seventh of all.
    """

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # a series more for each of ours, which nobody asks for
        self._requests: deque[Ended] = deque()
        self._attempts: deque[Attempt] = deque()
        self.in_flight = 0
        self.asked: defaultdict[str, int] = defaultdict(int)  # calls under way, by deployment
        self.registry = registry = CollectorRegistry()
        self._before: list[Callable[[], None]] = [self.count]
        registry.register(_Before(self._before))  # the first to be collected
        self.requests = Labelled(
            Counter(
                "llm_pool_requests",
                "Requests that the pool took, by how they ended",
                ["task", "strategy", "outcome"],
                registry=registry,
            )
        )
        self.duration = Labelled(
            Histogram(
                "llm_pool_request_duration_seconds",
                "From arrival to the last event",
                ["task"],
                buckets=DURATIONS,
                registry=registry,
            )
        )
        self.overhead = Histogram(
            "llm_pool_overhead_seconds",
            "Time of a request that was not spent waiting for providers",
            buckets=OVERHEADS,
            registry=registry,
        )
        in_flight = Gauge("llm_pool_in_flight_requests", "Requests being answered", registry=registry)
        in_flight.set_function(lambda: self.in_flight)
        self.degraded = Labelled(
            Counter("llm_pool_degraded", "Answers of the fallback tier", ["task"], registry=registry)
        )
        self.attempts = Labelled(
            Counter(
                "llm_pool_attempts",
                "Provider calls, by how they ended",
                ["deployment", "outcome"],
                registry=registry,
            )
        )
        self.first_token = Labelled(
            Histogram(
                "llm_pool_time_to_first_token_seconds",
                "From a provider call's start to its first token",
                ["deployment"],
                buckets=DURATIONS,
                registry=registry,
            )
        )
        self.tokens = Labelled(
            Counter("llm_pool_tokens", "Tokens, in disjoint kinds", ["deployment", "kind"], registry=registry)
        )
        self.wins = Labelled(
            Counter("llm_pool_provider_wins", "Requests that a deployment answered", ["deployment"], registry=registry)
        )
        self.failovers = Labelled(
            Counter(
                "llm_pool_failovers",
                "Requests handed on to another deployment, by the one that failed",
                ["deployment"],
                registry=registry,
            )
        )
        self.retries = Labelled(
            Counter("llm_pool_retries", "Calls that asked the same deployment again", ["deployment"], registry=registry)
        )
        self.hedges = Labelled(
            Counter(
                "llm_pool_hedges",
                "Calls beside a silent or slow one: sent to this deployment, and won by it",
                ["deployment", "outcome"],
                registry=registry,
            )
        )
        self.outrun_tokens = Labelled(
            Counter(
                "llm_pool_outrun_tokens",
                "Tokens of calls that lost to another one asked beside them",
                ["deployment"],
                registry=registry,
            )
        )
        self.waiting = Gauge("llm_pool_waiting_requests", "Requests that wait for their turn", registry=registry)
        self.resting = Labelled(
            Gauge(
                "llm_pool_provider_resting",
                "1 where a deployment is left alone: it wants a pause (429), or is misconfigured",
                ["deployment", "model"],
                registry=registry,
            )
        )
        self.breaker_state = Labelled(
            Gauge(
                "llm_pool_breaker_state",
                "Circuit breakers: 0 closed, 1 half-open, 2 open",
                ["deployment", "model", "task"],
                registry=registry,
            )
        )
        self.breaker_changes = Labelled(
            Counter(
                "llm_pool_breaker_changes",
                "Changes of circuit breakers, by what they became",
                ["deployment", "state"],
                registry=registry,
            )
        )
        self.up = Labelled(
            Gauge(
                "llm_pool_provider_up",
                "1 where a provider's health check finds it well enough",
                ["deployment"],
                registry=registry,
            )
        )
        self.provider_in_flight = Labelled(
            Gauge("llm_pool_provider_in_flight", "Provider calls under way", ["deployment"], registry=registry)
        )
        self.reloads = Labelled(
            Counter(
                "llm_pool_config_reloads", "Changed configurations, applied or refused", ["outcome"], registry=registry
            )
        )
        self.rejected = Labelled(
            Counter("llm_pool_rejected", "Requests refused at an edge", ["edge", "reason"], registry=registry)
        )
        self.loop_lag = Gauge("llm_pool_loop_lag_seconds", "How late the event loop runs its timers", registry=registry)
        self.build = Labelled(
            Gauge("llm_pool_build_info", "Always 1", ["version", "config_version"], registry=registry)
        )

    def before_scrapes(self, do: Callable[[], None]) -> None:
        """Have this done, in another thread, before every look at the metrics."""
        self._before.append(do)

    def request_ended(self, ended: Ended) -> None:
        self._requests.append(ended)
        if len(self._requests) >= AT_ONCE:
            self.count()

    def attempt_ended(self, attempt: Attempt) -> None:
        """Note one provider call that does not change any more."""
        self._attempts.append(attempt)
        if len(self._attempts) >= AT_ONCE:
            self.count()

    def count(self) -> None:
        """Bring what was noted into the counters. Safe in any thread, beside others that note or count."""
        sums: dict[tuple[Labelled[Counter], tuple[str, ...]], int] = defaultdict(int)
        for attempt in _taken(self._attempts):
            deployment, usage = attempt.deployment, attempt.usage
            sums[self.attempts, (deployment, attempt.outcome)] += 1
            sums[self.tokens, (deployment, "input")] += usage.input
            sums[self.tokens, (deployment, "cache_read")] += usage.cache_read
            sums[self.tokens, (deployment, "cache_write")] += usage.cache_write
            sums[self.tokens, (deployment, "output")] += usage.output
            sums[self.tokens, (deployment, "reasoning")] += usage.reasoning
            if attempt.outcome == OUTRUN:
                sums[self.outrun_tokens, (deployment,)] += usage.input + usage.output
            if attempt.first_token is not None:
                self.first_token(deployment).observe(attempt.first_token - attempt.started)
        for ended in _taken(self._requests):
            sums[self.requests, (ended.task, ended.strategy, ended.outcome)] += 1
            sums[self.wins, (ended.winner,)] += bool(ended.winner)
            sums[self.degraded, (ended.task,)] += ended.degraded
            self.duration(ended.task).observe(ended.took)
            self.overhead.observe(ended.overhead)
        for (counter, labels), amount in sums.items():
            if amount:
                counter(*labels).inc(amount)
        for deployment, calls in list(self.asked.items()):
            self.provider_in_flight(deployment).set(calls)

    def forget(self, deployment: str) -> None:
        """Show a deployment that is no more as neither up nor down. What was counted of it stays."""
        self.up.forget(deployment)
        if not self.asked.get(deployment):
            self.asked.pop(deployment, None)
            self.provider_in_flight.forget(deployment)

    def render(self) -> bytes:
        """The text that Prometheus scrapes. Takes milliseconds: call it off the event loop."""
        return generate_latest(self.registry)


class _Before(Collector):
    """Has no metrics: is asked first, and does what must be done before the others are."""

    def __init__(self, do: Sequence[Callable[[], None]]) -> None:
        self._do = do

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        for each in self._do:
            each()
        return ()


def _taken(notes: deque[Note]) -> Iterator[Note]:
    """One after the other, each by one thread only."""
    while True:
        try:
            yield notes.popleft()
        except IndexError:
            return
