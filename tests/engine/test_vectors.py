"""Embeddings and counts of the real engine: vectors as numbers and as base64, tokens as the engine counts them."""

from __future__ import annotations

import base64
import math
import struct
from typing import TYPE_CHECKING

import openai
import pytest

from tests.engine.models import CHAIN, GIBBERISH
from tests.engine.pooled import pooled

if TYPE_CHECKING:
    from anthropic.types import MessageParam

# Not strict: base64, which the client asks for by itself, is not in its own types.
pytestmark = [pytest.mark.engine, pytest.mark.real_time]

TEXTS = ["one text", "and another one"]


async def test_a_text_has_the_same_vector_as_numbers_and_as_base64() -> None:
    async with pooled(GIBBERISH, embeddings=True) as up, up.openai(strict=False) as client:
        floats = await client.embeddings.create(model=up.model, input=TEXTS, encoding_format="float")
        coded = await client.embeddings.create(model=up.model, input=TEXTS, encoding_format="base64")
        usual = await client.embeddings.create(model=up.model, input=TEXTS)  # the client asks for base64 and decodes it
    assert [each.index for each in floats.data] == [0, 1]
    for number, coded_one, usual_one in zip(floats.data, coded.data, usual.data, strict=True):
        text: object = coded_one.embedding  # the client's types know only what it decodes itself
        assert isinstance(text, str)
        packed = base64.b64decode(text)
        assert list(struct.unpack(f"<{len(packed) // 4}f", packed)) == usual_one.embedding
        assert number.embedding == pytest.approx(usual_one.embedding, abs=1e-6)
        assert math.isclose(math.hypot(*number.embedding), 1.0, abs_tol=1e-3)
    assert floats.data[0].embedding != floats.data[1].embedding
    assert floats.usage.prompt_tokens == floats.usage.total_tokens > len(TEXTS)


async def test_one_text_and_tokens_have_vectors_too() -> None:
    async with pooled(GIBBERISH, embeddings=True) as up, up.openai(strict=False) as client:
        one = await client.embeddings.create(model=up.model, input=TEXTS[0])
        listed = await client.embeddings.create(model=up.model, input=[TEXTS[0]])
        tokens = await client.embeddings.create(model=up.model, input=[[10, 11, 12], [13]])
    assert one.data[0].embedding == listed.data[0].embedding
    assert len(tokens.data) == 2


async def test_an_engine_without_vectors_refuses_the_request() -> None:
    async with pooled(GIBBERISH) as up, up.openai() as client:
        with pytest.raises(openai.BadRequestError, match="does not do what is asked") as caught:
            await client.embeddings.create(model=up.model, input=TEXTS)
    assert "--embeddings" not in caught.value.message


async def test_a_question_is_counted_as_the_engine_will_count_it() -> None:
    question: list[MessageParam] = [{"role": "user", "content": "Say it."}]
    async with pooled(CHAIN, wire="anthropic") as up, up.anthropic() as client:
        counted = await client.messages.count_tokens(model=up.model, system="Be yourself.", messages=question)
        answer = await client.messages.create(model=up.model, max_tokens=50, system="Be yourself.", messages=question)
    assert counted.input_tokens == answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0)


async def test_a_wire_that_cannot_count_gets_an_estimate() -> None:
    async with pooled(CHAIN, wire="openai") as up, up.anthropic() as client:
        counted = await client.messages.count_tokens(
            model=up.model, system="Be yourself.", messages=[{"role": "user", "content": "Say it."}]
        )
    assert counted.input_tokens == 5  # four characters to a token
