"""A schema is compiled once and fetches nothing; narrowed, it takes the ids of one question and no others."""

from __future__ import annotations

import re
import time
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.config.load import PACKAGED_PROMPTS
from llm_pool.config.prompts import BUILT_IN, parsed
from llm_pool.config.schemas import narrowed, spec_of

CANARY = "canary-7481"
PROMPTS = next(folder for folder in PACKAGED_PROMPTS if folder.is_dir())


def packaged(task: str) -> Any:
    prompt = parsed((PROMPTS / BUILT_IN[task]).read_bytes(), BUILT_IN[task])
    assert prompt.spec
    return prompt.spec.schema


# --- Compiled ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "objekt"}, "is no JSON Schema: "),
        ({"properties": 3}, 'is no JSON Schema: it is not of type "object"'),
        ({"type": "string", "pattern": "("}, "is no JSON Schema: "),
        ({"$ref": "#/nowhere"}, "is no JSON Schema: Pointer '/nowhere' does not exist"),
        ({"$schema": "https://example.org/own"}, "is no JSON Schema: Unknown meta-schema"),
        ({"minimum": float("nan")}, "is no JSON Schema: "),
        ({"const": date(2020, 1, 2)}, "holds a value that JSON cannot express"),
        ({"const": 2**70}, "holds a value that JSON cannot express"),
    ],
)
def test_what_is_no_schema_is_refused(schema: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(why)}") as caught:
        spec_of(schema)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    "address", ["https://example.org/s.json", "http://127.0.0.1:9/s.json", "file:///etc/passwd", "other.json"]
)
def test_nothing_is_fetched_for_a_schema(address: str) -> None:
    for schema in ({"$ref": address}, {"properties": {"a": {"anyOf": [{"$ref": f"{address}#/x"}]}}}):
        with pytest.raises(ValueError, match="is no JSON Schema"):
            spec_of(schema)


