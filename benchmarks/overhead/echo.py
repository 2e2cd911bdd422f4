"""The floor to compare with: a bare aiohttp server that parses the same body and answers as much JSON. Nothing else."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import orjson
import uvloop
from aiohttp import web

USAGE = {
    "input_tokens": 8,
    "cache_read_tokens": 0,
    "cache_write_tokens": 0,
    "output_tokens": 20,
    "reasoning_tokens": 0,
    "estimated": False,
}
VOICE = {
    "provider": "sim",
    "model": "sim/instant",
    "outcome": "ok",
    "latency_ms": 0.1,
    "first_token_ms": 0.1,
    "usage": USAGE,
    "why": "",
}


async def infer(http: web.Request) -> web.Response:
    """An answer of the pool's shape. The id stands still, and nothing is counted, checked or written down."""
    body = orjson.loads(await http.read())
    answer = {
        "request_id": "0" * 32,
        "content": f'This is "sim/instant", a simulated model: no language model answered. You asked: {body["prompt"]}',
        "winner_model": "sim/instant",
        "duration_ms": 0.1,
        "from_cache": False,
        "strategy_used": "fastest",
        "finish_reason": "stop",
        "usage": USAGE,
        "decision": {
            "strategy": "fastest",
            "voices": [VOICE],
            "winner": "sim",
            "degraded": False,
            "why": "",
            "warnings": [],
        },
    }
    return web.Response(body=orjson.dumps(answer), headers={"Content-Type": "application/json"})


async def serve() -> None:
    app = web.Application()
    app.add_routes([web.post("/v1/infer", infer)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    print(f"echo ready: HTTP 127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(serve())
