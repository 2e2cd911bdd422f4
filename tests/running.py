"""A pool that runs: in this process on both of its edges, or as the real `llm-pool serve`, with what it logged.

async with running_pool(SIM) as up:
    async with up.http.post("/v1/infer", json={"prompt": "hi"}) as answer: ...
    answer = await up.stub.Infer(pb.InferRequest(prompt="hi"))
    assert [line["status"] for line in up.access] == [200, "OK"]
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

import grpc
import pytest
import uvloop
from aiohttp import ClientSession, ClientTimeout, TCPConnector

from llm_pool.app import composed, running
from llm_pool.config.load import Loaded, load
from llm_pool.core import clock
from llm_pool.dispatch.health import HealthWatch
from llm_pool.dispatch.learned import Learned
from llm_pool.edges import grpc as grpc_edge
from llm_pool.edges import http as http_edge
from llm_pool.edges.readiness import Lifecycle
from llm_pool.pool import Pool
from llm_pool.telemetry.metrics import Metrics
from llm_pool.v1.pool_service_pb2_grpc import LLMPoolServiceStub
from tests.virtual import nothing_left_running

if TYPE_CHECKING:
    import signal
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping

    from llm_pool.core.ports.provider import Provider
    from llm_pool.v1.pool_service_pb2_grpc import LLMPoolServiceAsyncStub

ONE = """
[[providers]]
name = "one"
driver = "sim"
model = "m"
sim.answers = ["One two three four five."]
"""
SIM = '[tasks.chat]\nprompt = ""\n' + ONE

ANY_PORT = {"LLM_POOL_SERVER_HTTP_ADDR": "127.0.0.1:0", "LLM_POOL_SERVER_GRPC_ADDR": "127.0.0.1:0"}

Line = dict[str, Any]


class AccessLines(logging.Handler):
    """Every access line while the block lasts, as the fields that a log shows."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[Line] = []
        self._log = logging.getLogger("llm_pool.access")

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(getattr(record, "fields", {"unstructured": record.getMessage()}))

    def __enter__(self) -> list[Line]:
        self._level, self._propagates = self._log.level, self._log.propagate
        self._log.setLevel(logging.INFO)
        self._log.propagate = False
        self._log.addHandler(self)
        return self.lines

    def __exit__(self, *_: object) -> None:
        self._log.removeHandler(self)
        self._log.setLevel(self._level)
        self._log.propagate = self._propagates


@dataclass(frozen=True, slots=True)
class Up:
    """A pool behind both edges, and clients of both."""

    pool: Pool
    lifecycle: Lifecycle
    http: ClientSession  # relative paths go to the pool
    http_address: str  # host:port
    channel: grpc.aio.Channel
    grpc_address: str
    stub: LLMPoolServiceAsyncStub
    access: list[Line]

    def connect(self) -> contextlib.AbstractAsyncContextManager[Raw]:
        """A bare connection to the HTTP edge, for what no client library would say."""
        return raw(self.http_address)

    async def lines(self, count: int, *, within: float = 1.0) -> list[Line]:
        """The access lines, once there are `count` of them: what a caller leaves is written down a moment later."""
        with contextlib.suppress(TimeoutError):
            await until(lambda: len(self.access) >= count, within=within)
            await asyncio.sleep(0.01)  # for one that would be too many
        assert len(self.access) == count, self.access
        return self.access


@contextlib.asynccontextmanager
async def running_pool(toml: str, *, seed: int = 0, settled: bool = True) -> AsyncIterator[Up]:
    """The whole pool of this configuration, in this process; `settled`: every provider's health is known."""
    async with running(loaded(toml), environ={}, random=random.Random(seed)) as pool, serving(pool) as up:
        if settled:
            await pool.health.settled(within=5.0)
        yield up


@contextlib.asynccontextmanager
async def pool_of(
    toml: str, providers: Mapping[str, Provider], *, metrics: Metrics | None = None
) -> AsyncIterator[Pool]:
    """A pool of the same make whose providers are these objects, by the names of its tables."""
    found, metrics = loaded(toml), metrics or Metrics()
    async with HealthWatch(metrics) as health:
        await health.follow(providers)
        chance = random.Random(0)
        learned = Learned(metrics=metrics, now=clock.now, random=chance)
        snapshot = composed(
            found.settings,
            version=found.version,
            built=providers,
            health=health,
            learned=learned,
            metrics=metrics,
            now=clock.now,
            random=chance,
        )
        yield Pool(snapshot, health=health, learned=learned, metrics=metrics, now=clock.now)


