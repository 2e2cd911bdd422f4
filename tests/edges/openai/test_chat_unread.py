"""Several answers, streamed to somebody who does not read them: the deadline ends that, too."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from llm_pool.core.types import TextDelta
from tests.edges.openai.asking import HI, MODEL, scripted, steps

pytestmark = pytest.mark.real_time

LONG = "x" * 8_000_000  # more than all buffers on the way hold


async def test_who_asks_for_several_answers_and_does_not_read_is_ended_at_the_deadline() -> None:
    toml = "[qos]\ndefault_deadline_ms = 500\n"
    body = orjson.dumps({"model": MODEL, "messages": HI, "n": 2, "stream": True})
    async with scripted(*steps(TextDelta(LONG)), toml=toml) as (up, _), up.connect() as bare:
        bare.writer.transport.pause_reading()  # type: ignore[attr-defined] # of every transport that reads
        started = asyncio.get_running_loop().time()
        await bare.post(body, path=b"/v1/chat/completions")
        [line] = await up.lines(1, within=5.0)
        ended = asyncio.get_running_loop().time() - started
    assert line["outcome"] == "DEADLINE_EXCEEDED"
    assert 0.5 <= ended < 2.0
