"""Notice that the files of a configuration have changed, and read it anew.

1. Directories are watched, not files: an editor replaces a file, Kubernetes swaps a symbolic link beside it, and a
   watched file would be lost with the first of these. The directories that links lead to are watched, too.
2. What counts is content. A change that leaves every byte as it was is none; the configuration is read only when the
   bytes have come to rest, so that what an editor is half-way through writing is rarely seen, and refused if it is.
3. Not every file system tells of its changes (shared folders of a virtual machine do not), so the content is looked at
   every few seconds all the same.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import watchfiles

from llm_pool.config.load import MOST_BYTES, load
from llm_pool.config.problems import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from llm_pool.config.load import Loaded

QUIET = 20  # milliseconds without a change, after which the content counts as come to rest
LONGEST = 100  # milliseconds that are waited for this quiet
LOOK_EVERY = 5_000  # milliseconds


async def changes(
    loaded: Loaded, environ: Mapping[str, str], *, look_every: int = LOOK_EVERY
) -> AsyncGenerator[Loaded | ConfigError, None]:
    """Each new state of the configuration, as what it says or why it cannot be used. Runs until it is closed.

    A state that has been refused is told of once. When the files are again what they were before, that is told, too.
    """
    seen: dict[str, bytes | str] = {}  # nothing yet: the files may have changed since they were read
    refused = ""
    while True:
        folders = await asyncio.to_thread(_watched, loaded)
        stop = asyncio.Event()
        notices = watchfiles.awatch(
            *folders,
            watch_filter=_matters(loaded),
            debounce=LONGEST,
            step=QUIET,
            rust_timeout=look_every,
            yield_on_timeout=True,
            recursive=False,
            raise_interrupt=False,
            stop_event=stop,
        )
        try:
            async for _ in notices:
                content = await asyncio.to_thread(_content, loaded)
                if content != seen or refused:  # what a refused one lacks may lie where nobody looks
                    seen = content
                    try:
                        found = await asyncio.to_thread(load, loaded.path, environ)
                    except ConfigError as error:
                        if refused != str(error):
                            refused = str(error)
                            yield error
                    else:
                        if found.version != loaded.version or refused:
                            loaded, refused = found, ""
                            yield loaded
                if await asyncio.to_thread(_watched, loaded) != folders:
                    break  # to watch what is there now
        finally:
            stop.set()
            await notices.aclose()


def _matters(loaded: Loaded) -> Callable[[watchfiles.Change, str], bool]:
    """Whether a change of this path can change the configuration. A log that grows beside it does not."""
    names = {file.name for file in _files(loaded)}

    def matters(_: watchfiles.Change, path: str) -> bool:
        changed = Path(path)
        plain = changed.is_file() and not changed.is_symlink()
        return not plain or changed.suffix == ".md" or changed.name in names

    return matters


def _watched(loaded: Loaded) -> list[Path]:
    """The directories that exist, and those that links in them lead to."""
    folders = {file.parent for file in _files(loaded)} | {loaded.folder}
    linked = {file.resolve().parent for file in _files(loaded)}
    return sorted(folder for folder in folders | linked if folder.is_dir())


def _content(loaded: Loaded) -> dict[str, bytes | str]:
    """A digest of every file that the configuration may be made of, or why it cannot be read."""
    return {str(file): _digest(file) for file in _files(loaded)}


def _files(loaded: Loaded) -> set[Path]:
    found = set(loaded.files)
    with suppress(OSError):
        found.update(loaded.folder.glob("*.md"))
    return found


def _digest(file: Path) -> bytes | str:
    try:
        if not file.is_file():  # a pipe would block
            return "no file"
        with file.open("rb") as opened:
            return hashlib.sha256(opened.read(MOST_BYTES + 1)).digest()
    except OSError as error:
        return error.strerror or "cannot be read"
