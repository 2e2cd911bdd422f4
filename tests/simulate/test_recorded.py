"""A trace is asked again as it was: instants, silences, failures; a line that is wrong is named."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.core.errors import ProviderError, ProviderLimited, StartRefused
from llm_pool.core.trace import Attempt
from llm_pool.core.types import Usage
from llm_pool.simulate.calls import Arrival, Call
from llm_pool.simulate.recorded import Recorded, _nearest
from llm_pool.telemetry.traces import TraceFile
from tests.scripted import request
from tests.simulate.worlds import attempt, recorded, trace

if TYPE_CHECKING:
    from pathlib import Path


def call_at(world: Recorded, at: float, *, again: int = 0, deployment: str = "a") -> Call:
    draw = world.draw(deployment, "sim/m")
    assert draw is not None
    return draw(at, 0, again)


def test_requests_arrive_as_they_did_in_the_order_of_their_arrival(tmp_path: Path) -> None:
    """Lines stand in the order of their ends, and another server's header may stand between them."""
    late = recorded(7.5, attempt(), task="judge", whole=False, deadline=5.0, model="sim/m", prompt=3)
    world = Recorded(trace(tmp_path, late, {"llm_pool_trace": 1, "version": "2"}, recorded(5.0, attempt(tokens=4))))
    first, second = world.arrivals
    assert (first.at, first.tokens, first.whole, first.model, first.deadline) == (0.0, 4, True, None, 30.0)
    assert (second.at, second.task, second.prompt, second.whole) == (2.5, "judge", 3, False)
    assert (second.model, second.deadline, second.tokens) == ("sim/m", 5.0, 10)
    assert (set(world.deployments), set(world.tasks)) == ({"a"}, {"chat", "judge"})


def test_an_answer_is_as_long_as_that_of_the_call_that_gave_it(tmp_path: Path) -> None:
    cut = attempt(tokens=99, outcome="STREAM_BROKEN")
    world = Recorded(
        trace(tmp_path, recorded(0, cut, attempt("b", tokens=7)), recorded(1, cut), recorded(2), recorded(3, attempt()))
    )
    assert [arrival.tokens for arrival in world.arrivals] == [7, 99, 10, 10]  # without any: the median


def test_a_call_goes_as_the_one_that_began_nearest_to_it(tmp_path: Path) -> None:
    slow = attempt(first_token=9.0, ended=18.0)
    world = Recorded(trace(tmp_path, recorded(0, attempt()), recorded(100, slow), recorded(200, attempt())))
    assert [call_at(world, at).first_token for at in (-5, 0, 49, 51, 149, 151, 999)] == [1, 1, 1, 9, 9, 1, 1]
    assert call_at(world, 100).per_token == pytest.approx(1.0)
    assert world.draw("b", "sim/m") is None
    assert world.draw("a", "sim/other") is None


def test_a_retry_does_not_get_the_call_before_it_again(tmp_path: Path) -> None:
    failed = attempt(first_token=None, ended=0.5, outcome="PROVIDER_RATE_LIMITED")
    world = Recorded(
        trace(tmp_path, recorded(0, attempt()), recorded(10, failed), recorded(30, attempt(first_token=1.5)))
    )
    first, second, third, fourth = (call_at(world, 11.0, again=again) for again in range(4))
    assert (first.first_token, first.fails_after, first.error) == (math.inf, 0.5, ProviderLimited)
    assert (second.first_token, third.first_token) == (1.0, 1.5)
    assert fourth == first


def test_calls_stand_in_the_order_of_their_own_beginnings(tmp_path: Path) -> None:
    """A request that came first may have been the last to ask."""
    late = attempt(started=30.0, first_token=37.0, ended=38.0)
    world = Recorded(
        trace(tmp_path, recorded(0, late), recorded(10, attempt()), recorded(20, attempt(first_token=1.5)))
    )
    assert [call_at(world, at).first_token for at in (0, 11, 19, 29)] == [1.0, 1.0, 1.5, 7.0]


