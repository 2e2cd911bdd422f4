"""Schemas in the part of the language that the API takes: what fits the sent one and the rest of it fits the whole."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.providers.anthropic.schemas import Room

NAME = {"type": "string"}


def closed(required: list[str], **members: Any) -> dict[str, Any]:
    return {"type": "object", "properties": members, "required": required, "additionalProperties": False}


def fitted(schema: dict[str, Any]) -> dict[str, Any] | None:
    return Room().fitted(schema)


@pytest.mark.parametrize(
    ("schema", "sent"),
    [
        ({"type": "object", "properties": {"a": NAME}}, closed([], a=NAME)),
        ({"type": "object", "properties": {"a": NAME}, "required": ["a"], "additionalProperties": True},
         closed(["a"], a=NAME)),
        ({"type": "object", "additionalProperties": False}, closed([])),
        ({"$id": "x", "type": "array", "items": NAME, "minItems": 1}, {"type": "array", "items": NAME, "minItems": 1}),
        ({"type": "string", "format": "date", "title": "T"}, {"type": "string", "format": "date", "title": "T"}),
        ({"type": ["string", "null"]}, {"anyOf": [NAME, {"type": "null"}]}),
        ({"type": ["integer"]}, {"type": "integer"}),
        ({"oneOf": [NAME, {"type": "null"}]}, {"anyOf": [NAME, {"type": "null"}]}),
        ({"type": "string", "enum": ["a", None, 1]}, {"enum": ["a", None, 1]}),
        ({"const": 5, "default": 5}, {"const": 5}),
        ({"$defs": {"n": NAME}, "$ref": "#/$defs/n"}, {"$defs": {"n": NAME}, "$ref": "#/$defs/n"}),
    ],
)  # fmt: skip
def test_what_can_be_sent_is_sent(schema: dict[str, Any], sent: dict[str, Any]) -> None:
    assert fitted(schema) == sent


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "minimum": 1, "maximum": 9},
        {"type": "string", "pattern": "a+", "description": "one"},
        {"type": "string", "format": "ipv9"},
        {"type": "array", "items": NAME, "minItems": 2, "uniqueItems": True},
        {"type": "object", "properties": {"a": NAME}, "required": [], "minProperties": 1},
    ],
)
def test_bounds_that_cannot_be_sent_are_told(schema: dict[str, Any]) -> None:
    sent = fitted(schema)
    assert sent is not None
    lost = [word for word in schema if word not in sent]
    assert lost
    assert all(f'"{word}"' in sent["description"] for word in lost)
    assert sent["description"].startswith(schema.get("description", "It must"))


def test_bounds_of_one_of_several_types_are_told_beside_it() -> None:
    sent = fitted({"type": ["string", "null"], "maxLength": 3, "description": "d"})
    assert sent is not None
    assert sent["description"] == "d"
    assert '"maxLength":3' in sent["anyOf"][0]["description"]
    assert sent["anyOf"][1] == {"type": "null"}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        {"type": "object", "additionalProperties": NAME},
        {"type": "object", "properties": {"a": True}},
        {"type": "object", "properties": {"a": NAME}, "required": ["b"]},
        {"type": "object", "properties": {"a": {"type": "object"}}},
        {"type": "array"},
        {"type": "array", "items": {}},
        {"type": "array", "prefixItems": [NAME]},
        {"type": "text"},
        {"type": []},
        {"type": ["string"] * 8},
        {"enum": []},
        {"enum": [{"a": 1}]},
        {"const": [1]},
        {"anyOf": []},
        {"allOf": [NAME]},
        {"type": "string", "not": {"const": "a"}},
        {"$ref": "https://example.org/schema"},
        {"$ref": "#/$defs/absent"},
        {"$ref": "#"},
        {"$defs": {"n": {"type": "array", "items": {"$ref": "#/$defs/n"}}}, "$ref": "#/$defs/n"},
        {"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"anyOf": [{"$ref": "#/$defs/a"}]}}, "type": "null"},
        {"type": "object", "properties": {f"m{number}": NAME for number in range(25)}},
        {"type": "array", "items": {"anyOf": [{"anyOf": [NAME]}] * 16}},
    ],
)
def test_what_cannot_be_sent_is_not(schema: dict[str, Any]) -> None:
    assert fitted(schema) is None


def test_a_schema_of_any_depth_is_no_trouble() -> None:
    schema: dict[str, Any] = NAME
    for _ in range(20_000):
        schema = {"type": "array", "items": schema}
    assert fitted(schema) is None
    told: list[Any] = []
    for _ in range(300):  # more than can be written as JSON
        told = [told]
    assert fitted({"type": "string", "x": told}) is None


words = st.sampled_from([
    "type",
    "properties",
    "required",
    "items",
    "enum",
    "const",
    "anyOf",
    "$ref",
    "$defs",
    "format",
    "minItems",
    "a",
])
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.sampled_from(["object", "array", "string", "date", "a", "#/$defs/a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


@given(schema=st.dictionaries(words, values, max_size=5))
def test_whatever_calls_itself_a_schema_is_sent_in_the_apis_language_or_not_at_all(schema: dict[str, Any]) -> None:
    assert _sound(fitted(schema))


def _sound(schema: Any) -> bool:
    """All that the API is known to refuse in a schema."""
    if schema is None or not isinstance(schema, dict):
        return schema is None
    inner = [*schema.get("$defs", {}).values(), *schema.get("properties", {}).values(), *schema.get("anyOf", [])]
    inner += [schema["items"]] if "items" in schema else []
    is_open = schema.get("type") == "object" and schema.get("additionalProperties") is not False
    says = sum(word in schema for word in ("type", "enum", "const", "anyOf", "$ref"))
    return says == 1 and not is_open and all(isinstance(each, dict) and _sound(each) for each in inner)


def chain(length: int) -> dict[str, Any]:
    """Definitions each of which leads to the one behind it."""
    defined: dict[str, Any] = {f"d{at}": {"$ref": f"#/$defs/d{at + 1}"} for at in range(length - 1)}
    return {"$defs": {**defined, f"d{length - 1}": NAME}, "$ref": "#/$defs/d0"}


def test_definitions_may_lead_from_one_to_another_but_not_without_end() -> None:
    assert fitted(chain(500)) == chain(500)
    assert fitted(chain(501)) is None
    circle = chain(100)
    circle["$defs"]["d99"] = {"type": "array", "items": {"$ref": "#/$defs/d0"}}
    assert fitted(circle) is None


def counting_members(count: int) -> tuple[dict[str, Any], list[int]]:
    """An object of so many members, and how many of them were looked at."""
    looked = [0]

    class Seen(dict[str, Any]):
        def items(self) -> Any:
            looked[0] += 1
            return super().items()

    return closed([f"m{at}" for at in range(count)], **{f"m{at}": Seen(NAME) for at in range(count)}), looked


def test_of_all_that_is_asked_for_only_so_much_is_looked_at() -> None:
    """Whether it fits or not: a request is written while everybody else waits."""
    room = Room()
    schema, looked = counting_members(4000)
    assert room.fitted(closed(["a", "b"], a=schema, b={"not": {}})) is None
    assert room.fitted(schema) is None
    assert 4000 < looked[0] <= 5001
    assert room.fitted(NAME) is None


def test_types_that_multiply_what_is_below_them_are_given_up_at_once() -> None:
    schema, looked = counting_members(1)
    for _ in range(30):
        schema = {"type": ["array", "null", "string"], "items": schema}
    for _ in range(30):
        schema = {"type": "array", "items": {"anyOf": [schema, schema]}}
    assert fitted(schema) is None
    assert looked[0] <= 16


def test_what_one_schema_takes_of_the_room_another_does_not_have() -> None:
    room = Room()
    many = {"type": "object", "properties": {f"m{number}": NAME for number in range(20)}}
    assert room.fitted(many) is not None
    assert room.fitted(many) is None
    assert room.fitted(closed(["a"], a=NAME)) is not None


def test_the_callers_schema_is_not_changed() -> None:
    schema = {"type": "object", "properties": {"a": {"type": ["string", "null"], "maxLength": 3}}}
    before = repr(schema)
    fitted(schema)
    assert repr(schema) == before
