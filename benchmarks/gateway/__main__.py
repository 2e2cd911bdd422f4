"""`python -m benchmarks.gateway`: the OpenAI door, a bare proxy and what else is installed, one after the other."""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import signal
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.gateway import gateways, report, stages
from benchmarks.gateway.gateways import POOL, PROXY, READY, Gateway
from benchmarks.gateway.started import Target, started
from benchmarks.overhead.machine import Cores
from benchmarks.overhead.report import table
from benchmarks.overhead.server import NotServing

if TYPE_CHECKING:
    from benchmarks.gateway.stages import Seen

LONGEST = 600  # seconds, and repetitions
OK, MISSED, CANNOT = 0, 1, 2
UPSTREAM = Gateway("upstream", (sys.executable, "-m", "benchmarks.gateway.upstream"), says=READY)


def main() -> int:
    options = _options()
    if not shutil.which("wrk"):
        print("cannot measure: needs wrk (apt install wrk)", file=sys.stderr)
        return CANNOT
    signal.signal(signal.SIGTERM, _leave)  # so that what was started is ended
    others = gateways.found(vars(options))
    cores = Cores.allowed()
    names = ", ".join(each.name for each in (POOL, PROXY, *others))
    print(f"{names}; {cores}; {options.repetitions} x {options.seconds} s of each kind, medians", flush=True)
    with tempfile.TemporaryDirectory(prefix="llm-pool-gateway-") as folder:
        try:
            run = Run(Path(folder), cores, seconds=options.seconds)
            for number in range(options.repetitions):
                run.repeat(number, [POOL, PROXY, *others])
        except (NotServing, OSError) as error:
            print(f"cannot measure: {error}", file=sys.stderr)
            return CANNOT
    found = report.rows(run.seen)
    figures = report.limits(found)
    print(report.side_by_side(found))
    print(table(figures))
    print(report.weather([one.foreign for runs in run.seen.values() for one in runs]))
    if options.json:
        _write(options.json, run)
    missed = [each.name for each in figures if each.verdict == "missed"]
    if missed:
        print(f"missed: {', '.join(missed)}")
    return MISSED if missed else OK


class Run:
    """Every gateway in turn, started anew for each repetition, so that all of them meet the same weather."""

    def __init__(self, folder: Path, cores: Cores, *, seconds: int) -> None:
        self._folder = folder
        self._cores = cores
        self._seconds = seconds
        self.seen: dict[str, list[Seen]] = {}

    def repeat(self, number: int, among: list[Gateway]) -> None:
        folder = self._folder / str(number)
        with started(UPSTREAM, folder / "upstream", upstream="", core=self._cores.load) as upstream:
            base = upstream.url.removesuffix(UPSTREAM.path)
            self._measure(Target(report.DIRECT, upstream.pid, upstream.url), folder, warm_up=1)
            for gateway in among:
                with started(gateway, folder / gateway.name, upstream=base, core=self._cores.server) as target:
                    self._measure(target, folder, warm_up=gateway.warm_up)

    def _measure(self, target: Target, folder: Path, *, warm_up: int) -> None:
        stages.look(target)
        for stream in (False, True):
            stages.saturated(target, folder, stream=stream, seconds=warm_up, core=self._cores.load)
        seen = stages.repetition(target, folder, seconds=self._seconds, core=self._cores.load)
        self.seen.setdefault(target.name, []).append(seen)
        print(
            f"  {target.name}: {seen.rate:,.0f} /s, {seen.cpu:,.0f} us of CPU each, p50 {seen.p50:.2f} ms at"
            f" {stages.RATE} /s, {seen.chunk_cpu:.1f} us a chunk, first chunk {seen.first:.2f} ms,"
            f" foreign {seen.foreign:.0%}",
            flush=True,
        )


def _write(path: Path, run: Run) -> None:
    told = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "repetitions": {name: [asdict(one) for one in runs] for name, runs in run.seen.items()},
    }
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway", description=__doc__)
    parser.add_argument("--seconds", type=_whole, default=6, help="length of one stage (default 6)")
    parser.add_argument("--repetitions", type=_whole, default=3, help="repetitions of each (default 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every figure there")
    for name, (variable, what) in gateways.INSTALLED.items():
        parser.add_argument(f"--{name}", metavar="PATH", help=f"{what} (or {variable})")
    return parser.parse_args()


def _whole(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= LONGEST:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {LONGEST}")
    return int(text)


def _leave(*_: object) -> None:
    raise SystemExit(128 + signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
