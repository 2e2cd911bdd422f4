"""Drive a server with wrk (HTTP) and h2load (gRPC, and exact counts of HTTP), and read what they say."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from benchmarks.overhead.machine import on_core
from benchmarks.overhead.server import NotServing
from llm_pool.v1 import pool_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.overhead.server import Served

NEEDED = {"wrk": "wrk", "h2load": "nghttp2-client"}  # program -> apt package
PROMPT = "Why should a gateway add little latency to a call?"
HTTP_ROUTE = "/v1/infer"
GRPC_ROUTE = "/llm_pool.v1.LLMPoolService/Infer"
CONNECTIONS = 64  # of wrk
CLIENTS, STREAMS = 8, 8  # of h2load
SPARE = 30  # seconds that a load generator may take beyond what it was told

_ANSWERS_LUA = Path(__file__).with_name("answers.lua")
_JSON = "content-type: application/json"


@dataclass(frozen=True, slots=True)
class Load:
    """What a load generator saw. `wrong`: not 200, or broken off. Latencies in milliseconds."""

    answers: int
    wrong: int
    seconds: float
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        return self.answers / self.seconds


class Bodies:
    """The one question, as each protocol sends it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.json = folder / "body.json"
        self.json.write_bytes(json.dumps({"task": "chat", "prompt": PROMPT}).encode())
        self.message = pb.InferRequest(task="chat", prompt=PROMPT).SerializeToString()
        self.framed = folder / "body.grpc"
        self.framed.write_bytes(b"\0" + struct.pack(">I", len(self.message)) + self.message)


def look_http(served: Served, bodies: Bodies) -> None:
    """One call, and a look at its answer. Raises NotServing."""
    call = urllib.request.Request(  # noqa: S310 - loopback
        _url(served), bodies.json.read_bytes(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(call, timeout=SPARE) as response:  # noqa: S310 - loopback
        answer = json.load(response)
    if PROMPT not in answer["content"]:
        raise NotServing(f"POST {HTTP_ROUTE} answered {answer}")


def look_grpc(served: Served, bodies: Bodies) -> None:
    """The same over gRPC, with the very bytes that h2load will send. Raises NotServing."""
    with grpc.insecure_channel(served.addresses["gRPC"]) as channel:
        call: grpc.UnaryUnaryMultiCallable[bytes, pb.InferResponse] = channel.unary_unary(
            GRPC_ROUTE, response_deserializer=pb.InferResponse.FromString
        )
        try:
            answer = call(bodies.message, timeout=SPARE)
        except grpc.RpcError as error:
            raise NotServing(f"{GRPC_ROUTE}: {error}") from error
    if PROMPT not in answer.content:
        raise NotServing(f"{GRPC_ROUTE} answered {answer}")


def http(served: Served, bodies: Bodies, *, seconds: int, core: int | None) -> Load:
    """64 connections, each asking again as soon as it is answered."""
    wrk = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s", "-s", str(_ANSWERS_LUA)]
    return parse_wrk(_run([*wrk, _url(served), "--", str(bodies.json)], seconds, core))


def grpc_unary(served: Served, bodies: Bodies, *, seconds: int, core: int | None) -> Load:
    """8 connections of 8 calls at a time, each asking again as soon as it is answered."""
    return _h2load(_grpc_call(served, bodies), [f"-D{seconds}"], bodies, seconds, core)


def http_exactly(served: Served, bodies: Bodies, *, calls: int, core: int | None) -> Load:
    target = ["--h1", f"-c{CLIENTS}", "-d", str(bodies.json), "-H", _JSON, _url(served)]
    return _h2load(target, [f"-n{calls}"], bodies, SPARE, core)


def grpc_exactly(served: Served, bodies: Bodies, *, calls: int, core: int | None) -> Load:
    return _h2load(_grpc_call(served, bodies), [f"-n{calls}"], bodies, SPARE, core)


def parse_wrk(said: str) -> Load:
    """The line that answers.lua adds. Raises NotServing where it is missing."""
    line = re.search(r"^counted (\{.*\})$", said, re.MULTILINE)
    if line is None:
        raise NotServing(f"wrk said nothing of its answers: {said[-300:]}")
    told = json.loads(line[1])
    return Load(
        answers=told["answers"],
        wrong=told["wrong"] + told["broken"],
        seconds=told["seconds"],
        p50=told["p50_us"] / 1000,
        p99=told["p99_us"] / 1000,
    )


def parse_h2load(said: str, log: str) -> Load:
    """Its summary and, for the percentiles it does not print, its log: start, status, microseconds. Raises NotServing.

    A timed run leaves calls unfinished: they are `started` but not `done`, and no error.
    """
    finished = re.search(r"^finished in ([\d.]+)(us|ms|s),", said, re.MULTILINE)
    requests = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", said)
    codes = re.search(r"^status codes: (\d+) 2xx", said, re.MULTILINE)
    if not (finished and requests and codes):
        raise NotServing(f"h2load did not finish: {said[-300:]}")
    done, _succeeded, failed, errored, timeout = map(int, requests.groups())
    rows = [row.split("\t") for row in log.splitlines()]
    took = sorted(int(row[2]) / 1000 for row in rows if row[1] == "200")
    return Load(
        answers=int(codes[1]),
        wrong=max(done - int(codes[1]), failed + errored + timeout),
        seconds=float(finished[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1.0}[finished[2]],
        p50=quantile(took, 0.5),
        p99=quantile(took, 0.99),
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value that `share` of all lie at or below (nearest rank); 0 of nothing."""
    if not ordered:
        return 0.0
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def _url(served: Served) -> str:
    return f"http://{served.addresses['HTTP']}{HTTP_ROUTE}"


def _grpc_call(served: Served, bodies: Bodies) -> list[str]:
    shape = [f"-c{CLIENTS}", f"-m{STREAMS}", "-d", str(bodies.framed)]
    headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    return [*shape, *headers, f"http://{served.addresses['gRPC']}{GRPC_ROUTE}"]


def _h2load(target: list[str], amount: list[str], bodies: Bodies, seconds: int, core: int | None) -> Load:
    log = bodies.folder / "h2load.tsv"
    log.unlink(missing_ok=True)  # h2load appends
    said = _run(["h2load", "-t1", *amount, f"--log-file={log}", *target], seconds, core)
    return parse_h2load(said, log.read_text())


def _run(command: list[str], seconds: int, core: int | None) -> str:
    """Raises NotServing where it fails or does not come back."""
    try:
        with on_core(core):
            ended = subprocess.run(
                command, capture_output=True, text=True, timeout=seconds + SPARE, check=False, stdin=subprocess.DEVNULL
            )
    except subprocess.TimeoutExpired as error:
        raise NotServing(f"{command[0]} did not come back in {seconds + SPARE} s") from error
    if ended.returncode:
        raise NotServing(f"{command[0]} failed: {(ended.stderr or ended.stdout)[-300:]}")
    return ended.stdout
