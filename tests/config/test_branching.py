"""How many looks a schema asks for is counted before any of them is taken."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.config.branching import MOST_SCHEMAS, Branching, Endless
from llm_pool.config.schemas import NoSchema, spec_of


def doubling(levels: int) -> dict[str, Any]:
    """Each alternative leads to the same two next ones."""
    steps: dict[str, Any] = {
        f"a{at}": {"anyOf": [{"$ref": f"#/$defs/a{at + 1}"}, {"$ref": f"#/$defs/a{at + 1}"}]} for at in range(levels)
    }
    return {"$defs": {**steps, f"a{levels}": {"type": "integer"}}, "$ref": "#/$defs/a0"}


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"next": value}
    return value


TWICE = {"anyOf": [{"properties": {"next": {"$ref": "#"}}}, {"properties": {"next": {"$ref": "#"}}}]}
LIST = {"type": "object", "properties": {"value": {"type": "integer"}, "next": {"$ref": "#"}}}


def test_an_ordinary_schema_asks_for_a_few_looks_at_each_part() -> None:
    flat = Branching({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}})
    assert flat.looks({"a": "x", "b": 1}) == 3 * 2


def test_alternatives_of_alternatives_double_at_every_step() -> None:
    counts = [Branching(doubling(levels)).looks(1) for levels in range(1, 6)]
    assert all(2 * few < many for few, many in itertools.pairwise(counts))
    assert Branching(doubling(60)).looks(1) >= 10**9


def test_what_leads_back_to_itself_by_two_ways_doubles_with_every_level_of_the_value() -> None:
    twice, once = Branching(TWICE), Branching(LIST)
    assert twice.looks(nested(20)) > 2**20
    assert once.looks(nested(200)) < 201 * 2 * 201


def test_what_shares_the_parts_is_no_alternative() -> None:
    """Each property has its own schema: only one of them is held against any part."""
    many = {"properties": {f"p{at}": {"$ref": "#"} for at in range(50)}}
    assert Branching(many).looks(nested(10)) < 11 * 30


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"$ref": "#"}, "without end"),
        ({"anyOf": [{"type": "null"}, {"allOf": [{"$ref": "#"}]}]}, "without end"),
        ({"$ref": "http://127.0.0.1/x"}, "somewhere else"),
        ({"$ref": "#anchor"}, "somewhere else"),
        ({"$ref": "#/$defs/nobody"}, "not there"),
        ({"$dynamicRef": "#x"}, "what only its use decides"),
        ({"anyOf": [{"type": "integer"} for _ in range(MOST_SCHEMAS + 1)]}, "more than"),
    ],
)
def test_what_cannot_be_counted_is_refused(schema: dict[str, Any], told: str) -> None:
    with pytest.raises(Endless, match=told.replace("$", r"\$")):
        Branching(schema)
    with pytest.raises(NoSchema):
        spec_of(schema, foreign=True)


def test_an_answer_is_not_held_against_what_takes_too_long() -> None:
    """Counted in processor time: 2**26 looks would take a second, and what is wrong with them an hour."""
    began = time.process_time()
    assert "so many alternatives" in spec_of(doubling(26), foreign=True).problem("text")
    assert "so many alternatives" in spec_of(TWICE, foreign=True).problem(nested(60))
    assert time.process_time() - began < 1


def test_what_branches_a_little_is_held_against_without_saying_what_is_wrong() -> None:
    spec = spec_of(doubling(15), foreign=True)
    assert spec.problem(7) == ""
    assert spec.problem("seven") == "is not what the schema allows"


def test_what_hardly_branches_is_told_what_is_wrong() -> None:
    assert "integer" in spec_of(LIST, foreign=True).problem({"next": {"value": "one"}})


LEAVES = st.sampled_from([{"type": "integer"}, {"type": "string"}, True])
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=3)}),
        st.fixed_dictionaries({"items": inner}),
        st.fixed_dictionaries({"not": inner}),
    ),
    max_leaves=12,
)
VALUES = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=10,
)


def followed(schema: Any, value: Any) -> int:
    """The looks that are really taken, each way followed to its end."""
    if not isinstance(schema, dict):
        return 1
    looks = 1 + sum(followed(each, value) for each in schema.get("anyOf", ()))
    if "not" in schema:
        looks += followed(schema["not"], value)
    if "properties" in schema and isinstance(value, dict):
        looks += sum(followed(each, value[name]) for name, each in schema["properties"].items() if name in value)
    if "items" in schema and isinstance(value, list):
        looks += sum(followed(schema["items"], each) for each in value)
    return looks


@given(SCHEMAS.filter(lambda schema: isinstance(schema, dict)), VALUES)
def test_never_more_looks_are_taken_than_were_counted(schema: Any, value: Any) -> None:
    assert followed(schema, value) <= Branching(schema).looks(value)