def test_a_schema_may_point_into_itself_and_name_its_draft() -> None:
    tree = spec_of({"type": "array", "items": {"$ref": "#"}})
    assert tree.problem([[], [[]]]) == ""
    assert tree.problem([[1]]) == '0.0: is not of type "array"'
    old = spec_of({"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]})
    assert old.problem(["a", 1]) == ""
    assert old.problem([1]) != ""


def test_true_is_no_number_and_a_whole_float_is_one() -> None:
    whole = spec_of({"type": "integer"})
    assert whole.problem(1.0) == ""
    assert whole.problem(True) != ""


# --- What is wrong with an answer, without the answer -----------------------------------------------------------

TOLD = "has a key that the schema does not have"


@pytest.mark.parametrize(
    ("schema", "value", "said"),
    [
        ({"additionalProperties": False, "properties": {"a": {}}}, {CANARY: 1}, TOLD),
        ({"unevaluatedProperties": False}, {CANARY: 1}, TOLD),
        ({"propertyNames": {"maxLength": 2}}, {CANARY: 1}, TOLD),
        ({"additionalProperties": {"type": "integer"}}, {CANARY: "x"}, '*: is not of type "integer"'),
        (
            {"properties": {"a": {"patternProperties": {"": {"maxLength": 2}}}}},
            {"a": {CANARY: CANARY}},
            "a.*: is longer than 2 characters",
        ),
        (
            {"properties": {"a": {"items": {"type": "integer"}}}},
            {"a": [1, CANARY]},
            'a.1: is not of type "integer"',
        ),
        ({"properties": {"a": False}}, {"a": CANARY}, "a: is nothing that the schema allows"),
        ({"enum": ["low", "high"]}, CANARY, "is none of the values that it may have"),
        ({"const": "low"}, CANARY, '"low" was expected'),
        ({"type": ["object", "null"]}, CANARY, 'is not of types "null", "object"'),
        ({"pattern": "^z"}, CANARY, 'does not match "^z"'),
        ({"required": ["a"]}, {}, '"a" is a required property'),
        ({"maximum": 3}, 74811, "is greater than the maximum of 3"),
    ],
)
def test_a_problem_says_where_and_what_and_not_the_value(schema: dict[str, Any], value: object, said: str) -> None:
    assert spec_of(schema).problem(value) == said


RULES: list[dict[str, Any]] = [
    {"type": "integer"}, {"enum": [1]}, {"const": 1}, {"maxLength": 2}, {"minLength": 99}, {"pattern": "^z"},
    {"not": {}}, {"minProperties": 9}, {"maxProperties": 0}, {"required": ["q"]}, {"additionalProperties": False},
    {"unevaluatedProperties": False}, {"propertyNames": {"enum": ["q"]}}, {"propertyNames": {"pattern": "^z"}},
    {"minItems": 9}, {"maxItems": 0}, {"contains": {"const": 1}}, {"prefixItems": [{"const": 1}], "items": False},
    {"unevaluatedItems": False}, {"uniqueItems": True}, {"anyOf": [{"const": 1}]}, {"oneOf": [{}, {}]},
    {"allOf": [{"const": 1}]}, {"if": {}, "then": {"const": 1}}, {"dependentSchemas": {CANARY: False}},
]  # fmt: skip
VALUES = st.recursive(
    st.just(CANARY), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just(CANARY), inner, max_size=1)
)


@given(st.sampled_from(RULES), st.integers(0, 2), VALUES)
def test_no_rule_of_a_schema_lets_an_answer_into_a_message(rule: dict[str, Any], depth: int, value: object) -> None:
    for _ in range(depth):
        rule = {"items": rule, "additionalProperties": rule}
    assert CANARY not in spec_of(rule).problem(value)


# --- Narrowed ---------------------------------------------------------------------------------------------------


def ranked(ranking: object, ids: list[str | int], reasons: object = None) -> str:
    spec = spec_of(narrowed(packaged("rerank_candidates"), ids, each="ranking", one=None))
    return spec.problem({"ranking": ranking, "reasons": reasons or {}})


@pytest.mark.parametrize(
    ("ids", "ranking"),
    [(["a", "b", "c"], ["c", "a", "b"]), ([1, 2], [2, 1]), (["a", 1], [1, "a"]), (["a"], ["a"]), ([7], [7.0])],
)
def test_a_ranking_of_all_ids_fits(ids: list[str | int], ranking: list[object]) -> None:
    assert ranked(ranking, ids) == ""


@pytest.mark.parametrize(
    ("ids", "ranking"),
    [
        (["a", "b", "c"], ["a", "b"]),
        (["a", "b", "c"], ["a", "b", "b"]),
        (["a", "b", "c"], ["a", "b", "c", "c"]),
        (["a", "b", "c"], ["a", "b", "d"]),
        (["a", "b", "c"], ["a", "b", "C"]),
        (["a", "b", "c"], ["a", "b", None]),
        (["a", "b", "c"], []),
        (["a", "b", "c"], "abc"),
        ([1, 2], ["1", "2"]),
        ([1, 2], [1, True]),
        ([1, 2], [1, 1.0]),
        (["1", "2"], [1, 2]),
        ([0, 1], [False, True]),
    ],
)
def test_any_other_ranking_does_not(ids: list[str | int], ranking: object) -> None:
    assert ranked(ranking, ids).startswith("ranking")


@given(st.lists(st.text(max_size=3) | st.integers(-9, 9), min_size=1, max_size=6, unique_by=str), st.data())
def test_a_ranking_fits_exactly_where_it_is_a_permutation(ids: list[str | int], data: st.DataObject) -> None:
    ranking = data.draw(st.permutations(ids) | st.lists(st.sampled_from(ids), max_size=7))
    is_one = sorted(map(str, ranking)) == sorted(map(str, ids))
    assert (ranked(ranking, ids) == "") is is_one


def judged(winner: object, ids: list[str | int]) -> str:
    spec = spec_of(narrowed(packaged("judge"), ids, each=None, one="winner_id"))
    return spec.problem({"winner_id": winner, "confidence": 0.5, "reason": "x"})


@pytest.mark.parametrize(("ids", "winner"), [(["a", "b"], "b"), ([1, 2], 2), (["a", "b"], None), ([0], 0)])
def test_the_winner_is_a_candidate_or_nobody(ids: list[str | int], winner: object) -> None:
    assert judged(winner, ids) == ""


@pytest.mark.parametrize(
    ("ids", "winner"),
    [(["a", "b"], "c"), (["a"], ""), ([1, 2], "1"), (["1"], 1), ([1], True), ([0], False), (["a"], ["a"])],
)  # fmt: skip
def test_nobody_else_wins(ids: list[str | int], winner: object) -> None:
    assert judged(winner, ids) == "winner_id: is none of the values that it may have"


@pytest.mark.parametrize(
    ("schema", "takes_null"),
    [
        ({"type": ["string", "null"]}, True),
        ({"type": "null"}, True),
        ({"type": "string"}, False),
        ({"type": ["string", "integer"]}, False),
        ({"enum": ["a", None]}, True),
        ({"enum": ["a"]}, False),
        ({}, True),
        (True, True),
    ],
)
def test_null_is_a_choice_only_where_the_schema_takes_it(schema: object, takes_null: bool) -> None:
    narrow = narrowed({"properties": {"who": schema}}, ["a"], each=None, one="who")
    assert (spec_of(narrow).problem({"who": None}) == "") is takes_null
    assert spec_of(narrow).problem({"who": "a"}) == ""


def test_narrowing_leaves_the_schema_and_its_other_rules_alone() -> None:
    schema = packaged("rerank_candidates")
    before = repr(schema)
    narrow = narrowed(schema, ["a"], each="ranking", one=None)
    assert repr(schema) == before
    assert narrow["properties"]["reasons"] == schema["properties"]["reasons"]
    assert "reasons" in ranked(["a"], ["a"], {"a": 5})


def test_a_message_about_the_ids_of_a_question_does_not_show_them() -> None:
    """What is refused may be logged, and ids belong to the question."""
    assert CANARY not in judged("x", [CANARY])
    assert CANARY not in ranked(["x"], [CANARY])
    assert CANARY not in ranked([CANARY], [CANARY], {CANARY: 5})


def test_an_answer_full_of_mistakes_is_refused_at_the_first() -> None:
    """To gather them all would take seconds, on the event loop."""
    ids = [f"id-{number}" for number in range(1000)]
    schema = {"type": "object", "properties": {"ranking": {"type": "array"}}}
    spec = spec_of(narrowed(schema, ids, each="ranking", one=None))
    started = time.process_time()
    assert spec.problem({"ranking": [f"foreign-{number}" for number in range(20_000)]})
    assert time.process_time() - started < 1.0  # gathered, it was 3.3


def test_null_is_offered_where_the_schema_itself_would_take_it() -> None:
    definitions = {"text": {"type": "string"}, "maybe": {"type": ["string", "null"]}}
    for reference, nobody in (("text", []), ("maybe", [None])):
        schema = {"$defs": definitions, "properties": {"winner": {"$ref": f"#/$defs/{reference}"}}}
        told = narrowed(schema, ["a"], each=None, one="winner")
        assert told["properties"]["winner"] == {"enum": ["a", *nobody]}
