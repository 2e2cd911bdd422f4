"""Around every RPC: garbage, bugs, unknown methods and limits; what a caller is told, and what is written down."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from llm_pool.core.types import Started, TextDelta
from llm_pool.v1 import pool_service_pb2 as pb
from tests.edges.http.test_guard import PRIVATE, Buggy
from tests.running import SIM, Up, pool_of, running_pool, serving

if TYPE_CHECKING:
    from collections.abc import Awaitable

pytestmark = pytest.mark.real_time

SERVICE = "/llm_pool.v1.LLMPoolService"
GARBAGE = b"\xff\xff\xff\xff"
MADE = re.compile("[0-9a-f]{32}")
SILENT = '[[providers]]\nname = "one"\ndriver = "sim"\nmodel = "m"\nsim.stall_rate = 1.0\n'


async def refused(call: Awaitable[Any]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


def unary(up: Up, path: str) -> grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]:
    """A method by its path, in bytes."""
    return up.channel.unary_unary(path)


def streaming(up: Up, path: str) -> grpc.aio.StreamStreamMultiCallable[bytes, bytes]:
    return up.channel.stream_stream(path)


def trailing(error: grpc.aio.AioRpcError) -> dict[str, str | bytes]:
    """The trailing metadata, no name of which comes twice."""
    pairs = list(error.trailing_metadata() or ())
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def info_of(error: grpc.aio.AioRpcError) -> ErrorInfo:
    """The one ErrorInfo, of details that any client and proxy can take."""
    packed = trailing(error)["grpc-status-details-bin"]
    assert isinstance(packed, bytes)
    assert len(packed) < 1024
    told = Status.FromString(packed)
    assert error.code().value[0] == told.code
    infos = [each for each in told.details if each.Is(ErrorInfo.DESCRIPTOR)]
    assert len(infos) == 1
    info = ErrorInfo()
    assert infos[0].Unpack(info)
    assert info.domain == "llm-pool"
    texts = [told.message, *info.metadata.keys(), *info.metadata.values()]
    assert all(text.isascii() for text in texts)
    return info


async def drained(call: Any) -> None:
    async for _ in call:
        pass


@pytest.mark.parametrize(
    ("path", "stream"),
    [(f"{SERVICE}/Infer", False), (f"{SERVICE}/StreamInfer", True), ("/grpc.health.v1.Health/Check", False)],
)
async def test_bytes_that_do_not_decode_are_refused_in_fixed_words(path: str, stream: bool) -> None:
    """Not in protobuf's words, which would say where in the caller's bytes it stumbled."""
    async with running_pool(SIM) as up:
        call = drained(streaming(up, path)(iter([GARBAGE]))) if stream else unary(up, path)(GARBAGE)
        error = await refused(call)
        lines = await up.lines(1)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details() == "the request message cannot be decoded"
    assert info_of(error).reason == "INVALID_REQUEST"
    assert (lines[0]["route"], lines[0]["status"], lines[0]["outcome"]) == (path, "INVALID_ARGUMENT", "INVALID_REQUEST")


async def test_bytes_within_a_stream_that_do_not_decode_are_refused_too() -> None:
    """Reflection is the one service that reads a stream."""
    async with running_pool(SIM) as up:
        call = streaming(up, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        error = await refused(drained(call(iter([GARBAGE]))))
        lines = await up.lines(1)
    assert (error.code(), error.details()) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "the request message cannot be decoded",
    )
    assert lines[0]["outcome"] == "INVALID_REQUEST"


async def test_fields_that_we_do_not_know_are_ignored() -> None:
    """A newer client may send them; the strict rule is for JSON, where a name may be mistyped."""
    async with running_pool(SIM) as up:
        raw = pb.InferRequest(prompt="hi").SerializeToString() + b"\xfa\x3e\x03new"  # field 1007
        answer = pb.InferResponse.FromString(await unary(up, f"{SERVICE}/Infer")(raw))
    assert answer.finish_reason == "stop"


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "stream"])
async def test_a_bug_is_internal_and_a_request_id_and_nothing_else(
    whole: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """grpc.aio on its own would send the exception's text."""
    async with pool_of(SIM, {"one": Buggy()}) as pool, serving(pool) as up:
        if whole:
            error = await refused(up.stub.Infer(pb.InferRequest(prompt="hi")))
        else:
            error = await refused(drained(up.stub.StreamInfer(pb.StreamInferRequest(prompt="hi"))))
        lines = await up.lines(1)
    told_nothing_but_the_id(error, lines[0], caplog)


