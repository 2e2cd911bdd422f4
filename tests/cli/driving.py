"""Drive the command line: a pool to talk to, on a thread of its own; commands in pipes, and at a terminal.

with pool(SIM) as url:
    done = command("infer", "chat", "hi", url=url)
    assert (done.code, done.out) == (0, "One two three four five.\\n")
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
import threading
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from tests.running import running_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractAsyncContextManager

T = TypeVar("T")

ROOT = Path(__file__).parents[2]

# Takes the terminal that is named first for its own, so that Ctrl-C there is its SIGINT; then becomes the rest.
_ON_TERMINAL = (
    "import os, sys; fd = os.open(sys.argv[1], os.O_RDWR); [os.dup2(fd, n) for n in range(3)]; "
    "os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"
)


@dataclass(frozen=True, slots=True)
class Done:
    code: int
    out: str
    err: str


@contextlib.contextmanager
def pool(toml: str) -> Iterator[str]:
    """A pool of this configuration; gives its URL."""
    with on_a_thread(lambda: running_pool(toml)) as up:
        yield f"http://{up.http_address}"


@contextlib.contextmanager
def on_a_thread(opened: Callable[[], AbstractAsyncContextManager[T]]) -> Iterator[T]:
    """What this opens, alive on a loop of its own while we do what is not async."""
    begun, ended = threading.Event(), asyncio.Event()
    kept: list[T] = []
    loops: list[asyncio.AbstractEventLoop] = []

    async def live() -> None:
        loops.append(asyncio.get_running_loop())
        async with AsyncExitStack() as stack:
            kept.append(await stack.enter_async_context(opened()))
            begun.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(live()), daemon=True)
    thread.start()
    assert begun.wait(10)
    try:
        yield kept[0]
    finally:
        loops[0].call_soon_threadsafe(ended.set)
        thread.join(10)
        assert not thread.is_alive()


def command(
    *arguments: str,
    url: str = "http://127.0.0.1:9",
    stdin: bytes = b"",
    cwd: Path = ROOT,
    environ: Mapping[str, str] | None = None,
) -> Done:
    """The real command, with pipes."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "llm_pool", *arguments],
        input=stdin,
        capture_output=True,
        timeout=20,
        check=False,
        cwd=cwd,
        env={**environment(url), **(environ or {})},
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def environment(url: str) -> dict[str, str]:
    """Ours without what would change a command, and with what it is to find."""
    plain = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LLM_POOL_", "OLLAMA_", "FORCE_COLOR", "NO_COLOR"))
    }
    return {**plain, "LLM_POOL_URL": url, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "COLUMNS": "80"}


class Terminal:
    """A command at a terminal of 80 columns, and the person before it."""

    def __init__(self, *arguments: str, url: str = "http://127.0.0.1:9", environ: Mapping[str, str] | None = None):
        self._ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        command = [sys.executable, "-c", _ON_TERMINAL, os.ttyname(theirs), "-m", "llm_pool", *arguments]
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            command, start_new_session=True, cwd=ROOT, env={**environment(url), **(environ or {})}
        )
        self._theirs = theirs  # open until the end, so that reading never fails in between
        self.shown = ""
        self._seen = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(10)
        os.close(self._theirs)
        self._reader.join(10)
        os.close(self._ours)

    def types(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def shows(self, pattern: str, *, within: float = 10.0) -> str:
        """Wait until this appears after what was waited for before; gives all up to its end."""
        end = time.monotonic() + within
        while not (found := re.search(pattern, self.shown[self._seen :], re.DOTALL)):
            assert time.monotonic() < end, f"{pattern!r} does not come: {self.shown[self._seen :]!r}"
            time.sleep(0.005)
        text = self.shown[self._seen : self._seen + found.end()]
        self._seen += found.end()
        return text

    def code(self, within: float = 10.0) -> int:
        return self._process.wait(within)

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # nobody has the other end any more
            while chunk := os.read(self._ours, 65_536):
                self.shown += chunk.decode(errors="replace")
