"""What is drawn fits its schema, and what could not be kept to is refused by name before anything is drawn."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.providers.sim.shapes import Shape, shaped

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "number": (int, float), "null": (type(None),),
}  # fmt: skip


def has_type(value: Any, name: str) -> bool:
    if name == "boolean" or isinstance(value, bool):
        return name == "boolean" and isinstance(value, bool)
    if name == "integer":
        return isinstance(value, int | float) and float(value).is_integer()
    return isinstance(value, _TYPES[name])


def fits(value: Any, schema: Any, root: Any) -> bool:
    """JSON Schema 2020-12 for the keywords that `shapes.py` lists, written from the specification alone."""
    if isinstance(schema, bool):
        return schema
    types = schema.get("type", [])
    checks = [
        not types or any(has_type(value, name) for name in ([types] if isinstance(types, str) else types)),
        "enum" not in schema or any(same(value, other) for other in schema["enum"]),
        "const" not in schema or same(value, schema["const"]),
        all(fits(value, part, root) for part in schema.get("allOf", ())),
        "anyOf" not in schema or any(fits(value, part, root) for part in schema["anyOf"]),
        "oneOf" not in schema or sum(fits(value, part, root) for part in schema["oneOf"]) == 1,
        "$ref" not in schema or fits(value, target(schema["$ref"], root), root),
    ]
    match value:
        case bool() | None:
            pass
        case dict():
            known = schema.get("properties", {})
            checks += [name in value for name in schema.get("required", ())]
            checks += [
                fits(item, known[name] if name in known else schema.get("additionalProperties", True), root)
                for name, item in value.items()
            ]
        case list():
            checks += [schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 10**9)]
            checks += [fits(item, schema.get("items", True), root) for item in value]
            unlike = all(not same(one, two) for index, one in enumerate(value) for two in value[:index])
            checks += [unlike or not schema.get("uniqueItems", False)]
        case str():
            checks += [schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 10**9)]
        case _:
            checks += [schema.get("minimum", value) <= value <= schema.get("maximum", value)]
            checks += [schema.get("exclusiveMinimum", value - 1) < value < schema.get("exclusiveMaximum", value + 1)]
            checks += ["multipleOf" not in schema or value % schema["multipleOf"] == 0]
    return all(checks)


def same(one: Any, two: Any) -> bool:
    return isinstance(one, bool) == isinstance(two, bool) and bool(one == two)


def target(pointer: str, root: Any) -> Any:
    _, where, name = pointer.split("/")
    return root[where][name]


# --- Schemas ----------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "c", "d"])
SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from([0.5, 2.0]) | st.text(max_size=3)
WHOLE = st.integers(-1000, 1000)
DEFINED = ("one", "two", "three")


@st.composite
def ranged(draw: st.DrawFn, type_: str, least: str, most: str, bounds: st.SearchStrategy[Any]) -> dict[str, Any]:
    low, high = sorted(draw(st.tuples(bounds, bounds)))
    keywords = {least: low, most: high}
    return {"type": type_} | {name: keywords[name] for name in sorted(draw(st.sets(st.sampled_from([least, most]))))}


@st.composite
def integers(draw: st.DrawFn) -> dict[str, Any]:
    low, step = draw(WHOLE), draw(st.integers(1, 7))
    least = draw(st.sampled_from(["minimum", "exclusiveMinimum"]))
    most = draw(st.sampled_from(["maximum", "exclusiveMaximum"]))
    return {
        "type": draw(st.sampled_from(["integer", "number"])),
        "multipleOf": step,
        least: low,
        most: low + 2 * step + 1,
    }


@st.composite
def objects(draw: st.DrawFn, parts: st.SearchStrategy[Any]) -> dict[str, Any]:
    properties = draw(st.dictionaries(NAMES, parts, max_size=3))
    schema: dict[str, Any] = {"type": "object", "properties": properties, "description": "an annotation"}
    if draw(st.booleans()):
        schema["required"] = sorted(draw(st.sets(st.sampled_from(sorted(properties) or ["e"]))))
    elif draw(st.booleans()):
        schema["additionalProperties"] = False
    return schema


@st.composite
def merged(draw: st.DrawFn, parts: st.SearchStrategy[Any]) -> dict[str, Any]:
    one, two = draw(st.dictionaries(NAMES, parts, max_size=2)), draw(st.dictionaries(NAMES, parts, max_size=2))
    rest = {name: part for name, part in two.items() if name not in one}
    return {"allOf": [{"type": "object", "properties": one}, {"properties": rest, "required": sorted(rest)}]}


@st.composite
def tagged(draw: st.DrawFn, parts: st.SearchStrategy[Any]) -> dict[str, Any]:
    return {
        "oneOf": [
            {"type": "object", "properties": {"kind": {"const": kind}, "value": draw(parts)}, "required": ["kind"]}
            for kind in ("x", "y")
        ]
    }


LEAVES: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from([True, {}, {"type": "boolean"}, {"type": "null"}, {"type": ["string", "null"], "minLength": 2}]),
    st.lists(SCALARS, min_size=1, max_size=4).map(lambda values: {"enum": values}),
    SCALARS.map(lambda value: {"const": value}),
    ranged("string", "minLength", "maxLength", st.integers(0, 40)),
    ranged("integer", "minimum", "maximum", WHOLE),
    ranged("number", "minimum", "maximum", WHOLE | st.floats(-10, 10)),
    integers(),
    st.builds(
        lambda low, most: {"type": "number", "exclusiveMinimum": low, most: low + 0.001},
        WHOLE,
        st.sampled_from(["maximum", "exclusiveMaximum"]),
    ),
    st.sampled_from(["string", "integer"]).map(
        lambda name: {"type": "array", "uniqueItems": True, "items": {"type": name}, "minItems": 5}
    ),
    st.just({"type": "array", "uniqueItems": True, "items": {"enum": [1, True, "1", None]}}),
)


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda parts: st.one_of(
            objects(parts),
            merged(parts),
            tagged(parts),
            st.lists(parts, min_size=1, max_size=3).map(lambda options: {"anyOf": options}),
            st.builds(
                lambda items, bounds: bounds | {"items": items},
                parts,
                ranged("array", "minItems", "maxItems", st.integers(0, 4)),
            ),
        ),
        max_leaves=8,
    ).filter(lambda schema: schema is not True)


REFERRING = nested(LEAVES | st.sampled_from(DEFINED).map(lambda name: {"$ref": f"#/$defs/{name}"}))


@given(nested(LEAVES), st.integers())
def test_what_is_drawn_fits(schema: dict[str, Any], seed: int) -> None:
    drawn = shaped(schema, random.Random(seed))
    assert fits(drawn, schema, schema)
    assert orjson.loads(orjson.dumps(drawn)) == drawn


@given(REFERRING, st.fixed_dictionaries(dict.fromkeys(DEFINED, REFERRING)), st.integers())
def test_a_schema_that_refers_to_itself_is_drawn_finitely_or_refused(root: Any, defs: Any, seed: int) -> None:
    schema = {**root, "$defs": defs}
    try:
        shape = Shape(schema)
    except ValueError as error:
        reasons = ("endless", "may overlap", "contains itself", "on the spot")
        assert any(reason in str(error) for reason in reasons)  # noqa: PT017 - some are refused, and some are not
        return
    assert fits(shape.draw(random.Random(seed)), schema, schema)


@given(st.lists(nested(LEAVES), min_size=2, max_size=3), st.integers())
def test_exactly_one_of_several_fits_or_they_are_refused(options: list[Any], seed: int) -> None:
    schema = {"oneOf": options}
    try:
        shape = Shape(schema)
    except ValueError as error:
        assert "may overlap" in str(error)  # noqa: PT017 - many are refused, and some are not
        return
    assert fits(shape.draw(random.Random(seed)), schema, schema)


@given(nested(LEAVES), st.integers())
def test_equal_seeds_draw_equal_values(schema: dict[str, Any], seed: int) -> None:
    shape = Shape(schema)
    assert shape.draw(random.Random(seed)) == shape.draw(random.Random(seed))


# --- By example -------------------------------------------------------------------------------------------------

TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "parent": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
            "required": ["name", "parent"],
        }
    },
}


@pytest.mark.parametrize("seed", range(50))
def test_a_tree_is_drawn_to_some_depth(seed: int) -> None:
    tree = shaped(TREE, random.Random(seed))
    assert fits(tree, TREE, TREE)
    assert len(orjson.dumps(tree)) < 100_000


def test_a_thicket_of_references_stays_small() -> None:
    parts = [f"part{index}" for index in range(12)]
    bush = {"type": "object", "properties": {n: {"type": "array", "items": {"$ref": f"#/$defs/{n}"}} for n in parts}}
    schema = {"$ref": "#/$defs/part0", "$defs": dict.fromkeys(parts, bush)}
    drawn = shaped(schema, random.Random(1))
    assert fits(drawn, schema, schema)
    assert len(orjson.dumps(drawn)) < 200_000


def test_all_properties_are_drawn_and_missing_required_ones_too() -> None:
    schema = {
        "properties": {"a": {"type": "integer"}, "b": {"$ref": "#/definitions/b"}},
        "required": ["c"],
        "definitions": {"b": {"type": "string", "minLength": 30}},
    }
    drawn = shaped(schema, random.Random(0))
    assert isinstance(drawn, dict)
    assert sorted(drawn) == ["a", "b", "c"]


def test_lists_and_texts_are_not_empty_where_they_need_not_be() -> None:
    assert shaped({"type": "array"}, random.Random(3)) not in ([], [""])
    assert shaped({"type": "string"}, random.Random(3))


def many(items: Any) -> dict[str, Any]:
    return {"type": "array", "minItems": 10, "items": items}


REFUSED: list[tuple[Any, str]] = [
    ({"type": "string", "pattern": "^a"}, '#: "pattern" is not supported'),
    ({"properties": {"a": {"type": "string", "format": "uuid"}}}, '#/properties/a: "format" is not supported'),
    ({"type": "object", "patternProperties": {}}, "patternProperties"),
    ({"type": "array", "prefixItems": []}, "prefixItems"),
    ({"not": {}}, '"not"'),
    ({"minimun": 3}, '"minimun"'),
    ({"type": "text"}, 'type "text"'),
    ({"type": []}, '"type" must be a list'),
    ({"items": False}, "#/items: is not a schema"),
    ({"$ref": "#/$defs/gone"}, '"#/$defs/gone"'.replace("$", r"\$")),
    ({"$ref": "https://example.org/schema"}, "must look like"),
    ({"$ref": "#/$defs/a", "minLength": 1, "$defs": {"a": {}}}, '"minLength" beside'),
    ({"anyOf": [{}], "type": "string"}, '"type" beside "anyOf"'),
    ({"enum": [1, 2], "minimum": 2}, '"minimum" beside "enum"'),
    ({"enum": []}, '"enum" must be a list'),
    ({"enum": [1], "const": True}, "no value"),
    ({"enum": ["a"], "type": "integer"}, "no value"),
    ({"const": float("nan")}, "no value"),
    ({"enum": [1, float("inf")]}, "not a JSON value"),
    ({"type": "integer", "minimum": 3, "maximum": 2}, "no whole number"),
    ({"type": "integer", "minimum": 1, "maximum": 6, "multipleOf": 7}, "no whole number"),
    ({"type": "number", "exclusiveMinimum": 1, "maximum": 1}, "no number"),
    ({"type": "number", "multipleOf": 0.01}, '"multipleOf"'),
    ({"type": "number", "exclusiveMinimum": True}, '"exclusiveMinimum" must be a number'),
    ({"type": "integer", "minimum": 2**60}, "2\\^53"),
    ({"type": "string", "minLength": 3, "maxLength": 2}, '"minLength" is larger'),
    ({"type": "string", "minLength": 10**9}, '"minLength" above'),
    ({"type": "array", "maxItems": -1}, '"maxItems" must be a whole number'),
    ({"type": "array", "uniqueItems": True, "items": {"type": "number"}}, '"uniqueItems"'),
    ({"type": "array", "uniqueItems": True, "minItems": 3, "items": {"type": "boolean"}}, "only 2 different"),
    ({"required": ["a"], "additionalProperties": False}, '"required" names "a"'),
    ({"required": True}, '"required" must be a list'),
    ({"properties": []}, '"properties" must be an object'),
    ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "may overlap"),
    ({"oneOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]}, "may overlap"),
    ({"oneOf": [{}, {"type": "integer"}]}, "may overlap"),
    ({"oneOf": [{"required": ["a"]}, {"type": "null"}]}, "may overlap"),
    ({"oneOf": [{"allOf": [{"required": ["a"]}]}, {"type": "null"}]}, "may overlap"),
    ({"oneOf": [{"const": 1}, {"anyOf": [{"type": "string"}, {"type": "number"}]}]}, "may overlap"),
    ({"allOf": [{"type": "string"}]}, "anything but objects"),
    ({"allOf": [{"minimum": 3}]}, '"minimum" within "allOf"'),
    ({"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"a": {"const": 2}}}]}, 'two things about "a"'),
    ({"allOf": [{"additionalProperties": False}, {"required": ["b"]}]}, 'excludes "b"'),
    ({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}}, "contains itself"),
    ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "on the spot"),
    (
        {
            "$ref": "#/$defs/b",
            "$defs": {
                "b": {"anyOf": [{"properties": {"x": {"$ref": "#/$defs/c"}}}, {"$ref": "#/$defs/c"}]},
                "c": {"anyOf": [{"$ref": "#/$defs/b"}, {"type": "null"}]},
            },
        },
        "on the spot",
    ),
    (
        {"$ref": "#/$defs/a", "$defs": {"a": {"properties": {"a": {"$ref": "#/$defs/a"}}, "required": ["a"]}}},
        "endless",
    ),
    (many(many(many(many(many({"type": "null"}))))), "more than 10000 parts"),
    ("string", "is not a schema"),
]


@pytest.mark.parametrize(("schema", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_cannot_be_kept_to_is_refused_by_name(schema: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Shape(schema)


ACCEPTED: list[Any] = [
    {"oneOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]},
    {"oneOf": [{"enum": [1, 2]}, {"enum": ["a"]}, {"anyOf": [{"const": 3}, {"type": "array"}]}]},
    {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
    {"oneOf": [{"properties": {"a": {}}, "required": ["a"]}, {"properties": {"b": {}}, "required": ["b"]}]},
    {"oneOf": [{"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a"]}, {"type": "null"}]},
    {"type": "array", "uniqueItems": True, "items": {"minLength": 2}},
    {"oneOf": [{"$ref": "#/$defs/a"}, {"type": "integer"}], "$defs": {"a": {"type": "string"}}},
    {"allOf": [{"$ref": "#/$defs/a"}, {"required": ["b"]}], "$defs": {"a": {"properties": {"a": {"const": [1]}}}}},
    {"type": "array", "uniqueItems": True, "items": {"$ref": "#/$defs/a"}, "$defs": {"a": {"enum": ["x", "y", "z"]}}},
    {"type": "array", "uniqueItems": True, "items": {"type": "string", "minLength": 12}, "minItems": 4},
    {"type": "array", "uniqueItems": True, "items": {"type": "string", "maxLength": 1}, "minItems": 26},
    {"properties": {"too_many": many(many(many(many(many({"type": "null"})))))}},
]


@pytest.mark.parametrize("schema", ACCEPTED)
def test_what_can_be_kept_to_is(schema: Any) -> None:
    shape = Shape(schema)
    for seed in range(50):
        assert fits(shape.draw(random.Random(seed)), schema, schema)


def test_a_pydantic_model_can_be_shaped() -> None:
    """The commonest source of schemas writes only what is understood."""
    from pydantic import BaseModel, Field  # noqa: PLC0415 - an example of a caller, not a part of this test file

    class Step(BaseModel):
        title: str = Field(min_length=1, max_length=60)
        minutes: float | None = Field(None, ge=0, lt=600)
        before: list[Step] = []

    class Plan(BaseModel):
        goal: str
        steps: list[Step] = Field(min_length=2, max_length=4)
        done: bool = False

    Plan.model_rebuild(_types_namespace={"Step": Step})
    shape = Shape(Plan.model_json_schema())
    for seed in range(50):
        Plan.model_validate(shape.draw(random.Random(seed)), strict=True)
