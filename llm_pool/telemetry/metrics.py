"""The numbers of the pool, for Prometheus. Labels are configured names and fixed words, never a caller's text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

if TYPE_CHECKING:
    from llm_pool.core.trace import Attempt

DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120)
OVERHEADS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1)

Metric = TypeVar("Metric", Counter, Gauge, Histogram)


class Labelled(Generic[Metric]):
    """A metric whose children are kept: `labels()` costs four times as much as the count itself."""

    __slots__ = ("_children", "_metric")

    def __init__(self, metric: Metric) -> None:
        self._metric: Metric = metric
        self._children: dict[tuple[str, ...], Metric] = {}

    def __call__(self, *labels: str) -> Metric:
        child = self._children.get(labels)
        if child is None:
            child = self._children[labels] = self._metric.labels(*labels)
        return child


class Metrics:
    """Every metric of one pool, in a registry of its own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # a series more for each of ours, which nobody asks for
        self.registry = registry = CollectorRegistry()
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
        self.in_flight = Gauge("llm_pool_in_flight_requests", "Requests being answered", registry=registry)
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
        self.up = Labelled(
            Gauge("llm_pool_provider_up", "1 where a deployment can be asked", ["deployment"], registry=registry)
        )
        self.rejected = Labelled(
            Counter("llm_pool_rejected", "Requests refused at an edge", ["edge", "reason"], registry=registry)
        )
        self.loop_lag = Gauge("llm_pool_loop_lag_seconds", "How late the event loop runs its timers", registry=registry)
        self.build = Labelled(
            Gauge("llm_pool_build_info", "Always 1", ["version", "config_version"], registry=registry)
        )

    def attempt_ended(self, attempt: Attempt) -> None:
        """Count one provider call, whatever its way out."""
        deployment = attempt.deployment
        self.attempts(deployment, attempt.outcome).inc()
        if attempt.first_token is not None:
            self.first_token(deployment).observe(attempt.first_token - attempt.started)
        usage = attempt.usage
        for kind, count in (
            ("input", usage.input),
            ("cache_read", usage.cache_read),
            ("cache_write", usage.cache_write),
            ("output", usage.output),
            ("reasoning", usage.reasoning),
        ):
            if count:
                self.tokens(deployment, kind).inc(count)

    def render(self) -> bytes:
        """The text that Prometheus scrapes. Takes milliseconds: call it off the event loop."""
        return generate_latest(self.registry)
