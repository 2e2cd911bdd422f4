"""Notice that the files of a configuration have changed, and read it anew.

1. Directories are watched, not files: an editor replaces a file, Kubernetes swaps a symbolic link beside it, and a
   watched file would be lost with the first of these. The directories that links lead to are watched, too.
2. What counts is content, come to rest: it is read only when it has stood still for a moment, and used only if it still
   stands as it was when the reading ended. So nothing is made of half a file, or of two states a bit each.
3. Not every change is told of (shared folders of a virtual machine tell of none, a directory may be swapped as a
   whole), and not every directory can be watched. So the content is looked at every few seconds all the same.
4. All this waits for files, so it has a thread of its own. The event loop hears of nothing but results.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

# Not `awatch`: it does not say when it has begun to watch, and what changes just before that would be missed.
from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

from llm_pool.config.load import MOST_BYTES, load
from llm_pool.config.problems import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Mapping
    from contextlib import AbstractContextManager

    from llm_pool.config.load import Loaded

QUIET = 20  # milliseconds without a change, after which the content counts as come to rest
LONGEST = 100  # milliseconds over which notices are gathered
# The library looks for notices so often, and holds up Python each time: while nothing has changed for a moment, seldom.
PATIENT, EAGER = 100, QUIET  # milliseconds
MOMENT = 2.0  # seconds
LOOK_EVERY = 5_000  # milliseconds

log = logging.getLogger(__name__)

Content: TypeAlias = "dict[str, bytes | str]"
Folders: TypeAlias = "dict[str, tuple[int, int]]"  # path -> device and inode: another one may have taken its place


async def changes(
    loaded: Loaded, environ: Mapping[str, str], *, in_use: Callable[[], str], look_every: int = LOOK_EVERY
) -> AsyncGenerator[Loaded | ConfigError, None]:
    """Each new state of the configuration, as what it says or why it cannot be used. Runs until it is closed.

    A state that is refused is told of once. One that is sound is told of at every look until its version is the one
    that is `in_use`. When the files are again what they were before, that is told, too.
    """
    stop = threading.Event()
    states = _states(loaded, environ, stop, in_use, look_every / 1000)
    loop = asyncio.get_running_loop()
    thread = ThreadPoolExecutor(1, thread_name_prefix="configuration")
    try:
        while (found := await loop.run_in_executor(thread, next, states, None)) is not None:
            yield found
    finally:
        stop.set()
        thread.submit(states.close)
        await asyncio.to_thread(thread.shutdown)


def _states(
    loaded: Loaded, environ: Mapping[str, str], stop: threading.Event, in_use: Callable[[], str], every: float
) -> Generator[Loaded | ConfigError, None, None]:
    seen: Content = {}  # nothing yet: the files may have changed since they were read
    refused = ""
    changed = 0.0
    while not stop.is_set():
        folders = _folders(loaded)
        with _watching(folders) as watching:
            while not stop.is_set():
                content = _content(loaded)
                # What a refused one lacks may lie where nobody looks.
                if content != seen or refused or loaded.version != in_use():
                    found = _read(loaded, environ, content, stop)
                    if found is None:
                        continue
                    if isinstance(found, ConfigError):
                        told = content == seen and str(found) == refused
                        refused = str(found)
                    else:
                        told = not refused and found.version == loaded.version == in_use()
                        refused, loaded = "", found
                    if seen and content != seen:
                        changed = time.monotonic()
                    seen = content
                    if not told:
                        yield found
                if _folders(loaded) != folders:
                    break  # to watch what is there now
                step = EAGER if time.monotonic() - changed < MOMENT else PATIENT
                _wait(watching, _names(loaded), every, stop, step=step)


def _read(
    loaded: Loaded, environ: Mapping[str, str], content: Content, stop: threading.Event
) -> Loaded | ConfigError | None:
    """What the files say, or None: they are still being changed."""
    stop.wait(QUIET / 1000)
    if _content(loaded) != content:
        return None
    found: Loaded | ConfigError
    try:
        found = load(loaded.path, environ)
    except ConfigError as error:
        found = error
    except Exception:  # a bug that one content meets must not end the watching for the next one
        log.exception("unexpected error")
        found = ConfigError(f"{loaded.path.name}: cannot be read: unexpected error")
    return found if _content(loaded) == content else None


def _watching(folders: Folders) -> AbstractContextManager[RustNotify | None]:
    """From now on what changes there is noted. None: it cannot be."""
    try:
        return RustNotify(list(folders), False, False, 0, False, True) if folders else nullcontext()
    except (OSError, ValueError, WatchfilesRustInternalError) as error:  # gone this moment; no more watches to be had
        log.warning("changed files are looked for, not told of: %s", error)
        return nullcontext()


def _wait(watching: RustNotify | None, names: set[str], every: float, stop: threading.Event, *, step: int) -> None:
    """Until something has changed that can matter, or it is time to look all the same."""
    end = time.monotonic() + every
    while (left := end - time.monotonic()) > 0:
        notices: object = "timeout"
        try:
            if watching is None:
                stop.wait(left)
            else:
                notices = watching.watch(LONGEST, step, max(1, int(left * 1000)), stop)
        except (OSError, RuntimeError):  # it broke: from here on it is looked for only
            watching = None
            continue
        if not isinstance(notices, set) or any(_matters(path, names) for _, path in notices):
            return


def _matters(path: str, names: set[str]) -> bool:
    """Whether a change of this path can change the configuration. A log that grows beside it does not."""
    name = os.path.basename(path)  # noqa: PTH119 - of many, in a busy directory
    return name in names or name.endswith(".md") or os.path.islink(path) or not os.path.isfile(path)  # noqa: PTH113, PTH114


def _names(loaded: Loaded) -> set[str]:
    """By which a file of the configuration may be told of: its own, and the one that a link leads to."""
    return {Path(name).name for file in _files(loaded) for name in (file, os.path.realpath(file))}


def _folders(loaded: Loaded) -> Folders:
    """The directories that exist, and those that links in them lead to."""
    files = _files(loaded)
    named = {str(file.parent) for file in files} | {str(loaded.folder)}
    linked = {os.path.dirname(os.path.realpath(file)) for file in files}  # noqa: PTH120 - `resolve` raises on a circle
    found: Folders = {}
    for folder in sorted(named | linked):
        with suppress(OSError):
            status = Path(folder).stat()
            if stat.S_ISDIR(status.st_mode):
                found[folder] = (status.st_dev, status.st_ino)
    return found


def _content(loaded: Loaded) -> Content:
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