async def test_what_the_recorder_writes_can_be_replayed(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    async with TraceFile(str(path), version="", now=asyncio.get_running_loop().time) as traces:
        asked = request("four", whole=False, deadline=9.0)
        asked.trace.task = "chat"
        asked.trace.attempts = [Attempt("a", "sim/m", "", 0.0, 0.5, 2.5, Usage(output=5), "ok")]
        traces.note(asked)
    world = Recorded(path)
    assert world.arrivals == [Arrival(0.0, "chat", prompt=4, tokens=5, whole=False, deadline=9.0)]
    assert call_at(world, 0) == Call(0.5, 0.5)


def test_what_began_later_in_its_request_began_later(tmp_path: Path) -> None:
    failed = attempt(first_token=None, ended=50.0, outcome="PROVIDER_FAILED")
    second = attempt(started=50.0, first_token=53.0, ended=60.0, kind="retry")
    world = Recorded(trace(tmp_path, recorded(0, failed, second)))
    assert call_at(world, 10).fails_after == 50.0
    assert call_at(world, 40).first_token == 3.0


@pytest.mark.parametrize("outcome", ["OUTRUN", "CANCELLED", "DEADLINE_EXCEEDED"])
def test_a_call_that_was_hung_up_on_was_silent_for_longer_than_that(outcome: str, tmp_path: Path) -> None:
    left = attempt(first_token=None, ended=2.0, tokens=0, outcome=outcome)
    lines = [
        recorded(0, attempt(first_token=4.0, ended=4.9)),
        *(recorded(at, attempt()) for at in (8, 9)),
        recorded(10, left),
    ]
    world = Recorded(trace(tmp_path, *lines, recorded(30, attempt(first_token=6.0, ended=6.9))))
    assert call_at(world, 10).first_token == 6.0  # the nearest by its place that is long enough
    world = Recorded(trace(tmp_path, *lines[1:]))
    call = call_at(world, 10)
    assert [call.first_token, call.per_token] == pytest.approx([2.0, 0.1])  # none is: the least that it can have been


def test_a_call_that_was_hung_up_on_after_its_first_word_keeps_its_pace(tmp_path: Path) -> None:
    left = attempt(first_token=0.5, ended=2.5, tokens=11, outcome="CANCELLED")
    world = Recorded(trace(tmp_path, recorded(0, left)))
    call = call_at(world, 0)
    assert [call.first_token, call.per_token, call.fails_after] == pytest.approx([0.5, 0.2, math.inf])


def test_a_call_that_broke_off_breaks_off(tmp_path: Path) -> None:
    world = Recorded(trace(tmp_path, recorded(0, attempt(outcome="STREAM_BROKEN"))))
    call = call_at(world, 0)
    assert (call.first_token, call.fails_after) == (1.0, 1.9)
    world = Recorded(trace(tmp_path, recorded(0, attempt(outcome="OF_LATER_VERSIONS", ended=1.0))))
    call = call_at(world, 0)
    assert call.error is ProviderError
    assert call.fails_after > call.first_token


def test_who_was_not_asked_said_nothing(tmp_path: Path) -> None:
    skipped = attempt(first_token=None, ended=0.0, outcome="PROVIDER_UNAVAILABLE")
    world = Recorded(trace(tmp_path, recorded(0, skipped, attempt("b"))))
    assert world.deployments == {"b"}


@given(
    st.lists(st.floats(0, 100), min_size=1, max_size=12, unique=True).map(sorted),
    st.floats(-10, 110),
    st.integers(0, 20),
)
def test_the_nearest_calls_come_one_after_the_other(began: list[float], at: float, again: int) -> None:
    calls = [Call(first_token=instant) for instant in began]
    by_distance = sorted(abs(instant - at) for instant in began)
    found = _nearest(calls, began, at, 0, again)
    assert abs(found.first_token - at) == by_distance[again % len(began)]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", r"trace\.jsonl:3: invalid JSON"),
        (recorded(0, attempt(started=-1.0)), r"trace\.jsonl:3: attempts\.0\.started: input should be greater"),
        ({**recorded(0), "at": "now"}, r"trace\.jsonl:3: at: input should be a valid number"),
        ({"at": 1.0}, r"trace\.jsonl:3: task: field required"),
        ({"llm_pool_trace": 2}, r"trace\.jsonl:3: llm_pool_trace: input should be 1"),
        ('{"at": NaN}', r"trace\.jsonl:3: "),
        ("\x00\xff", r"trace\.jsonl:3: invalid JSON"),
    ],
)
def test_a_line_that_is_wrong_is_named(line: dict[str, Any] | str, told: str, tmp_path: Path) -> None:
    with pytest.raises(StartRefused, match=told) as refused:
        Recorded(trace(tmp_path, recorded(0, attempt()), line))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no request is recorded"),
        ('{"llm_pool_trace": 1}\n\n', "no request is recorded"),
        ('{"event": "request"}\n', r":1: is no trace that \[telemetry\] trace_file has written"),
        ("hello\n", ":1: is no trace"),
    ],
)
def test_what_is_no_trace_is_refused(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.write_text(text)
    with pytest.raises(StartRefused, match=told):
        Recorded(path)


def test_a_trace_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "none", "no such file"), (tmp_path, "is a directory")):
        with pytest.raises(StartRefused, match=why):
            Recorded(path)
