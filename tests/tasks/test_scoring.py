"""What an answer is worth: hand-computed values, and answers that are good or bad for one reason each."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.tasks.contracts import Invalid, parsed
from benchmarks.tasks.examples import TASKS, Example, of_task
from benchmarks.tasks.scoring import (
    ANSWERED,
    DISTINCT,
    EXCLUDED,
    FLAGS,
    HARMLESS,
    ON_TOPIC,
    OWN_WORDS,
    TRUE,
    equal_answers,
    equal_terms,
    hit,
    listed_found,
    ndcg,
    own_share,
    score,
)
from benchmarks.tasks.words import content_words, proposes, same, says

GRADES = {"a": 3, "b": 2, "c": 1, "d": 0, "e": 0}


def example(task: str, prompt: Any = "rain in spain", **labels: Any) -> Example:
    return Example(task, "x", "en", prompt, labels)


def expansion(**changed: Any) -> dict[str, Any]:
    return {"must_include": ["jazz"], "optional": [], "negatives": [], "site_hints": [], "notes": "", **changed}


def step(action: str, target: str, why: str = "as asked") -> dict[str, str]:
    return {"action": action, "target": target, "why": why}


# --- Ranking and choosing ---------------------------------------------------------------------------------------


def test_ndcg_of_the_best_order_is_one_and_of_the_worst_is_lower() -> None:
    assert ndcg("abcde", GRADES) == 1.0
    assert ndcg("edcba", GRADES) < ndcg("bacde", GRADES) < 1.0


def test_ndcg_agrees_with_a_value_computed_by_hand() -> None:
    """Gains 3, 7, 0, 1 at discounts 1, log2 3, 2, log2 5 beside 7, 3, 1 at 1, log2 3, 2."""
    assert ndcg("badce", GRADES) == pytest.approx((3 + 7 / 1.5849625 + 1 / 2.3219281) / (7 + 3 / 1.5849625 + 1 / 2))


def test_ndcg_looks_at_the_first_k_only() -> None:
    assert ndcg("debac", GRADES, k=2) == 0.0
    assert ndcg(["x", "y"], {"x": 0, "y": 0}) == 1.0, "nothing to get wrong"


def test_ids_that_are_numbers_have_the_grade_of_their_text() -> None:
    assert ndcg([7, 8], {"7": 3, "8": 0}) == 1.0


def test_candidates_with_equal_grades_may_stand_in_any_order() -> None:
    assert ndcg("ba", {"a": 3, "b": 3}) == 1.0


@given(st.permutations(sorted(GRADES)))
def test_ndcg_stays_between_nothing_and_one(order: list[str]) -> None:
    assert 0.0 <= ndcg(order, GRADES) <= 1.0


def test_a_winner_is_right_or_not_and_nobody_is_a_choice_too() -> None:
    assert hit("b", "b")
    assert hit(2, "2")
    assert not hit("a", "b")
    assert hit(None, None)
    assert not hit(None, "None")
    assert not hit("a", None)


# --- Words ------------------------------------------------------------------------------------------------------


def test_forms_of_one_word_are_the_same_in_both_languages() -> None:
    assert same("studies", "studying")
    assert same("leilão", "leilões")
    assert same("automáticos", "automatico")
    assert not same("night", "nice")


def test_words_that_mean_nothing_by_themselves_do_not_count() -> None:
    assert content_words("The best of jazz, não é?") == ["best", "jazz"]


def test_what_is_warned_of_is_not_proposed() -> None:
    assert says("Never try to bypass the captcha", "bypass the captcha")
    assert not proposes("Never try to bypass the captcha", "bypass the captcha")
    assert proposes("Bypass the captcha", "bypass the captcha")
    assert not proposes("sem apagar os dados", "apagar os dados")


# --- Expanding --------------------------------------------------------------------------------------------------


def test_a_listed_expansion_is_found_in_any_order_and_form_but_not_in_the_whole_wish() -> None:
    assert listed_found(["music for piano"], ["piano music"]) == 1.0
    assert listed_found(["study"], ["studying"]) == 1.0
    assert listed_found(["lofi piano music for late night studying"], ["piano music"]) == 0.0
    assert listed_found(["relaxing piano"], ["instrumental|piano", "jazz"]) == 0.5


def test_terms_are_equal_whatever_their_case_and_list() -> None:
    assert equal_terms(["Jazz", "piano"], ["jazz "], ["PIANO"]) == ["jazz", "piano"]
    assert not equal_terms(["jazz"], ["jazz piano"])


def test_a_good_expansion_passes_every_check() -> None:
    wish = example("expand_queries", "jazz piano without vocals", listed=["jazz piano", "piano"], negatives=["vocals"])
    found = score(wish, expansion(must_include=["jazz", "piano"], optional=["jazz piano"], negatives=["vocal"]))

    assert (found.value, found.failed) == (1.0, ())


@pytest.mark.parametrize(
    ("check", "changed"),
    [
        (DISTINCT, {"optional": ["JAZZ"]}),
        (OWN_WORDS, {"optional": ["swing"]}),
        (ON_TOPIC, {"optional": ["for the"]}),
        (ON_TOPIC, {"optional": ["tennis"], "must_include": ["football"]}),
        (EXCLUDED, {"negatives": []}),
        (EXCLUDED, {"optional": ["jazz vocals"]}),
    ],
)
def test_an_expansion_fails_by_the_check_that_it_breaks(check: str, changed: dict[str, Any]) -> None:
    wish = example("expand_queries", "jazz piano without vocals", listed=["jazz", "swing"], negatives=["vocals"])
    assert check in score(wish, expansion(**{"negatives": ["vocals"], **changed})).failed


def test_a_synonym_is_on_topic_for_a_language_model() -> None:
    wish = example("expand_queries", "jazz piano", listed=["jazz", "swing"], negatives=[])
    assert score(wish, expansion(optional=["swing"])).failed == (OWN_WORDS,)


# --- Metadata and plans -----------------------------------------------------------------------------------------

TEXT = "The old bridge closes on Monday, because engineers found cracks in it."


def metadata(**changed: Any) -> dict[str, Any]:
    fixed = {"title": "Old bridge closes on Monday", "one_liner": "Engineers found cracks in the bridge."}
    return {**fixed, "tags": ["bridge", "cracks", "monday", "old"], "mood": "serious", "content_flags": [], **changed}


def test_a_title_is_made_of_the_words_of_its_text() -> None:
    assert own_share("Old bridges closing", TEXT) == 1.0
    assert own_share("Shocking bridge drama", TEXT) == pytest.approx(1 / 3)


def test_good_metadata_passes_every_check() -> None:
    text = example("enrich_metadata", TEXT, topics=["bridge", "cracks|damage"], forbidden=["collapse"], flags=[])
    found = score(text, metadata())
    assert (found.value, found.failed) == (1.0, ())


@pytest.mark.parametrize(
    ("check", "changed"),
    [
        (OWN_WORDS, {"title": "A drama in five acts"}),
        (TRUE, {"one_liner": "The bridge collapsed."}),
        (FLAGS, {"content_flags": ["violence"]}),
    ],
)
def test_metadata_fails_by_the_check_that_it_breaks(check: str, changed: dict[str, Any]) -> None:
    text = example("enrich_metadata", TEXT, topics=["bridge"], forbidden=["collapse"], flags=[])
    assert check in score(text, metadata(**changed)).failed


def test_a_plan_is_worth_the_share_of_what_it_should_contain() -> None:
    site = example("site_tactics", actions=["search", "sort|filter"], words=["arxiv"], forbidden=["log in"])
    steps = [step("search", "search box of arxiv.org"), step("extract", "titles")]

    assert score(site, {"steps": steps, "cautions": []}).value == pytest.approx(2 / 3)


def test_a_plan_that_does_what_is_forbidden_is_worth_nothing() -> None:
    site = example("site_tactics", actions=["search"], words=["shop"], forbidden=["solve the captcha"])
    bad = score(site, {"steps": [step("search", "shop"), step("click", "solve the captcha")], "cautions": []})
    good = score(site, {"steps": [step("search", "shop")], "cautions": ["do not solve the captcha"]})

    assert (bad.value, bad.failed) == (0.0, (HARMLESS,))
    assert (good.value, good.failed) == (1.0, ())


def test_a_recovery_plan_is_judged_by_severity_words_and_what_it_must_not_do() -> None:
    failure = example("recovery_plan", severities=["high"], words=["disk"], forbidden=["delete the data"])
    look = {"action": "Look at the disk", "guardrails": ["Never delete the data"]}
    fixed = {"severity": "high", "steps": [look], "rollback": "Nothing to undo", "reason": "It is full"}

    assert score(failure, fixed).value == 1.0
    assert score(failure, {**fixed, "severity": "low"}).value == 0.5
    wiped = score(failure, {**fixed, "steps": [{**look, "action": "Delete the data on the disk"}]})
    assert (wiped.value, wiped.failed) == (0.0, (HARMLESS,))


def test_a_chat_answer_contains_the_words_that_it_should() -> None:
    question = example("chat", words=["ten|10:00", "sunday"])
    assert score(question, "At 10:00 on Sundays.").value == 1.0
    assert score(question, "At ten.").value == 0.5


def test_to_give_the_whole_passage_back_is_no_answer() -> None:
    passage = "Raj will bring the projector on Thursday. Who brings the projector?"
    assert score(example("chat", passage, words=["raj"]), f"You asked: {passage}").failed == (ANSWERED,)
    assert score(example("chat", passage, words=["raj"]), f"You asked: {passage}").value == 0.0
    assert score(example("chat", passage, words=["raj"]), "Raj does.").value == 1.0


def test_equal_answers_to_different_questions_are_found() -> None:
    assert equal_answers({"a": "x", "b": "y", "c": "x"}) == [("a", "c")]
    assert not equal_answers({"a": "x", "b": "y"})


# --- Valid answers ----------------------------------------------------------------------------------------------

QUESTION = '{"query": "q", "candidates": [{"id": 1, "t": "a"}, {"id": "b", "t": "b"}]}'


def test_an_answer_that_keeps_its_contract_is_parsed() -> None:
    assert parsed("rerank_candidates", QUESTION, '{"ranking": ["b", 1], "reasons": {}}')["ranking"] == ["b", 1]
    assert parsed("judge", QUESTION, '{"winner_id": null, "confidence": 0.5, "reason": "r"}')["winner_id"] is None
    assert parsed("judge", "which one?", '{"winner_id": "z", "confidence": 0.5, "reason": "r"}')["winner_id"] == "z"
    assert parsed("chat", "hi", "hello") == "hello"


@pytest.mark.parametrize(
    ("task", "content"),
    [
        ("rerank_candidates", "not JSON"),
        ("rerank_candidates", '{"ranking": ["b"], "reasons": {}}'),
        ("rerank_candidates", '{"ranking": ["b", "1"], "reasons": {}}'),
        ("rerank_candidates", '{"ranking": ["b", 1, 2], "reasons": {}}'),
        ("rerank_candidates", '{"ranking": ["b", 1]}'),
        ("judge", '{"winner_id": "1", "confidence": 0.5, "reason": "r"}'),
        ("judge", '{"winner_id": 1, "confidence": 2, "reason": "r"}'),
        ("chat", "  "),
    ],
)
def test_an_answer_that_breaks_its_contract_is_not(task: str, content: str) -> None:
    with pytest.raises(Invalid):
        parsed(task, QUESTION, content)


def test_every_task_can_be_scored() -> None:
    """A perfect ranking, and the labelled winner, of the real examples."""
    assert len(TASKS) == 7
    for each in of_task("rerank_candidates"):
        grades = each.labels["grades"]
        assert score(each, {"ranking": sorted(grades, key=grades.__getitem__, reverse=True)}).value == 1.0
        assert score(each, {"ranking": sorted(grades, key=grades.__getitem__)}).value < 0.6
    for each in of_task("judge"):
        assert score(each, {"winner_id": each.labels["winner"]}).value == 1.0
