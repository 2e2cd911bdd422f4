"""Start a gateway in a folder of its own, wait until it answers, and end exactly what was started."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING

from benchmarks.overhead.machine import on_core
from benchmarks.overhead.server import END, ROOT, NotServing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.gateway.gateways import Gateway

LOOK = 0.02  # seconds between two looks whether it is ready
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")  # of our environment: nothing else may configure it


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send a request, and whose CPU to count. `model`: how it names a model of the upstream."""

    name: str
    pid: int
    url: str
    headers: tuple[str, ...] = ()
    model: str = "{}"


@contextmanager
def started(gateway: Gateway, folder: Path, *, upstream: str, core: int | None) -> Iterator[Target]:
    """Raises NotServing."""
    folder.mkdir(parents=True)
    filled = {"upstream": upstream, "port": str(free_port()), "folder": str(folder)}
    for name, text in gateway.files.items():
        (folder / name).write_text(text.format_map(filled), encoding="utf-8")
    log = folder / "output"
    command = [part.format_map(filled) for part in gateway.command]
    environ = {name: os.environ[name] for name in KEPT if name in os.environ}
    with on_core(core), log.open("wb") as output:
        try:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**environ, **gateway.environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise NotServing(f"{gateway.name}: {error}") from error
    try:
        address = _address(gateway, process, log, port=filled["port"])
        headers = tuple(header.format_map(filled) for header in gateway.headers)
        yield Target(gateway.name, process.pid, f"http://{address}{gateway.path}", headers, gateway.model)
        if process.poll() is not None:
            raise NotServing(f"{gateway.name} ended by itself with {process.returncode}: {_said(log)}")
    finally:
        _end(process)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _address(gateway: Gateway, process: subprocess.Popen[bytes], log: Path, *, port: str) -> str:
    """Host, port and what else stands before its path. Raises NotServing."""
    until = time.monotonic() + gateway.start
    while process.poll() is None and time.monotonic() < until:
        if gateway.says and (found := re.search(gateway.says, log.read_text(errors="replace"))):
            return found[1].rstrip("/")
        if not gateway.says and _answers(port):
            return f"127.0.0.1:{port}"
        time.sleep(LOOK)
    raise NotServing(f"{gateway.name} did not start: {_said(log)}")


def _answers(port: str) -> bool:
    """Whether whoever listens there says anything to a question."""
    connection = HTTPConnection("127.0.0.1", int(port), timeout=1)
    with suppress(OSError, HTTPException):
        connection.request("GET", "/")
        return connection.getresponse().status > 0
    return False


def _said(log: Path) -> str:
    return log.read_text(errors="replace").strip()[-500:] or "it said nothing"


def _end(process: subprocess.Popen[bytes]) -> None:
    """It and its children: they have a process group of their own."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)  # "stop now", not "take your time"
        with suppress(subprocess.TimeoutExpired):
            process.wait(END)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(END)
