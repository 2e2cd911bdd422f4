"""OpenAI's Responses over the real engine: whole, streamed, and through the client's own helper."""

from __future__ import annotations

import pytest

from tests.engine.models import CHAIN, TEXT
from tests.engine.pooled import WIRES, Wire, pooled

pytestmark = [pytest.mark.engine, pytest.mark.real_time, pytest.mark.parametrize("wire", WIRES)]

QUESTION = "Say what you always say."
OUTPUT = len(TEXT.split()) + 1


async def test_a_response_is_the_models_to_the_letter(wire: Wire) -> None:
    async with pooled(CHAIN, wire=wire) as up, up.openai() as client:
        response = await client.responses.create(
            model=up.model, instructions="Be yourself.", input=QUESTION, store=False
        )
    assert response.output_text == TEXT
    assert (response.object, response.status) == ("response", "completed")
    assert response.usage
    assert response.usage.output_tokens == OUTPUT
    assert response.usage.total_tokens == response.usage.input_tokens + OUTPUT


async def test_a_streamed_response_numbers_its_events_and_adds_up(wire: Wire) -> None:
    async with pooled(CHAIN, wire=wire) as up, up.openai() as client:
        stream = await client.responses.create(model=up.model, input=QUESTION, stream=True, store=False)
        events = [event async for event in stream]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created"
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == TEXT
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.output_text == TEXT


async def test_the_clients_helper_adds_a_response_up(wire: Wire) -> None:
    async with (
        pooled(CHAIN, wire=wire) as up,
        up.openai() as client,
        client.responses.stream(model=up.model, input=QUESTION, store=False) as stream,
    ):
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert final.output_text == TEXT
    assert kinds.count("response.output_text.delta") == len(TEXT.split())


async def test_a_response_cut_short_is_incomplete(wire: Wire) -> None:
    async with pooled(CHAIN, wire=wire) as up, up.openai() as client:
        # The API's least is 16; the pool passes on what it is asked for.
        response = await client.responses.create(model=up.model, input=QUESTION, max_output_tokens=3, store=False)
    assert response.status == "incomplete"
    assert response.incomplete_details
    assert response.incomplete_details.reason == "max_output_tokens"
