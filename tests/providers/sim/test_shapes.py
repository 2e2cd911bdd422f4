"""What is drawn fits its schema, and what could not be kept to is refused by name before anything is drawn."""

from __future__ import annotations

import math
import random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.providers.sim.shapes import Json, Shape


def drawn(schema: Any, seed: int = 0) -> Json:
    return Shape(schema).draw(random.Random(seed))


# --- What fits, written from JSON Schema 2020-12 alone ----------------------------------------------------------


def fits(value: Any, schema: Any, root: Any) -> bool:
    if "$ref" in schema:
        _, where, name = schema["$ref"].split("/")
        return fits(value, root[where][name], root)
    types = schema.get("type", [])
    return (
        (not types or any(has_type(value, name) for name in ([types] if isinstance(types, str) else types)))
        and ("enum" not in schema or any(same(value, other) for other in schema["enum"]))
        and ("const" not in schema or same(value, schema["const"]))
        and ("anyOf" not in schema or any(fits(value, option, root) for option in schema["anyOf"]))
        and parts_fit(value, schema, root)
    )


def parts_fit(value: Any, schema: Any, root: Any) -> bool:
    match value:
        case dict():
            parts = schema.get("properties", {})
            return set(schema.get("required", ())) <= value.keys() and all(
                fits(item, parts.get(name, {}), root) for name, item in value.items()
            )
        case list():
            unlike = all(not same(one, two) for index, one in enumerate(value) for two in value[:index])
            return (
                schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", math.inf)
                and (unlike or not schema.get("uniqueItems"))
                and all(fits(item, schema.get("items", {}), root) for item in value)
            )
        case str():
            return bool(schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", math.inf))
        case bool() | None:
            return True
        case _:
            closed = schema.get("minimum", value) <= value <= schema.get("maximum", value)
            above, below = schema.get("exclusiveMinimum", -math.inf), schema.get("exclusiveMaximum", math.inf)
            return bool(closed and above < value < below and value % schema.get("multipleOf", value or 1) == 0)


def has_type(value: Any, name: str) -> bool:
    if isinstance(value, bool) or name == "boolean":
        return isinstance(value, bool) and name == "boolean"
    types: dict[str, Any] = {"object": dict, "array": list, "string": str, "integer": int, "null": type(None)}
    return isinstance(value, types.get(name, int | float))


def same(one: Any, two: Any) -> bool:
    return isinstance(one, bool) == isinstance(two, bool) and bool(one == two)


# --- Schemas ----------------------------------------------------------------------------------------------------

SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from([0.5, 2.0]) | st.text(max_size=3)
WHOLE = st.integers(-1000, 1000)
MOST = st.sampled_from(["maximum", "exclusiveMaximum"])
REFS = ("one", "two", "three")


@st.composite
def ranged(draw: st.DrawFn, names: list[str], least: str, most: str, bounds: st.SearchStrategy[Any]) -> dict[str, Any]:
    """One of the types, with a lower bound, an upper bound, both or none."""
    low, high = sorted(draw(st.tuples(bounds, bounds)))
    keywords = {least: low, most: high}
    chosen = draw(st.sets(st.sampled_from([least, most])))
    return {"type": draw(st.sampled_from(names)), **{name: keywords[name] for name in sorted(chosen)}}


@st.composite
def objects(draw: st.DrawFn, parts: st.SearchStrategy[Any]) -> dict[str, Any]:
    properties = draw(st.dictionaries(st.sampled_from("abcd"), parts, max_size=3))
    required = [name for name in properties if draw(st.booleans())]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


@st.composite
def arrays(draw: st.DrawFn, parts: st.SearchStrategy[Any]) -> dict[str, Any]:
    return {**draw(ranged(["array"], "minItems", "maxItems", st.integers(0, 4))), "items": draw(parts)}


UNIQUE = [{"type": "integer", "minimum": 1, "maximum": 6}, {"type": "string", "maxLength": 1}, {"enum": [*"abcdefa"]}]
LEAVES: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from([{}, {"type": "boolean"}, {"title": "None", "type": "null"}]),
    st.just({"type": ["string", "null", "array", "object"], "minLength": 2, "minItems": 1}),
    st.lists(SCALARS, min_size=1, max_size=4).map(lambda values: {"enum": values}),
    SCALARS.map(lambda value: {"const": value}),
    ranged(["string"], "minLength", "maxLength", st.integers(0, 40)),
    ranged(["integer", "number"], "minimum", "maximum", WHOLE),
    ranged(["number"], "minimum", "maximum", st.floats(-10, 10)),
    st.builds(
        lambda low, step, most: {"type": "integer", "multipleOf": step, "exclusiveMinimum": low, most: low + 2 * step},
        *(WHOLE, st.integers(2, 7), MOST),
    ),
    st.builds(
        lambda low, width, most: {"type": "number", "exclusiveMinimum": low, most: low + width},
        *(WHOLE, st.sampled_from([0.001, 1, 50]), MOST),
    ),
    st.builds(
        lambda items, least: {"type": "array", "uniqueItems": True, "items": items, "minItems": least},
        *(st.sampled_from(UNIQUE), st.integers(0, 6)),
    ),
)


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def holders(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return (
            objects(parts) | arrays(parts) | st.fixed_dictionaries({"anyOf": st.lists(parts, min_size=1, max_size=3)})
        )

    return st.recursive(leaves, holders, max_leaves=8)


REFERRING = nested(LEAVES | st.sampled_from(REFS).map(lambda name: {"$ref": f"#/$defs/{name}"}))


@given(nested(LEAVES), st.integers())
def test_what_is_drawn_fits_and_equal_seeds_draw_the_same(schema: dict[str, Any], seed: int) -> None:
    value = drawn(schema, seed)
    assert fits(value, schema, schema)
    assert orjson.loads(orjson.dumps(value)) == value
    assert drawn(schema, seed) == value


@given(REFERRING, st.fixed_dictionaries(dict.fromkeys(REFS, objects(REFERRING) | arrays(REFERRING))), st.integers())
def test_a_schema_that_refers_to_itself_is_drawn_finitely_or_refused(root: Any, defs: Any, seed: int) -> None:
    schema = {**root, "$defs": defs}
    try:
        shape = Shape(schema)
    except ValueError as error:
        assert "never ends" in str(error)  # noqa: PT017 - some are refused, and some are not
        return
    value = shape.draw(random.Random(seed))
    assert fits(value, schema, schema)
    assert len(orjson.dumps(value)) < 1_000_000


# --- By example -------------------------------------------------------------------------------------------------

REF = {"$ref": "#/$defs/node"}
NODE = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "next": REF,
        "parent": {"anyOf": [REF, {"type": "null"}]},
        "children": {"type": "array", "items": REF},
    },
    "required": ["name", "parent"],
}


