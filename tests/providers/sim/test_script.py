"""What a simulated model says, when, and whether it does."""

from __future__ import annotations

import math
import os
import statistics
import subprocess
import sys
from collections import Counter
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.core.types import Image, Message, Text, TextDelta, ToolResult, Usage
from llm_pool.providers.sim.script import Play, Script
from tests.providers.sim.asking import request, sim

ANSWERS = [f"answer {number}" for number in range(50)]


def script(provider: str = "sim", **keys: Any) -> Script:
    return Script(sim(**keys), provider=provider, models=("m",))


def said(play: Play) -> str:
    return "".join(each.text for _, each in play.pieces if isinstance(each, TextDelta))


def worded(*pieces: tuple[float, str]) -> tuple[tuple[float, TextDelta], ...]:
    return tuple((wait, TextDelta(text)) for wait, text in pieces)


# --- Answers ----------------------------------------------------------------------------------------------------


def test_it_says_what_it_is_and_repeats_the_question() -> None:
    play = script("demo").play(request("Why is the sky blue?"))
    assert said(play) == (
        'This is "demo/m", a simulated model: no language model answered. You asked: Why is the sky blue?'
    )
    assert (play.fate, play.reason, play.first_token) == ("ok", "stop", 0.0)
    assert play.usage == Usage(input=5, output=17)


def test_it_repeats_what_the_user_said_last_and_at_most_200_characters_of_it() -> None:
    messages = (
        Message.of("system", "Be brief."),
        Message.of("user", "first"),
        Message.of("assistant", "answer"),
        Message("user", (Text("x" * 150), Image("image/png", b"..."), Text("y" * 51))),
        Message("tool", (ToolResult("1", (Text("two "), Text("words"))),)),
    )
    play = script().play(request(messages=messages))
    assert said(play).endswith(" You asked: " + "x" * 150 + "y" * 49 + "…")
    assert play.usage.input == 2 + 1 + 1 + 2 + 2


def test_it_says_what_it_is_when_nobody_asked() -> None:
    play = script().play(request(messages=(Message.of("system", "Be brief."),)))
    assert said(play) == 'This is "sim/m", a simulated model: no language model answered.'


def test_equal_questions_get_equal_answers_in_any_order_and_from_any_provider() -> None:
    one, other = script("one", seed=7, answers=ANSWERS), script("other", seed=7, answers=ANSWERS)
    questions = [request(f"question {number}") for number in range(100)]
    answers = [said(one.play(question)) for question in questions]
    assert [said(other.play(question)) for question in reversed(questions)] == answers[::-1]
    assert len(set(answers)) > 20


def test_seed_model_words_and_sampling_each_change_what_is_drawn() -> None:
    def drawn(ask: Any, seed: int = 0) -> list[str]:
        made = script(seed=seed, answers=ANSWERS)
        return [said(made.play(ask(number))) for number in range(20)]

    variants = [
        drawn(lambda number: request(str(number))),
        drawn(lambda number: request(str(number)), seed=1),
        drawn(lambda number: request(str(number), model="n")),
        drawn(lambda number: request(f"{number}?")),
        drawn(lambda number: request(str(number), max_tokens=99)),
    ]
    assert len({tuple(variant) for variant in variants}) == len(variants)


