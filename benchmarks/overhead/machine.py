"""What Linux says about cores, time and memory: who runs where, and who took how much."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cores:
    """One core for what is measured, another for what drives it; None: everybody shares what there is."""

    server: int | None
    load: int | None

    @classmethod
    def allowed(cls) -> Cores:
        first, *others = sorted(os.sched_getaffinity(0))
        return cls(first, others[0]) if others else cls(None, None)

    def __str__(self) -> str:
        if self.server is None:
            return "one core only: server and load generators share it, unpinned, and every figure is too bad"
        return f"server on core {self.server}, load generators on core {self.load}"


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """What is started in this block inherits its core, so that nothing has to run between fork and exec."""
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True, slots=True)
class Process:
    """The fields of /proc/PID/stat that matter here, times in clock ticks. `reaped`: of children that have ended."""

    parent: int
    own: int
    reaped: int


def parse_stat(text: str) -> Process:
    """A program's name may hold spaces and brackets: count from the last bracket (proc(5))."""
    values = text[text.rindex(")") + 2 :].split()
    return Process(
        parent=int(values[1]), own=int(values[11]) + int(values[12]), reaped=int(values[13]) + int(values[14])
    )


def parse_busy(text: str) -> tuple[int, int]:
    """Clock ticks in which the machine was not idle, and its number of cores, from /proc/stat.

    Guests' time (the last two) is in user's already; what the hypervisor stole is time that others took.
    """
    rows = [line.split() for line in text.splitlines() if line.startswith("cpu")]
    user, nice, system, _idle, _wait, irq, softirq, steal, *_ = map(int, rows[0][1:])
    return user + nice + system + irq + softirq + steal, len(rows) - 1


def parse_rss(text: str) -> float:
    """Resident memory in MB, from /proc/PID/status."""
    line = next(line for line in text.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def processes() -> dict[int, Process]:
    found = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            with suppress(OSError):  # it ended meanwhile
                found[int(folder.name)] = parse_stat((folder / "stat").read_text())
    return found


def tree(root: int, among: dict[int, Process]) -> list[int]:
    """A process and all that descend from it."""
    found = [root]
    for pid in found:
        found += [child for child, process in among.items() if process.parent == pid]
    return found


def cpu_seconds(root: int) -> float:
    """CPU that a process tree has used, ended threads too, to the tick (10 ms)."""
    among = processes()
    return sum(among[pid].own for pid in tree(root, among) if pid in among) / TICKS


def memory_mb(root: int) -> float:
    """Resident memory of a process tree; what its members share counts for each."""
    return sum(parse_rss((PROC / str(pid) / "status").read_text()) for pid in tree(root, processes()))


@dataclass(slots=True)
class Meter:
    """What a block cost: CPU of one process tree, and the share of the machine that strangers took meanwhile."""

    root: int
    cpu: float = 0.0  # seconds
    foreign: float = 0.0  # 0 to 1
    _start: tuple[float, float, int, int, int] = field(init=False, default=(0.0, 0.0, 0, 0, 0))

    def __enter__(self) -> Self:
        self._start = self._read()
        return self

    def __exit__(self, *_: object) -> None:
        then, used, busy, ours, cores = self._start
        now, used_now, busy_now, ours_now, _cores = self._read()
        self.cpu = used_now - used
        strangers = (busy_now - busy) - (ours_now - ours)
        self.foreign = max(0.0, strangers / TICKS / (now - then) / cores)

    def _read(self) -> tuple[float, float, int, int, int]:
        busy, cores = parse_busy((PROC / "stat").read_text())
        among = processes()
        ours = sum(among[pid].own for pid in tree(os.getpid(), among) if pid in among)
        return time.monotonic(), cpu_seconds(self.root), busy, ours + among[os.getpid()].reaped, cores