@contextlib.asynccontextmanager
async def serving(pool: Pool) -> AsyncIterator[Up]:
    """Both edges over this pool, on ports of their own choice."""
    lifecycle = Lifecycle(started=True)
    with AccessLines() as access:
        async with (
            http_edge.serve(pool, lifecycle) as http,
            grpc_edge.serve(pool, lifecycle) as rpc,
            # A connection each: nobody's idle connection is taken for one that a test left.
            ClientSession(
                f"http://{http.address}", connector=TCPConnector(force_close=True, limit=0), timeout=ClientTimeout(30)
            ) as session,
            grpc.aio.insecure_channel(rpc.address) as channel,
        ):
            yield Up(
                pool=pool,
                lifecycle=lifecycle,
                http=session,
                http_address=http.address,
                channel=channel,
                grpc_address=rpc.address,
                stub=LLMPoolServiceStub(channel),
                access=access,
            )


def loaded(toml: str, environ: Mapping[str, str] = ANY_PORT) -> Loaded:
    """A configuration by way of a real file and the real loader."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "llm-pool.toml"
        path.write_text(toml, encoding="utf-8")
        return load(path, environ)


def on_one_loop(story: Callable[[Path], Coroutine[None, None, None]]) -> Callable[[Path], None]:
    """For what takes a while and happens in a thread, to which one event loop is like the other."""

    async def play(tmp_path: Path) -> None:
        await story(tmp_path)
        await nothing_left_running()

    def test(tmp_path: Path) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(play(tmp_path))

    return test


async def until(true: Callable[[], bool], *, within: float = 1.0) -> None:
    """Wait for it. Raises TimeoutError."""
    async with asyncio.timeout(within):
        while not true():  # noqa: ASYNC110 - what tests wait for has no event
            await asyncio.sleep(0.002)


# --- Bytes ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


class Raw:
    """One connection, spoken to in bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def say(self, *sent: bytes) -> None:
        self.writer.write(b"".join(sent))
        await self.writer.drain()

    async def post(self, body: bytes, *headers: bytes, path: bytes = b"/v1/infer", length: int | None = None) -> None:
        """A request whose body may be shorter than it says."""
        said = len(body) if length is None else length
        fixed = (b"Host: localhost", b"Content-Type: application/json", b"Content-Length: %d" % said)
        await self.say(b"\r\n".join([b"POST %b HTTP/1.1" % path, *fixed, *headers, b"", body]))

    async def head(self) -> Reply:
        """Status and headers of the next answer; its body is left where it is."""
        async with asyncio.timeout(10):
            first, *rest = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        pairs = (line.partition(":") for line in rest)
        return Reply(int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}, b"")

    async def reply(self) -> Reply:
        """The next answer, of those with a Content-Length."""
        head = await self.head()
        async with asyncio.timeout(10):
            body = await self.reader.readexactly(int(head.headers.get("content-length", "0")))
        return Reply(head.status, head.headers, body)


@contextlib.asynccontextmanager
async def raw(address: str) -> AsyncIterator[Raw]:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


# --- The real process -------------------------------------------------------------------------------------------


@dataclass
class Served:
    """A real `llm-pool serve`. Threads read what it says, so that it never waits for us."""

    process: subprocess.Popen[bytes]
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)
    _readers: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        for stream, into in ((self.process.stdout, self.out), (self.process.stderr, self.err)):
            if stream is not None:
                self._readers.append(threading.Thread(target=_gather, args=(stream, into), daemon=True))
                self._readers[-1].start()

    def ready(self, within: float = 15.0) -> Self:
        """Wait for the ready line and what it tells to try."""
        wait(lambda: len(self.out) >= 2 or self.process.poll() is not None, within=within)
        assert len(self.out) >= 2, self.err
        return self

    def address(self, edge: str) -> str:
        """Where the ready line says that the "HTTP" or the "gRPC" edge listens."""
        found = re.search(rf"{edge} (\S+?)[, ]", self.out[0])
        assert found, self.out
        return found[1]

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def code(self, within: float = 10.0) -> int:
        """The exit code, with all that was said before it read."""
        code = self.process.wait(within)
        for reader in self._readers:
            reader.join(5.0)
        return code


@contextlib.contextmanager
def served(
    toml: str, *arguments: str, environ: Mapping[str, str] = ANY_PORT, command: str = "serve", stderr: int | None = None
) -> Iterator[Served]:
    """Start it with a configuration file, and end exactly this process, whatever happens."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "llm-pool.toml"
        path.write_text(toml, encoding="utf-8")
        config = [str(path)] if command == "check-config" else ["--config", str(path)]
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "llm_pool", command, *config, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if stderr is None else stderr,
            env={**_inherited(), **environ},
            cwd=Path(__file__).parents[1],
        )
        try:
            yield Served(process)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(10)


def _inherited() -> dict[str, str]:
    """Our environment without what would change the configuration."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("LLM_POOL_", "OLLAMA_"))}


def _gather(stream: IO[bytes], into: list[str]) -> None:
    with stream:
        for line in stream:
            into.append(line.decode().rstrip("\n"))


def wait(true: Callable[[], bool], *, within: float = 5.0) -> None:
    """Wait for it, without a loop. Fails the test."""
    end = time.monotonic() + within
    while not true():
        if time.monotonic() > end:
            pytest.fail(f"it did not happen within {within} s")
        time.sleep(0.005)
