"""Embeddings as the official clients get them: as numbers, and packed, as they ask for by default."""

from __future__ import annotations

import base64
import struct
from typing import Any

import openai
import orjson
import pytest

from llm_pool.core.errors import InvalidRequest
from llm_pool.core.types import Finished, Started, Usage
from llm_pool.edges.http.openai.embeddings import MOST_INPUTS, EmbeddingsDoor
from tests.edges.openai.asking import client_of, in_thread, scripted
from tests.running import SIM, running_pool
from tests.scripted import Scripted

pytestmark = pytest.mark.real_time

MODEL = "sim/m"


async def test_vectors_come_in_the_order_of_their_inputs() -> None:
    async with running_pool(SIM) as up, client_of(up) as client:
        both = await client.embeddings.create(model=MODEL, input=["a cat", "two dogs"], encoding_format="float")
        dogs = await client.embeddings.create(model=MODEL, input="two dogs", encoding_format="float")
    assert [each.index for each in both.data] == [0, 1]
    assert both.data[1].embedding == dogs.data[0].embedding != both.data[0].embedding
    assert (both.object, both.model, both.data[0].object) == ("list", MODEL, "embedding")
    assert (both.usage.prompt_tokens, both.usage.total_tokens) == (4, 4)


async def test_packed_vectors_are_the_same_but_for_their_precision() -> None:
    """The client asks for them by itself, and unpacks them."""
    async with running_pool(SIM) as up, client_of(up) as client:
        packed = await client.embeddings.create(model=MODEL, input="a cat")
        exact = await client.embeddings.create(model=MODEL, input="a cat", encoding_format="float")
        sync = await in_thread(up, lambda client: client.embeddings.create(model=MODEL, input="a cat"))
        body = {"model": MODEL, "input": "a cat", "encoding_format": "base64"}
        async with up.http.post("/v1/embeddings", json=body) as response:
            raw = (await response.json())["data"][0]["embedding"]
    told = exact.data[0].embedding
    assert packed.data[0].embedding == sync.data[0].embedding == pytest.approx(told, abs=1e-6)
    assert list(struct.unpack(f"<{len(told)}f", base64.b64decode(raw))) == pytest.approx(told, abs=1e-6)


class Long(Scripted):
    """Whose vectors have this number in them."""

    def __init__(self, number: float) -> None:
        super().__init__(Started(MODEL, "one"), Finished("stop", Usage(), vectors=((1.0, number),)))

    embed = Scripted.chat


@pytest.mark.parametrize("number", [1e300, -1e39, 3.5e38])
async def test_a_number_that_cannot_be_packed_is_no_infinity(number: float) -> None:
    async with scripted(provider=Long(number)) as (up, _), client_of(up) as client:
        with pytest.raises(openai.InternalServerError, match="one sent a number that does not fit") as raised:
            await client.embeddings.create(model=MODEL, input="a cat")
        exact = await client.embeddings.create(model=MODEL, input="a cat", encoding_format="float")
    assert (raised.value.status_code, raised.value.code) == (502, "provider_garbled")
    assert exact.data[0].embedding == [1.0, number]


async def test_the_largest_numbers_that_can_be_packed_are() -> None:
    most = float.fromhex("0x1.fffffep+127")
    async with scripted(provider=Long(most)) as (up, _), client_of(up) as client:
        answer = await client.embeddings.create(model=MODEL, input=["a cat"])
    assert answer.data[0].embedding == [1.0, most]


async def test_dimensions_reach_the_provider() -> None:
    async with running_pool(SIM) as up, client_of(up) as client:
        answer = await client.embeddings.create(model=MODEL, input="a cat", dimensions=3, user="u-17")
    assert len(answer.data[0].embedding) == 3


async def test_tokens_may_be_given_instead_of_texts() -> None:
    async with running_pool(SIM) as up, client_of(up) as client:
        one = await client.embeddings.create(model=MODEL, input=[1, 2, 3])
        two = await client.embeddings.create(model=MODEL, input=[[1, 2, 3], [4]])
    assert len(one.data) == 1
    assert len(two.data) == 2
    assert one.data[0].embedding == two.data[0].embedding


async def test_an_unknown_model_is_not_found() -> None:
    async with running_pool(SIM) as up, client_of(up) as client:
        with pytest.raises(openai.NotFoundError) as raised:
            await client.embeddings.create(model="sim/n", input="x")
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ("", "input"),
        ([], "input"),
        ([""], "input.0"),
        (["a", ""], "input.1"),
        (["a", 5], "input.1"),
        ([[1], []], "input.1"),
        ([-1], "input.0"),
        ([True], "input.0"),
        ({"text": "a"}, "input"),
        (None, "input"),
        (["a"] * (MOST_INPUTS + 1), "input"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_cannot_be_embedded_is_refused_by_its_place(wrong: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        EmbeddingsDoor().parsed(orjson.dumps({"model": MODEL, "input": wrong}))
    assert raised.value.field == param
    assert raised.value.message.startswith(f"{param}: ")


def test_as_many_inputs_as_openai_takes_are_taken() -> None:
    asked = EmbeddingsDoor().parsed(orjson.dumps({"model": MODEL, "input": ["a"] * MOST_INPUTS, "user": None}))
    assert len(asked.inputs) == MOST_INPUTS
