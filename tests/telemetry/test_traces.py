"""A trace file says when and how long, never what; it costs requests nothing, and its own troubles stay its own."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import stat
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from llm_pool.core.errors import StartRefused
from llm_pool.core.trace import Attempt
from llm_pool.core.types import Image, Message, Text, Usage
from llm_pool.telemetry.traces import AT_ONCE, EVERY, MOST, TraceFile
from tests.scripted import request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llm_pool.core.types import Request

BEGAN = 1_767_225_600.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace.jsonl"


def recording(path: Path) -> TraceFile:
    return TraceFile(str(path), version="1.2.3", now=asyncio.get_running_loop().time, wall=lambda: BEGAN)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def text(path: Path) -> str:
    return path.read_text()


def write(path: Path, what: str) -> None:
    path.write_text(what)


def size(path: Path) -> int:
    return path.stat().st_size


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def ended(prompt: str = "a canary", **said: Any) -> Request:
    """A request that arrived now, and was answered by the second deployment that was asked."""
    asked = request(prompt, **said)
    now = asked.trace.started
    asked.trace.task = "chat"
    asked.trace.attempts = [
        Attempt("a", "sim/m", "", now, ended=now + 0.25, outcome="PROVIDER_TIMEOUT", why="a canary"),
        Attempt(
            "b", "sim/m", "", now + 0.25, now + 0.5, now + 2, Usage(3, output=5, reasoning=2), "ok", "", "failover"
        ),
    ]
    return asked


async def test_a_request_is_one_line_of_instants_and_numbers_without_a_word_of_it(path: Path) -> None:
    async with recording(path) as traces:
        await asyncio.sleep(12.5)
        asked = ended()
        image = Image("image/png", data=b"a canary")
        traces.note(replace(asked, messages=(*asked.messages, Message("user", (Text("four"), image)))))
    assert lines(path) == [
        {"llm_pool_trace": 1, "version": "1.2.3"},
        {
            "at": BEGAN + 12.5,
            "task": "chat",
            "prompt": len("a canary") + 4,
            "whole": True,
            "deadline": 30.0,
            "attempts": [
                {
                    "deployment": "a", "model": "sim/m", "kind": "first", "started": 0.0, "first_token": None,
                    "ended": 0.25, "tokens": 0, "outcome": "PROVIDER_TIMEOUT",
                },
                {
                    "deployment": "b", "model": "sim/m", "kind": "failover", "started": 0.25, "first_token": 0.5,
                    "ended": 2.0, "tokens": 7, "outcome": "ok",
                },
            ],
        },
    ]  # fmt: skip
    assert "canary" not in text(path)


async def test_a_deadline_is_told_in_seconds_whatever_the_clocks_began_with(path: Path) -> None:
    """Traces have another clock than deadlines."""
    loop = asyncio.get_running_loop()
    async with TraceFile(
        str(path), version="", now=lambda: loop.time() + 1000, wall=lambda: BEGAN + loop.time()
    ) as traces:
        await asyncio.sleep(3)
        asked = ended(deadline=7.0)
        asked.trace.started += 1000
        traces.note(asked)
    assert (lines(path)[1]["at"], lines(path)[1]["deadline"]) == (BEGAN + 3, 7.0)


async def test_a_model_is_told_where_somebody_was_asked_for_it(path: Path) -> None:
    async with recording(path) as traces:
        for model in ("sim/m", "a canary", None):
            traces.note(ended(model=model))
    assert [line.get("model") for line in lines(path)[1:]] == ["sim/m", None, None]


async def test_who_never_got_as_far_as_to_have_a_task_is_not_told_of(path: Path) -> None:
    async with recording(path) as traces:
        traces.note(request(task="a canary"))
    assert len(lines(path)) == 1


async def test_nobody_else_may_read_it(path: Path) -> None:
    before = os.umask(0)
    try:
        async with recording(path):
            assert mode(path) == 0o600
    finally:
        os.umask(before)


async def test_lines_are_written_once_a_second_or_when_they_are_many(path: Path) -> None:
    async with recording(path) as traces:
        traces.note(ended())
        await asyncio.sleep(EVERY / 2)
        assert len(lines(path)) == 1
        await asyncio.sleep(EVERY)
        assert len(lines(path)) == 2
        for _ in range(AT_ONCE):
            traces.note(ended())
        await asyncio.sleep(EVERY / 100)
        assert len(lines(path)) == 2 + AT_ONCE


async def test_whoever_is_cancelled_loses_no_line(path: Path) -> None:
    begun = asyncio.Event()

    async def recorded() -> None:
        async with recording(path) as traces:
            for _ in range(AT_ONCE):
                traces.note(ended())
            await asyncio.sleep(0)  # the batch is on its way to the thread
            traces.note(ended())
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(recorded())
    await begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(lines(path)) == 2 + AT_ONCE


async def test_it_is_appended_to_and_half_a_line_of_before_is_ended(path: Path) -> None:
    write(path, '{"llm_pool_trace": 1}\n{"half')
    async with recording(path) as traces:
        traces.note(ended())
    first, half, header, line = text(path).splitlines()
    assert (first, half) == ('{"llm_pool_trace": 1}', '{"half')
    assert "llm_pool_trace" in header
    assert "attempts" in line


@contextmanager
def full_disk_beyond(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_is_told_once_and_ends_the_recording_with_whole_lines(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(path, " " * 2_000_000 + "\n")  # so large that the limit concerns nothing else
    async with recording(path) as traces:
        before = size(path)
        with full_disk_beyond(before + 100):
            for _ in range(3):
                traces.note(ended())
                await asyncio.sleep(EVERY * 1.5)
        traces.note(ended())
    assert size(path) == before
    [told] = caplog.records
    assert (told.levelno, told.getMessage()) == (
        logging.WARNING,
        "the trace file cannot be written: recording ends",
    )


async def test_a_disk_that_does_not_keep_up_costs_lines_not_memory(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with recording(path) as traces:
        asked = ended()
        for _ in range(MOST + 10):  # in one step of the loop, so that nothing is written meanwhile
            traces.note(asked)
        assert len(traces._notes) == MOST
        assert len(caplog.records) == 1
        traces._notes.clear()


@pytest.mark.parametrize("kind", ["no folder", "a folder", "a pipe", "a NUL"])
async def test_what_cannot_be_written_is_refused_at_the_start(kind: str, path: Path) -> None:
    match kind:
        case "no folder":
            path /= "trace.jsonl"
        case "a folder":
            path.mkdir()
        case "a pipe":
            os.mkfifo(path)
        case _:
            path = path.with_name("a\0b")
    with pytest.raises(StartRefused, match=r"telemetry\.trace_file .* cannot be written: \w+"):
        async with recording(path):
            pass
