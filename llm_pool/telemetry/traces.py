"""Write down when requests came and how long every provider call took, for `llm-pool simulate`. No content is in it.

The file holds JSON objects, one a line. A header says what it is; each server that appends to the file writes one:

    {"llm_pool_trace": 1, "version": "0.3.0"}

Then comes a line per request that got as far as to have a task, in the order in which they ended:

    {"at": 1767225612.25, "task": "chat", "prompt": 812, "whole": true, "deadline": 30.0, "attempts": [
     {"deployment": "phi3", "model": "ollama/phi3:mini", "kind": "first", "started": 0.0002, "first_token": 0.41,
      "ended": 3.9, "tokens": 130, "outcome": "ok"}]}

`at` is the arrival in seconds since 1970 (UTC); the instants of an attempt are seconds since that arrival, and
`first_token` is null where no word came; `prompt` is a number of characters, `deadline` the seconds that the caller
allowed. A request that named its model has a `model`, too, if anybody was asked for it.

A request costs one append. What was appended is laid out and written by a thread, once a second or every `AT_ONCE`
requests. Nothing here reaches a request: where the file cannot be written, that is logged once and recording ends.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import orjson

from llm_pool.core import clock
from llm_pool.core.errors import StartRefused
from llm_pool.core.types import Text
from llm_pool.telemetry.logs import fields

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from llm_pool.core.trace import Attempt, Trace
    from llm_pool.core.types import Request

log = logging.getLogger(__name__)

FORMAT = 1
EVERY = 1.0  # seconds
AT_ONCE = 256  # requests
MOST = 100_000  # requests that may wait for a disk that does not write
DIGITS = 4  # of a second: 0.1 ms

# What the trace of a request does not know: characters asked, whole, its deadline, the model it named.
_Note: TypeAlias = "tuple[Trace, int, bool, float, str | None]"


class TraceFile(AbstractAsyncContextManager["TraceFile"]):
    """`note` every request when it has ended. What was noted is in the file when the block ends, at the latest."""

    def __init__(self, path: str, *, version: str, now: clock.Clock = clock.now, wall: clock.Clock = time.time) -> None:
        """`now` is the clock of the traces, `wall` gives seconds since 1970."""
        self._path = path
        self._version = version
        self._now = now
        self._wall = wall
        self._notes: list[_Note] = []
        self._many = asyncio.Event()  # wait to be written
        self._open = False
        self._behind = False

    async def __aenter__(self) -> Self:
        """Raises StartRefused where the file cannot be written."""
        self._loop = asyncio.get_running_loop()
        # Monotonic instants are told in others, as the clocks stand to each other now: `at` must never run backwards.
        self._since_1970 = self._wall() - self._now()
        self._of_the_loop = self._loop.time() - self._now()
        self._thread = ThreadPoolExecutor(1, "trace file")  # just one: what is begun first is written first
        try:
            self._file = await self._loop.run_in_executor(self._thread, self._begun)
        except (OSError, ValueError, RuntimeError) as error:  # a NUL in the name; "~" of nobody
            self._thread.shutdown(wait=False)
            why = (error.strerror or "unknown reason").lower() if isinstance(error, OSError) else str(error)
            raise StartRefused(f"telemetry.trace_file {self._path!r} cannot be written: {why}") from None
        self._open = True
        self._writing = asyncio.create_task(self._write_now_and_then(), name="writing the trace file")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writing.cancel()
        await asyncio.gather(self._writing, return_exceptions=True)
        last = self._loop.run_in_executor(self._thread, self._ended, self._notes)
        self._thread.shutdown(wait=False)
        await asyncio.shield(last)

    def note(self, request: Request) -> None:
        """Note a request that has ended. One that was refused before its task was known is none."""
        if not self._open or not request.trace.task:
            return
        asked = 0
        for message in request.messages:
            for part in message.parts:
                if isinstance(part, Text):
                    asked += len(part.text)
        notes = self._notes
        notes.append((request.trace, asked, request.whole, request.deadline, request.model))
        if len(notes) >= AT_ONCE:
            self._too_many(notes)

    def _too_many(self, notes: list[_Note]) -> None:
        self._many.set()
        if len(notes) > MOST:
            notes.pop()
            if not self._behind:
                self._behind = True
                log.warning("the trace file lacks requests: its disk is too slow", extra=fields(file=self._path))

    async def _write_now_and_then(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self._many.wait()
            self._many.clear()
            if self._notes:
                notes, self._notes = self._notes, []
                # Shielded, for what the thread has not begun yet would otherwise be lost with this task.
                await asyncio.shield(self._loop.run_in_executor(self._thread, self._write, notes))

    # --- On the thread ----------------------------------------------------------------------------------------------

    def _begun(self) -> int:
        """The file, open, with its header. Raises OSError, ValueError, RuntimeError."""
        # Not for writing alone, which would wait for a reader where a pipe has that name. When somebody asked is nobody
        # else's business.
        file = os.open(Path(self._path).expanduser(), os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            header = _json({"llm_pool_trace": FORMAT, "version": self._version})
            _append(file, b"\n" + header if _torn(file) else header)
        except BaseException:  # whatever it is: nobody will use it
            os.close(file)
            raise
        return file

    def _write(self, notes: Iterable[_Note]) -> None:
        if not self._open:
            return
        try:
            _append(self._file, b"".join([self._line(note) for note in notes]))
        except Exception as error:  # noqa: BLE001 - whatever it is: requests go on, without being recorded
            self._open = False
            why = error.strerror if isinstance(error, OSError) else type(error).__name__
            log.warning("the trace file cannot be written: recording ends", extra=fields(file=self._path, why=why))

    def _ended(self, notes: Iterable[_Note]) -> None:
        self._write(notes)
        self._open = False
        with suppress(OSError):  # some file systems tell only now that the disk is full; then there is no more to do
            os.close(self._file)

    def _line(self, note: _Note) -> bytes:
        trace, asked, whole, deadline, model = note
        line: dict[str, Any] = {
            "at": round(trace.started + self._since_1970, DIGITS),
            "task": trace.task,
            "prompt": asked,
            "whole": whole,
            "deadline": round(max(0.0, deadline - self._of_the_loop - trace.started), DIGITS),
            "attempts": [_attempt(attempt, trace.started) for attempt in trace.attempts],
        }
        if model is not None and any(attempt.model == model for attempt in trace.attempts):
            line["model"] = model  # any other is only a caller's text
        return _json(line)


def _attempt(attempt: Attempt, arrived: float) -> dict[str, Any]:
    ended = attempt.started if attempt.ended is None else attempt.ended
    return {
        "deployment": attempt.deployment,
        "model": attempt.model,
        "kind": attempt.kind,
        "started": round(attempt.started - arrived, DIGITS),
        "first_token": None if attempt.first_token is None else round(attempt.first_token - arrived, DIGITS),
        "ended": round(ended - arrived, DIGITS),
        "tokens": attempt.usage.output + attempt.usage.reasoning,
        "outcome": attempt.outcome,
    }


def _json(line: dict[str, Any]) -> bytes:
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _torn(file: int) -> bool:
    """Whether its last line is only begun, by whoever wrote it and died. Raises OSError, also where it is no file."""
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "is not a file")
    return status.st_size > 0 and os.pread(file, 1, status.st_size - 1) != b"\n"


def _append(file: int, lines: bytes) -> None:
    """All of it or, as far as the disk lets us, nothing. Raises OSError."""
    size = os.fstat(file).st_size
    rest = memoryview(lines)
    try:
        while rest:
            rest = rest[os.write(file, rest) :]
    except OSError:
        with suppress(OSError):
            os.ftruncate(file, size)  # half a line could not be read
        raise
