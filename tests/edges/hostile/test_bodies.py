"""No body, however it is made, is answered with a 500, holds up the others, or comes to stand in the log."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

import orjson
import pytest

from tests.edges.hostile.bodies import NAMES, hostile
from tests.edges.hostile.doors import CHAT, COUNT, DOORS, EMBEDDINGS, MESSAGES, RESPONSES, refusal
from tests.edges.hostile.rich import CANARY
from tests.edges.hostile.watching import Heartbeat, collected_as_served, log_of
from tests.running import running_pool

if TYPE_CHECKING:
    from tests.edges.hostile.doors import Door
    from tests.running import Reply, Up

pytestmark = [pytest.mark.real_time, pytest.mark.faults]

POOL = """
[tasks.chat]
prompt = ""

[qos]
max_retries = 0
hedge = "off"

[[providers]]
name = "one"
driver = "sim"
models = ["*"]
sim.answers = ['{"city": "Lisbon"}']
"""
HELD = 0.25  # seconds that a request may keep all others waiting
WITHIN = 5.0  # seconds of any answer
TRIES = 3  # before it is not another process that has kept us waiting


@pytest.mark.parametrize("door", DOORS.values(), ids=lambda door: door.path)
async def test_a_hostile_body_is_refused_at_once_or_does_no_harm(door: Door, pytestconfig: pytest.Config) -> None:
    # What counts reads bodies as what answers does.
    step = 4 if door is COUNT and not pytestconfig.getoption("--thorough") else 1
    async with running_pool(POOL) as up:
        with collected_as_served(), log_of(up) as log:
            for name, body in itertools.islice(hostile(door), 0, None, step):
                for _ in range(TRIES):
                    async with Heartbeat() as heart, asyncio.timeout(WITHIN):
                        reply = await post(up, door, body)
                    if heart.held < HELD:
                        break
                else:
                    pytest.fail(f"{name}: all others waited for {heart.held:.3f} s")
                sound(door, name, reply)
    assert not [line for line in log if "unexpected error" in line]
    assert not [line for line in log if CANARY in line or len(line) > 2_000]


def sound(door: Door, name: str, reply: Reply) -> None:
    """An answer, or a refusal in the words of the door."""
    if reply.status == 200:
        assert orjson.loads(reply.body), name
        return
    message = refusal(door, reply.body)
    assert 400 <= reply.status < 500, (name, message)
    assert len(reply.body) < 2_000, name
    assert CANARY not in message, name


async def post(up: Up, door: Door, body: bytes) -> Reply:
    async with up.connect() as bare:
        await bare.post(body, path=door.path.encode())
        return await bare.reply()


# --- Headers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", [CHAT, RESPONSES, EMBEDDINGS, MESSAGES], ids=lambda door: door.path)
@pytest.mark.parametrize("stream", [False, True])
async def test_no_header_carries_what_a_caller_calls_a_model(door: Door, stream: bool) -> None:
    """Behind `models = ["*"]` it is any text."""
    if stream and door is EMBEDDINGS:
        return
    async with running_pool(POOL) as up:
        for name in NAMES.values():
            asked = door.body(model=f"sim/{name}", **({"stream": True} if stream else {}))
            async with up.connect() as bare:
                await bare.post(orjson.dumps(asked), path=door.path.encode())
                reply = await bare.head()
            assert reply.status in {200, 400, 404}
            assert "x-injected" not in reply.headers
            if reply.status == 200:
                printable = name.isascii() and name.isprintable()
                assert reply.headers["x-llm-pool-model"] == (f"sim/{name}" if printable else "")
