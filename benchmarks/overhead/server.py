"""Start a server as anybody would, wait for its ready line, and end it: the pool as shipped, and the bare echo."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.overhead.machine import on_core

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parents[2]
START = 30.0  # seconds that a server may take to be ready
END = 10.0  # seconds that it may take to end

# Everything else as it is by default.
CONFIG = """
[server]
grpc_addr = "127.0.0.1:0"
http_addr = "127.0.0.1:0"

[telemetry]
log_format = "json"
log_file = "{log}"

[[providers]]
name = "sim"
driver = "sim"
model = "instant"
"""


class NotServing(Exception):
    """A server did not start, ended, or did not answer as it should."""


@dataclass(frozen=True, slots=True)
class Served:
    """A running server."""

    pid: int
    addresses: Mapping[str, str]  # by the edge's name: "HTTP", "gRPC"
    ready_seconds: float  # from spawn to ready line
    log: Path


@contextmanager
def pool(folder: Path, *, core: int | None) -> Iterator[Served]:
    """`llm-pool serve` for the length of the block, with a log of its own in `folder`."""
    log = folder / "pool.jsonl"
    log.unlink(missing_ok=True)
    config = folder / "llm-pool.toml"
    config.write_text(CONFIG.format(log=log), encoding="utf-8")
    with _started(["llm_pool", "serve", "--config", str(config)], folder, core=core, log=log) as served:
        yield served


@contextmanager
def echo(folder: Path, *, core: int | None) -> Iterator[Served]:
    with _started(["benchmarks.overhead.echo"], folder, core=core, log=folder / "echo.log") as served:
        yield served


def parse_ready(line: str) -> dict[str, str]:
    """`... ready: gRPC 127.0.0.1:7070, HTTP 127.0.0.1:7071 | ...` as addresses by name. Empty: it is another line."""
    ready = re.search(r" ready: ([^|]*)", line)
    return dict(re.findall(r"(\w+) (\S+:\d+)", ready[1])) if ready else {}


@contextmanager
def _started(module: list[str], folder: Path, *, core: int | None, log: Path) -> Iterator[Served]:
    complaints = folder / f"{module[0]}.stderr"
    # Nothing of the caller's environment may configure what is measured.
    environ = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    with on_core(core), complaints.open("wb") as stderr:
        born = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", *module],
            cwd=ROOT,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )
    try:
        addresses = parse_ready(_first_line(process, until=born + START))
        took = time.monotonic() - born
        if not addresses:
            said = complaints.read_text(errors="replace").strip()[-500:]
            raise NotServing(f"{module[0]} did not say that it is ready: {said or 'it said nothing'}")
        yield Served(process.pid, addresses, took, log)
        if process.poll() is not None:
            raise NotServing(f"{module[0]} ended by itself with {process.returncode}")
    finally:
        _end(process)


def _first_line(process: subprocess.Popen[bytes], *, until: float) -> str:
    """What stands before the first line end, or what there is when it ends or the time is over."""
    assert process.stdout is not None
    said = b""
    while b"\n" not in said:
        readable, _, _ = select.select([process.stdout], [], [], max(0.0, until - time.monotonic()))
        piece = os.read(process.stdout.fileno(), 4096) if readable else b""
        if not piece:
            break
        said += piece
    return said.partition(b"\n")[0].decode(errors="replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """SIGINT is a person's "stop now". What does not listen is killed, with its own process group only."""
    assert process.stdout is not None
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(END)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(END)
    process.stdout.close()
