"""`POST /v1/responses` as OpenAI's own client sees it: whole answers, streams, structured ones, and refusals."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import openai
import pytest
from openai.types.responses import Response
from pydantic import BaseModel

from llm_pool.core import errors
from llm_pool.core.types import Finished, Logprob, Message, Sampling, Text, TextDelta, Usage, Warning
from tests.edges.openai.responding import (
    MODEL,
    STARTED,
    TALKATIVE,
    USAGE,
    WEATHER,
    asking,
    asking_pool,
    hold,
    lasting,
)
from tests.running import SIM

if TYPE_CHECKING:
    from openai import OpenAI

pytestmark = pytest.mark.real_time

HI: Any = {"model": MODEL, "input": "hi"}


class Weather(BaseModel):
    place: str
    degrees: int


# --- Whole ------------------------------------------------------------------------------------------------------


async def test_the_client_gets_an_answer_whole() -> None:
    async with asking_pool(SIM) as asked:
        response = await asked.client.responses.create(**HI)
        again = await asked.sync(lambda client: client.responses.create(**HI))
    assert response.output_text == "One two three four five."
    assert (response.status, response.model, response.object) == ("completed", MODEL, "response")
    assert abs(response.created_at - time.time()) < 60
    assert response.id.startswith("resp_")
    assert lasting(again) == lasting(response)


async def test_every_field_that_the_client_s_types_require_is_there() -> None:
    """The client itself takes whatever comes: here its types are held to."""
    async with asking(*TALKATIVE) as asked:
        told = await asked.post(tools=[WEATHER])
    response = Response.model_validate(told)
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call", "function_call"]


async def test_usage_is_counted_as_openai_counts_it() -> None:
    """Its totals hold their details; ours are buckets beside each other."""
    async with asking(STARTED, TextDelta("hi"), Finished("stop", USAGE)) as asked:
        usage = (await asked.client.responses.create(**HI)).usage
    assert usage is not None
    assert usage.to_dict() == {
        "input_tokens": 16,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
        "output_tokens": 10,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 26,
    }


@pytest.mark.parametrize(("reason", "told"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
async def test_an_answer_that_was_cut_is_incomplete(reason: Any, told: str) -> None:
    async with asking(STARTED, TextDelta("One tw"), Finished(reason, Usage())) as asked:
        response = await asked.client.responses.create(**HI)
        stream = await asked.client.responses.create(**HI, stream=True)
        *_, last = [event async for event in stream]
    assert (response.status, response.output_text) == ("incomplete", "One tw")
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == told
    assert response.output[-1].to_dict()["status"] == "incomplete"
    assert last.type == "response.incomplete"
    assert lasting(last.response) == lasting(response)


async def test_what_was_asked_for_is_echoed() -> None:
    asks: Any = {
        "instructions": "Be brief.",
        "max_output_tokens": 50,
        "metadata": {"a": "b"},
        "parallel_tool_calls": False,
        "reasoning": {"effort": "low", "summary": "auto"},
        "safety_identifier": "ann",
        "temperature": 0.5,
        "tool_choice": {"type": "function", "name": "weather"},
        "tools": [WEATHER],
        "top_p": 0.9,
        "user": "bob",
    }
    async with asking() as asked:
        told = (await asked.client.responses.create(**HI, **asks)).to_dict()
    assert {name: told[name] for name in asks} == asks
    assert (told["store"], told["background"], told["previous_response_id"]) == (False, False, None)
    assert told["text"] == {"format": {"type": "text"}}


async def test_log_probabilities_come_with_the_text() -> None:
    tokens = (Logprob("Hé", -0.1, None, (Logprob("Hé", -0.1), Logprob("H", -2.5, (72,)))), Logprob("y", -0.2, (121,)))
    steps = (STARTED, TextDelta("Hé", tokens[:1]), TextDelta("y", tokens[1:]), Finished("stop", Usage()))
    include: Any = ["message.output_text.logprobs"]
    async with asking(*steps) as asked:
        response = await asked.client.responses.create(**HI, include=include, top_logprobs=2)
        async with asked.client.responses.stream(**HI, include=include) as stream:
            deltas = [event async for event in stream if event.type == "response.output_text.delta"]
            final = await stream.get_final_response()
        assert [request.sampling.logprobs for request in asked.provider.requests] == [2, 0]
    assert response.output[0].to_dict()["content"][0]["logprobs"] == [
        {
            "token": "Hé",
            "logprob": -0.1,
            "bytes": [72, 195, 169],
            "top_logprobs": [
                {"token": "Hé", "logprob": -0.1, "bytes": [72, 195, 169]},
                {"token": "H", "logprob": -2.5, "bytes": [72]},
            ],
        },
        {"token": "y", "logprob": -0.2, "bytes": [121], "top_logprobs": []},
    ]
    assert [[each.token for each in delta.logprobs] for delta in deltas] == [["Hé"], ["y"]]
    assert (
        lasting(final)["output"][0]["content"][0]["logprobs"]
        == lasting(response)["output"][0]["content"][0]["logprobs"]
    )


# --- Streams ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [TALKATIVE, (STARTED, TextDelta("hi"), Finished("stop", USAGE))])
async def test_a_stream_added_up_is_the_whole_answer(steps: Any) -> None:
    async with asking(*steps) as asked:
        whole = await asked.client.responses.create(**HI, tools=[WEATHER])
        async with asked.client.responses.stream(**HI, tools=[WEATHER]) as stream:
            final = await stream.get_final_response()

        def blocking(client: OpenAI) -> Any:
            with client.responses.stream(**HI, tools=[WEATHER]) as stream:
                return stream.get_final_response()

        in_a_thread = await asked.sync(blocking)
    for each in (final, in_a_thread):
        told = lasting(each)  # what the helper has parsed for its caller was not on the wire
        for item in told["output"]:
            item.pop("parsed_arguments", None)
            for part in item.get("content") or ():
                part.pop("parsed", None)
        assert told == lasting(whole)
    arguments = [item.parsed_arguments for item in final.output if item.type == "function_call"]
    assert arguments == ([{"place": "Faro"}, {"place": "Évora"}] if steps is TALKATIVE else [])


async def test_every_event_is_one_of_the_client_s_types() -> None:
    async with asking(*TALKATIVE) as asked:
        told = await asked.events(tools=[WEATHER])
    held = [hold(event) for event in told]
    assert (held[0].type, held[-1].type) == ("response.created", "response.completed")


async def test_pieces_come_as_they_are_said() -> None:
    async with asking_pool(SIM) as asked:
        stream = await asked.client.responses.create(**HI, stream=True)
        pieces = [event.delta async for event in stream if event.type == "response.output_text.delta"]
    assert pieces == ["One ", "two ", "three ", "four ", "five."]


async def test_a_stream_that_breaks_raises_in_the_client() -> None:
    """Who only looks for deltas must not take what came for the whole."""
    broken = errors.StreamBroken("a: the answer broke off")
    async with asking(STARTED, TextDelta("One "), TextDelta("two "), broken) as asked:
        told = await asked.events()
        stream = await asked.client.responses.create(**HI, stream=True)
        heard = []
        with pytest.raises(openai.APIError, match="broke off") as raised:
            async for event in stream:
                heard.append(event.type)
        with pytest.raises(openai.APIError, match="broke off"):
            await asked.sync(lambda client: list(client.responses.create(**HI, stream=True)))
        async with asked.client.responses.stream(**HI) as helped:
            with pytest.raises(openai.APIError, match="broke off"):
                await helped.get_final_response()
    assert raised.value.code == "stream_broken"
    assert heard[-1] == "response.output_text.delta"
    assert [event["type"] for event in told].count("response.failed") == 1
    assert told[-1]["type"] == "response.failed"
    assert told[-1]["response"]["status"] == "failed"
    assert told[-1]["response"]["error"] == {"code": "server_error", "message": broken.message}
    hold(told[-1])


# --- Structured -------------------------------------------------------------------------------------------------


async def test_an_answer_is_parsed_into_what_its_caller_wants() -> None:
    said = '{"place": "Faro", "degrees": 31}'
    async with asking(STARTED, TextDelta(said), Finished("stop", Usage())) as asked:
        response = await asked.client.responses.parse(**HI, text_format=Weather)
        async with asked.client.responses.stream(**HI, text_format=Weather) as stream:
            final = await stream.get_final_response()
        spec = asked.provider.requests[0].spec
    assert response.output_parsed == final.output_parsed == Weather(place="Faro", degrees=31)
    assert spec is not None
    assert spec.problem({"place": "Faro"}) != ""
    assert spec.problem({"place": "Faro", "degrees": 1}) == ""


async def test_an_answer_that_does_not_fit_its_schema_is_none() -> None:
    async with asking(STARTED, TextDelta('{"place": 1}'), Finished("stop", Usage())) as asked:
        with pytest.raises(openai.InternalServerError) as raised:
            await asked.client.responses.parse(**HI, text_format=Weather)
    assert (raised.value.status_code, raised.value.code) == (502, "invalid_output")


async def test_an_answer_that_was_cut_before_it_could_fit_its_schema_is_incomplete() -> None:
    async with asking(STARTED, TextDelta('{"place": "Fa'), Finished("length", Usage())) as asked:
        form: Any = {"format": {"type": "json_schema", "name": "w", "schema": Weather.model_json_schema()}}
        response = await asked.client.responses.create(**HI, text=form)
        *_, last = await asked.events(text=form)
        assert asked.provider.opened == 2
    assert (response.status, response.output_text) == ("incomplete", '{"place": "Fa')
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert last["type"] == "response.incomplete"
    assert lasting(last["response"]) == lasting(response)


async def test_a_json_object_is_what_is_asked_for() -> None:
    async with asking(STARTED, TextDelta('```json\n{"a": 1}\n```'), Finished("stop", Usage())) as asked:
        response = await asked.client.responses.create(**HI, text={"format": {"type": "json_object"}})
    assert response.output_text == '{"a": 1}'


# --- Questions --------------------------------------------------------------------------------------------------


async def test_the_model_gets_what_the_caller_said() -> None:
    asks: Any = {
        "input": [
            {"role": "developer", "content": "Answer in Portuguese."},
            {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        ],
        "instructions": "Be brief.",
        "max_output_tokens": 5,
        "temperature": 0.1,
        "top_p": 0.2,
        "reasoning": {"effort": "minimal"},
        "user": "ann",
    }
    async with asking() as asked:
        await asked.client.responses.create(model=MODEL, **asks)
        (request,) = asked.provider.requests
    assert request.messages == (
        Message.of("system", "Be brief."),
        Message.of("system", "Answer in Portuguese."),
        Message("user", (Text("Hi"),)),
    )
    assert request.sampling == Sampling(max_tokens=5, temperature=0.1, top_p=0.2, effort="minimal")
    assert (request.verbatim, request.whole, request.meta) == (True, True, {"user": "ann"})


async def test_what_has_no_effect_is_said_once() -> None:
    """Beside what the provider could not do; an answer with nothing to warn of has no word of it."""
    asks: Any = {
        "store": True,
        "truncation": "auto",
        "service_tier": "flex",
        "prompt_cache_key": "k",
        "text": {"verbosity": "low"},
        "reasoning": {"summary": "detailed"},
        "include": ["file_search_call.results", "reasoning.encrypted_content"],
        "stream_options": {"include_obfuscation": True},
    }
    seed = Warning("parameter_ignored", "a cannot be told this")
    async with asking(STARTED, seed, TextDelta("hi"), Finished("stop", Usage())) as asked:
        told = await asked.post(**asks)
        *_, last = await asked.events(**asks)
    messages = [each["message"].removesuffix(" has no effect here") for each in told["llm_pool"]["warnings"]]
    assert sorted(messages) == [
        "a cannot be told this",
        "include file_search_call.results",
        "prompt_cache_key",
        "reasoning.summary",
        "service_tier",
        "store (nothing is stored)",
        "stream_options.include_obfuscation",
        "text.verbosity",
        "truncation",
    ]
    assert last["response"]["llm_pool"] == told["llm_pool"]
    async with asking() as asked:
        told = await asked.post(store=False, truncation="disabled", service_tier="auto", background=False)
    assert "llm_pool" not in told
