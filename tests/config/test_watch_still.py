"""A configuration is read when its files stand still, whole and unmixed; what is no change of it is none."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
import time
from typing import TYPE_CHECKING

import pytest

from llm_pool.config.load import Loaded
from tests.config.test_watch import NEVER, TABLE, Following, following, plain, replaced, written_over
from tests.running import on_one_loop, until

if TYPE_CHECKING:
    from pathlib import Path

    from llm_pool.config.problems import ConfigError


# --- Half-written -----------------------------------------------------------------------------------------------


@on_one_loop
async def test_a_file_that_is_being_written_is_not_read(tmp_path: Path) -> None:
    """Two whole tables are a sound file, and yet only the half of what is being written."""
    path = plain(tmp_path)
    rest = [TABLE.format(number).replace("one", f"n{number}") for number in range(40)]
    async with following(path) as it:
        longest, then = 0.0, time.monotonic()
        with path.open("w") as file:
            for table in rest:
                file.write(table)
                file.flush()
                longest, then = max(longest, time.monotonic() - then), time.monotonic()
                await asyncio.sleep(0.008)
        await asyncio.sleep(0.15)
        found = await it.next()
        if longest > 0.015:  # a busy machine made us pause
            *_, found = found, *it.told
            it.told.clear()
        assert isinstance(found, Loaded)
        assert len(found.settings.providers) == len(rest)


@on_one_loop
async def test_two_files_that_change_together_are_never_mixed(tmp_path: Path) -> None:
    """One rename puts both in place, again and again, while they are being read."""
    spaced = "# long enough that the reading of it takes a while\n" * 2_000

    def put(number: int) -> None:
        before = (tmp_path / "..data").readlink() if number else None
        (new := tmp_path / f"..{number}").mkdir()
        (new / "llm-pool.toml").write_text(spaced + TABLE.format(number))
        (new / "prompts").mkdir()
        (new / "prompts" / "chat.md").write_text(f"m{number}")
        (tmp_path / "tmp").symlink_to(new.name)
        (tmp_path / "tmp").rename(tmp_path / "..data")
        if before:
            shutil.rmtree(tmp_path / before)

    put(0)
    for name in ("llm-pool.toml", "prompts"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    async with following(tmp_path / "llm-pool.toml") as it:
        for number in range(1, 15):
            put(number)
            await asyncio.sleep(0.02 + 0.001 * (number * 7 % 30))
        await until(lambda: bool(it.told) and _pair(it.told[-1]) == ("m14", "m14"), within=10)
        pairs = [_pair(found) for found in it.told]
        it.told.clear()
    assert [pair for pair in pairs if pair[0] != pair[1]] == []


def _pair(found: Loaded | ConfigError) -> tuple[str, str]:
    assert isinstance(found, Loaded), found
    return found.settings.providers[0].served[0], found.prompts["chat"].system


# --- What is no change ------------------------------------------------------------------------------------------


@on_one_loop
async def test_what_editors_leave_about_and_an_equal_file_are_no_changes(tmp_path: Path) -> None:
    async with following(plain(tmp_path)) as it:
        for name in (".llm-pool.toml.swp", "4913", "llm-pool.toml~", "#llm-pool.toml#", "README.md"):
            (tmp_path / name).write_text("anything")
            await asyncio.sleep(0.02)
            (tmp_path / name).unlink()
        replaced(tmp_path, TABLE.format(1))
        os.utime(tmp_path / "llm-pool.toml", (0, 0))
        await asyncio.sleep(0.2)
        assert it.told == []


@on_one_loop
async def test_a_log_that_grows_beside_it_costs_next_to_nothing_and_hides_nothing(tmp_path: Path) -> None:
    """Neither what is told of nor what is only found by looking."""
    (tmp_path / "v1").mkdir()
    (tmp_path / "v2").mkdir()
    plain(tmp_path / "v2").write_text(TABLE.format(2))
    (tmp_path / "current").symlink_to("v1")
    stop = threading.Event()

    def grow() -> None:
        with (tmp_path / "v1" / "pool.log").open("a", buffering=1) as file:
            while not stop.wait(0.005):
                file.write("a line\n")

    path = plain(tmp_path / "v1")
    async with following(tmp_path / "current" / path.name, look_every=200) as it:
        writer = threading.Thread(target=grow)
        writer.start()
        try:
            used = time.process_time()
            await asyncio.sleep(0.3)
            assert time.process_time() - used < 0.1  # the writer included
            assert it.told == []
            written_over(tmp_path / "v1", TABLE.format(3))
            assert await it.model() == "m3"
            (tmp_path / "next").symlink_to("v2")
            (tmp_path / "next").rename(tmp_path / "current")
            assert await it.model() == "m2"
        finally:
            stop.set()
            writer.join()


# --- Its end ----------------------------------------------------------------------------------------------------


@pytest.mark.real_time
async def test_it_ends_at_once_whatever_it_is_at(tmp_path: Path) -> None:
    """Cancelled after every few milliseconds: before, during and after the watch begins, a state is read and told."""
    path = plain(tmp_path)
    for delay in (0.0, 0.001, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08):
        it = Following(path, look_every=NEVER, uses=True)
        written_over(tmp_path, TABLE.format(f"-{delay}"))
        task = asyncio.create_task(it.follow())
        await asyncio.sleep(delay)
        began = time.monotonic()
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        assert time.monotonic() - began < 0.5
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("configuration")]
