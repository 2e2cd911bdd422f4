"""Callers of every kind that ask again and again, and note how long it took and whether an answer goes with itself."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import aiohttp
import grpc
import orjson
from google.protobuf.json_format import MessageToDict

from benchmarks.reload.numbered import ANSWER, QUESTION, mixture, number_of
from llm_pool.v1 import pool_service_pb2 as pb
from llm_pool.v1.pool_service_pb2_grpc import LLMPoolServiceStub

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from llm_pool.v1.pool_service_pb2_grpc import LLMPoolServiceAsyncStub

PAUSE = 0.01  # seconds between an answer and the next question

Said: TypeAlias = tuple[str, dict[str, Any]]  # content, and all the rest


@dataclass(slots=True)
class Tally:
    """What became of all calls. `took` is in seconds, by kind of call; of a stream to its first event."""

    took: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failures: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)
    numbers: set[int] = field(default_factory=set)  # of the configurations that answered

    @property
    def calls(self) -> int:
        return sum(map(len, self.took.values())) + len(self.failures)


class Callers:
    """One call of each kind: what was said, and the instant of its first event or, where it came whole, of its end."""

    def __init__(self, http: aiohttp.ClientSession, stub: LLMPoolServiceAsyncStub) -> None:
        """`http`: relative paths go to the pool."""
        self._http = http
        self._stub = stub

    async def whole(self, **ask: Any) -> tuple[Said, float]:
        async with self._http.post("/v1/infer", json={"prompt": QUESTION, **ask}) as response:
            told = orjson.loads(await response.read())
            if response.status != 200:
                raise Failed(told)
            return (told["content"], told), time.perf_counter()

    async def stream(self, **ask: Any) -> tuple[Said, float]:
        text: list[str] = []
        first = 0.0
        name = b""
        body = {"prompt": QUESTION, "stream": True, **ask}
        async with self._http.post("/v1/infer", json=body) as response:
            async for line in response.content:
                first = first or time.perf_counter()
                if line.startswith(b"event: "):
                    name = line[7:-1]
                elif line.startswith(b"data: "):
                    data = orjson.loads(line[6:])
                    if name == b"finished":
                        return ("".join(text), data), first
                    if name == b"text":
                        text.append(data["text"])
                    elif name == b"error":
                        raise Failed(data)
        raise Failed(f"status {response.status}, and no end")

    async def rpc(self, **ask: Any) -> tuple[Said, float]:
        answer = await self._stub.Infer(pb.InferRequest(prompt=QUESTION, **ask), timeout=30)
        return (answer.content, _json(answer)), time.perf_counter()

    async def rpc_stream(self, **ask: Any) -> tuple[Said, float]:
        text: list[str] = []
        first = 0.0
        async for each in self._stub.StreamInfer(pb.StreamInferRequest(prompt=QUESTION, **ask), timeout=30):
            first = first or time.perf_counter()
            match each.WhichOneof("event"):
                case "text":
                    text.append(each.text.text)
                case "finished":
                    return ("".join(text), _json(each.finished)), first
                case _:
                    pass
        raise Failed("no end")

    async def steady(self) -> tuple[Said, float]:
        """A question to the provider that no change concerns."""
        return await self.whole(task="steady")


class Failed(Exception):
    """The pool did not answer."""


async def ask_all(callers: Callers, tally: Tally, *, until: asyncio.Event, each: int = 2) -> None:
    """Every kind of call, `each` times side by side, until the event; whatever has begun by then ends."""
    kinds: dict[str, tuple[Callable[..., Awaitable[tuple[Said, float]]], dict[str, Any]]] = {
        "HTTP": (callers.whole, {}),
        "SSE": (callers.stream, {}),
        "SSE slow": (callers.stream, {"task": "slow"}),
        "SSE long": (callers.stream, {"task": "slow", "max_tokens": ANSWER}),
        "gRPC": (callers.rpc, {}),
        "gRPC stream": (callers.rpc_stream, {"task": "slow"}),
        "steady": (callers.steady, {}),
    }
    async with asyncio.TaskGroup() as group:
        for kind, (call, ask) in kinds.items():
            for _ in range(each):
                group.create_task(_again_and_again(kind, call, ask, tally, until))


async def _again_and_again(
    kind: str,
    call: Callable[..., Awaitable[tuple[Said, float]]],
    ask: dict[str, Any],
    tally: Tally,
    until: asyncio.Event,
) -> None:
    while not until.is_set():
        began = time.perf_counter()
        try:
            (content, end), there = await call(**ask)
        except (Failed, aiohttp.ClientError, grpc.RpcError, TimeoutError) as error:
            tally.failures.append(f"{kind}: {error!r}")
        else:
            tally.took[kind].append(there - began)
            if kind != "steady":
                if wrong := mixture(content, end, limit=ask.get("max_tokens")):
                    tally.mixed.append(f"{kind}: {wrong}")
                else:
                    tally.numbers.add(number_of(content))
        await asyncio.sleep(PAUSE)


def connected(channel: grpc.aio.Channel) -> LLMPoolServiceAsyncStub:
    return LLMPoolServiceStub(channel)


def _json(message: pb.InferResponse | pb.Finished) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
