"""Callers of every kind who ask all the time, at a light and bounded rate, and write down what became of each call."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

import grpc
import orjson

from llm_pool.v1 import pool_service_pb2 as pb
from tests.edges.both import failed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from tests.running import Up

OK = "ok"
LONGEST = 12.0  # seconds that a call may take; one that takes longer hangs
READ = 10_000  # characters of a text
PAUSE = 0.03  # seconds between the end of a call and the next one of the same caller
MOST = 400  # calls of one caller


@dataclass(frozen=True, slots=True)
class Call:
    """What a caller was told. `outcome` is `ok` or the reason of the error; `ends` counts ends of any kind."""

    kind: str
    text: str
    outcome: str
    status: int  # of HTTP; for gRPC the one that stands beside its code
    ends: int
    spoke: bool  # whether an answer had begun before it ended
    began: float = 0.0
    ended: float = 0.0


Asking: TypeAlias = Callable[["Up", str], Awaitable[Call]]


async def http_whole(up: Up, task: str) -> Call:
    async with up.http.post("/v1/infer", json={"prompt": "hi", "task": task}) as response:
        told = orjson.loads(await response.read())
    if response.status == 200:
        return Call("HTTP", told["content"], OK, 200, 1, spoke=False)
    return Call("HTTP", "", told["error"]["code"], response.status, 1, spoke=False)


async def http_stream(up: Up, task: str) -> Call:
    text, names, outcome = "", Counter[str](), OK
    async with up.http.post("/v1/infer", json={"prompt": "hi", "task": task, "stream": True}) as response:
        if response.status != 200:
            told = orjson.loads(await response.read())
            return Call("SSE", "", told["error"]["code"], response.status, 1, spoke=False)
        name = ""
        async for line in response.content:
            if line.startswith(b"event: "):
                name = line[7:-1].decode()
                names[name] += 1
            elif line.startswith(b"data: "):
                data = orjson.loads(line[6:])
                text = added(text, data["text"]) if name == "text" else text
                outcome = data["error"]["code"] if name == "error" else outcome
    ends = names["finished"] + names["error"]
    return Call("SSE", text, outcome, 200, ends if name in {"finished", "error"} else -1, spoke=True)


def added(text: str, more: str) -> str:
    """As far as anybody wants to know it: some bodies have no end."""
    return (text + more)[:READ]


async def grpc_whole(up: Up, task: str) -> Call:
    try:
        answer = await up.stub.Infer(pb.InferRequest(prompt="hi", task=task))
    except grpc.aio.AioRpcError as error:
        told = failed(error)
        return Call("gRPC", "", told["error"]["code"], told["status"], 1, spoke=False)
    return Call("gRPC", answer.content, OK, 200, 1, spoke=False)


async def grpc_stream(up: Up, task: str) -> Call:
    text, names, kind = "", Counter[str](), "gRPC stream"
    try:
        async for each in up.stub.StreamInfer(pb.StreamInferRequest(prompt="hi", task=task)):
            name = each.WhichOneof("event") or ""
            names[name] += 1
            text = added(text, each.text.text) if name == "text" else text
    except grpc.aio.AioRpcError as error:
        told = failed(error)
        ends = 1 + names["finished"]
        return Call(kind, text, told["error"]["code"], told["status"], ends, spoke=bool(names))
    return Call(kind, text, OK, 200, names["finished"], spoke=True)


KINDS: dict[str, Asking] = {"HTTP": http_whole, "SSE": http_stream, "gRPC": grpc_whole, "gRPC stream": grpc_stream}


@dataclass(slots=True)
class Load:
    """What became of all calls, in the order of their ends. Instants are those of `loop.time()`."""

    calls: list[Call] = field(default_factory=list)
    ends: asyncio.Event = field(default_factory=asyncio.Event)
    callers: int = 0  # who have not ended yet

    def between(self, begin: float, end: float = math.inf) -> list[Call]:
        """Those that began and ended there."""
        return [call for call in self.calls if begin <= call.began and call.ended <= end]

    def all_well_since(self, instant: float, *, last: int = 3) -> bool:
        """Whether the last calls of every kind, so many at least, were answered."""
        outcomes = {kind: [call.outcome for call in self.between(instant) if call.kind == kind] for kind in KINDS}
        return all(len(each) >= last and set(each[-last:]) == {OK} for each in outcomes.values())

    async def ask(self, asking: Asking, up: Up, task: str, *, after: float) -> None:
        """Again and again until the end; what has begun by then ends. `after`: seconds before the first time."""
        now = asyncio.get_running_loop().time
        self.callers += 1
        await asyncio.sleep(after)
        for _ in range(MOST):
            if self.ends.is_set():
                break
            began = now()
            async with asyncio.timeout(LONGEST):
                call = await asking(up, task)
            self.calls.append(replace(call, began=began, ended=now()))
            await asyncio.sleep(PAUSE)
        self.callers -= 1


@asynccontextmanager
async def load(
    up: Up, *, task: str = "chat", kinds: Iterable[Asking] = tuple(KINDS.values()), each: int = 1
) -> AsyncIterator[Load]:
    """So many callers of each kind while the block lasts."""
    callers = Load()
    async with asyncio.TaskGroup() as group:
        asked = [*kinds] * each
        for index, asking in enumerate(asked):  # not in step, or all would be under way at a time, and then none
            group.create_task(callers.ask(asking, up, task, after=2 * PAUSE * index / len(asked)))
        try:
            yield callers
        finally:
            callers.ends.set()
