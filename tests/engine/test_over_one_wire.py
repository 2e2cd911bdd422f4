"""What one of the engine's wires can and the other cannot: how likely tokens were, and a schema for the answer."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from openai import InternalServerError
from pydantic import BaseModel

from tests.engine.models import CHAIN, TEXT
from tests.engine.pooled import pooled

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam

pytestmark = [pytest.mark.engine, pytest.mark.real_time]

SAID: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Say what you always say."}]
WORDS = TEXT.split()


async def test_a_wire_that_cannot_tell_how_likely_tokens_were_says_so() -> None:
    async with pooled(CHAIN, wire="anthropic") as up, up.openai() as client:
        answer = await client.chat.completions.with_raw_response.create(model=up.model, messages=SAID, logprobs=True)
    assert answer.headers["x-llm-pool-warnings"] == "parameter_ignored"
    assert answer.parse().choices[0].message.content == TEXT


async def test_how_likely_each_token_was_is_told() -> None:
    async with pooled(CHAIN, wire="openai") as up, up.openai() as client:
        answer = await client.chat.completions.create(model=up.model, messages=SAID, logprobs=True, top_logprobs=2)
    told = answer.choices[0].logprobs
    assert told
    assert told.content
    assert [each.token for each in told.content] == ["Small", *(f" {word}" for word in WORDS[1:])]
    for each in told.content:
        assert math.isclose(each.logprob, 0.0, abs_tol=1e-3)
        assert bytes(each.bytes or []).decode() == each.token
        assert each.top_logprobs[0].token == each.token
        assert len(each.top_logprobs) == 2
        assert each.top_logprobs[1].logprob < -10


class Choice(BaseModel):
    right: bool


async def test_an_answer_fits_the_schema_that_it_was_asked_for() -> None:
    """The engine obeys a grammar made of the schema: the model by itself would have said its sentence."""
    schema = {**Choice.model_json_schema(), "additionalProperties": False}
    async with pooled(CHAIN, wire="openai") as up, up.openai() as client:
        answer = await client.chat.completions.create(
            model=up.model,
            messages=SAID,
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "choice", "strict": True, "schema": schema},
            },
        )
        parsed = await client.chat.completions.parse(model=up.model, messages=SAID, response_format=Choice)
    assert set(json.loads(answer.choices[0].message.content or "")) == {"right"}
    assert isinstance(parsed.choices[0].message.parsed, Choice)


async def test_an_answer_that_does_not_fit_its_schema_is_none() -> None:
    """Over Anthropic's wire the engine takes no schema, and the model says its sentence."""
    schema = {**Choice.model_json_schema(), "additionalProperties": False}
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "choice", "strict": True, "schema": schema}}
    async with pooled(CHAIN, wire="anthropic") as up, up.openai() as client:
        with pytest.raises(InternalServerError) as failed:
            await client.chat.completions.create(model=up.model, messages=SAID, response_format=wanted)
    assert (failed.value.status_code, failed.value.code) == (502, "invalid_output")
