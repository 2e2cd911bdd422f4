"""A provider in trouble is not asked more often for it: resets cost few calls more, and a Retry-After is obeyed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest

from tests.fakes.proxy import Fault, Replace, Reset
from tests.faults.calling import KINDS, OK, load
from tests.faults.rig import CHAT, play, rig
from tests.faults.test_providers import now, sound
from tests.running import until

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.faults

BOTH = pytest.mark.parametrize("two", [False, True], ids=["alone", "with another"])

RESETS = {
    "before the first byte": (lambda _: Reset(), 0.1),
    "after some words": (lambda middle: Reset(at=middle), 0.1),
    "of kept connections": (lambda _: Reset(reused=True), 1.0),
}
CALLS = 300
AT_MOST = 1.2  # calls of providers for each request


@BOTH
@pytest.mark.parametrize(("fault", "share"), RESETS.values(), ids=RESETS)
def test_resets_cost_few_calls_more(fault: Callable[[int], Fault], share: float, *, two: bool) -> None:
    """Nothing that went to a caller is asked for again. A kept connection that is reset was never asked anything."""

    async def story() -> None:
        async with rig(two=two) as it, load(it.up, each=3) as callers:
            before = it.proxy.asked_for(CHAT) + len(it.second.asked())
            it.proxy.share, it.proxy.fault = share, fault(it.middle)
            await until(lambda: len(callers.calls) >= CALLS, within=20)
            callers.ends.set()
            await until(lambda: callers.callers == 0, within=5)
            lost = it.proxy.spoiled if share == 1.0 else 0
            asked = it.proxy.asked_for(CHAT) - lost + len(it.second.asked()) - before
            assert it.proxy.spoiled > CALLS / 20
            assert asked <= AT_MOST * len(callers.calls)
            for call in callers.calls:
                sound(call)
            bad = [call for call in callers.calls if call.outcome != OK]
            if share == 1.0:
                assert bad == []
            elif two:
                assert all(call.spoke for call in bad)
            else:  # nearly all: a retry may meet a reset, too, and the budget may be spent
                assert len([call for call in bad if not call.spoke]) < CALLS / 20

    play(story())


TOLD = {
    "seconds": lambda: {"Retry-After": "3"},
    "a date": lambda: {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=4), usegmt=True)},
    "milliseconds": lambda: {"retry-after-ms": "3000"},
    "milliseconds before seconds": lambda: {"retry-after-ms": "3000", "Retry-After": "1"},
}
QUIET, SETTLED = 2.2, 0.5  # seconds, of which those for who was on the way when it came


@BOTH
@pytest.mark.parametrize("headers", TOLD.values(), ids=TOLD)
def test_who_asks_to_be_left_alone_is_left_alone_until_then(
    headers: Callable[[], dict[str, str]], *, two: bool
) -> None:
    async def story() -> None:
        async with rig(two=two) as it, load(it.up, each=3) as callers:  # some are always on their way
            await until(lambda: callers.all_well_since(0.0, last=1), within=5)
            it.proxy.script.append(Replace(429, b"{}", headers()))  # told to one caller, and meant for all
            await until(lambda: it.proxy.spoiled > 0, within=5)
            struck = now()
            await asyncio.sleep(SETTLED)
            asked = it.proxy.asked_for(CHAT)
            await asyncio.sleep(QUIET - SETTLED)
            assert it.proxy.asked_for(CHAT) == asked
            quiet = callers.between(struck + SETTLED)
            assert len(quiet) > 2 * len(KINDS)
            assert {call.outcome for call in quiet} == {OK if two else "PROVIDER_UNAVAILABLE"}
            await until(lambda: it.proxy.asked_for(CHAT) > asked + 4, within=10)
            await until(lambda: callers.all_well_since(now() - 1.0), within=10)
            assert not two or [call for call in callers.calls if call.outcome != OK] == []

    play(story())
