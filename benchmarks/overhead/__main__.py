"""`python -m benchmarks.overhead`: start the pool as shipped, drive it beside a bare echo, check its books."""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.overhead import load, report, server
from benchmarks.overhead.books import Books
from benchmarks.overhead.machine import Cores, Meter, memory_mb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.overhead.load import Load
    from benchmarks.overhead.report import Figure, Measured
    from benchmarks.overhead.server import Served

    Drive = Callable[..., Load]

STARTS = 5
REST = 1.0  # seconds of rest after a start, before memory is read
WARM_UP = 2_000  # calls of each protocol
EXACTLY = 4_000  # calls of each protocol in the run where not one may be missing
LONGEST = 600  # seconds, and repetitions
OK, MISSED, CANNOT = 0, 1, 2


def main() -> int:
    options = _options()
    missing = [f"{program} (apt install {package})" for program, package in load.NEEDED.items() if not _has(program)]
    if missing:
        print(f"cannot measure: needs {' and '.join(missing)}", file=sys.stderr)
        return CANNOT
    signal.signal(signal.SIGTERM, _leave)  # so that what was started is ended
    cores = Cores.allowed()
    print(f"{cores}; {options.repetitions} x {options.seconds} s each, medians", flush=True)
    with tempfile.TemporaryDirectory(prefix="llm-pool-overhead-") as folder:
        try:
            run = Run(Path(folder), cores, seconds=options.seconds, repetitions=options.repetitions)
            figures = run.measure([options.only] if options.only else ["http", "grpc"])
        except (server.NotServing, OSError) as error:
            print(f"cannot measure: {error}", file=sys.stderr)
            return CANNOT
    differences = run.differences
    print(report.table(figures))
    print(report.weather([one.foreign for runs in run.measured.values() for one in runs]))
    _tell_books(run.books)
    for difference in differences[:20]:
        print(f"DIFFERENCE {difference}")
    if options.json:
        _write(options.json, run, figures)
    missed = [each.name for each in figures if each.verdict == "missed"]
    if missed:
        print(f"missed: {', '.join(missed)}")
    return MISSED if missed or differences else OK


