"""Fields that nobody knows: OpenAI's doors take them with a warning of each name, and use nothing of them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson
import pytest

from llm_pool.core.errors import InvalidRequest
from llm_pool.edges.http.openai.chat import ChatDoor
from llm_pool.edges.http.openai.embeddings import EmbeddingsDoor
from llm_pool.edges.http.openai.responses import ResponsesDoor
from llm_pool.edges.http.openai.responses_out import Words
from tests.edges.openai.asking import HI, MODEL, WEATHER, client_of, scripted
from tests.edges.openai.responding import asking
from tests.running import SIM, running_pool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_pool.core.types import Warning

pytestmark = pytest.mark.real_time

Said: TypeAlias = dict[str, Any]

TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
SCHEMA = {"name": "x", "schema": {"type": "object", "unknown_word": 1}}


def chat(**words: Any) -> Sequence[Warning]:
    return ChatDoor().parsed(orjson.dumps({"model": MODEL, "messages": HI, **words})).warnings


def responses(**words: Any) -> Sequence[Warning]:
    return ResponsesDoor().parsed(orjson.dumps({"model": MODEL, "input": "hi", **words}))[1]


def embeddings(**words: Any) -> Sequence[Warning]:
    return EmbeddingsDoor().parsed(orjson.dumps({"model": MODEL, "input": "hi", **words})).warnings


DOORS = [chat, responses, embeddings]


def named(warnings: Sequence[Warning]) -> list[str]:
    """The names that were warned of."""
    assert {each.code for each in warnings} <= {"parameter_ignored"}
    told = [each.message.removeprefix('the unknown field "') for each in warnings]
    return [each.removesuffix('" has no effect here') for each in told]


def turn(**words: Any) -> Said:
    """A turn of a model, as it comes back."""
    return {"messages": [*HI, {"role": "assistant", "content": "x", **words}, *HI]}


def item(**words: Any) -> Said:
    return {"input": [{"role": "user", "content": "hi", **words}]}


def part(**words: Any) -> Said:
    return {"input": [{"role": "user", "content": [{"type": "input_text", "text": "hi", **words}]}]}


CHATS: dict[str, tuple[Said, list[str]]] = {
    "a sampler": ({"min_p": 0.1}, ["min_p"]),
    "null": ({"min_p": None}, ["min_p"]),
    "several": ({"min_p": 0.1, "repetition_penalty": 1.1}, ["min_p", "repetition_penalty"]),
    "a message": ({"messages": [{"role": "user", "content": "x", "extra": {"a": [1]}}]}, ["extra"]),
    "a part": ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "lang": "en"}]}]}, ["lang"]),
    "a thought of another server": (turn(reasoning="Hm"), ["reasoning"]),
    "what answers have": (turn(annotations=[], audio=None, refusal=None, function_call=None), []),
    "a thought with an id": (turn(reasoning_details=[{"type": "reasoning.text", "text": "Hm", "id": "r"}]), ["id"]),
    "a thought in short": (
        turn(reasoning_details=[{"type": "reasoning.summary", "summary": "Hm", "id": None}]),
        ["id"],
    ),
    "a tool": ({"tools": [{**WEATHER, "strictness": 1}]}, ["strictness"]),
    "a function": ({"tools": [{"type": "function", "function": {"name": "x", "returns": {}}}]}, ["returns"]),
    "inside of a schema": ({"response_format": {"type": "json_schema", "json_schema": SCHEMA}}, []),
    "a format": ({"response_format": {"type": "text", "grammar": "x"}}, ["grammar"]),
    "a choice": (
        {"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "weather"}, "why": 1}},
        ["why"],
    ),
    "a name of Python's": (
        {"__class__": 1, "model_fields_set": 2, "model_config": 3},
        ["model_fields_set", "model_config"],
    ),
}
RESPONSES: dict[str, tuple[Said, list[str]]] = {
    "a sampler": ({"min_p": 0.1, "seed": 1}, ["min_p", "seed"]),
    "an item": (item(name="ann"), ["name"]),
    "a part": (part(lang="en"), ["lang"]),
    "a result": (
        {
            "input": [
                {
                    "type": "function_call_output",
                    "call_id": "c",
                    "output": [{"type": "input_text", "text": "x", "a": 1}],
                }
            ]
        },
        ["a"],
    ),
    "a tool": ({"tools": [{**TOOL, "strictness": 1}]}, ["strictness"]),
    "a choice": ({"tools": [TOOL], "tool_choice": {"type": "function", "name": "weather", "why": 1}}, ["why"]),
    "a format": ({"text": {"format": {"type": "text", "grammar": "x"}, "tone": "dry"}}, ["grammar", "tone"]),
    "a way to think": ({"reasoning": {"effort": "low", "budget": 5}}, ["budget"]),
}
CASES = [(chat, *case) for case in CHATS.values()] + [(responses, *case) for case in RESPONSES.values()]


@pytest.mark.parametrize(
    ("ask", "words", "names"),
    CASES,
    ids=[*(f"chat: {each}" for each in CHATS), *(f"responses: {each}" for each in RESPONSES)],
)
def test_an_unknown_field_is_taken_with_a_warning_wherever_it_stands(ask: Any, words: Said, names: list[str]) -> None:
    told = [each for each in named(ask(**words)) if each != "more unknown fields have no effect here"]
    assert sorted(told) == sorted(names)


@pytest.mark.parametrize("ask", DOORS)
def test_a_usual_question_is_no_reason_to_warn(ask: Any) -> None:
    assert list(ask()) == []


def test_a_name_is_warned_of_once_however_often_it_stands_there() -> None:
    said = {"role": "user", "content": [{"type": "text", "text": "x", "min_p": 1}] * 3, "min_p": 1}
    assert named(chat(messages=[said] * 5, min_p=1)) == ["min_p"]


@pytest.mark.parametrize("ask", DOORS)
def test_at_most_eight_are_named_and_more_are_not_passed_over(ask: Any) -> None:
    told = named(ask(**{f"x{each}": each for each in range(2000)}))
    assert told == [*(f"x{each}" for each in range(8)), "more unknown fields have no effect here"]
    assert named(ask(**{f"x{each}": each for each in range(8)})) == [f"x{each}" for each in range(8)]


@pytest.mark.parametrize("ask", DOORS)
@pytest.mark.parametrize("name", ["How do I hide it?", "", "a\nb", "x" * 65, "1", "é", '"', "__proto__"])
def test_a_name_that_is_none_is_not_repeated(ask: Any, name: str) -> None:
    (warning,) = ask(**{name: "sk-1"})
    assert (warning.code, warning.message) == ("parameter_ignored", "unknown fields have no effect here")


@pytest.mark.parametrize("ask", DOORS)
def test_what_is_wrong_is_refused_whatever_is_unknown_beside_it(ask: Any) -> None:
    with pytest.raises(InvalidRequest) as raised:
        ask(min_p=1, model=5)
    assert raised.value.field == "model"
    assert "min_p" not in raised.value.message


def test_a_large_unknown_value_is_dropped_unseen() -> None:
    """To build it would take as long for each door as all the rest of a large body."""
    raw = b'{"model":"m","messages":[{"role":"user","content":"x"}],"x":[%b1]}' % (b"[1,2,3]," * 250_000)
    started = time.process_time()
    assert named(ChatDoor().parsed(raw).warnings) == ["x"]
    assert time.process_time() - started < 1.0


def test_what_is_echoed_has_nothing_that_was_not_taken() -> None:
    allowed: Any = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "weather"}]}
    strange = {**allowed, "tools": [{**allowed["tools"][0], "x": 1}], "y": 1}
    form = {"type": "json_schema", "name": "n", "schema": {"type": "object"}}
    asked = {
        "model": MODEL,
        "input": "hi",
        "tools": [TOOL],
        "tool_choice": strange,
        "text": {"format": {**form, "z": 1}},
    }
    body, _ = ResponsesDoor().parsed(orjson.dumps(asked))
    echo = Words(body, "call", created=7).begun(MODEL)
    assert echo["tool_choice"] == allowed
    assert echo["text"] == {"format": form}


# --- Over the wire ----------------------------------------------------------------------------------------------

REDIRECTS: Said = {
    "api_base": "http://127.0.0.1:9/v1",
    "base_url": "http://127.0.0.1:9/v1",
    "api_key": "sk-1",
    "headers": {"authorization": "Bearer sk-1"},
    "extra_headers": {"x": "y"},
    "organization": "o",
}


async def test_what_could_redirect_a_question_reaches_nobody() -> None:
    async with scripted() as (up, provider), client_of(up) as client:
        plain = await client.chat.completions.create(model=MODEL, messages=HI)
        answer = await client.chat.completions.create(model=MODEL, messages=HI, extra_body=REDIRECTS)
    assert answer.choices[0].message.content == plain.choices[0].message.content
    usual, request = provider.requests
    told = [each["message"] for each in (answer.model_extra or {})["llm_pool"]["warnings"]]
    assert told == [f'the unknown field "{name}" has no effect here' for name in REDIRECTS]
    assert (request.messages, request.sampling, request.meta) == (usual.messages, usual.sampling, usual.meta)
    assert "sk-1" not in repr(request)
    assert "127.0.0.1:9" not in repr(request)


async def test_the_other_doors_say_the_same() -> None:
    async with asking() as asked:
        response = await asked.client.responses.create(model=MODEL, input="hi", extra_body=REDIRECTS)
        assert "sk-1" not in repr(asked.provider.requests)
    async with running_pool(SIM) as up, client_of(up) as client:
        vectors = await client.embeddings.create(model=MODEL, input="hi", extra_body=REDIRECTS)
    for answer in (response, vectors):
        told = [each["message"] for each in (answer.model_extra or {})["llm_pool"]["warnings"]]
        assert told == [f'the unknown field "{name}" has no effect here' for name in REDIRECTS]
