"""What is asked of each gateway, and what it comes to: saturation with wrk, added latency at a rate that it bears."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import uvloop

from benchmarks.gateway import calls
from benchmarks.gateway.calls import NUMBER
from benchmarks.gateway.upstream import AT_ONCE, CHUNKS, PACED, PIECE
from benchmarks.overhead.load import CONNECTIONS, SPARE, Load, parse_wrk
from benchmarks.overhead.machine import Meter, on_core
from benchmarks.overhead.server import NotServing

if TYPE_CHECKING:
    from benchmarks.gateway.started import Target

RATE = 25  # whole answers per second, for the added latency
STREAMS = 20  # streams per second, for the time to the first chunk
ASKS = Path(__file__).with_name("asks.lua")


@dataclass(frozen=True, slots=True)
class Seen:
    """One repetition of one gateway. Latencies in milliseconds, of the whole way, the upstream's own included."""

    rate: float
    cpu: float  # us per whole answer
    p50_busy: float
    p99_busy: float
    p50: float
    chunk_rate: float
    chunk_cpu: float  # us per chunk
    first: float
    foreign: float


def body_of(target: Target, upstream: str, *, stream: bool) -> bytes:
    asked = f"Request {NUMBER.decode()}: say in one paragraph why a gateway should add little latency to a call."
    messages = [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": asked},
    ]
    more = {"stream": True} if stream else {}
    model = target.model.format(upstream)
    return json.dumps({"model": model, "messages": messages, "temperature": 0.2, "max_tokens": 64, **more}).encode()


def look(target: Target) -> None:
    """One call of each kind, and a look at the answers: wrk sees only a part of them. Raises NotServing."""
    for stream, upstream in ((False, AT_ONCE), (True, AT_ONCE), (True, PACED)):
        body = body_of(target, upstream, stream=stream)
        [call] = uvloop.run(calls.steady(target, body, rate=1, seconds=1))
        pieces, wanted = call.body.count(PIECE.strip().encode()), CHUNKS
        if call.status != 200 or pieces != wanted or (stream and b"[DONE]" not in call.body):
            kind = "stream" if stream else "answer"
            raise NotServing(f"{target.name}: status {call.status}, {pieces} of {wanted} pieces in its {kind}")


def saturated(target: Target, folder: Path, *, stream: bool, seconds: int, core: int | None) -> Load:
    """64 connections, each asking again as soon as it is answered. Raises NotServing."""
    body = folder / "body.json"
    body.write_bytes(body_of(target, AT_ONCE, stream=stream))
    headers = [part for header in target.headers for part in ("-H", header)]
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "20s", "-s", str(ASKS), *headers]
    words = "[DONE]" if stream else PIECE.strip()
    try:
        with on_core(core):
            ended = subprocess.run(
                [*command, target.url, "--", str(body), words],
                capture_output=True,
                text=True,
                timeout=seconds + SPARE,
                check=False,
                stdin=subprocess.DEVNULL,
            )
    except subprocess.TimeoutExpired as error:
        raise NotServing(f"wrk did not come back in {seconds + SPARE} s") from error
    if ended.returncode:
        raise NotServing(f"wrk failed: {(ended.stderr or ended.stdout)[-300:]}")
    load = parse_wrk(ended.stdout)
    if load.wrong:
        raise NotServing(f"{target.name}: {load.wrong} calls were not answered well, {load.answers} were")
    return load


def steadily(target: Target, *, stream: bool, seconds: int, core: int | None) -> float:
    """Milliseconds to the whole answer, or to the first chunk of a paced stream: the median. Raises NotServing."""
    body = body_of(target, PACED if stream else AT_ONCE, stream=stream)
    with on_core(core):
        made = uvloop.run(calls.steady(target, body, rate=STREAMS if stream else RATE, seconds=seconds))
    if bad := [call.status for call in made if call.status != 200]:
        raise NotServing(f"{target.name}: {len(bad)} of {len(made)} calls were not answered well: status {bad[0]}")
    return median(call.first if stream else call.whole for call in made) * 1000


def repetition(target: Target, folder: Path, *, seconds: int, core: int | None) -> Seen:
    with Meter(target.pid) as whole:
        busy = saturated(target, folder, stream=False, seconds=seconds, core=core)
    with Meter(target.pid) as streaming:
        streams = saturated(target, folder, stream=True, seconds=seconds, core=core)
    if not (busy.answers and streams.answers):
        raise NotServing(f"{target.name}: nothing was answered in {seconds} s")
    p50 = steadily(target, stream=False, seconds=seconds, core=core)
    first = steadily(target, stream=True, seconds=seconds, core=core)
    return Seen(
        rate=busy.rate,
        cpu=whole.cpu / busy.answers * 1e6,
        p50_busy=busy.p50,
        p99_busy=busy.p99,
        p50=p50,
        chunk_rate=streams.rate * CHUNKS,
        chunk_cpu=streaming.cpu / (streams.answers * CHUNKS) * 1e6,
        first=first,
        foreign=max(whole.foreign, streaming.foreign),
    )