def test_another_process_draws_the_same_answers() -> None:
    """Python's own hash of a text differs from process to process."""
    code = (
        "from tests.providers.sim.test_script import ANSWERS, request, said, script\n"
        "print([said(script(answers=ANSWERS).play(request(str(number)))) for number in range(9)])"
    )
    here = [said(script(answers=ANSWERS).play(request(str(number)))) for number in range(9)]
    for salt in ("1", "2"):
        there = subprocess.run(  # noqa: S603 - our own code
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": salt, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert there.stdout.strip() == str(here)


def test_a_question_of_unpaired_surrogates_is_answered() -> None:
    assert said(script(answers=ANSWERS).play(request("\ud800"))) in ANSWERS


def test_an_answer_in_json_fits_its_schema() -> None:
    schema = {
        "type": "object",
        "properties": {"queries": {"type": "array", "items": {"type": "string"}, "minItems": 2}},
    }
    made = script(json_schema=schema)
    play = made.play(request(whole=False))
    value = orjson.loads(said(play))
    assert len(value["queries"]) >= 2
    assert len(play.pieces) >= 4  # it is indented, so it streams in pieces and can break off half-way
    assert said(made.play(request(whole=False))) == said(play)


# --- Tokens -----------------------------------------------------------------------------------------------------


@given(st.text(), st.booleans(), st.none() | st.integers(0, 5))
def test_the_pieces_are_the_answer_byte_for_byte_up_to_max_tokens(text: str, whole: bool, limit: int | None) -> None:
    play = script(answers=[text]).play(request(whole=whole, max_tokens=limit))
    words = len(text.split()) or (1 if text else 0)
    assert play.usage.output == (words if limit is None else min(words, limit))
    if limit is None or words <= limit:
        assert play.reason == "stop"
        assert said(play) == text
    else:
        assert play.reason == "length"
        assert text.startswith(said(play))
        assert said(play).split() == text.split()[:limit]


def test_a_stream_has_a_piece_per_word_and_a_whole_answer_is_one() -> None:
    made = script(answers=[" one  two\nthree"])
    assert made.play(request(whole=False)).pieces == worded((0.0, " one  "), (0.0, "two\n"), (0.0, "three"))
    assert made.play(request(whole=True)).pieces == worded((0.0, " one  two\nthree"))
    assert made.play(request(whole=True, max_tokens=2)).pieces == worded((0.0, " one  two\n"))
    assert script(answers=[""]).play(request()).pieces == ()


# --- Pace -------------------------------------------------------------------------------------------------------


def test_the_first_word_waits_for_the_first_token_only() -> None:
    made = script(answers=["one two three"], first_token={"median_ms": 200.0}, per_token={"median_ms": 10.0})
    play = made.play(request())
    assert play.first_token == 0.2
    assert play.pieces == worded((0.0, "one "), (0.01, "two "), (0.01, "three"))


def test_latencies_have_the_median_and_the_percentile_asked_for() -> None:
    made = script(first_token={"median_ms": 100.0, "p99_ms": 1000.0})
    drawn = [made.play(request()).first_token for _ in range(20_000)]
    assert statistics.median(drawn) == pytest.approx(0.1, rel=0.05)
    assert statistics.quantiles(drawn, n=100)[98] == pytest.approx(1.0, rel=0.1)
    assert statistics.stdev(map(math.log, drawn)) == pytest.approx(math.log(10) / 2.3263, rel=0.03)


# --- Fates ------------------------------------------------------------------------------------------------------


def test_each_fate_has_its_share_though_all_questions_are_equal() -> None:
    made = script(fail_rate=0.2, break_rate=0.1, stall_rate=0.05)
    fates = Counter(made.play(request()).fate for _ in range(10_000))
    assert fates["fail"] == pytest.approx(2000, rel=0.1)
    assert fates["break"] == pytest.approx(1000, rel=0.1)
    assert fates["stall"] == pytest.approx(500, rel=0.15)


def fates(made: Script) -> list[str]:
    return [made.play(request()).fate for _ in range(64)]


def test_a_run_repeats_its_fates_and_another_seed_or_provider_has_others() -> None:
    usual = fates(script(fail_rate=0.5))
    assert fates(script(fail_rate=0.5)) == usual
    assert fates(script(fail_rate=0.5, seed=1)) != usual
    assert fates(script("other", fail_rate=0.5)) != usual


def test_latencies_do_not_change_who_fails() -> None:
    slow = script(fail_rate=0.5, first_token={"median_ms": 1.0, "p99_ms": 9.0}, answers=["a b c"])
    assert fates(slow) == fates(script(fail_rate=0.5))


def test_a_broken_answer_says_at_least_one_word_and_breaks_anywhere() -> None:
    made = script(break_rate=1.0, answers=["one two three four"])
    plays = [made.play(request(whole=True)) for _ in range(200)]
    assert {play.break_after for play in plays} == {1, 2, 3, 4}
    assert {len(play.pieces) for play in plays} == {4}


# --- Settings that cannot be played -----------------------------------------------------------------------------


def test_a_schema_that_is_not_supported_is_refused_at_start() -> None:
    with pytest.raises(ValueError, match="pattern"):
        script(json_schema={"type": "string", "pattern": "^a"})
    with pytest.raises(ValueError, match="cannot express"):
        script(json_schema={"enum": [2**70]})


def test_settings_that_contradict_each_other_are_refused_at_start() -> None:
    with pytest.raises(ValueError, match="either answers or json_schema"):
        script(answers=["a"], json_schema={})
    with pytest.raises(ValueError, match="more than 1"):
        script(fail_rate=0.6, stall_rate=0.6)
    script(fail_rate=0.7, break_rate=0.2, stall_rate=0.1)