async def test_a_bug_in_the_middle_of_a_stream_ends_it_so_too(caplog: pytest.LogCaptureFixture) -> None:
    said: list[str] = []

    async def hear(up: Up) -> None:
        async for response in up.stub.StreamInfer(pb.StreamInferRequest(prompt="hi")):
            said.append(str(response.WhichOneof("event")))

    buggy = Buggy(Started("m", "sim"), TextDelta("Hel"), TextDelta("lo"))
    async with pool_of(SIM, {"one": buggy}) as pool, serving(pool) as up:
        error = await refused(hear(up))
        lines = await up.lines(1)
    assert said == ["started", "text", "text"]
    told_nothing_but_the_id(error, lines[0], caplog)


def told_nothing_but_the_id(
    error: grpc.aio.AioRpcError, line: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    info = info_of(error)
    assert (error.code(), error.details()) == (grpc.StatusCode.INTERNAL, "internal error")
    assert dict(info.metadata) == {"request_id": line["request_id"]}
    assert (info.reason, line["status"], line["outcome"]) == ("INTERNAL", "INTERNAL", "INTERNAL")
    assert PRIVATE not in f"{error!r} {error.debug_error_string()}"
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert vars(record)["fields"] == {"request_id": line["request_id"]}


@pytest.mark.parametrize("path", [f"{SERVICE}/Nothing", "/evil.Service/Evil", "/x", "/"])
async def test_an_unknown_method_is_unimplemented_and_written_down_without_its_name(path: str) -> None:
    """The name is the caller's text, and no label of ours."""
    async with running_pool(SIM) as up:
        error = await refused(unary(up, path)(b""))
        lines = await up.lines(1)
        assert b"vil" not in up.pool.metrics.render()
    assert (error.code(), error.details()) == (grpc.StatusCode.UNIMPLEMENTED, "no such method")
    assert info_of(error).reason == "METHOD_NOT_ALLOWED"
    assert (lines[0]["route"], lines[0]["status"]) == ("unmatched", "UNIMPLEMENTED")


async def test_an_unknown_method_that_streams_is_unimplemented_too() -> None:
    async with running_pool(SIM) as up:
        error = await refused(drained(streaming(up, f"{SERVICE}/Nothing")(iter([b""]))))
        await up.lines(1)
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


# --- The request id ---------------------------------------------------------------------------------------------


async def test_every_answer_carries_the_request_id() -> None:
    """Answers, streams, refusals, and what services that are not ours say."""
    async with running_pool(SIM) as up:
        sent = (("x-request-id", "mine-1"),)
        whole = up.stub.Infer(pb.InferRequest(prompt="hi"), metadata=sent)
        stream = up.stub.StreamInfer(pb.StreamInferRequest(prompt="hi"), metadata=sent)
        listed = up.stub.ListModels(pb.ListModelsRequest(), metadata=sent)
        health = HealthStub(up.channel)
        checked = health.Check(health_pb2.HealthCheckRequest(), metadata=sent)
        assert (await whole).request_id == "mine-1"
        await drained(stream)
        await listed
        await checked
        for call in (whole, stream, listed, checked):
            assert list(await call.trailing_metadata()) == [("x-request-id", "mine-1")]
        for failing in (
            up.stub.Infer(pb.InferRequest(), metadata=sent),
            up.stub.Infer(pb.InferRequest(prompt="hi", task="no"), metadata=sent),
            unary(up, "/x")(b"", metadata=sent),
            health.Check(health_pb2.HealthCheckRequest(service="no"), metadata=sent),
        ):
            assert trailing(await refused(failing))["x-request-id"] == "mine-1"
        assert {line["request_id"] for line in await up.lines(8)} == {"mine-1"}


@pytest.mark.parametrize("sent", ["", "x" * 129, "a b", "-a", "a/../b", "a=b;c"])
async def test_a_malformed_request_id_is_replaced(sent: str) -> None:
    async with running_pool(SIM) as up:
        call = up.stub.Infer(pb.InferRequest(prompt="hi"), metadata=(("x-request-id", sent),))
        answer = await call
        assert MADE.fullmatch(answer.request_id)
        assert list(await call.trailing_metadata()) == [("x-request-id", answer.request_id)]


# --- Limits -----------------------------------------------------------------------------------------------------


async def test_details_stay_small_whatever_they_tell() -> None:
    """Twelve providers with the longest names, and a caller's longest request id and model."""
    tables = "".join(
        f'[[providers]]\nname = "{chr(97 + index) * 64}"\ndriver = "sim"\nmodel = "{"m" * 200}"\n'
        'sim.fail_rate = 1.0\nsim.fail_with = "misconfigured"\n'
        for index in range(12)
    )
    async with running_pool(tables) as up:
        error = await refused(up.stub.Infer(pb.InferRequest(prompt="hi", request_id="r" * 128)))
        info = info_of(error)
        assert info.reason == "ALL_PROVIDERS_FAILED"
        assert info.metadata["request_id"] == "r" * 128
        error = await refused(up.stub.Infer(pb.InferRequest(prompt="hi", model="世" * 256, request_id="r" * 128)))
        assert info_of(error).reason == "UNKNOWN_MODEL"
        wrong = pb.InferRequest(prompt="hi", max_tokens=0, temperature=9, deadline_ms=0, task="t" * 300)
        error = await refused(up.stub.Infer(wrong, metadata=(("x-request-id", "r" * 128),)))
        assert info_of(error).reason == "INVALID_REQUEST"


async def test_the_field_that_is_wrong_is_a_field_violation() -> None:
    async with running_pool(SIM) as up:
        error = await refused(up.stub.Infer(pb.InferRequest(prompt="hi", max_tokens=0)))
    packed = trailing(error)["grpc-status-details-bin"]
    assert isinstance(packed, bytes)
    [_, detail] = Status.FromString(packed).details
    violations = BadRequest()
    assert detail.Unpack(violations)
    [violation] = violations.field_violations
    assert (violation.field, violation.description) == ("max_tokens", error.details())


async def test_a_message_that_is_too_large_is_refused() -> None:
    async with running_pool(f"server.max_body_bytes = 65_536\nqos.max_prompt_bytes = 1_000_000\n{SIM}") as up:
        assert (await up.stub.Infer(pb.InferRequest(prompt="x" * 60_000))).finish_reason == "stop"
        error = await refused(up.stub.Infer(pb.InferRequest(prompt="x" * 70_000)))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (await up.stub.Infer(pb.InferRequest(prompt="x"))).finish_reason == "stop"


async def test_the_rpc_s_own_deadline_is_clamped_where_deadline_ms_would_be_refused() -> None:
    """A client library's default of a minute is no mistake of the caller's; the smallest of all limits wins."""
    async with running_pool(f"[qos]\ndefault_deadline_ms = 150\nmax_deadline_ms = 300\n{SILENT}") as up:

        async def took(*, timeout: float | None, deadline_ms: int | None) -> float:  # noqa: ASYNC109 - of the RPC
            loop = asyncio.get_running_loop()
            started = loop.time()
            error = await refused(up.stub.Infer(pb.InferRequest(prompt="hi", deadline_ms=deadline_ms), timeout=timeout))
            assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            return loop.time() - started

        assert 0.14 < await took(timeout=None, deadline_ms=None) < 0.25
        assert 0.29 < await took(timeout=60, deadline_ms=None) < 0.4
        assert 0.09 < await took(timeout=60, deadline_ms=100) < 0.2
        assert 0.09 < await took(timeout=0.1, deadline_ms=300) < 0.2
        lines = await up.lines(4)
    assert {(line["status"], line["outcome"]) for line in lines} == {("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")}
