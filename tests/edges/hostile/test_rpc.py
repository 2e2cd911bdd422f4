"""The same over gRPC, whose messages are checked before any of them becomes a Python value."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from llm_pool.v1 import pool_service_pb2 as pb
from tests.edges.both import failed
from tests.edges.hostile.bodies import NAMES, RAW, TEXTS
from tests.edges.hostile.rich import CANARY
from tests.edges.hostile.test_bodies import HELD, POOL, TRIES, WITHIN
from tests.edges.hostile.watching import Heartbeat, collected_as_served, log_of
from tests.running import running_pool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.running import Up

pytestmark = [pytest.mark.real_time, pytest.mark.faults]

SERVICE = "/llm_pool.v1.LLMPoolService/"
NAMED = ("model", "task", "strategy", "effort", "request_id", "tenant_id", "project_id")
MODEL = "sim/m"


def asked(**more: Any) -> pb.InferRequest:
    return pb.InferRequest(**{"model": MODEL, "prompt": CANARY, **more})


def _empty(field: int, *, times: int) -> pb.InferRequest:
    """With so many empty values in this field: each is two bytes on the wire."""
    return pb.InferRequest.FromString(asked().SerializeToString() + bytes([field << 3 | 2, 0]) * times)


def infers() -> Iterator[tuple[str, pb.InferRequest]]:
    for count in (10_000, 100_000):
        yield f"{count} messages", asked(prompt="", messages=[pb.Message(role="user", content="a" * 160)] * count)
    yield "a million empty messages", _empty(pb.InferRequest.MESSAGES_FIELD_NUMBER, times=1_000_000)
    yield "a million tools", _empty(pb.InferRequest.TOOLS_FIELD_NUMBER, times=1_000_000)
    yield "a million stops", asked(stop=[""] * 1_000_000)
    yield "many meta", asked(meta={str(number): CANARY for number in range(100_000)})
    yield "many parts of one message", asked(prompt="", messages=[pb.Message(role="user", parts=[pb.Part()] * 100_000)])
    several = pb.Message(role="user", parts=[pb.Part(text="a")] * 1_000)
    yield "many parts of many messages", asked(prompt="", messages=[several] * 101)
    for name, raw in RAW.items():
        try:
            text = raw.decode()
        except UnicodeDecodeError:  # which protobuf does not carry
            continue
        yield f"a schema: {name}", asked(response_schema=text)
        yield f"a tool's schema: {name}", asked(tools=[pb.Tool(name="a", parameters=text)])
    yield "a schema to the brim", asked(response_schema='{"a": [' + "[]," * 6_000_000 + "[]]}")
    yield "many large schemas", asked(tools=[pb.Tool(name="a", parameters="[" + "[]," * 10_000 + "[]]")] * 500)
    for name, text in TEXTS.items():
        for field in ("prompt", *NAMED):
            yield f"{field}: {name}", asked(**{field: text})
    for name, text in NAMES.items():
        yield f"a tool's name: {name}", asked(tools=[pb.Tool(name=text)])
        call = pb.Part(tool_call=pb.ToolCall(id=text, name="a", arguments=text))
        told = pb.Part(tool_result=pb.ToolResult(call_id=text))
        talk = [pb.Message(role="assistant", parts=[call]), pb.Message(role="tool", parts=[told])]
        yield f"a call's id: {name}", asked(prompt="", messages=talk)
    for number in (float("nan"), float("inf"), 1e308):
        yield f"a temperature of {number}", asked(temperature=number, top_p=number, frequency_penalty=number)
    yield "the smallest numbers", asked(max_tokens=-(2**31), deadline_ms=-(2**31), seed=-(2**63), logprobs=-(2**31))
    image = pb.Image(media_type="image/png", data=b"\x00" * 15_000_000)
    yield "a large image", asked(prompt="", messages=[pb.Message(role="user", parts=[pb.Part(image=image)])])


def embeds() -> Iterator[tuple[str, pb.EmbedRequest]]:
    yield "a million empty texts", pb.EmbedRequest(model=MODEL, inputs=[""] * 1_000_000)
    yield "2,048 long texts", pb.EmbedRequest(model=MODEL, inputs=["a" * 8_000] * 2_048)
    yield "many meta", pb.EmbedRequest(model=MODEL, inputs=["a"], meta={str(number): "" for number in range(100_000)})
    yield "the largest vectors", pb.EmbedRequest(model=MODEL, inputs=["a"], dimensions=2**31 - 1)
    for name, text in TEXTS.items():
        yield f"a text: {name}", pb.EmbedRequest(model=MODEL, inputs=[text])
        yield f"a model: {name}", pb.EmbedRequest(model=text, inputs=["a"])


@pytest.mark.parametrize("method", ["Infer", "Embed"])
async def test_a_hostile_message_is_refused_at_once_or_does_no_harm(method: str) -> None:
    cases = infers() if method == "Infer" else embeds()
    async with running_pool(POOL) as up:
        with collected_as_served(), log_of(up) as log:
            for name, message in cases:
                raw = message.SerializeToString()
                for _ in range(TRIES):
                    async with Heartbeat() as heart, asyncio.timeout(WITHIN):
                        status, told = await call(up, method, raw)
                    if heart.held < HELD:
                        break
                else:
                    pytest.fail(f"{name}: all others waited for {heart.held:.3f} s")
                assert status == 200 or 400 <= status < 500, (name, told)
                assert len(told) < 2_000, name
        named = [line for line in log if "'project': '" in line]
    assert not [line for line in log if "unexpected error" in line]
    assert not [line for line in log if CANARY in line and line not in named]


async def call(up: Up, method: str, raw: bytes) -> tuple[int, str]:
    """The status that it would have over HTTP, and what is said of it where it failed."""
    ask: Any = up.channel.unary_unary(f"{SERVICE}{method}")
    try:
        await ask(raw)
    except grpc.aio.AioRpcError as error:
        said = failed(error)
        return said["status"], said["error"]["message"]
    return 200, ""


async def test_bytes_that_are_no_message_are_refused(subtests: pytest.Subtests) -> None:
    whole = asked().SerializeToString()
    wrong = [b"\xff" * 1_000, whole[:-1], whole + b"\x0a", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x02\xff\xfe"]
    async with running_pool(POOL) as up:
        for raw in wrong:
            with subtests.test(raw=raw[:20]):
                assert await call(up, "Infer", raw) == (400, "the request message cannot be decoded")
