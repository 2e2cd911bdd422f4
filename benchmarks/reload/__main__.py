"""`python -m benchmarks.reload`: change the configuration ten times a second while everybody asks, and compare."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
from aiohttp import ClientSession, ClientTimeout, TCPConnector

from benchmarks.overhead.load import quantile
from benchmarks.overhead.machine import Cores, Meter, memory_mb, on_core
from benchmarks.overhead.report import Figure, Limit, table, weather
from benchmarks.overhead.server import NotServing, parse_ready
from benchmarks.reload.callers import Callers, Tally, ask_all, connected
from benchmarks.reload.numbered import mount

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

ROOT = Path(__file__).resolve().parents[2]
START, END = 30.0, 10.0  # seconds that the server may take to be ready, and to end
WARM_UP = 2.0  # seconds
KINDS = ("HTTP", "SSE", "gRPC", "gRPC stream")  # whose latencies are shown; the others ask, too
LONGEST = 600  # seconds
OK, MISSED, CANNOT = 0, 1, 2

SERVER = """
server.grpc_addr = "127.0.0.1:0"
server.http_addr = "127.0.0.1:0"
server.drain_accept_ms = 0
telemetry.log_format = "json"
telemetry.log_file = "{log}"
"""

LIMITS = {
    "failed": Limit("at most", 0),
    "mixed": Limit("at most", 0),
    "refused": Limit("at most", 0),
    "changes applied": Limit("at least", 90),
    "HTTP p99, added": Limit("at most", 20),
    "memory, added": Limit("at most", 10),
}


@dataclass(frozen=True, slots=True)
class Phase:
    """Everybody asked for some seconds."""

    tally: Tally
    changes: int
    foreign: float
    cpu: float  # seconds of CPU of the server
    seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    signal.signal(signal.SIGTERM, _leave)  # so that what was started is ended
    cores = Cores.allowed()
    print(f"{cores}; {options.seconds} s without changes, {options.seconds} s with {options.rate} a second", flush=True)
    with tempfile.TemporaryDirectory(prefix="llm-pool-reload-") as folder:
        try:
            figures, phases = asyncio.run(_measure(Path(folder), cores, options.seconds, options.rate))
        except (NotServing, OSError) as error:
            print(f"cannot measure: {error}", file=sys.stderr)
            return CANNOT
    print(table(figures))
    print(weather([phase.foreign for phase in phases]))
    for wrong in [wrong for phase in phases for wrong in (*phase.tally.failures, *phase.tally.mixed)][:20]:
        print(f"WRONG {wrong}")
    missed = [each.name for each in figures if each.verdict == "missed"]
    if missed:
        print(f"missed: {', '.join(missed)}")
    return MISSED if missed else OK


async def _measure(folder: Path, cores: Cores, seconds: int, rate: int) -> tuple[list[Figure], list[Phase]]:
    before = SERVER.format(log=folder / "pool.jsonl")
    etc = folder / "etc"
    mount(etc, 0, before=before)
    async with (
        _served(etc, cores.server) as (pid, addresses),
        ClientSession(
            f"http://{addresses['HTTP']}", connector=TCPConnector(limit=0), timeout=ClientTimeout(30)
        ) as http,
        grpc.aio.insecure_channel(addresses["gRPC"]) as channel,
    ):
        if cores.load is not None:
            os.sched_setaffinity(0, {cores.load})
        callers = Callers(http, connected(channel))
        await _phase(etc, callers, pid, before=before, seconds=WARM_UP, rate=rate)
        still = await _phase(etc, callers, pid, before=before, seconds=seconds, rate=0)
        idle, counted = memory_mb(pid), await _reloads(http)
        changed = await _phase(etc, callers, pid, before=before, seconds=seconds, rate=rate)
        await asyncio.sleep(1)
        grown = memory_mb(pid)
        reloads = {outcome: count - counted.get(outcome, 0) for outcome, count in (await _reloads(http)).items()}
    return list(_figures(still, changed, reloads, idle, grown)), [still, changed]


async def _phase(etc: Path, callers: Callers, pid: int, *, before: str, seconds: float, rate: int) -> Phase:
    """With `rate` changes a second."""
    tally, ends, changes = Tally(), asyncio.Event(), 0
    began = time.monotonic()
    with Meter(pid) as meter:
        asking = asyncio.create_task(ask_all(callers, tally, until=ends))
        if rate:
            number = int((etc / "..data").readlink().name.removeprefix(".."))
            for changes in range(1, round(seconds * rate) + 1):
                await asyncio.to_thread(mount, etc, number + changes, before=before)
                await asyncio.sleep(max(0.0, began + changes / rate - time.monotonic()))
        else:
            await asyncio.sleep(seconds)
        ends.set()
        await asking
    return Phase(tally, changes, meter.foreign, meter.cpu, time.monotonic() - began)


def _figures(still: Phase, changed: Phase, reloads: dict[str, float], idle: float, grown: float) -> list[Figure]:
    def figure(name: str, value: float, unit: str = "") -> Figure:
        return Figure(name, value, unit, LIMITS.get(name))

    figures = [
        figure("changes made", changed.changes),
        figure("changes applied", reloads.get("applied", 0) / changed.changes * 100, "%"),
        figure("refused", reloads.get("refused", 0)),
        figure("requests, without changes", still.tally.calls),
        figure("requests, with changes", changed.tally.calls),
        figure("configurations seen in answers", len(changed.tally.numbers)),
        figure("failed", len(still.tally.failures) + len(changed.tally.failures)),
        figure("mixed", len(still.tally.mixed) + len(changed.tally.mixed)),
    ]
    for kind in KINDS:
        for share, name in ((0.5, "p50"), (0.99, "p99")):
            without, within = (quantile(sorted(phase.tally.took[kind]), share) * 1000 for phase in (still, changed))
            figures += [
                figure(f"{kind} {name}, without", without, "ms"),
                figure(f"{kind} {name}, with", within, "ms"),
            ]
            if name == "p99":
                figures.append(figure(f"{kind} {name}, added", within - without, "ms"))
    return [
        *figures,
        figure("CPU, without", still.cpu / still.seconds * 100, "%"),
        figure("CPU, with", changed.cpu / changed.seconds * 100, "%"),
        figure("memory before", idle, "MB"),
        figure("memory after", grown, "MB"),
        figure("memory, added", grown - idle, "MB"),
    ]


async def _reloads(http: ClientSession) -> dict[str, float]:
    async with http.get("/metrics") as response:
        text = await response.text()
    found = re.findall(r'^llm_pool_config_reloads_total\{outcome="(\w+)"\} (\S+)$', text, re.MULTILINE)
    return {outcome: float(count) for outcome, count in found}


@asynccontextmanager
async def _served(etc: Path, core: int | None) -> AsyncIterator[tuple[int, dict[str, str]]]:
    """The pool as shipped. Its id and addresses."""
    # Nothing of the caller's environment may configure what is measured.
    environ = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    command = [sys.executable, "-m", "llm_pool", "serve", "--config", str(etc / "llm-pool.toml")]
    with on_core(core):
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env=environ, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
        )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START):
            line = await process.stdout.readline()
        if not (addresses := parse_ready(line.decode())):
            raise NotServing("llm_pool did not say that it is ready")
        yield process.pid, addresses
        if process.returncode is not None:
            raise NotServing(f"llm_pool ended by itself with {process.returncode}")
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            try:
                async with asyncio.timeout(END):
                    await process.communicate()
            except TimeoutError:
                process.kill()
                await process.communicate()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reload", description=__doc__)
    parser.add_argument("--seconds", type=_whole, default=10, help="length of each of the two phases (default 10)")
    parser.add_argument("--rate", type=_whole, default=10, help="changes a second in the second one (default 10)")
    return parser.parse_args(arguments)


def _whole(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= LONGEST:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {LONGEST}")
    return int(text)


def _leave(*_: object) -> None:
    raise SystemExit(128 + signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
