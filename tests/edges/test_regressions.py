"""What once went wrong at the edges, each with the promise that it broke."""

from __future__ import annotations

import asyncio
import io
import time
from contextlib import AsyncExitStack

import grpc
import orjson
import pytest
from aiohttp import ClientError, ClientSession

from llm_pool.core.errors import ProviderOverloaded
from llm_pool.core.types import Finished, Started, TextDelta, Usage
from llm_pool.v1 import pool_service_pb2 as pb
from llm_pool.v1.pool_service_pb2_grpc import LLMPoolServiceStub
from tests.running import ONE, SIM, pool_of, running_pool, serving
from tests.scripted import Scripted

pytestmark = pytest.mark.real_time

JSON = {"content-type": "application/json"}
WILDCARD = """
[[providers]]
name = "any"
driver = "sim"
models = ["*"]
"""
SLOW = """
server.drain_ms = 200
[[providers]]
name = "one"
driver = "sim"
model = "m"
sim.answers = ["one two three"]
sim.per_token.median_ms = 60_000.0
"""


async def test_a_body_of_very_many_mistakes_is_refused_quickly_and_holds_nobody_up() -> None:
    raw = orjson.dumps({"prompt": "hi", "meta": {str(number): number for number in range(200_000)}})
    async with running_pool(SIM) as up:
        begun = time.monotonic()
        async with up.http.post("/v1/infer", data=io.BytesIO(raw), headers=JSON) as response:
            told = await response.json()
        assert response.status == 400
        assert "problems" in told["error"]["message"]
        assert time.monotonic() - begun < 1.0


async def test_an_unknown_expectation_is_refused_in_our_words_with_one_line() -> None:
    async with running_pool(SIM) as up:
        async with up.http.get("/livez", headers={"Expect": "sk-secret"}) as response:
            text = await response.text()
        assert response.status == 400
        assert "sk-secret" not in text
        [line] = await up.lines(1)
        assert line["request_id"] == response.headers["x-request-id"] == orjson.loads(text)["error"]["request_id"]


async def test_a_message_a_little_too_large_is_refused_by_us_with_an_id_and_a_line() -> None:
    async with running_pool(f"server.max_body_bytes = 65_536\n{SIM}") as up:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await up.stub.Infer(pb.InferRequest(prompt="x" * 70_000))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        [line] = await up.lines(1)
        trailers = dict(caught.value.trailing_metadata() or ())
        assert (line["outcome"], line["request_id"]) == ("BODY_TOO_LARGE", trailers["x-request-id"])


@pytest.mark.parametrize("stream", [False, True])
async def test_a_connection_error_of_a_provider_is_a_bug_and_not_a_caller_who_left(stream: bool) -> None:
    said = (Started("m", "one"), TextDelta("a word"), ConnectionResetError("a bug"))
    async with pool_of(SIM, {"one": Scripted(*said)}) as pool, serving(pool) as up:
        async with up.http.post("/v1/infer", json={"prompt": "hi", "stream": stream}) as response:
            text = await response.text()
        assert response.status == (200 if stream else 500)
        assert '"code":"INTERNAL"' in text
        [line] = await up.lines(1)
        assert line["outcome"] == "INTERNAL"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await up.stub.Infer(pb.InferRequest(prompt="hi"))
        assert caught.value.code() is grpc.StatusCode.INTERNAL
        counted = pool.metrics.registry.get_sample_value(
            "llm_pool_requests_total", {"task": "chat", "strategy": "fastest", "outcome": "INTERNAL"}
        )
        assert counted == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_who_does_not_read_the_end_of_an_answer_is_left_at_the_deadline(stream: bool) -> None:
    """The model has long said everything; only the caller's buffers are full."""
    said = (Started("m", "one"), TextDelta("word " * 2_000_000), Finished("stop", Usage()))
    async with pool_of(SIM, {"one": Scripted(*said)}) as pool, serving(pool) as up, up.connect() as bare:
        bare.writer.transport.pause_reading()  # type: ignore[attr-defined] # of every transport that reads
        await bare.post(orjson.dumps({"prompt": "hi", "deadline_ms": 500, "stream": stream}))
        [line] = await up.lines(1, within=3.0)
        assert 450 < line["duration_ms"] < 1_500
        assert line["outcome"] == "DEADLINE_EXCEEDED"


async def test_a_pool_of_wildcards_alone_does_not_say_that_it_serves_every_task() -> None:
    async with running_pool(WILDCARD) as up:
        async with up.http.get("/health") as response:
            told = await response.json()
        assert (told["status"], told["healthy"]) == ("degraded", False)
        async with up.http.post("/v1/infer", json={"prompt": "hi", "model": "sim/whatever"}) as response:
            assert response.status == 200


@pytest.mark.parametrize("edge", ["http", "grpc"])
async def test_what_is_cut_off_when_the_time_to_drain_is_over_is_not_said_to_have_left(edge: str) -> None:
    async with ClientSession() as session, AsyncExitStack() as stack:
        async with running_pool(SLOW) as up:
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(up.grpc_address))
            ask = _over_http(session, up.http_address) if edge == "http" else _over_grpc(channel)
            call = asyncio.create_task(ask)
            await asyncio.sleep(0.1)
        # the end of the block above has drained both edges
        with pytest.raises((ClientError, grpc.aio.AioRpcError)):
            await call
    assert [line["outcome"] for line in up.access] == ["SHUTTING_DOWN"]


async def _over_http(session: ClientSession, address: str) -> None:
    async with session.post(f"http://{address}/v1/infer", json={"prompt": "hi"}) as response:
        await response.read()


async def _over_grpc(channel: grpc.aio.Channel) -> None:
    await LLMPoolServiceStub(channel).Infer(pb.InferRequest(prompt="hi"))


async def test_the_log_names_the_providers_that_failed_on_the_way_to_an_answer() -> None:
    broken = Scripted(Started("m", "one"), ProviderOverloaded("busy"))
    toml = "[qos]\nmax_retries = 0\n" + SIM + ONE.replace('"one"', '"two"') + "fallback = true\n"
    async with pool_of(toml, {"one": broken, "two": Scripted()}) as pool, serving(pool) as up:
        async with up.http.post("/v1/infer", json={"prompt": "hi"}) as response:
            assert response.status == 200
        [line] = await up.lines(1)
    assert line["failed"] == ["one PROVIDER_OVERLOADED"]


async def test_300_calls_at_once_on_one_channel_are_all_answered() -> None:
    """A limit on the streams of a connection makes gRPC refuse calls that its own client had queued for it."""
    toml = SIM.replace("sim.answers", "sim.first_token.median_ms = 300.0\nsim.answers")
    async with running_pool(toml) as up:
        calls = [up.stub.Infer(pb.InferRequest(prompt="hi")) for _ in range(300)]
        answers = await asyncio.gather(*calls)
        assert {answer.finish_reason for answer in answers} == {"stop"}
        assert len(await up.lines(300)) == 300
