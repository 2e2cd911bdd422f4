"""`llm_pool.v1.LLMPoolService`. Handlers write, they do not yield: what a caller abandons ends in its own task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llm_pool.core.types import Started
from llm_pool.edges.bodies import EmbedBody, InferBody, checked
from llm_pool.edges.grpc.guard import ACCOUNT
from llm_pool.edges.grpc.translate import answered, embed_fields, embedded, fields, streamed
from llm_pool.edges.wire import to_embedding, to_request
from llm_pool.v1 import pool_service_pb2 as pb
from llm_pool.v1.pool_service_pb2_grpc import LLMPoolServiceServicer

if TYPE_CHECKING:
    import grpc

    from llm_pool.pool import Pool

    Context = grpc.aio.ServicerContext[Any, Any]


class PoolService(LLMPoolServiceServicer):
    # ruff: noqa: N802 - the names of methods are the wire's

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def Infer(self, request: pb.InferRequest, context: Context) -> pb.InferResponse:
        account = ACCOUNT.get()
        body = checked(InferBody, fields(request))
        asked = to_request(body, self._pool, account, whole=True, remaining=context.time_remaining())
        return answered(asked, account, await self._pool.infer(asked))

    async def StreamInfer(  # type: ignore[override] # the stubs know only handlers that yield
        self, request: pb.StreamInferRequest, context: Context
    ) -> None:
        account = ACCOUNT.get()
        body = checked(InferBody, fields(request))
        asked = to_request(body, self._pool, account, whole=False, remaining=context.time_remaining())
        model = ""
        async with self._pool.open(asked) as events:
            async for event in events:
                if isinstance(event, Started):
                    model = event.model
                await context.write(streamed(event, asked, account, model=model))

    async def Embed(self, request: pb.EmbedRequest, context: Context) -> pb.EmbedResponse:
        account = ACCOUNT.get()
        body = checked(EmbedBody, embed_fields(request))
        asked = to_embedding(body, self._pool, account, remaining=context.time_remaining())
        return embedded(asked, account, await self._pool.infer(asked))

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:
        return pb.ListModelsResponse(
            models=[pb.Model(id=model, owned_by=model.partition("/")[0]) for model in self._pool.catalog.model_ids]
        )
