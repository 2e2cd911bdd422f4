"""A replay asks the real dispatch, and tells what it did."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, Counter

from llm_pool.simulate.calls import Bounds, Call
from llm_pool.simulate.replay import COUNTED, _counts, replayed, unknown
from llm_pool.simulate.report import report
from llm_pool.telemetry.metrics import Metrics
from tests.simulate.worlds import BROKEN, SPARE, TWO, ByHand, arrivals, loaded

if TYPE_CHECKING:
    from pathlib import Path

QUICK = Call(first_token=0.5, per_token=0.1)


@pytest.mark.parametrize("whole", [True, False])
def test_an_answer_takes_what_its_call_takes(whole: bool, tmp_path: Path) -> None:
    world = ByHand(arrivals(10, whole=whole), {"a": QUICK, "b": QUICK})
    outcome = replayed(world, loaded(tmp_path), seed=1)
    assert [done.outcome for done in outcome.done] == ["ok"] * 10
    assert {round(done.first_token or 0, 6) for done in outcome.done} == {0.5}
    assert {round(done.took or 0, 6) for done in outcome.done} == {1.4}
    assert outcome.calls.total() == 10


def test_what_fails_is_answered_by_another_one_and_opens_a_breaker(tmp_path: Path) -> None:
    """The breaker is told with the second that it opened in, for it is looked at then and now."""
    world = ByHand(arrivals(300), {"a": BROKEN, "b": QUICK})
    outcome = replayed(world, loaded(tmp_path), seed=1)
    told = report("x", outcome, deployments=["a", "b"])
    assert (told.answered, told.parts["a"].answers, told.parts["b"].answers) == (300, 0, 300)
    assert 0 < told.failovers + told.retries <= told.parts["a"].calls < 60
    assert told.breakers_opened == len(told.openings) >= 1
    assert {name for _, name in told.openings} == {"a"}
    assert 0 < told.openings[0][0] < 60


def test_a_breaker_that_opens_at_the_very_end_is_told_too(tmp_path: Path) -> None:
    world = ByHand(arrivals(20, every=0.03), {"a": BROKEN, "b": BROKEN})
    toml = TWO.replace("[qos]", "[qos]\nmax_retries = 0")
    outcome = replayed(world, loaded(tmp_path, toml), seed=1)
    assert len(outcome.openings) == outcome.counts["breakers_opened"] > 0


def test_hedges_are_counted_with_those_that_won(tmp_path: Path) -> None:
    toml = TWO.replace(
        'hedge = "off"', 'hedge = "fixed"\nhedge_after_ms = 1000\nhedge_budget = 1.0\nbalance = "priority"'
    )
    toml = toml.replace('name = "b"', 'name = "b"\npriority = 1')
    world = ByHand(arrivals(20, every=20.0), {"a": Call(first_token=5.0), "b": QUICK})
    told = report("x", replayed(world, loaded(tmp_path, toml), seed=1), deployments=["a", "b"])
    assert told.hedges == told.hedges_won == told.parts["b"].answers > 0
    assert max(told.first_token) >= 1.5
    assert told.calls == 20 + told.hedges


def test_a_request_without_a_deadline_has_that_of_the_configuration(tmp_path: Path) -> None:
    world = ByHand([*arrivals(1), *arrivals(1, deadline=90.0)], {"a": Call(10.0), "b": Call(10.0)})
    toml = TWO.replace("[qos]", "[qos]\ndefault_deadline_ms = 5000")
    ends = {done.outcome: done.took for done in replayed(world, loaded(tmp_path, toml), seed=1).done}
    assert ends == {"DEADLINE_EXCEEDED": None, "ok": 10.0}


def test_a_task_with_a_schema_is_asked_for_a_whole_answer_that_need_not_fit(tmp_path: Path) -> None:
    """As a stream it would have broken off; as a whole it is asked of the other one."""
    breaks = Call(first_token=0.5, per_token=0.1, fails_after=0.8)
    toml = f'{TWO}\n[tasks.judge]\nproviders = ["a", "b"]\n[tasks.mine]\nschema = {{type = "object"}}\n'
    for task in ("judge", "mine"):
        world = ByHand(arrivals(20, whole=False, task=task), {"a": breaks, "b": QUICK})
        outcome = replayed(world, loaded(tmp_path, toml), seed=1)
        assert {done.outcome for done in outcome.done} == {"ok"}
    world = ByHand(arrivals(20, whole=False), {"a": breaks, "b": QUICK})
    assert "PROVIDER_FAILED" in {done.outcome for done in replayed(world, loaded(tmp_path, toml), seed=1).done}


def test_of_whom_nothing_is_known_is_named_and_asked_only_when_nobody_is_left(tmp_path: Path) -> None:
    configuration = loaded(tmp_path, TWO + SPARE)
    world = ByHand(arrivals(50), {"b": QUICK})
    assert unknown(world, configuration.settings) == ["a"]
    told = report("x", replayed(world, configuration, seed=1), deployments=["a", "b", "spare"])
    assert (told.parts["a"].calls, told.parts["b"].answers) == (0, 50)
    told = report("x", replayed(ByHand(arrivals(5), {}), configuration, seed=1), deployments=["spare"])
    assert (told.answered, told.degraded) == (5, 5)


def test_a_deployment_that_bears_few_calls_lets_some_wait_and_refuses_the_others(tmp_path: Path) -> None:
    slow = Call(first_token=1.0)
    world = ByHand(arrivals(3, every=0.0), {"a": slow, "b": BROKEN}, {"a": Bounds(slots=1, line=1)})
    toml = TWO.replace('hedge = "off"', 'hedge = "off"\nmax_retries = 0')
    ends = sorted((done.took or 0.0) for done in replayed(world, loaded(tmp_path, toml), seed=1).done)
    assert ends[0] == 0.0
    assert ends[1:] == pytest.approx([1.0, 2.0], abs=0.15)


def test_a_spent_quota_is_a_429_until_its_window_ends(tmp_path: Path) -> None:
    world = ByHand(arrivals(30), {"a": QUICK, "b": QUICK}, {"a": Bounds(quota=2), "b": Bounds(quota=2)})
    toml = TWO.replace("[qos]", "[qos]\nmax_retries = 0")
    told = report("x", replayed(world, loaded(tmp_path, toml), seed=1), deployments=["a", "b"])
    assert told.answered == 3 * 4
    assert sum(told.errors.values()) == 18


def test_equal_seeds_give_equal_figures(tmp_path: Path) -> None:
    world = ByHand(arrivals(50), {"a": QUICK, "b": Call(first_token=0.7)})
    first, again, other = (replayed(world, loaded(tmp_path), seed=seed) for seed in (1, 1, 2))
    assert first.done == again.done
    assert first.done != other.done


def test_progress_is_told_in_steps(tmp_path: Path) -> None:
    told: list[int] = []
    replayed(ByHand(arrivals(200), {"a": QUICK, "b": QUICK}), loaded(tmp_path), seed=1, progress=told.append)
    assert told == list(range(2, 201, 2))


def test_a_call_that_never_speaks_ends_with_the_deadline(tmp_path: Path) -> None:
    world = ByHand(arrivals(2, deadline=5.0), {"a": Call(math.inf), "b": Call(math.inf)})
    assert {done.outcome for done in replayed(world, loaded(tmp_path), seed=1).done} == {"DEADLINE_EXCEEDED"}


def test_every_figure_that_is_read_from_the_metrics_is_one_of_theirs() -> None:
    names = {f"{family.name}_total" for family in Metrics().registry.collect()}
    assert {sample for sample, _ in COUNTED.values()} <= names


def test_a_figure_counts_the_samples_with_its_labels_only() -> None:
    registry = CollectorRegistry()
    hedges = Counter("llm_pool_hedges", "", ["deployment", "outcome"], registry=registry)
    hedges.labels("a", "sent").inc(3)
    hedges.labels("b", "sent").inc(2)
    hedges.labels("b", "won").inc(1)
    counts = _counts(registry)
    assert (counts["hedges"], counts["hedges_won"], counts["retries"]) == (5, 1, 0)
