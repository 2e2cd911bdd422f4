"""The candidates of a question: found where it is JSON, told apart by their ids, refused where they cannot be."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llm_pool.core.candidates import LONGEST_ID, MOST, MOST_CHARACTERS, read
from llm_pool.core.errors import InvalidRequest


def asked(value: object) -> Any:
    question = read(json.dumps(value))
    assert question is not None
    return question


def refusal(text: str) -> str:
    with pytest.raises(InvalidRequest) as caught:
        read(text)
    assert caught.value.field == "prompt"
    assert caught.value.details == {"field": "prompt"}
    assert caught.value.message.startswith("prompt: ")
    return caught.value.message.removeprefix("prompt: ")


def refused(candidates: object) -> str:
    as_list, as_object = refusal(json.dumps(candidates)), refusal(json.dumps({"q": "?", "candidates": candidates}))
    assert as_list == as_object
    return as_list


def test_an_object_with_candidates_is_a_question_with_ids() -> None:
    question = asked({"query": "q", "candidates": [{"id": "a", "text": "x"}, {"id": 2, "price": 1.5}], "n": None})
    assert question.ids == ("a", 2)
    assert [dict(each.fields) for each in question.candidates] == [{"text": "x"}, {"price": 1.5}]
    assert question.asked == {"query": "q", "n": None}


def test_a_list_is_just_its_candidates() -> None:
    question = asked([{"id": "a"}, {"id": "b"}])
    assert (question.ids, question.asked) == (("a", "b"), {})


def test_plain_texts_are_numbered_from_one() -> None:
    for question in (asked(["x", "y", "x"]), asked({"candidates": ["x", "y", "x"]})):
        assert question.ids == ("1", "2", "3")
        assert [each.fields["text"] for each in question.candidates] == ["x", "y", "x"]


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "which one?", '"text"', "3", "null", "{", "[", "[see above] which one?", "{a: 1}", '{"a": 1} and more',
        "[1, NaN]", '{"candidates": [Infinity]}', '{"query": "no candidates"}', "{}",
        "[" * 100_000, '{"a":' * 50_000, "[" + "9" * 5000 + "]", "candidates: [1]",
    ],
)  # fmt: skip
def test_of_plain_text_nothing_is_known(text: str) -> None:
    assert read(text) is None


def test_spaces_before_it_do_not_hide_a_question() -> None:
    question = read('\n\t {"candidates": ["x"]} \n')
    assert question is not None
    assert question.ids == ("1",)


@pytest.mark.parametrize("given", [[], "a", 3, None, {"a": 1}, True])
def test_candidates_that_are_no_list_are_refused(given: object) -> None:
    assert refusal(json.dumps({"candidates": given})) == "candidates must be a list with at least one of them"


@pytest.mark.parametrize(
    ("candidates", "says"),
    [
        ([], "candidates must be a list with at least one of them"),
        ([{"id": "a"}, "b"], "candidate 2 is no object with an id"),
        ([["a"]], "candidate 1 is no object with an id"),
        ([1, 2], "candidate 1 is no object with an id"),
        ([None], "candidate 1 is no object with an id"),
        ([{"id": "a"}, {"ID": "b"}], "candidate 2 has no id"),
        ([{"id": None}], "candidate 1 has no id"),
        ([{}], "candidate 1 has no id"),
        ([{"id": "a"}, {"id": "a"}], 'two candidates have the id "a"'),
        ([{"id": 1}, {"id": "1"}], 'two candidates have the id "1"'),
        ([{"id": "a\n\x1b[2J"}] * 2, 'two candidates have the id "a??[2J"'),
    ],
)
def test_candidates_that_cannot_be_told_apart_are_refused(candidates: object, says: str) -> None:
    assert refused(candidates) == says


WRONG_IDS = ["", "  ", True, False, 1.0, 1.5, [], {}, 2**53, -(2**53), "x" * (LONGEST_ID + 1), " " * LONGEST_ID + "x"]


@pytest.mark.parametrize("wrong", WRONG_IDS)
def test_an_id_is_a_short_text_or_a_whole_number(wrong: object) -> None:
    assert refused([{"id": "ok"}, {"id": wrong}]) == (
        f"the id of candidate 2 must be a text of 1 to {LONGEST_ID} characters or a whole number"
    )


@pytest.mark.parametrize("right", ["x" * LONGEST_ID, "0", "世界", " a ", 0, -5, 2**53 - 1, "https://a.example/?b=c"])
def test_an_id_is_kept_as_it_is_given(right: str | int) -> None:
    (found,) = asked([{"id": right}]).ids
    assert (found, type(found)) == (right, type(right))


def test_half_of_a_surrogate_pair_is_no_id() -> None:
    """JSON can escape one, but no answer could name it: UTF-8 has no bytes for it."""
    assert "the id of candidate 1" in refusal('[{"id": "\\ud800"}]')
    assert asked([{"id": "\U0001f44b"}]).ids == ("\U0001f44b",)


def test_an_infinite_number_beside_the_candidates_is_no_reason_to_fail() -> None:
    question = read('{"candidates": ["x"], "limit": 1e400}')
    assert question is not None
    assert question.asked == {"limit": float("inf")}


def test_too_many_and_too_long_are_refused() -> None:
    assert len(asked(["x"] * MOST).ids) == MOST
    assert refused(["x"] * (MOST + 1)) == f"has more than {MOST} candidates"
    assert refusal("[" + " " * MOST_CHARACTERS) == f"is longer than {MOST_CHARACTERS} characters"
    assert read("x" * MOST_CHARACTERS * 2) is None


def test_of_keys_that_stand_twice_the_last_one_counts_as_everywhere_in_json() -> None:
    question = read('{"candidates": [{"id": "a", "id": "b"}]}')
    assert question is not None
    assert question.ids == ("b",)


KEYS = st.sampled_from(["id", "candidates", "text", "query"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4) | st.just("a")
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=3))
LISTS = st.lists(st.fixed_dictionaries({"id": st.integers(-2, 2) | st.sampled_from(["0", "1", "a", ""])}), max_size=4)
BRACKETS = st.lists(st.sampled_from(['{"candidates":', "[", "]", "{", "}", ",", '"id"', ":", '"a"', "1", " "])).map(
    "".join
)


@given(st.text() | BRACKETS | (JSON | LISTS | LISTS.map(lambda each: {"candidates": each})).map(json.dumps))
@example('[{"id": "\\udfff"}]')
def test_any_text_is_plain_a_question_or_an_error_of_ours(text: str) -> None:
    with contextlib.suppress(InvalidRequest):
        question = read(text)
        if question is None:
            return
        names = [str(each) for each in question.ids]
        assert names
        assert len(set(names)) == len(names)
        assert all(type(each) in {str, int} for each in question.ids)
        json.dumps(question.ids).encode()
        "".join(names).encode()
