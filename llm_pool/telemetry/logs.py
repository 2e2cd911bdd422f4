"""Log lines: one JSON object each for machines, one readable line each on a terminal."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import logging
import os
import sys
import time
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from llm_pool.config.settings import Telemetry

GATHER = 0.01  # seconds that a line may wait for others

DIM, RED, YELLOW, PLAIN = "\x1b[2m", "\x1b[31m", "\x1b[33m", "\x1b[0m"


def fields(**values: object) -> dict[str, dict[str, object]]:
    """The `extra` of a log call: `log.info("said what", extra=fields(deployment=name))`."""
    return {"fields": values}


class _Line(logging.LogRecord):
    """A record without what `logging` looks up to show a place in the source."""

    def __init__(self, name: str, event: str, told: dict[str, object]) -> None:
        self.__dict__.update(_BLANK, name=name, msg=event, created=time.time(), fields=told)


_BLANK = logging.LogRecord("", logging.INFO, "", 0, "", (), None).__dict__


def line(log: logging.Logger, event: str, told: dict[str, object]) -> None:
    """`log.info(event, extra=fields(**told))` at a third of the price, for the line that every request writes.

    Straight to the handlers: ours need no lock, and nobody filters these lines.
    """
    if log.isEnabledFor(logging.INFO):
        record = _Line(log.name, event, told)
        for handler in (*log.handlers, *log.root.handlers):
            handler.emit(record)


class Lines(logging.Handler):
    """Writes the lines of 10 ms with one call of the system; a warning or worse at once, with those before it.

    A write lets other threads run, and gRPC's wait to: one for each request cost it a quarter of its throughput.
    """

    def __init__(self, file: io.FileIO) -> None:
        super().__init__()
        self._file = file
        self._waiting: deque[str | _Line] = deque()
        self._due = False  # whether a timer is set

    def emit(self, record: logging.LogRecord) -> None:
        # What a line of ours tells does not change any more: it is laid out with the others, which is cheaper.
        self._waiting.append(record if isinstance(record, _Line) else self._laid_out(record))
        if record.levelno > logging.INFO or not self._later():
            self.flush()

    def _later(self) -> bool:
        """Whether a timer will flush. There is none outside of a loop, as in a thread."""
        if not self._due:
            try:
                asyncio.get_running_loop().call_later(GATHER, self._now)
            except RuntimeError:
                return False
            self._due = True
        return True

    def _now(self) -> None:
        self._due = False
        self.flush()

    def flush(self) -> None:
        self.acquire()
        try:
            texts = []
            while self._waiting:  # others may add to it meanwhile
                line = self._waiting.popleft()
                texts.append(line if isinstance(line, str) else self._laid_out(line))
            self._write(memoryview("".join(f"{text}\n" for text in texts).encode(errors="backslashreplace")))
        except OSError as error:
            # There is nowhere to say it but here: a full disk must not end the serving.
            with suppress(OSError):
                sys.stderr.write(f"llm-pool: cannot write the log: {error.strerror}\n")
        finally:
            self.release()

    def _write(self, rest: memoryview) -> None:
        while rest:
            wrote = self._file.write(rest)
            if wrote is None:  # a pipe that somebody has made non-blocking is full: better no lines than no answers
                return
            rest = rest[wrote:]

    def _laid_out(self, record: logging.LogRecord) -> str:
        try:
            return self.format(record)
        except Exception as error:  # noqa: BLE001 - a line that cannot be laid out must not end what it tells of
            return f'{{"level":"error","event":"a log line could not be laid out","why":"{type(error).__name__}"}}'

    def close(self) -> None:
        self.flush()
        self._file.close()
        super().close()


class JsonLines(logging.Formatter):
    """`{"time", "level", "event", ...fields}`; an exception's traceback stands in `exception`."""

    def __init__(self) -> None:
        super().__init__()
        self._second = 0
        self._shown = ""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": self._instant(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(line, default=str).decode()
        except TypeError:  # half a character, as in a name from the environment that is no UTF-8
            return json.dumps(line, default=str)

    def _instant(self, created: float) -> str:
        """RFC 3339 with milliseconds. The part down to the second is kept: thousands of lines share it."""
        second = int(created)
        if second != self._second:
            self._second = second
            self._shown = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._shown}.{int((created - second) * 1000):03}Z"


class Human(logging.Formatter):
    """`12:00:01 warning event key=value`, coloured by level."""

    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        told = getattr(record, "fields", {})
        # A number that is 0 says something; what is empty, or not so, does not.
        said = {key: value for key, value in told.items() if value or type(value) in {int, float}}
        pairs = " ".join(f"{key}={_word(value)}" for key, value in said.items())
        instant = datetime.fromtimestamp(record.created, UTC).astimezone().strftime("%H:%M:%S")
        parts = [instant, f"{record.levelname.lower():7}", record.getMessage(), pairs]
        if self._colour:
            shade = RED if record.levelno >= logging.ERROR else YELLOW if record.levelno >= logging.WARNING else ""
            parts = [f"{DIM}{instant}{PLAIN}", f"{shade}{parts[1]}{PLAIN if shade else ''}", parts[2], pairs]
        text = " ".join(part for part in parts if part)
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def configure(settings: Telemetry) -> None:
    """Send the log lines of the whole process where the settings say. Raises OSError where that cannot be written."""
    try:
        file = Path(settings.log_file).expanduser() if settings.log_file else None
        # Unbuffered: a line that was written is there, whatever happens to the process afterwards.
        handler = Lines(io.FileIO(file, "a") if file else io.FileIO(sys.stderr.fileno(), "a", closefd=False))
    except (ValueError, RuntimeError) as error:  # a NUL in the name; "~" of nobody
        raise OSError(errno.EINVAL, str(error)) from None
    terminal = not settings.log_file and sys.stderr.isatty()
    colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    human = settings.log_format == "human" or (settings.log_format == "auto" and terminal)
    handler.setFormatter(Human(colour=colour) if human else JsonLines())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(settings.log_level.upper())
    # They speak of every connection; what matters of it we say ourselves.
    for chatty in ("asyncio", "aiohttp.access", "aiohttp.server", "grpc"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # No line shows the place in the source or the thread, and finding them costs a third of the call.
    logging._srcfile = None  # noqa: SLF001 - the documented switch (logging, "Optimization")
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def _word(value: object) -> str:
    """One word; what is none, or could make the terminal do something, as Python would write it."""
    text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return text if text and text.isprintable() and " " not in text else repr(text)
