"""A pool on both of its edges over one or two Ollama servers, the first behind a proxy that spoils what it says.

async with rig(two=True) as up:
    up.proxy.fault = Hold()
    ...
"""

from __future__ import annotations

import asyncio
import gc
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

from tests.fakes.ollama import FakeOllama, Script
from tests.fakes.proxy import FaultProxy
from tests.faults.calling import KINDS, OK
from tests.running import Up, raw, running_pool, until
from tests.virtual import nothing_left_running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

CHAT = b"/api/chat"  # what is spoilt; an honest health check makes nobody's life harder
FIRST = "One two three four five six seven eight."
SECOND = "A second voice says something else."

# Every limit is shorter than anybody would configure it, and longer than what is sound ever takes here.
POOL = """
[qos]
default_deadline_ms = 5_000
max_retries = 1
hedge = "off"
balance = "priority"
[breaker]
min_calls = 20
open_cooldown_ms = 300
max_cooldown_ms = 600
[tasks.chat]
prompt = ""
"""
TABLE = """
[[providers]]
name = "{name}"
driver = "ollama"
model = "llama3"
base_url = "{url}"
priority = {priority}
connect_timeout_ms = 300
first_token_timeout_ms = 400
idle_timeout_ms = 400
"""
STEADY = '[tasks.steady]\nprompt = ""\nproviders = ["second"]\n'


@dataclass(frozen=True, slots=True)
class Rig:
    """`middle` is the offset of a byte inside the third word that the first server says, of all that it sends."""

    up: Up
    first: FakeOllama
    second: FakeOllama
    proxy: FaultProxy
    middle: int


def configured(*urls: str) -> str:
    """The pool that asks these, the first one first; those of the task `steady` ask the second only."""
    names = ("first", "second")
    tables = [TABLE.format(name=names[index], url=url, priority=index) for index, url in enumerate(urls)]
    return POOL + (STEADY if len(urls) > 1 else "") + "".join(tables)


@asynccontextmanager
async def rig(*, two: bool) -> AsyncIterator[Rig]:
    """Checks at its end that no task, descriptor, connection or answer is left."""
    async with (
        FakeOllama({"llama3:latest": Script(answer=FIRST, token_after=0.004)}) as first,
        FakeOllama({"llama3:latest": Script(answer=SECOND, token_after=0.004)}) as second,
        FaultProxy(first.url, seed=1) as proxy,
    ):
        proxy.only = CHAT
        toml = configured(proxy.url, second.url) if two else configured(proxy.url)
        async with running_pool(toml) as up:  # what is made once and stays: threads and pipes of gRPC
            assert {(await ask(up, "chat")).outcome for ask in KINDS.values()} == {OK}
        middle = await _middle(proxy)
        await until(lambda: proxy.open == 0, within=5)
        before = census(first, second)
        async with running_pool(toml) as up:
            yield Rig(up, first, second, proxy, middle)
            await until(lambda: up.pool.metrics.in_flight == 0, within=5)
            await until(lambda: (first.open_streams, second.open_streams) == (0, 0), within=5)
        await left_as_it_was(before, first, second)
        assert proxy.open == 0


async def _middle(proxy: FaultProxy) -> int:
    async with raw(proxy.url.removeprefix("http://")) as bare:
        await bare.post(b'{"model":"llama3","messages":[{"role":"user","content":"hi"}]}', path=CHAT)
        return (await bare.reader.readuntil(b"\r\n0\r\n\r\n")).index(b"three")


def census(*fakes: FakeOllama) -> dict[str, int]:
    gc.collect()
    return {
        "tasks": len(asyncio.all_tasks()),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "connections": sum(len(server_of(fake).connections) for fake in fakes),
        "streams": sum(fake.open_streams for fake in fakes),
    }


async def left_as_it_was(before: dict[str, int], *fakes: FakeOllama) -> None:
    """Who is hung up on may need a moment to see it."""
    with suppress(TimeoutError):
        await until(lambda: census(*fakes) == before, within=3)
    assert census(*fakes) == before


def server_of(fake: FakeOllama) -> Any:
    server = fake._runner.server
    assert server is not None
    return server


def play(story: Coroutine[Any, Any, None]) -> None:
    """Once, on the loop that the pool itself runs on, for it takes a while."""

    async def told() -> None:
        await story
        await nothing_left_running()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(told())
