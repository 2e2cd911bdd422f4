"""A body without an end, or one that swells when it is unpacked, costs its caller an error and the pool no memory."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest

from tests.fakes.proxy import Replace
from tests.faults.calling import KINDS, Asking
from tests.faults.rig import play, rig

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.faults

MOST = 64 * 1024 * 1024  # bytes more than before
PAGE = 4096

WORDS = orjson.dumps({"message": {"content": "word " * 1_600}, "done": False}) + b"\n"
BODIES = {
    "one line": Replace(body=b"x" * 65_536, endless=True),
    "blank lines": Replace(body=b"\n" * 65_536, endless=True),
    "lines of a chat": Replace(body=WORDS * 8, endless=True),
    "gzip": Replace.bomb(10 * 1024),
    "gzip that does not say so": Replace.bomb(10 * 1024, hidden=True),
}


@pytest.mark.parametrize("ask", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_hostile_body_is_given_up_before_it_fills_the_memory(
    body: Replace, ask: Asking, record_property: Callable[[str, object], None]
) -> None:
    async def story() -> None:
        async with rig(two=False) as it:
            it.proxy.fault = body
            before = resident()
            watching = asyncio.create_task(highest())
            call = await ask(it.up, "chat")
            watching.cancel()
            await asyncio.wait({watching})
            assert call.outcome in {
                "PROVIDER_GARBLED",
                "PROVIDER_TIMEOUT",
            }  # too much of it, or too long without a word
            assert call.ends == 1
            assert call.status == 502 or call.spoke
            record_property("MiB more than before", (seen[0] - before) >> 20)
            assert 0 < seen[0] < before + MOST

    seen = [0]

    async def highest() -> None:
        while True:
            seen[0] = max(seen[0], resident())
            await asyncio.sleep(0.002)

    play(story())


def resident() -> int:
    """Bytes of memory that this process, with its callers and its providers, has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
