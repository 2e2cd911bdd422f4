"""Changes of a configuration are noticed however its files are replaced, and nothing else is taken for one."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from llm_pool.config.load import Loaded, load
from llm_pool.config.problems import ConfigError
from llm_pool.config.watch import changes
from tests.running import on_one_loop, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
    from pathlib import Path

NEVER = 60_000  # milliseconds: so that what is noticed was told of, not looked for
TABLE = '[[providers]]\nname = "one"\ndriver = "sim"\nmodel = "m{}"\n'
PROMPTED = '[tasks.mine]\nprompt = "prompts/mine.md"\n' + TABLE.format(1)


class Following:
    """What has been told since the start, and what would be in use where sound states are used at once."""

    def __init__(self, path: Path, *, look_every: int, uses: bool) -> None:
        self.first = load(path, {})
        self.version = self.first.version
        self.told: list[Loaded | ConfigError] = []
        self._look_every = look_every
        self._uses = uses

    async def follow(self) -> None:
        states = changes(self.first, {}, in_use=lambda: self.version, look_every=self._look_every)
        async with aclosing(states) as found:
            async for each in found:
                self.told.append(each)
                if isinstance(each, Loaded) and self._uses:
                    self.version = each.version

    async def next(self, *, within: float = 10.0) -> Loaded | ConfigError:
        await until(lambda: bool(self.told), within=within)
        return self.told.pop(0)

    async def model(self) -> str:
        """That of the next state, which must be sound."""
        found = await self.next()
        assert isinstance(found, Loaded), found
        return found.settings.providers[0].served[0]

    async def refusal(self) -> str:
        found = await self.next()
        assert isinstance(found, ConfigError), found
        return str(found)


@asynccontextmanager
async def following(path: Path, *, look_every: int = NEVER, uses: bool = True) -> AsyncIterator[Following]:
    it = Following(path, look_every=look_every, uses=uses)
    task = asyncio.create_task(it.follow())
    await asyncio.sleep(0.05)  # it has looked, and watches
    try:
        yield it
        assert not task.done()
        assert it.told == []
    finally:
        task.cancel()
        await asyncio.wait({task})


async def at_once(stories: Mapping[str, Coroutine[None, None, None]]) -> None:
    """Many of one kind, side by side, for most of each is waiting."""
    ends = await asyncio.gather(*stories.values(), return_exceptions=True)
    failed = {name: end for name, end in zip(stories, ends, strict=True) if end is not None}
    assert not failed, failed


def plain(folder: Path) -> Path:
    path = folder / "llm-pool.toml"
    path.write_text(TABLE.format(1))
    return path


# --- However it is replaced -------------------------------------------------------------------------------------


def written_over(folder: Path, text: str) -> None:
    (folder / "llm-pool.toml").write_text(text)


def replaced(folder: Path, text: str) -> None:
    (folder / "new").write_text(text)
    (folder / "new").replace(folder / "llm-pool.toml")


def moved_away_and_written(folder: Path, text: str) -> None:
    """As vim does, which tries out a file called 4913 first."""
    (folder / "4913").touch()
    (folder / "4913").unlink()
    (folder / "llm-pool.toml").replace(folder / "llm-pool.toml~")
    (folder / "llm-pool.toml").write_text(text)
    (folder / "llm-pool.toml~").unlink()


def mounted(folder: Path, text: str) -> None:
    """As Kubernetes does: file -> ..data/file, and ..data -> a directory of the day."""
    before = (folder / "..data").readlink() if (folder / "..data").is_symlink() else None
    (new := folder / f"..2024_{time.monotonic_ns()}").mkdir()
    (new / "llm-pool.toml").write_text(text)
    (folder / "..data_tmp").symlink_to(new.name)
    (folder / "..data_tmp").rename(folder / "..data")
    if not (folder / "llm-pool.toml").is_symlink():
        (folder / "llm-pool.toml").symlink_to("..data/llm-pool.toml")
    if before:
        shutil.rmtree(folder / before)


def linked(folder: Path, text: str) -> None:
    """The file that a link leads to has another name, another directory, and is replaced."""
    (folder / "elsewhere").mkdir(exist_ok=True)
    (folder / "elsewhere" / "new").write_text(text)
    (folder / "elsewhere" / "new").replace(folder / "elsewhere" / "real.conf")
    if not (folder / "llm-pool.toml").is_symlink():
        (folder / "llm-pool.toml").symlink_to("elsewhere/real.conf")


def linked_and_written_over(folder: Path, text: str) -> None:
    (folder / "elsewhere").mkdir(exist_ok=True)
    (folder / "elsewhere" / "real.conf").write_text(text)
    if not (folder / "llm-pool.toml").is_symlink():
        (folder / "llm-pool.toml").symlink_to("elsewhere/real.conf")


def linked_anew(folder: Path, text: str) -> None:
    (folder / f"{len(text)}-{text[-3]}.conf").write_text(text)
    (folder / "link").symlink_to(f"{len(text)}-{text[-3]}.conf")
    (folder / "link").rename(folder / "llm-pool.toml")


CHANGES = (written_over, replaced, moved_away_and_written, mounted, linked, linked_and_written_over, linked_anew)


@pytest.mark.real_time
async def test_a_change_is_noticed_and_the_next_one_too(tmp_path: Path) -> None:
    """A watch on the file itself would be lost with the first."""

    async def story(change: Callable[[Path, str], None]) -> None:
        (folder := tmp_path / change.__name__).mkdir()
        begin = plain if change is moved_away_and_written else lambda folder: change(folder, TABLE.format(1))
        begin(folder)
        async with following(folder / "llm-pool.toml") as it:
            for number in (2, 3, 4):
                change(folder, TABLE.format(number))
                assert await it.model() == f"m{number}"

    await at_once({change.__name__: story(change) for change in CHANGES})


@on_one_loop
async def test_what_changes_before_the_watching_begins_is_noticed(tmp_path: Path) -> None:
    it = Following(plain(tmp_path), look_every=NEVER, uses=True)
    written_over(tmp_path, TABLE.format(2))
    task = asyncio.create_task(it.follow())
    assert await it.model() == "m2"
    task.cancel()
    await asyncio.wait({task})


@on_one_loop
async def test_a_directory_that_is_swapped_as_a_whole_is_noticed_by_looking(tmp_path: Path) -> None:
    """Nothing in the directory changes then. What changes in the new one is told of again."""
    for number in (1, 2):
        (tmp_path / f"v{number}").mkdir()
        plain(tmp_path / f"v{number}").write_text(TABLE.format(number))
    (tmp_path / "current").symlink_to("v1")
    async with following(tmp_path / "current" / "llm-pool.toml", look_every=400) as it:
        (tmp_path / "next").symlink_to("v2")
        (tmp_path / "next").rename(tmp_path / "current")
        assert await it.model() == "m2"
        (tmp_path / "v2").rename(tmp_path / "v3")
        (tmp_path / "v1").rename(tmp_path / "v2")
        assert await it.model() == "m1"
        written_over(tmp_path / "v2", TABLE.format(4))
        await until(lambda: bool(it.told), within=0.3)
        assert await it.model() == "m4"


@on_one_loop
async def test_a_directory_that_goes_and_comes_again_is_found_again(tmp_path: Path) -> None:
    (folder := tmp_path / "etc").mkdir()
    async with following(plain(folder), look_every=50) as it:
        shutil.rmtree(folder)
        assert "no such file" in await it.refusal()
        folder.mkdir()
        plain(folder).write_text(TABLE.format(2))
        assert await it.model() == "m2"


@on_one_loop
async def test_where_changes_are_not_told_of_they_are_found_by_looking(tmp_path: Path) -> None:
    """A directory whose name is no UTF-8 cannot be watched."""
    (folder := tmp_path / os.fsdecode(b"\xff")).mkdir()
    async with following(plain(folder), look_every=50) as it:
        for number in (2, 3):
            written_over(folder, TABLE.format(number))
            assert await it.model() == f"m{number}"


# --- Prompts ----------------------------------------------------------------------------------------------------


@on_one_loop
async def test_prompts_that_come_change_and_go_are_noticed(tmp_path: Path) -> None:
    """The directory need not have been there; without it the prompts of the package are in force again."""
    (folder := tmp_path / "etc").mkdir()
    async with following(plain(folder)) as it:
        packaged = it.first.prompts["judge"].system
        prompts = folder / "prompts"
        prompts.mkdir()
        await asyncio.sleep(0.1)  # a directory without prompts changes nothing
        assert it.told == []
        for text in ("Be brief.", "Be kind."):
            (prompts / "judge.md").write_text(text)
            found = await it.next()
            assert isinstance(found, Loaded)
            assert found.prompts["judge"].system == text
        shutil.rmtree(prompts)
        found = await it.next()
        assert isinstance(found, Loaded)
        assert found.version == it.first.version
        assert found.prompts["judge"].system == packaged


@on_one_loop
async def test_a_prompt_that_a_changed_file_names_is_watched_from_then_on(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "near").mkdir()
    (tmp_path / "far" / "words.txt").write_text("First.")
    async with following(plain(tmp_path / "near")) as it:
        table = '[tasks.mine]\nprompt = "../far/words.txt"\n'
        written_over(tmp_path / "near", table + TABLE.format(2))
        assert await it.model() == "m2"
        for text in ("Second.", "Third."):
            (tmp_path / "far" / "words.txt").write_text(text)
            found = await it.next()
            assert isinstance(found, Loaded)
            assert found.prompts["mine"].system == text


# --- Refusals ---------------------------------------------------------------------------------------------------


def deleted(path: Path) -> None:
    path.unlink()


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_circle(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def bytes_of(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "cut off": (bytes_of(TABLE.format(2).encode()[:-5]), "llm-pool.toml:4: not TOML"),
    "empty": (bytes_of(b""), "nobody could answer"),
    "not UTF-8": (bytes_of(b"# fine\n\xff\xfe"), "llm-pool.toml:2: is not UTF-8"),
    "ten megabytes": (bytes_of(b"# " + b"x" * 10_000_000), "larger than 256 KB"),
    "twenty thousand dots": (bytes_of(b"a" + b".a" * 20_000 + b" = 1"), "llm-pool.toml:1: a key of more than 33 parts"),
    "deleted": (deleted, "no such file"),
    "a directory": (a_directory, "is not a file"),
    "a pipe": (a_pipe, "is not a file"),
    "a link to itself": (a_circle, "no such file"),
    "a prompt that is no name": (
        bytes_of(b'[tasks.mine]\nprompt = "' + b"x" * 5_000 + b'"\n' + TABLE.format(2).encode()),
        "cannot be read: File name too long",
    ),
}


@on_one_loop
async def test_what_cannot_be_used_is_told_once_with_its_reason(tmp_path: Path) -> None:
    """And that it is again as it was before, too."""

    async def story(name: str) -> None:
        (folder := tmp_path / name).mkdir()
        path = plain(folder)
        spoil, says = BAD[name]
        async with following(path, look_every=60) as it:
            spoil(path)
            while says not in await it.refusal():
                pass  # what was there for a moment, before
            await asyncio.sleep(0.15)  # it is looked at again, and is as bad as it was
            assert it.told == []
            if path.is_dir():
                path.rmdir()
            path.unlink(missing_ok=True)
            plain(folder)
            while isinstance(found := await it.next(), ConfigError):
                pass
            assert found.version == it.first.version

    await at_once({name: story(name) for name in BAD})


@on_one_loop
async def test_what_is_refused_for_what_it_lacks_is_used_when_that_is_there(tmp_path: Path) -> None:
    """Although it lies where nobody is told of changes."""
    (folder := tmp_path / "etc").mkdir()
    async with following(plain(folder), look_every=50) as it:
        written_over(folder, '[tasks.mine]\nprompt = "../later/words.txt"\n' + TABLE.format(2))
        assert "no such file" in await it.refusal()
        (tmp_path / "later").mkdir()
        (tmp_path / "later" / "words.txt").write_text("Here.")
        assert await it.model() == "m2"


@on_one_loop
async def test_another_state_that_is_as_bad_as_the_one_before_is_told_again(tmp_path: Path) -> None:
    async with following(plain(tmp_path)) as it:
        for text in ("[[", "[["):
            written_over(tmp_path, f"{text} # {time.monotonic_ns()}")
            assert "llm-pool.toml:1: not TOML" in await it.refusal()


@on_one_loop
async def test_a_sound_state_is_told_again_until_it_is_in_use(tmp_path: Path) -> None:
    """It may lack a key that will be there in a moment."""
    async with following(plain(tmp_path), look_every=50, uses=False) as it:
        written_over(tmp_path, TABLE.format(2))
        assert [await it.model() for _ in range(2)] == ["m2"] * 2
        written_over(tmp_path, TABLE.format(1))
        while await it.model() == "m2":
            pass
        await asyncio.sleep(0.15)
        assert it.told == []
