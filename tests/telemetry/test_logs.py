"""A log line is one line, says everything, and never harms what it tells of or who reads it."""

from __future__ import annotations

import asyncio
import io
import logging
import os
from typing import TYPE_CHECKING

import orjson
import pytest

from llm_pool.telemetry.logs import GATHER, Human, JsonLines, Lines, fields, line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def log(tmp_path: Path) -> Iterator[logging.Logger]:
    """A logger of JSON lines into a file named `log`."""
    logger = logging.getLogger("a.name")
    logger.setLevel(logging.INFO)
    handler = Lines(io.FileIO(tmp_path / "log", "a"))
    handler.setFormatter(JsonLines())
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)
    handler.close()


def read(tmp_path: Path) -> list[dict[str, object]]:
    return [orjson.loads(text) for text in (tmp_path / "log").read_text().splitlines()]


def shown(**told: object) -> str:
    record = logging.LogRecord("a.name", logging.INFO, "", 0, "request", (), None)
    record.__dict__.update(fields(**told))
    return Human(colour=False).format(record)


def test_a_line_is_one_json_object_with_its_fields(log: logging.Logger, tmp_path: Path) -> None:
    log.info("said %s", "this\nand that", extra=fields(number=3, words=["a", "b"]))
    [told] = read(tmp_path)
    assert (told["event"], told["number"], told["words"]) == ("said this\nand that", 3, ["a", "b"])
    assert (told["level"], told["logger"]) == ("info", "a.name")


async def test_lines_are_written_together_a_moment_later_and_in_order(log: logging.Logger, tmp_path: Path) -> None:
    for number in range(3):
        line(log, "request", {"number": number})
    assert read(tmp_path) == []
    await asyncio.sleep(GATHER)
    assert [told["number"] for told in read(tmp_path)] == [0, 1, 2]


async def test_a_warning_is_written_at_once_with_those_before_it(log: logging.Logger, tmp_path: Path) -> None:
    line(log, "request", {"number": 0})
    log.warning("look")
    assert [told["event"] for told in read(tmp_path)] == ["request", "look"]
    await asyncio.sleep(GATHER)  # the timer that finds nothing more
    assert len(read(tmp_path)) == 2


def test_half_a_character_does_not_lose_the_line(log: logging.Logger, tmp_path: Path) -> None:
    """An environment's names need not be UTF-8."""
    log.info("left alone", extra=fields(names=["LLM_POOL_\udcff"]))
    assert b"LLM_POOL_\\udcff" in (tmp_path / "log").read_bytes()


def test_a_line_that_cannot_be_laid_out_harms_neither_the_caller_nor_the_others(
    log: logging.Logger, tmp_path: Path
) -> None:
    class Odd:
        def __str__(self) -> str:
            raise KeyError

    log.info("odd", extra=fields(value=Odd()))
    log.info("good")
    assert [told["event"] for told in read(tmp_path)] == ["a log line could not be laid out", "good"]


def test_a_full_pipe_that_does_not_block_costs_lines_and_no_more() -> None:
    ours, theirs = os.pipe()
    try:
        os.set_blocking(theirs, False)
        handler = Lines(io.FileIO(theirs, "a", closefd=False))
        handler.setFormatter(JsonLines())
        for _ in range(100):
            handler.handle(logging.LogRecord("a.name", logging.INFO, "", 0, "x" * 10_000, (), None))
        handler.close()
    finally:
        os.close(ours)
        os.close(theirs)


def test_people_are_shown_what_says_something() -> None:
    assert shown(attempts=0, degraded=False, project="", task="chat", failed=["a", "b"]).endswith(
        "request attempts=0 task=chat failed='a, b'"
    )


@pytest.mark.parametrize("text", ["\x1b[2J", "a\nb", "a\tb", "\x9b31m", "\u202eevil"])
def test_a_caller_s_text_does_nothing_to_a_terminal(text: str) -> None:
    told = shown(project=text)
    assert text not in told
    assert told.isprintable()
