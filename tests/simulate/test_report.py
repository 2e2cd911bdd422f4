"""A report counts what was done, and shows it to people and programs."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.simulate.replay import COUNTED, Done, Outcome
from llm_pool.simulate.report import as_json, duration, percentiles, report, table


def outcome(*done: Done, **counts: int) -> Outcome:
    return Outcome(
        done=list(done),
        calls=Counter({"a": 3, "b": 1}),
        counts={**dict.fromkeys(COUNTED, 0), **counts},
        openings=[(12.3456, "a")],
    )


DONE = (
    Done(0.0, "ok", 0.25, 1.5, "a"),
    Done(1.0, "ok", 0.75, 2.5, "b", degraded=True),
    Done(2.0, "OVERLOADED"),
    Done(3.0, "DEADLINE_EXCEEDED"),
)


def test_everything_is_counted_once() -> None:
    told = report("x", outcome(*DONE, hedges=2, hedges_won=1, breakers_opened=1), deployments=["a", "b", "c"])
    assert (told.requests, told.answered, told.degraded, told.shed) == (4, 2, 1, 1)
    assert told.errors == {"DEADLINE_EXCEEDED": 1}
    assert told.answered + told.shed + sum(told.errors.values()) == told.requests
    assert (told.first_token, told.took) == ((0.25, 0.75, 0.75), (1.5, 2.5, 2.5))
    assert {name: (part.answers, part.calls) for name, part in told.parts.items()} == {
        "a": (1, 3),
        "b": (1, 1),
        "c": (0, 0),
    }


def test_programs_get_milliseconds_and_plain_numbers() -> None:
    told = as_json(report("x", outcome(*DONE, retries=3), deployments=["a", "b"]))
    assert told["first_token_ms"] == {"p50": 250.0, "p95": 750.0, "p99": 750.0}
    assert told["breaker_openings"] == [{"at": 12.346, "deployment": "a"}]
    assert told["deployments"]["a"] == {"answers": 1, "share": 0.5, "calls": 3}
    assert (told["retries"], told["shed"], told["errors"]) == (3, 1, {"DEADLINE_EXCEEDED": 1})
    assert json.loads(json.dumps(told)) == told
    nothing = as_json(report("x", outcome(DONE[2]), deployments=["a"]))
    assert (nothing["whole_answer_ms"], nothing["deployments"]["a"]["share"]) == (None, None)


def test_people_get_one_column_for_each_configuration_with_the_rows_of_all() -> None:
    first = report("a.toml", outcome(*DONE), deployments=["a"])
    second = report("b.toml", outcome(Done(0.0, "NO_PROVIDER")), deployments=["b"])
    lines = table([first, second]).splitlines()
    assert lines[0].split() == ["a.toml", "b.toml"]
    rows = {words[0]: words[1:] for words in map(str.split, lines)}
    assert rows["requests"] == ["4", "1"]
    assert rows["DEADLINE_EXCEEDED"] == ["1", "25.0", "%", "0", "0.0", "%"]
    assert rows["NO_PROVIDER"] == ["0", "0.0", "%", "1", "100.0", "%"]
    assert (rows["a"], rows["b"]) == (["1", "50.0", "%", "-"], ["-", "0"])
    assert "first token p50 0.25 s -" in [" ".join(line.split()) for line in lines]
    assert len({len(line) for line in lines if line.startswith(("requests", "answered", "shed"))}) == 1, "aligned"


def test_without_requests_there_is_still_a_table() -> None:
    empty = Outcome(counts=dict.fromkeys(COUNTED, 0))
    assert "requests" in table([report("x", empty, deployments=["a"])])


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(values: list[float]) -> None:
    for share, found in zip((0.5, 0.95, 0.99), percentiles(values), strict=True):
        assert found in values
        assert sum(value <= found for value in values) >= share * len(values)
        assert sum(value < found for value in values) < share * len(values)


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.0123, "12 ms"), (0.1, "0.10 s"), (5.607, "5.61 s"), (10.0, "10.0 s"), (123.4, "123.4 s")]
)
def test_durations_are_short(seconds: float, told: str) -> None:
    assert duration(seconds) == told
