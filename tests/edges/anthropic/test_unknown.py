"""What the door does not know of a body: taken wherever it stands, named in a warning, and never used."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from llm_pool.core.errors import InvalidRequest
from llm_pool.core.types import replace
from llm_pool.edges.http.anthropic.asked import Asked, asked
from llm_pool.edges.http.anthropic.betas import betas
from llm_pool.edges.http.anthropic.bodies import CountBody, MessagesBody, checked
from tests.edges.anthropic.asking import ASK, WEATHER, client_of, pool_saying

CALL = {"type": "tool_use", "id": "c", "name": "f", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "x"}]}
IMAGE = {"type": "image", "source": {"type": "url", "url": "https://x.example/a.png"}}
FULL: dict[str, Any] = {
    **ASK,
    "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": [IMAGE]},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "t", "signature": "s"}, CALL]},
        {"role": "user", "content": [RESULT]},
    ],
    "tools": [WEATHER],
    "tool_choice": {"type": "auto"},
    "thinking": {"type": "adaptive"},
    "metadata": {"user_id": "u"},
}
PLACES: list[tuple[str | int, ...]] = [
    (),
    ("system", 0),
    ("system", 0, "cache_control"),
    ("messages", 0),
    ("messages", 0, "content", 0),
    ("messages", 0, "content", 0, "source"),
    ("messages", 1, "content", 0),
    ("messages", 1, "content", 1),
    ("messages", 2, "content", 0),
    ("messages", 2, "content", 0, "content", 0),
    ("tools", 0),
    ("tool_choice",),
    ("thinking",),
    ("metadata",),
]


def words(body: dict[str, Any], kind: type[CountBody] = MessagesBody) -> Asked:
    return asked(*checked(orjson.dumps(body), kind))


def told(body: dict[str, Any], kind: type[CountBody] = MessagesBody) -> list[str]:
    warnings = words(body, kind).warnings
    assert {warning.code for warning in warnings} <= {"parameter_ignored"}
    return [warning.message for warning in warnings]


def with_more(place: tuple[str | int, ...], more: dict[str, Any]) -> dict[str, Any]:
    body = orjson.loads(orjson.dumps(FULL))
    at = body
    for step in place:
        at = at[step]
    at.update(more)
    return dict(body)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)) or "body")
def test_an_unknown_field_changes_nothing_wherever_it_stands(place: tuple[str | int, ...]) -> None:
    strange = words(with_more(place, {"colour": {"deep": [1]}}))
    assert [warning.message for warning in strange.warnings] == ['the unknown field "colour" has no effect here']
    strange.warnings = ()
    assert strange == words(FULL)


def test_it_is_named_once_however_often_it_is_said() -> None:
    turns = [{"role": "user", "content": "hi", "id": "m1"}, {"role": "assistant", "content": "ho", "id": "m2"}]
    assert told({**ASK, "messages": turns}) == ['the unknown field "id" has no effect here']


def test_of_many_some_are_named() -> None:
    named = told({**ASK, **{f"f{number}": 1 for number in range(1000)}})
    assert len(named) == 9
    assert named[7:] == ['the unknown field "f7" has no effect here', "more unknown fields have no effect here"]


def test_what_is_no_name_is_not_repeated() -> None:
    assert told({**ASK, "a\r\nb: c": 1, "my secret is": 2}) == ["unknown fields have no effect here"]


@pytest.mark.parametrize("name", ["__class__", "model_config", "schema_", "__pydantic_extra__", "model_extra"])
def test_no_name_reaches_into_the_pool(name: str) -> None:
    strange = words({**ASK, name: {"a": 1}})
    assert len(strange.warnings) == 1
    strange.warnings = ()
    assert strange == words(ASK)


def test_what_is_only_said_of_an_answer_is_unknown_to_who_counts() -> None:
    count = {"model": "m", "messages": ASK["messages"], "max_tokens": 5, "container": "c"}
    fields = ['the unknown field "max_tokens" has no effect here', 'the unknown field "container" has no effect here']
    assert told(count, CountBody) == fields


@pytest.mark.real_time
async def test_nothing_in_a_body_redirects_a_call() -> None:
    bad = "http://127.0.0.1:9/"
    more = {"api_base": bad, "base_url": bad, "api_key": "sk-x", "extra_headers": {"x-a": "b"}, "headers": {"x": "y"}}
    async with pool_saying() as (up, provider), client_of(up) as client:
        plain = await client.messages.create(**ASK)
        message = await client.messages.create(**ASK, extra_body=more)
    assert message.content == plain.content
    said = [warning["message"] for warning in message.to_dict()["llm_pool"]["warnings"]]
    assert said == [f'the unknown field "{name}" has no effect here' for name in more]
    first, second = provider.requests
    assert replace(second, id=first.id, deadline=first.deadline, trace=first.trace) == first


# --- Betas ------------------------------------------------------------------------------------------------------

NAMES = ("context-1m-2025-08-07", "a.b_c")


def test_betas_are_names_in_one_header_or_several() -> None:
    assert betas([]) == betas(["", " , "]) == ()
    assert betas([",".join(NAMES)]) == betas(NAMES) == betas([f" {NAMES[0]} ,{NAMES[1]},", NAMES[0]]) == NAMES
    many = [f"b{number}" for number in range(32)]
    assert betas([",".join(many)]) == tuple(many)


@pytest.mark.parametrize("said", ["a b", "a\tb", "é", "a;b", "x" * 65, ",".join(f"b{number}" for number in range(33))])
def test_what_is_no_beta_is_refused_by_the_name_of_the_header_and_not_repeated(said: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^anthropic-beta: ") as refused:
        betas(["sound", said])
    assert refused.value.field == "anthropic-beta"
    assert said not in refused.value.message


@pytest.mark.real_time
async def test_betas_arrive_with_a_question_and_with_a_count() -> None:
    async with pool_saying() as (up, provider), client_of(up) as client:
        await client.beta.messages.create(**ASK, betas=list(NAMES))
        await client.messages.create(**ASK)
        async with up.http.post("/v1/messages", json=ASK, headers={"Anthropic-Beta": "a b"}) as response:
            assert (response.status, (await response.json())["error"]["type"]) == (400, "invalid_request_error")
    assert [request.betas for request in provider.requests] == [NAMES, ()]
