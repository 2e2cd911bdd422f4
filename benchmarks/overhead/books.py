"""Does everybody tell the same story? Answers seen by callers, requests counted by metrics, lines in the access log."""

from __future__ import annotations

import time
import urllib.request
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from benchmarks.overhead.server import Served

GOOD = {200, "OK"}
SETTLED = 0.3  # seconds without a new line
PATIENCE = 10.0  # seconds to wait for that


@dataclass(frozen=True, slots=True)
class Line:
    """One access line. `status` is a number over HTTP and a name over gRPC, which load generators do not look at."""

    id: str
    status: int | str


@dataclass(frozen=True, slots=True)
class Entry:
    """One run, as three bookkeepers saw it. `slack`: calls that its end may have cut off before their answer."""

    name: str
    answers: int
    wrong: int
    lines: int
    good_lines: int
    counted: int
    slack: int

    def differences(self) -> list[str]:
        """What does not add up. A call that was cut off may still have a line, and be counted, or both."""
        found = []
        if self.wrong:
            found.append(f"{self.wrong} calls were not answered well")
        if not self.answers:
            found.append("no answers at all")
        if not 0 <= self.lines - self.answers <= self.slack:
            found.append(f"{self.lines} access lines for {self.answers} answers")
        if not 0 <= self.lines - self.counted <= self.slack:
            found.append(f"{self.counted} requests counted for {self.lines} access lines")
        if self.good_lines < self.answers:
            found.append(f"{self.good_lines} access lines of a good end for {self.answers} answers")
        allowed = f"at most {self.slack} may be cut off" if self.slack else "must agree exactly"
        return [f"{self.name}: {each} ({allowed})" for each in found]


def doubled(ids: Iterable[str]) -> list[str]:
    """Request ids that occur more than once."""
    return [f"request id {each} stands in {times} lines" for each, times in Counter(ids).items() if times > 1]


def parse_lines(log: bytes, route: str) -> list[Line]:
    """The access lines of one route, and what cannot be read, which is nobody's good line."""
    found = []
    for raw in log.splitlines():
        try:
            line = orjson.loads(raw)
        except orjson.JSONDecodeError:
            found.append(Line("unreadable", "unreadable"))
            continue
        if line["logger"] == "llm_pool.access" and line["route"] == route:
            found.append(Line(line["request_id"], line["status"]))
    return found


def parse_counted(metrics: str) -> int:
    """All of `llm_pool_requests_total`, whatever the outcome."""
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in metrics.splitlines() if line.startswith(_TOTAL))


_TOTAL = "llm_pool_requests_total{"


class Books:
    """Opens where log and metrics stand now, so that each run is compared by itself."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self.ids: list[str] = []
        self.entries: list[Entry] = []
        self._read = served.log.stat().st_size
        self._counted = self._count()

    def enter(self, name: str, route: str, *, answers: int, wrong: int, slack: int) -> Entry:
        """Compare what has happened since the last entry. `slack` 0: not one call may differ."""
        _settle(self._served.log)
        with self._served.log.open("rb") as log:
            log.seek(self._read)
            new = log.read()
        self._read += len(new)
        lines = parse_lines(new, route)
        self.ids += [line.id for line in lines]
        counted = self._count()
        entry = Entry(
            name,
            answers=answers,
            wrong=wrong,
            lines=len(lines),
            good_lines=sum(line.status in GOOD for line in lines),
            counted=counted - self._counted,
            slack=slack,
        )
        self._counted = counted
        self.entries.append(entry)
        return entry

    def differences(self) -> list[str]:
        return [each for entry in self.entries for each in entry.differences()] + doubled(self.ids)

    def _count(self) -> int:
        url = f"http://{self._served.addresses['HTTP']}/metrics"
        with urllib.request.urlopen(url, timeout=PATIENCE) as response:
            return parse_counted(response.read().decode())


def _settle(log: Path) -> None:
    """Wait until the last of the calls that were cut off has its line too."""
    end = time.monotonic() + PATIENCE
    size = -1
    while size != (size := log.stat().st_size) and time.monotonic() < end:
        time.sleep(SETTLED)
