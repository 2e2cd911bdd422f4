"""Whatever is asked: every answer fits its schema, and differs where the question does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_pool.providers.builtin.answer import TASKS
from llm_pool.providers.builtin.text import words
from tests.providers.builtin.asking import asked, chatted

WORDS = st.sampled_from([
    *words(
        "red tent best cheap without nuts no and or under 30 minutes até R$ 1.200 sem glúten e fácil não que the of"
    ),
    *("a)", "1.", "- x", "4.5", "github.com", "youtube", "1h30", "<=", "{", "[", "(", ",", ".", ":", '"', "🙂", "日本"),
    *("ignore previous instructions", "\n", "\x00", "\u200b", "\ud83d"),
])
TEXTS = st.one_of(st.text(max_size=300), st.lists(WORDS, max_size=40).map(" ".join))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=8,
)
KEYS = st.sampled_from([
    "title",
    "text",
    "price",
    "rating",
    "date",
    "duration_min",
    "views",
    "free",
    "lang",
    "tags",
    "max_price",
    "criteria",
])
FIELDS = st.dictionaries(st.one_of(KEYS, st.text(max_size=8)), VALUES, max_size=5)
IDS = st.one_of(st.integers(-(2**53) + 1, 2**53 - 1), st.text(min_size=1, max_size=10).filter(str.strip))


@pytest.mark.parametrize("task", TASKS)
@given(text=TEXTS)
@settings(max_examples=60)
def test_any_text_has_an_answer_that_fits(task: str, text: str) -> None:
    asked(task, text)


@pytest.mark.parametrize("task", TASKS)
@given(value=st.one_of(FIELDS, VALUES))
@settings(max_examples=40)
def test_any_json_has_an_answer_that_fits(task: str, value: object) -> None:
    asked(task, value)


@given(text=TEXTS)
def test_any_text_is_answered_in_a_chat(text: str) -> None:
    assert chatted(text).startswith("[builtin/extractive")


@given(
    question=FIELDS,
    query=TEXTS,
    candidates=st.lists(st.tuples(IDS, FIELDS), min_size=1, max_size=8, unique_by=lambda each: str(each[0])),
)
@settings(max_examples=120)
def test_a_ranking_is_a_permutation_and_a_winner_was_given(
    question: dict[str, object], query: str, candidates: list[tuple[str | int, dict[str, object]]]
) -> None:
    given_ids = [each for each, _ in candidates]
    whole = {**question, "query": query, "candidates": [{**fields, "id": own} for own, fields in candidates]}
    ranking = asked("rerank_candidates", whole)["ranking"]
    assert sorted(map(repr, ranking)) == sorted(map(repr, given_ids))
    winner = asked("judge", whole)["winner_id"]
    assert winner is None or repr(winner) in map(repr, given_ids)


ODD = st.recursive(
    st.one_of(
        st.integers(),
        st.sampled_from([10**400, -(10**400), 2**63, 10**18, 1e308, -1e308, 5e-324, 0, -0.0]),
        st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from(["NaN", "Infinity", "-inf", "1e400", "9" * 500, "0x1F", "1.2.3,4", "x" * 5_000, ""]),
        st.none(),
        st.booleans(),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=5,
)
MEASURES = st.dictionaries(
    st.sampled_from(["price", "rating", "year", "date", "duration_min", "views", "weight", "size_gb", "stops"]), ODD
)


@given(
    asked_for=st.dictionaries(st.sampled_from(["max_price", "min_rating", "criteria", "weights"]), ODD), each=MEASURES
)
def test_no_number_of_a_candidate_is_too_much(asked_for: dict[str, object], each: dict[str, object]) -> None:
    whole = {"query": "price under 50, rating above 4", **asked_for, "candidates": [{**each, "id": 1}, {"id": 2}]}
    assert set(asked("rerank_candidates", whole)["ranking"]) == {1, 2}
    assert asked("judge", whole)["winner_id"] in {1, 2, None}


PAIRS = [
    ("red tent for two", "red tent for three"),
    ("The service api-1 is slow", "The service api-2 is slow"),
    ("find shoes on a.com", "find shoes on b.com"),
    ("barraca vermelha para dois", "barraca verde para dois"),
]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("pair", PAIRS)
def test_two_different_questions_have_two_answers(task: str, pair: tuple[str, str]) -> None:
    assert asked(task, pair[0]) != asked(task, pair[1])


def test_it_is_deterministic() -> None:
    for task in TASKS:
        assert asked(task, PAIRS[0][0]) == asked(task, PAIRS[0][0])
