"""Whatever a provider does, its callers are told once and in time, others answer for it, and it is asked again later.

Callers of every kind ask before, during and after each fault: whole answers and streams, over HTTP and over gRPC.
"""

from __future__ import annotations

import asyncio
import statistics
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson
import pytest

from tests.fakes.proxy import Cut, Drip, Fault, Hold, Replace, Reset
from tests.faults.calling import KINDS, OK, http_whole, load
from tests.faults.rig import FIRST, SECOND, Rig, play, rig
from tests.running import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.faults.calling import Call, Load

pytestmark = pytest.mark.faults

BEFORE, DURING, AFTER = 0.5, 1.6, 0.3  # seconds
RECOVERED = 10.0  # seconds, at most
ENOUGH = 0.999  # of the requests are answered while another provider is well

STREAMS = {"SSE", "gRPC stream"}
NOT_ASKED = "PROVIDER_UNAVAILABLE"  # for its breaker is open, or it wants to be left alone
UNHEARD = "PROVIDER_UNREACHABLE"  # words and the end came at one moment, so that the words were lost


@dataclass(frozen=True, slots=True)
class Case:
    """`fault` gives one from the byte in the middle of an answer; None: nobody listens any more. `spoken`: streams have
    begun when it comes. `told` is what callers hear of it where nobody else is there; `once`: then it is not asked.
    """

    told: str
    fault: Callable[[int], Fault] | None
    spoken: bool = False
    once: bool = False


def part(**message: object) -> bytes:
    return orjson.dumps({"message": message, "done": False}) + b"\n"


SAID = part(role="assistant", content="One") + part(role="assistant", content=" two")

CASES = {
    "hangs before headers": Case("PROVIDER_TIMEOUT", lambda _: Hold()),
    "drips": Case("PROVIDER_TIMEOUT", lambda _: Drip(every=0.05)),
    "drips after some words": Case("PROVIDER_TIMEOUT", lambda middle: Drip(every=0.05, at=middle), spoken=True),
    "cut before headers": Case("PROVIDER_UNREACHABLE", lambda _: Cut(at=0)),
    "cut in headers": Case("PROVIDER_UNREACHABLE", lambda _: Cut(at=40)),
    "cut after some words": Case("STREAM_BROKEN", lambda middle: Cut(at=middle), spoken=True),
    "reset": Case("PROVIDER_UNREACHABLE", lambda _: Reset()),
    "reset after some words": Case("STREAM_BROKEN", lambda middle: Reset(at=middle), spoken=True),
    "429": Case("PROVIDER_RATE_LIMITED", lambda _: Replace(429, b"{}", {"Retry-After": "1"}), once=True),
    "500": Case("PROVIDER_FAILED", lambda _: Replace(500, b'{"error": "oh"}')),
    "503": Case("PROVIDER_OVERLOADED", lambda _: Replace(503, b"")),
    "malformed JSON": Case("PROVIDER_GARBLED", lambda _: Replace(body=b'{"message": {"content": "One\n')),
    "malformed JSON after some words": Case("PROVIDER_GARBLED", lambda _: Replace(body=SAID + b"{]\n"), spoken=True),
    "wrong type": Case("PROVIDER_GARBLED", lambda _: Replace(body=part(role="assistant", content=5))),
    "not even an object": Case("PROVIDER_GARBLED", lambda _: Replace(body=b"[1, 2]\n")),
    "HTML": Case(
        "PROVIDER_GARBLED", lambda _: Replace(body=b"<!doctype html>\n<p>", headers={"Content-Type": "text/html"})
    ),
    "endless line": Case("PROVIDER_GARBLED", lambda _: Replace(body=b"x" * 65_536, endless=True)),
    "gzip bomb": Case("PROVIDER_GARBLED", lambda _: Replace.bomb(1024)),
    "gzip bomb that does not say so": Case("PROVIDER_GARBLED", lambda _: Replace.bomb(1024, hidden=True)),
    "connection refused": Case("PROVIDER_UNREACHABLE", None),
}


@pytest.mark.parametrize("two", [False, True], ids=["alone", "with another"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_fault_is_told_or_made_good_and_ends_when_it_is_over(
    case: Case, *, two: bool, record_property: Callable[[str, object], None]
) -> None:
    async def story() -> None:
        async with rig(two=two) as it, load(it.up) as callers, steady(it, two=two) as others:
            begun = now()
            await asyncio.sleep(BEFORE)
            struck = now()
            async with struck_by(case, it):
                await asyncio.sleep(DURING)
                gone = now()
            answered = len(it.first.asked())
            await until(
                lambda: callers.all_well_since(gone) and len(it.first.asked()) >= answered + 4, within=RECOVERED
            )
            well = now()
            await asyncio.sleep(AFTER)
        assert {call.outcome for call in callers.between(begun, struck)} == {OK}
        assert {call.outcome for call in callers.between(well)} == {OK}
        for call in callers.calls:
            sound(call)
        if two:
            made_good(case, callers.between(struck))
            assert {call.outcome for call in others.calls} == {OK}
            record_property(
                "p99 of the other before and during", (p99(others, begun, struck), p99(others, struck, gone))
            )
        else:
            told(case, callers.between(struck, gone))
        record_property("seconds to recovery", round(well - gone, 2))

    play(story())


def now() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def struck_by(case: Case, it: Rig) -> AsyncIterator[None]:
    if case.fault is None:
        async with it.proxy.refusing():
            yield
    else:
        it.proxy.fault = case.fault(it.middle)
        yield
        assert it.proxy.spoiled > 0
        it.proxy.fault = None


@asynccontextmanager
async def steady(it: Rig, *, two: bool) -> AsyncIterator[Load]:
    """Callers of whom only the second provider is asked."""
    async with load(it.up, task="steady", kinds=[http_whole] * 2 if two else []) as others:
        yield others


def p99(callers: Load, begin: float, end: float) -> float:
    """In milliseconds."""
    return round(1000 * statistics.quantiles([c.ended - c.began for c in callers.between(begin, end)], n=100)[98], 1)


def sound(call: Call) -> None:
    """One end, no text twice, and none that nobody said; an error is never less than the whole truth."""
    assert call.ends == 1, call
    if call.outcome == OK:
        assert call.text in {FIRST, SECOND}, call
    elif call.spoke:
        assert call.kind in STREAMS, call
        assert FIRST.startswith(call.text), call
        assert call.text != FIRST, call
    else:
        assert call.text == "", call
        assert call.status in {502, 503}, call


def told(case: Case, calls: list[Call]) -> None:
    """Nobody else is there: every kind of caller hears of it."""
    also = {UNHEARD} if case.spoken else set()
    for kind in KINDS:
        mine = [call for call in calls if call.kind == kind]
        assert {call.outcome for call in mine} <= {case.told, NOT_ASKED, *also}, kind
        assert case.once or any(call.outcome == case.told for call in mine), kind
        assert any(call.spoke for call in mine) is (case.spoken and kind in STREAMS), kind
    assert any(call.outcome == case.told for call in calls)


def made_good(case: Case, calls: list[Call]) -> None:
    """The other one answers, but for streams that had begun with the first one's words."""
    bad = [call for call in calls if call.outcome != OK]
    begun = [call for call in bad if case.spoken and call.spoke and call.outcome == case.told]
    assert {call.kind for call in begun} <= STREAMS
    assert bool(begun) is case.spoken
    assert len(bad) - len(begun) <= (1 - ENOUGH) * len(calls), bad
    assert sum(call.text == SECOND for call in calls) > len(KINDS)
