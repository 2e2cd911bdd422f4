"""Callers of every kind who ask all the time, at a light and bounded rate, and write down what became of each call."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import grpc
import orjson

from llm_pool.v1 import pool_service_pb2 as pb
from tests.edges.both import failed
from tests.virtual import nothing_left_running

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.running import Up

OK = "ok"
LONGEST = 12.0  # seconds that a call may take; one that takes longer hangs
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
                text += data["text"] if name == "text" else ""
                outcome = data["error"]["code"] if name == "error" else outcome
    ends = names["finished"] + names["error"]
    return Call("SSE", text, outcome, 200, ends if name in {"finished", "error"} else -1, spoke=True)


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
            text += each.text.text if name == "text" else ""
    except grpc.aio.AioRpcError as error:
        told = failed(error)
        ends = 1 + names["finished"]
        return Call(kind, text, told["error"]["code"], told["status"], ends, spoke=bool(names))
    return Call(kind, text, OK, 200, names["finished"], spoke=True)


KINDS: dict[str, Asking] = {"HTTP": http_whole, "SSE": http_stream, "gRPC": grpc_whole, "gRPC stream": grpc_stream}
