"""The gRPC edge: services, limits, and a listener that lives as long as its block."""

from __future__ import annotations

import asyncio
import errno
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from llm_pool.config.settings import split_address
from llm_pool.edges.grpc.guard import Guard
from llm_pool.edges.grpc.service import PoolService
from llm_pool.edges.readiness import not_ready
from llm_pool.v1 import pool_service_pb2
from llm_pool.v1.pool_service_pb2_grpc import add_LLMPoolServiceServicer_to_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from llm_pool.edges.readiness import Lifecycle
    from llm_pool.pool import Pool

SERVICE = pool_service_pb2.DESCRIPTOR.services_by_name["LLMPoolService"].full_name
MOST_BYTES = 2**31 - 1
LOOK_EVERY = 0.25  # seconds between two looks at readiness, for those who watch grpc.health.v1


class Edge:
    """A running gRPC server."""

    def __init__(self, server: grpc.aio.Server, lifecycle: Lifecycle, address: str, *, drain: float) -> None:
        self.address = address
        self._server = server
        self._lifecycle = lifecycle
        self._drain = drain

    async def stop(self) -> None:
        """GOAWAY; then wait for what is in flight, at most `drain_ms`, and cancel the rest."""
        self._lifecycle.cut_at = min(self._lifecycle.cut_at, asyncio.get_running_loop().time() + self._drain)
        await self._server.stop(self._drain)

    async def cut(self) -> None:
        """Cancel what is in flight. `stop` may have been called, and cancelled."""
        self._lifecycle.cut_at = asyncio.get_running_loop().time()
        await self._server.stop(0)


@asynccontextmanager
async def serve(pool: Pool, lifecycle: Lifecycle) -> AsyncIterator[Edge]:
    """Listen on `server.grpc_addr` for the length of the block. Raises OSError where that is not possible."""
    settings = pool.settings.server
    host, port = split_address(settings.grpc_addr)
    server = grpc.aio.server(
        interceptors=[Guard(pool, lifecycle)],
        options=[
            # On, a second pool would silently share the port.
            ("grpc.so_reuseport", 0),
            # What is a little too large is refused by us, with a request id and a line in the log; what is far too
            # large by gRPC, which tells us nothing.
            ("grpc.max_receive_message_length", min(2 * settings.max_body_bytes, MOST_BYTES)),
            ("grpc.max_send_message_length", -1),
        ],
    )
    add_LLMPoolServiceServicer_to_server(PoolService(pool), server)
    healths = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healths, server)
    reflection.enable_server_reflection([SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    shown = f"[{host}]" if ":" in host else host
    try:
        bound = server.add_insecure_port(f"{shown}:{port}")
    except RuntimeError as error:  # all that grpc says
        raise OSError(errno.EADDRINUSE, "the port is taken") from error
    await server.start()
    edge = Edge(server, lifecycle, f"{shown}:{bound}", drain=settings.drain_ms / 1000)
    telling = asyncio.create_task(_tell(healths, pool, lifecycle))
    try:
        yield edge
    finally:
        telling.cancel()
        with suppress(asyncio.CancelledError):
            await telling
        await edge.stop()


async def _tell(healths: health.aio.HealthServicer, pool: Pool, lifecycle: Lifecycle) -> None:
    """Keep grpc.health.v1 saying what /readyz says."""
    states = health_pb2.HealthCheckResponse
    while True:
        state = states.NOT_SERVING if not_ready(pool, lifecycle) else states.SERVING
        for service in ("", SERVICE):
            await healths.set(service, state)
        await asyncio.sleep(LOOK_EVERY)
