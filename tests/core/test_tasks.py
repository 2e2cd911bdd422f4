"""Whatever is started has ended when its owner's block does, and a failure is not a silence."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from llm_pool.core.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Awaitable


async def noted(work: Awaitable[object], into: list[str]) -> None:
    try:
        await work
        into.append("done")
    except asyncio.CancelledError:
        into.append("cancelled")
        raise


async def test_what_is_still_running_is_cancelled_and_waited_for() -> None:
    ends: list[str] = []
    async with Tasks() as tasks:
        tasks.start(noted(asyncio.sleep(1), ends), name="short")
        tasks.start(noted(asyncio.sleep(60), ends), name="long")
        await asyncio.sleep(2)
    assert ends == ["done", "cancelled"]
    assert asyncio.get_running_loop().time() == 2.0
    assert len(asyncio.all_tasks()) == 1


async def test_one_that_takes_its_time_to_end_is_waited_for() -> None:
    ends: list[str] = []

    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await noted(asyncio.sleep(3), ends)

    async with Tasks() as tasks:
        tasks.start(slow(), name="slow")
        await asyncio.sleep(0)
    assert ends == ["done"]
    assert asyncio.get_running_loop().time() == 3.0


async def test_one_that_fails_is_told_at_once_and_ends_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise KeyError("bug")

    ends: list[str] = []
    async with Tasks() as tasks:
        tasks.start(fail(), name="the failing one")
        tasks.start(noted(asyncio.sleep(1), ends), name="the other")
        await asyncio.sleep(0.5)
        [record] = caplog.records
        assert (record.levelno, record.getMessage()) == (logging.ERROR, "the failing one failed")
        assert "KeyError: 'bug'" in caplog.text
        await asyncio.sleep(1)
    assert ends == ["done"]


async def test_one_that_fails_while_it_is_cancelled_is_told_and_hides_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise KeyError("bug")

    with pytest.raises(ValueError, match="the block's own"):
        async with Tasks() as tasks:
            tasks.start(fail(), name="the failing one")
            await asyncio.sleep(0)
            raise ValueError("the block's own")
    assert [record.getMessage() for record in caplog.records] == ["the failing one failed"]


async def test_what_has_ended_is_not_kept() -> None:
    async with Tasks() as tasks:
        for _ in range(3):
            tasks.start(asyncio.sleep(1), name="short")
        await asyncio.sleep(2)
        assert tasks._running == set()
