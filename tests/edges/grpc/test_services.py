"""The services beside our own: grpc.health.v1 says what /readyz says, and reflection lists what there is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from tests.running import SIM, Up, running_pool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.real_time

OURS = "llm_pool.v1.LLMPoolService"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNREACHABLE = '[[providers]]\nname = "gone"\ndriver = "ollama"\nmodel = "m"\nbase_url = "http://127.0.0.1:9"\n'


async def state(up: Up, service: str = "") -> Any:
    return (await HealthStub(up.channel).Check(health_pb2.HealthCheckRequest(service=service))).status


async def becomes(up: Up, wanted: Any, service: str = "") -> None:
    """It is told a moment later: it is looked at a few times a second."""
    async with asyncio.timeout(2):
        while await state(up, service) != wanted:  # noqa: ASYNC110 - it is the server's to tell
            await asyncio.sleep(0.01)


async def test_health_follows_readiness() -> None:
    """Of the server as a whole and of our service."""
    async with running_pool(SIM) as up:
        for draining, wanted in ((False, SERVING), (True, NOT_SERVING), (False, SERVING)):
            up.lifecycle.draining = draining
            for service in ("", OURS):
                await becomes(up, wanted, service)


async def test_a_pool_without_a_usable_provider_does_not_serve() -> None:
    async with running_pool(UNREACHABLE) as up:
        await becomes(up, NOT_SERVING)


async def test_a_service_that_we_do_not_have_is_not_found() -> None:
    async with running_pool(SIM) as up:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await state(up, "no.such.Service")
        lines = await up.lines(1)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert (lines[0]["status"], lines[0]["outcome"]) == ("NOT_FOUND", "NOT_FOUND")


async def test_a_watcher_is_told_of_each_change() -> None:
    """And one who stops watching leaves nothing behind."""
    async with running_pool(SIM) as up:
        await becomes(up, SERVING)
        watch = HealthStub(up.channel).Watch(health_pb2.HealthCheckRequest(service=OURS))
        async with asyncio.timeout(2):
            assert (await watch.read()).status == SERVING
            up.lifecycle.draining = True
            assert (await watch.read()).status == NOT_SERVING
            up.lifecycle.draining = False
            assert (await watch.read()).status == SERVING
        before = len(up.access)
        watch.cancel()
        lines = await up.lines(before + 1)
    assert (lines[-1]["route"], lines[-1]["status"]) == ("/grpc.health.v1.Health/Watch", "CANCELLED")


async def test_a_watcher_does_not_hold_up_the_end() -> None:
    """The edge closes while somebody watches, who learns of it."""
    async with running_pool(f"server.drain_ms = 50\n{SIM}") as up:
        watch = HealthStub(up.channel).Watch(health_pb2.HealthCheckRequest())
        await watch.read()


async def reflected(up: Up, **asked: str) -> Any:
    async def ask() -> AsyncIterator[Any]:
        yield reflection_pb2.ServerReflectionRequest(**asked)

    async for response in ServerReflectionStub(up.channel).ServerReflectionInfo(ask()):
        return response
    raise AssertionError("it said nothing")


async def test_reflection_lists_the_services_and_describes_ours() -> None:
    """So `grpcurl` needs no proto file."""
    async with running_pool(SIM) as up:
        listed = await reflected(up, list_services="")
        described = await reflected(up, file_containing_symbol=OURS)
    names = {service.name for service in listed.list_services_response.service}
    assert names == {OURS, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
    files = [FileDescriptorProto.FromString(each) for each in described.file_descriptor_response.file_descriptor_proto]
    [service] = [service for file in files for service in file.service if service.name == "LLMPoolService"]
    assert [method.name for method in service.method] == ["Infer", "StreamInfer", "Embed", "ListModels"]
