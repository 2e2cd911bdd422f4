"""A schema is called strict only where OpenAI would take it so: its own example does, and each step beyond does not."""

from __future__ import annotations

from typing import Any

import pytest

from llm_pool.providers.openai.strict import strictly


def closed(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


TEXT = {"type": "string"}
STEPS = closed(steps={"type": "array", "items": closed(explanation=TEXT, output=TEXT)}, final_answer=TEXT)


@pytest.mark.parametrize(
    "schema",
    [
        STEPS,
        closed(),
        closed(a={"type": ["string", "null"], "enum": ["x", None], "description": "d"}),
        closed(a={"anyOf": [TEXT, {"type": "null"}]}, b={"type": "string", "format": "date-time"}),
        closed(next={"$ref": "#/$defs/node"}) | {"$defs": {"node": closed(value={"type": "number", "minimum": 0})}},
        closed(a={"type": "array", "items": TEXT, "minItems": 1, "maxItems": 3}) | {"title": "A"},
    ],
)
def test_what_the_guide_allows_is_strict(schema: dict[str, Any]) -> None:
    assert strictly(schema)


def deep(levels: int) -> dict[str, Any]:
    return closed(a=deep(levels - 1)) if levels > 1 else closed()


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "array", "items": TEXT},
        {"type": ["object", "null"], "properties": {}, "required": [], "additionalProperties": False},
        closed() | {"anyOf": [closed()]},
        closed(a=TEXT) | {"required": []},
        closed(a=TEXT) | {"required": ["a", "b"]},
        closed(a=TEXT) | {"additionalProperties": True},
        {"type": "object", "properties": {"a": TEXT}, "required": ["a"]},
        closed(a={"type": "object"}),
        closed(a={"type": ["object", "null"]}),
        closed(a={"type": "array", "items": {"type": "object"}}),
        closed(a={"anyOf": [{"type": "object"}]}),
        closed() | {"$defs": {"a": {"type": "object"}}},
        closed(a=TEXT | {"minLength": 1}),
        closed(a=TEXT | {"default": "x"}),
        closed(a=TEXT | {"format": "uri"}),
        closed(a={"oneOf": [TEXT]}),
        closed(a={"enum": ["x"]}),
        closed(a={}),
        closed(a=True),
        closed(a=TEXT | {"enum": [str(number) for number in range(251)]}),
        closed(a={"type": "array", "items": [TEXT]}),
        closed(a={"anyOf": TEXT}),
        {"type": "object", "properties": [], "required": [], "additionalProperties": False},
        {"type": "object", "properties": {}, "required": {}, "additionalProperties": False},
        closed(**{str(number): TEXT for number in range(5_001)}),
        deep(11),
    ],
)
def test_what_it_does_not_allow_is_not(schema: dict[str, Any]) -> None:
    assert not strictly(schema)


def test_ten_levels_are_allowed() -> None:
    assert strictly(deep(10))