@pytest.mark.parametrize("seed", range(20))
def test_a_tree_is_drawn_to_some_depth(seed: int) -> None:
    schema = {**REF, "$defs": {"node": NODE}}
    tree: Any = drawn(schema, seed)
    assert fits(tree, schema, schema)
    assert tree["next"]["next"]["name"]
    assert len(orjson.dumps(tree)) < 50_000


def test_a_thicket_of_references_stays_small() -> None:
    names = [f"part{index}" for index in range(12)]
    bush = {name: {"type": "array", "items": {"$ref": f"#/definitions/{name}"}} for name in names}
    schema = {
        "$ref": "#/definitions/part0",
        "definitions": {name: {"type": "object", "properties": bush} for name in names},
    }
    assert len(orjson.dumps(drawn(schema))) < 500_000


def test_all_properties_are_drawn_and_nothing_is_empty_that_need_not_be() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "array"}, "b": {"type": "string"}}, "required": ["b"]}
    for seed in range(20):
        value: Any = drawn(schema, seed)
        assert list(value) == ["a", "b"]
        assert value["a"]
        assert value["a"][0]
        assert value["b"]


def within(definition: Any) -> dict[str, Any]:
    return {"$ref": "#/$defs/a", "$defs": {"a": definition}}


def tens(depth: int) -> dict[str, Any]:
    return {"type": "array", "minItems": 10, "items": tens(depth - 1)} if depth else {"type": "null"}


