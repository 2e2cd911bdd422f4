"""`Embed`: the vectors of texts, from the model that is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest

from llm_pool.core.types import Finished, Started, Usage
from llm_pool.v1 import pool_service_pb2 as pb
from tests.edges.both import failed
from tests.running import SIM, pool_of, serving
from tests.scripted import Scripted

if TYPE_CHECKING:
    from llm_pool.core.streams import Answering
    from llm_pool.core.types import Request

pytestmark = pytest.mark.real_time


class Embedding(Scripted):
    """One that makes vectors, too."""

    def embed(self, request: Request) -> Answering:
        vectors = tuple((float(len(str(text))), 0.5) for text in request.inputs)
        self.steps = [Started("sim/m", "one"), Finished("stop", Usage(input=4), vectors=vectors)]
        return self.chat(request)


async def test_there_is_one_vector_for_each_text_in_their_order() -> None:
    provider = Embedding()
    async with pool_of(SIM, {"one": provider}) as pool, serving(pool) as up:
        asked = pb.EmbedRequest(
            model="sim/m", inputs=["a", "abc"], dimensions=2, request_id="one", project_id="p", meta={"user": "ann"}
        )
        told = await up.stub.Embed(asked)
        [line] = await up.lines(1)
    assert [list(each.values) for each in told.embeddings] == [[1.0, 0.5], [3.0, 0.5]]
    assert (told.request_id, told.winner_model, told.usage.input_tokens) == ("one", "sim/m", 4)
    assert (told.decision.winner, len(told.decision.voices)) == ("one", 1)
    assert told.duration.nanos > 0
    [request] = provider.requests
    assert (request.operation, request.inputs, request.dimensions) == ("embed", ("a", "abc"), 2)
    assert (dict(request.meta), request.caller.project) == ({"user": "ann"}, "p")
    assert (line["request_id"], line["status"], line["winner_model"]) == ("one", "OK", "sim/m")


@pytest.mark.parametrize(
    ("more", "status", "code", "field"),
    [
        ({"model": ""}, 400, "INVALID_REQUEST", "model"),
        ({"inputs": []}, 400, "INVALID_REQUEST", "inputs"),
        ({"inputs": ["a", ""]}, 400, "INVALID_REQUEST", "inputs.1"),
        ({"dimensions": 0}, 400, "INVALID_REQUEST", "dimensions"),
        ({"deadline_ms": 0}, 400, "INVALID_REQUEST", "deadline_ms"),
        ({"request_id": "a b"}, 400, "INVALID_REQUEST", "request_id"),
        ({"tenant_id": "other"}, 403, "FORBIDDEN", "tenant_id"),
        ({"model": "sim/n"}, 404, "UNKNOWN_MODEL", "model"),
    ],
    ids=str,
)
async def test_what_is_wrong_is_named(more: dict[str, Any], status: int, code: str, field: str) -> None:
    async with pool_of(SIM, {"one": Embedding()}) as pool, serving(pool) as up:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await up.stub.Embed(pb.EmbedRequest(**{"model": "sim/m", "inputs": ["a"], **more}))
    told = failed(caught.value)
    assert (told["status"], told["error"]["code"], told["error"]["details"]["field"]) == (status, code, field)


async def test_who_makes_no_vectors_says_so() -> None:
    async with pool_of(SIM, {"one": Scripted()}) as pool, serving(pool) as up:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await up.stub.Embed(pb.EmbedRequest(model="sim/m", inputs=["a"]))
    told = failed(caught.value)
    assert (told["status"], told["error"]["code"]) == (400, "UNSUPPORTED_BY_PROVIDER")