class Run:
    """One whole measurement, in the order in which it is read."""

    def __init__(self, folder: Path, cores: Cores, *, seconds: int, repetitions: int) -> None:
        self._folder = folder
        self._cores = cores
        self._seconds = seconds
        self._repetitions = repetitions
        self._bodies = load.Bodies(folder)
        self.measured: dict[str, list[Measured]] = {"http": [], "echo": [], "grpc": []}
        self.books: Books | None = None
        self.differences: list[str] = []

    def measure(self, protocols: list[str]) -> list[Figure]:
        starts = list(self._starts(STARTS - 1))
        with server.pool(self._folder, core=self._cores.server) as pool:
            starts.append(pool.ready_seconds)
            time.sleep(REST)
            idle = memory_mb(pool.pid)
            books = self.books = Books(pool)
            with server.echo(self._folder, core=self._cores.server) as echo:
                self._look(protocols, pool, echo)
                for _ in range(self._repetitions):
                    for protocol in protocols:
                        self._repeat(protocol, pool, echo)
            for protocol in protocols:
                self._exactly(protocol, pool)
            loaded = memory_mb(pool.pid)
        self.differences = books.differences()
        return self._figures(protocols, starts, idle, loaded)

    def _starts(self, times: int) -> Iterator[float]:
        for _ in range(times):
            with server.pool(self._folder, core=self._cores.server) as pool:
                yield pool.ready_seconds

    def _look(self, protocols: list[str], pool: Served, echo: Served) -> None:
        """One call of each, read by us, then the warm-up: both already belong in the books."""
        if "http" in protocols:
            load.look_http(echo, self._bodies)
            load.http_exactly(echo, self._bodies, calls=WARM_UP, core=self._cores.load)
            load.look_http(pool, self._bodies)
            warm = load.http_exactly(pool, self._bodies, calls=WARM_UP, core=self._cores.load)
            self._enter("http warm-up", load.HTTP_ROUTE, warm, looked=1)
        if "grpc" in protocols:
            load.look_grpc(pool, self._bodies)
            warm = load.grpc_exactly(pool, self._bodies, calls=WARM_UP, core=self._cores.load)
            self._enter("grpc warm-up", load.GRPC_ROUTE, warm, looked=1)

    def _repeat(self, protocol: str, pool: Served, echo: Served) -> None:
        """One repetition. The echo comes right after HTTP, so that both meet the same weather."""
        number = len(self.measured[protocol]) + 1
        if protocol == "http":
            seen = self._drive("http", load.http, pool)
            self._enter(f"http {number}", load.HTTP_ROUTE, seen, slack=load.CONNECTIONS)
            self._drive("echo", load.http, echo)
        else:
            seen = self._drive("grpc", load.grpc_unary, pool)
            self._enter(f"grpc {number}", load.GRPC_ROUTE, seen, slack=load.CLIENTS * load.STREAMS)

    def _drive(self, who: str, drive: Drive, served: Served) -> Load:
        with Meter(served.pid) as meter:
            seen = drive(served, self._bodies, seconds=self._seconds, core=self._cores.load)
        one = report.Measured(seen, meter.cpu, meter.foreign)
        self.measured[who].append(one)
        print(
            f"  {who}: {seen.rate:,.0f} /s, p50 {seen.p50:.1f} ms, p99 {seen.p99:.1f} ms,"
            f" {one.cpu_each:.0f} us of CPU each, foreign {one.foreign:.0%}",
            flush=True,
        )
        return seen

    def _exactly(self, protocol: str, pool: Served) -> None:
        drive, route = {
            "http": (load.http_exactly, load.HTTP_ROUTE),
            "grpc": (load.grpc_exactly, load.GRPC_ROUTE),
        }[protocol]
        seen = drive(pool, self._bodies, calls=EXACTLY, core=self._cores.load)
        self._enter(f"{protocol} exactly {EXACTLY}", route, seen)
        if seen.answers != EXACTLY:
            raise server.NotServing(f"{protocol}: {seen.answers} answers to {EXACTLY} calls")

    def _enter(self, name: str, route: str, seen: Load, *, looked: int = 0, slack: int = 0) -> None:
        assert self.books is not None
        self.books.enter(name, route, answers=seen.answers + looked, wrong=seen.wrong, slack=slack)

    def _figures(self, protocols: list[str], starts: list[float], idle: float, loaded: float) -> list[Figure]:
        figures: list[Figure] = []
        if "http" in protocols:
            figures += report.of_load("HTTP", self.measured["http"])
            figures += report.of_load("echo", self.measured["echo"])
            figures += report.of_ratio(self.measured["http"], self.measured["echo"])
        if "grpc" in protocols:
            figures += report.of_load("gRPC", self.measured["grpc"])
        foreign = [one.foreign for runs in self.measured.values() for one in runs]
        return [
            *figures,
            report.figure("memory idle", idle, "MB"),
            report.figure("memory after load", loaded, "MB"),
            report.figure("start to ready", median(starts), "s"),
            report.figure("foreign, median", median(foreign) * 100, "%"),
            report.figure("foreign, worst", max(foreign) * 100, "%"),
        ]


def _tell_books(books: Books | None) -> None:
    assert books is not None
    print("books: answers (load generator) = access lines = requests counted; a timed run may cut calls off at its end")
    for entry in books.entries:
        rule = f"at most {entry.slack} cut off" if entry.slack else "exact"
        verdict = "differs" if entry.differences() else "agrees"
        print(f"  {entry.name}: {entry.answers} = {entry.lines} = {entry.counted} ({rule}): {verdict}")
    print(f"  {len(set(books.ids))} distinct request ids in {len(books.ids)} access lines")


def _write(path: Path, run: Run, figures: list[Figure]) -> None:
    assert run.books is not None
    told = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "figures": [{**asdict(each), "verdict": each.verdict} for each in figures],
        "repetitions": {who: [asdict(one) for one in runs] for who, runs in run.measured.items() if runs},
        "books": [asdict(entry) for entry in run.books.entries],
        "differences": run.differences,
    }
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=__doc__)
    parser.add_argument("--seconds", type=_whole, default=8, help="length of one repetition (default 8)")
    parser.add_argument("--repetitions", type=_whole, default=3, help="repetitions of each (default 3)")
    parser.add_argument("--only", choices=("http", "grpc"), help="measure one protocol")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every figure there")
    return parser.parse_args()


def _whole(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= LONGEST:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {LONGEST}")
    return int(text)


def _has(program: str) -> bool:
    return shutil.which(program) is not None


def _leave(*_: object) -> None:
    raise SystemExit(128 + signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
