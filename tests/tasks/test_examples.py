"""The labelled examples are sound: enough of them, in both languages, and labels that an answer could fulfil."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from benchmarks.tasks.contracts import of_task as contract
from benchmarks.tasks.examples import FOLDER, TASKS, Example, of_task
from benchmarks.tasks.scoring import ndcg, own_share
from benchmarks.tasks.words import content_words
from llm_pool.core.candidates import read

EACH = 20
LARGEST = 16_384  # bytes, the pool's own limit

ALL = [example for task in TASKS for example in of_task(task)]
LABELS = {
    "expand_queries": {"listed", "negatives"},
    "site_tactics": {"actions", "words", "forbidden"},
    "rerank_candidates": {"grades"},
    "judge": {"winner"},
    "recovery_plan": {"severities", "words", "forbidden"},
    "enrich_metadata": {"topics", "forbidden", "flags"},
    "chat": {"words"},
}


def named(task: str) -> pytest.MarkDecorator:
    """A parameter for each example of the task."""
    return pytest.mark.parametrize("example", of_task(task), ids=lambda example: example.id)


def properties(task: str) -> Any:
    return contract(task)["schema"]["properties"]


@pytest.mark.parametrize("task", TASKS)
def test_each_task_has_twenty_examples_half_of_them_in_portuguese(task: str) -> None:
    languages = Counter(example.language for example in of_task(task))

    assert sum(languages.values()) == EACH
    assert languages["en"] == EACH // 2
    assert languages["pt-BR"] >= 4
    assert languages["pt-PT"] >= 4
    assert set(languages) == {"en", "pt-BR", "pt-PT"}


def test_every_file_belongs_to_a_task() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(TASKS)


def test_no_example_is_there_twice() -> None:
    prompts = Counter(example.prompt for example in ALL)
    assert prompts.most_common(1)[0][1] == 1
    for task in TASKS:
        assert len({example.id for example in of_task(task)}) == EACH


@pytest.mark.parametrize("example", ALL, ids=lambda example: f"{example.task}-{example.id}")
def test_a_prompt_can_be_sent_and_its_labels_are_those_of_its_task(example: Example) -> None:
    assert example.text.strip()
    assert len(example.prompt.encode()) <= LARGEST
    assert isinstance(example.given, str) or json.loads(example.prompt) == example.given
    assert set(example.labels) - {"open"} == LABELS[example.task]


@pytest.mark.parametrize("task", TASKS)
def test_prompts_come_in_more_than_one_shape(task: str) -> None:
    assert len({type(example.given) for example in of_task(task)}) >= 2


@named("rerank_candidates")
def test_every_candidate_has_a_grade_and_some_are_better_than_others(example: Example) -> None:
    grades = example.labels["grades"]
    question = read(example.prompt)

    if question is not None:
        assert set(grades) == {str(each) for each in question.ids}
    assert 6 <= len(grades) <= 10
    assert set(grades.values()) <= {0, 1, 2, 3}
    assert 3 in grades.values()
    assert 0 in grades.values()


@named("judge")
def test_the_winner_is_a_candidate_or_nobody(example: Example) -> None:
    question = read(example.prompt)

    if question is not None:
        assert 2 <= len(question.ids) <= 4
        assert example.labels["winner"] in {*question.ids, None}
    else:
        assert f"\n{example.labels['winner']}. " in example.prompt


def test_to_leave_the_order_as_it_is_or_to_turn_it_round_is_not_enough() -> None:
    gained = []
    for example in of_task("rerank_candidates"):
        question = read(example.prompt)
        ids = list(question.ids) if question else sorted(example.labels["grades"])
        gained.append((ndcg(ids, example.labels["grades"]), ndcg(ids[::-1], example.labels["grades"])))

    assert all(sum(values) / EACH < 0.7 for values in zip(*gained, strict=True))


def test_ids_are_texts_and_numbers_and_are_left_out() -> None:
    """What a client may send, and what an engine has to give back as it was."""
    for task in ("rerank_candidates", "judge"):
        given = [example.given["candidates"] for example in of_task(task) if not isinstance(example.given, str)]
        firsts = [each[0]["id"] if isinstance(each[0], dict) else None for each in given]
        assert {type(first) for first in firsts} == {str, int, type(None)}


def test_nobody_wins_now_and_then_and_the_winner_stands_anywhere() -> None:
    winners = [example.labels["winner"] for example in of_task("judge")]
    places = Counter(
        read(example.prompt).ids.index(example.labels["winner"])  # type: ignore[union-attr]
        for example in of_task("judge")
        if not isinstance(example.given, str) and example.labels["winner"] is not None
    )

    assert winners.count(None) == 2
    assert len(places) >= 2
    assert max(places.values()) <= 10, "no place alone may be enough"


@named("expand_queries")
def test_four_of_five_listed_expansions_come_from_the_wish_itself(example: Example) -> None:
    listed = example.labels["listed"]
    own = [each for each in listed if any(own_share(one, example.text) == 1.0 for one in each.split("|"))]

    assert len(listed) == 5
    assert len(own) >= 4
    assert all(content_words(one) for each in listed for one in each.split("|"))


@named("expand_queries")
def test_what_is_excluded_stands_in_the_wish(example: Example) -> None:
    for each in example.labels["negatives"]:
        assert any(own_share(one, example.text) == 1.0 for one in each.split("|"))


def test_some_wishes_exclude_something_and_some_do_not() -> None:
    counted = Counter(bool(example.labels["negatives"]) for example in of_task("expand_queries"))
    assert min(counted[True], counted[False]) >= 8


@named("enrich_metadata")
def test_topics_are_in_the_text_and_false_claims_are_not(example: Example) -> None:
    for each in example.labels["topics"]:
        assert any(own_share(one, example.text) == 1.0 for one in each.split("|")), each
    for each in example.labels["forbidden"]:
        assert each not in example.text.lower()
    assert set(example.labels["flags"]) <= set(properties("enrich_metadata")["content_flags"]["items"]["enum"])


@named("site_tactics")
def test_expected_actions_exist(example: Example) -> None:
    known = set(properties("site_tactics")["steps"]["items"]["properties"]["action"]["enum"])
    for each in example.labels["actions"]:
        assert set(each.split("|")) <= known
    assert example.labels["words"]
    assert example.labels["forbidden"]


@named("recovery_plan")
def test_expected_severities_exist(example: Example) -> None:
    assert set(example.labels["severities"]) <= set(properties("recovery_plan")["severity"]["enum"])
    assert 1 <= len(example.labels["severities"]) <= 3
    assert example.labels["words"]
    assert example.labels["forbidden"]


def test_most_questions_of_chat_are_answered_by_their_passage() -> None:
    closed = [example for example in of_task("chat") if "open" not in example.labels]

    assert len(closed) == 16
    for example in closed:
        for each in example.labels["words"]:
            assert any(own_share(one, example.text) == 1.0 for one in each.split("|")), example.id