REFUSED: list[tuple[Any, str]] = [
    ("string", "#: is not a schema"),
    ({"type": "array", "items": {"anyOf": [True]}}, "#/items/anyOf/0: is not a schema"),
    ({"type": "string", "pattern": "^a"}, '#: "pattern" is not supported'),
    (within({"type": "object", "properties": {"b": {"type": "string", "format": "uuid"}}}), "a/properties/b: "),
    ({"oneOf": [{}]}, 'say "anyOf"'),
    ({"minimum": 3}, '"minimum" needs a "type"'),
    ({"type": "text"}, 'type "text"'),
    ({"type": []}, '"type" must not be empty'),
    ({"type": 3}, '"type" must be of type string or array'),
    ({"type": "object", "required": ["a"]}, '"required" names "a"'),
    ({"$ref": "#/$defs/gone"}, "leads nowhere"),
    ({"anyOf": [{"type": "null"}, {"$ref": "https://example.org/schema"}]}, "#/anyOf/1: .*leads nowhere"),
    ({"anyOf": [{}], "type": "string"}, '"type" beside "anyOf"'),
    ({"enum": [1, 2], "minimum": 2}, '"minimum" beside "enum"'),
    ({"enum": ["a", 1], "type": "string"}, 'not of its "type"'),
    ({"const": True, "type": "integer"}, 'not of its "type"'),
    ({"type": "integer", "minimum": 3, "maximum": 2}, "no number"),
    ({"type": "integer", "minimum": 1, "maximum": 6, "multipleOf": 7}, "no number"),
    ({"type": "number", "exclusiveMinimum": 1, "maximum": 1}, "no number"),
    ({"type": "number", "minimum": math.nan}, "no number"),
    ({"type": "integer", "minimum": 2**60}, "2\\^53"),
    ({"type": "number", "multipleOf": 2}, '"multipleOf"'),
    ({"type": "integer", "multipleOf": 0}, '"multipleOf"'),
    ({"type": "integer", "maximum": True}, '"maximum" must be of type number'),
    ({"type": "string", "minLength": 3, "maxLength": 2}, '"minLength" and "maxLength"'),
    ({"type": "string", "minLength": 10**9}, '"minLength" and "maxLength"'),
    ({"type": "array", "maxItems": -1}, '"minItems" and "maxItems"'),
    ({"type": "array", "uniqueItems": True, "items": {"type": "number"}}, '"uniqueItems"'),
    ({"type": "array", "uniqueItems": True, "items": {"anyOf": [{"type": "string"}]}}, '"uniqueItems"'),
    ({"type": "array", "uniqueItems": True, "minItems": 3, "items": {"enum": [1, 2]}}, '"uniqueItems"'),
    (within({"$ref": "#/$defs/a"}), "never ends"),
    (within({"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "required": ["a"]}), "never ends"),
    (within({"type": "array", "uniqueItems": True, "items": {"$ref": "#/$defs/a"}}), '"uniqueItems"'),
    (tens(5), "more than 10000 values"),
]


@pytest.mark.parametrize(("schema", "message"), REFUSED)
def test_what_cannot_be_kept_to_is_refused_by_name(schema: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^json_schema .*{message}"):
        Shape(schema)


def test_a_pydantic_model_can_be_shaped() -> None:
    """The commonest source of schemas writes only what is understood."""
    from enum import Enum  # noqa: PLC0415 - an example of a caller, not a part of this test file

    from pydantic import BaseModel, Field  # noqa: PLC0415 - as above

    class Mood(Enum):
        CALM = "calm"
        BUSY = "busy"

    class Step(BaseModel):
        title: str = Field(min_length=1, max_length=60)
        minutes: float | None = Field(None, ge=0, lt=600)
        moods: set[Mood] = Field(min_length=1)
        before: list[Step] = []

    class Plan(BaseModel):
        goal: str
        steps: list[Step] = Field(min_length=2, max_length=4)
        notes: dict[str, str] = {}
        done: bool = False

    Plan.model_rebuild(_types_namespace={"Step": Step, "Mood": Mood})
    for seed in range(50):
        Plan.model_validate_json(orjson.dumps(drawn(Plan.model_json_schema(), seed)))
