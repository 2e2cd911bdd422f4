"""An answer is taken out of what is around it, mended once, held to its schema or refused; never quietly changed."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llm_pool.config.schemas import spec_of
from llm_pool.core.errors import InvalidOutput
from llm_pool.core.types import Event, Finished, ReasoningDelta, Started, TextDelta, ToolCallDelta, Usage
from llm_pool.dispatch.validation import MENDED_AT_MOST, Unfit, fitted, held

SPEC = spec_of({
    "type": "object",
    "additionalProperties": False,
    "required": ["a"],
    "properties": {"a": {"type": "string"}, "n": {"type": "integer"}, "more": {"type": "array"}},
})
ANY_OBJECT = spec_of({"type": "object"})
ANYTHING = spec_of({})
GOOD = '{"a": "x"}'


def refusal(text: str, *, spec: Any = SPEC, reason: Any = "stop") -> str:
    with pytest.raises(Unfit) as caught:
        fitted(text, spec, reason=reason)
    return str(caught.value)


# --- Out of what is around it -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [GOOD, f"\n  {GOOD}\n\n", '{"a":"x"}', '{ "n" : 1e0 ,\n "a":"\\u00fc"}'])
def test_an_answer_that_fits_is_delivered_as_it_was_written(text: str) -> None:
    spec = spec_of({"type": "object", "required": ["a"]})
    assert fitted(text, spec, reason="stop") == (text.strip(), "")


@pytest.mark.parametrize(
    "text",
    [
        f"```json\n{GOOD}\n```",
        f"```\n{GOOD}\n```",
        f"```JSON\r\n{GOOD}\r\n```",
        f"``` \n{GOOD}```",
        f"```json5\n  {GOOD}  \n  ```",
        f"Here it is:\n\n```json\n{GOOD}\n```\n\nI hope that ```this``` helps!",
        f"```json\n{GOOD}",  # never closed
        f"<think>{{not this}}</think>{GOOD}",
        f"  <think>\nFirst ```json\n{{}}\n``` then\n</think>\n\n{GOOD}",
        f"<think></think>\n```json\n{GOOD}\n```",
        f"so it must be this one\n</think>\n\n{GOOD}",
        f"maybe {{this}} or [that]\n</think>\n\n{GOOD}",
        f'Draft:\n```json\n{{"a": "first"}}\n```\nNo, wait:\n```json\n{GOOD}\n```',
    ],
)
def test_fences_and_thoughts_are_taken_off(text: str) -> None:
    assert fitted(text, SPEC, reason="stop") == (GOOD, "unwrapped")


@pytest.mark.parametrize("inner", ["use ```ls``` here", "```json", "<think>b</think>", "a\n```\nb"])
def test_what_looks_like_wrapping_inside_of_a_value_stays_in_it(inner: str) -> None:
    """An answer about Markdown must not lose the half that stands behind its own backticks."""
    text = json.dumps({"a": inner})
    assert fitted(text, SPEC, reason="stop") == (text, "")
    assert fitted(f"```json\n{text}\n```", SPEC, reason="stop") == (text, "unwrapped")
    assert fitted(f"```json\n{text}```", SPEC, reason="stop") == (text, "unwrapped")
    assert fitted(f"```json\n{text}", SPEC, reason="stop") == (text, "unwrapped")
    mended, _ = fitted(f"```json\n{text}``` as asked", SPEC, reason="stop")
    assert json.loads(mended) == {"a": inner}
    assert fitted(f"<think>well</think>{text}", SPEC, reason="stop") == (text, "unwrapped")


def test_a_whole_answer_at_the_limit_of_tokens_is_one() -> None:
    """It ended by chance where it was to end."""
    assert fitted(GOOD, SPEC, reason="length") == (GOOD, "")
    assert fitted(f"```json\n{GOOD}\n`", SPEC, reason="stop")[1] == "mended"
    assert fitted(f"```json\n{GOOD}", SPEC, reason="length") == (GOOD, "unwrapped")


# --- Mended -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{'a': 'x'}", {"a": "x"}),
        ("{'a': 'it\\'s'}", {"a": "it's"}),
        ('{"a": "x",}', {"a": "x"}),
        ('{"a": "x", "more": [1, 2, ],}', {"a": "x", "more": [1, 2]}),
        ('{a: "x", n: 3}', {"a": "x", "n": 3}),
        ('{"a": "x" "n": 3}', {"a": "x", "n": 3}),
        ('{"a": "x", "n": 3', {"a": "x", "n": 3}),
        ('{"a": "x"} // as asked', {"a": "x"}),
        ('{"a": "two\nlines"}', {"a": "two\nlines"}),
        ('\ufeff{"a": "x"}', {"a": "x"}),
        (f"Here it is: {GOOD} I hope this helps.", {"a": "x"}),
        (f"Sure!\n{GOOD}", {"a": "x"}),
        ("```json\n{'a': 'Grüße 世界'}\n```", {"a": "Grüße 世界"}),
        ("<think>hm {</think> {a: 'x'}", {"a": "x"}),
    ],
)
def test_json_that_is_nearly_json_is_mended(text: str, value: object) -> None:
    answer, done = fitted(text, SPEC, reason="stop")
    assert (json.loads(answer), done) == (value, "mended")
    assert answer == json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize(
    "text", ['{"a": "x", "more": [1, 2', '{"a": "half a sen', "{'a': 'x'}", "```json\n{'a': 'x", ""]
)
def test_what_was_cut_off_is_never_mended(text: str) -> None:
    """A half sentence would fit the schema, and nobody would know."""
    assert refusal(text, reason="length") == "the answer was cut off at max_tokens"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{'b': 'x'}", "the answer does not fit its schema: has a key that the schema does not have"),
        ("{'a': 3}", 'the answer does not fit its schema: a: is not of type "string"'),
        ("{n: 3}", 'the answer does not fit its schema: "a" is a required property'),
        ("['a', 'x']", 'the answer does not fit its schema: is not of type "object"'),
        ('{"a": "x", "n": "three"}', 'the answer does not fit its schema: n: is not of type "integer"'),
        ('"a"', 'the answer does not fit its schema: is not of type "object"'),
        ("null", 'the answer does not fit its schema: is not of type "object"'),
        ("", "the answer is not JSON"),
        ("I cannot answer that.", "the answer is not JSON"),
        ("a: x", "the answer is not JSON"),
        ("<think>for ever and ever", "the answer is not JSON"),
    ],
)
def test_what_does_not_fit_is_refused(text: str, why: str) -> None:
    assert refusal(text) == why


def test_a_value_that_fits_in_part_is_not_cut_to_fit() -> None:
    assert "key that the schema does not have" in refusal('{"a": "x", "b": 1}')


def test_prose_alone_is_no_object() -> None:
    assert refusal("The answer [as far as I know] is x.", spec=ANY_OBJECT).startswith("the answer does not fit")


@pytest.mark.parametrize("text", ["{a: 1e400}", '{"a": -1e999}', "{a: " + "9" * 400 + "}", '{a: "\\ud800"}'])
def test_a_value_that_json_cannot_hold_is_not_mended_into_another(text: str) -> None:
    """1e400 is infinite to Python, and would go out as null."""
    assert refusal(text, spec=ANY_OBJECT) == "the answer is not JSON"


@pytest.mark.parametrize(
    "text", ["NaN", "1e400", "9" * 5000, '"\\ud800"', "[" * 1025 + "]" * 1025, "[" * 20_000, "{" * 9_000]
)
def test_odd_values_are_refused(text: str) -> None:
    assert refusal(text, spec=ANYTHING) == "the answer is not JSON"


def test_deep_nesting_is_held_to_its_schema() -> None:
    lists = spec_of({"type": "array", "items": {"$ref": "#"}})
    deep = "[" * 900 + "]" * 900
    assert fitted(deep, lists, reason="stop") == (deep, "")
    assert "does not fit its schema: 0.0.0" in refusal("[" * 900 + "1" + "]" * 900, spec=lists)


def test_a_long_answer_is_held_to_its_schema_but_not_mended() -> None:
    long = "x" * MENDED_AT_MOST
    assert fitted(whole := json.dumps({"a": long}), SPEC, reason="stop") == (whole, "")
    assert refusal(f"{{'a': '{long}'}}") == "the answer is not JSON"
    just = f"{{'a': '{'x' * (MENDED_AT_MOST - 10)}'}}"
    assert len(just) <= MENDED_AT_MOST
    assert fitted(just, SPEC, reason="stop")[1] == "mended"


@pytest.mark.parametrize(
    "text",
    [
        '{"' * 30_000,  # json_repair alone would take minutes
        '["a" b" ' * 8_000,
        'a[{"a":```json\n' * 4_000,
        '{"a":["' * 9_000,
        "{" * 60_000,
        "{/*x*/" * 10_000,
        "```\n" + " " * 60_000 + "x",
        "x" + "\n" * 60_000 + "x",
        "```json\n" + "`` \n" * 15_000,
        "<think>" * 9_000 + "{",
    ],
)
def test_a_model_that_stammers_costs_no_minutes(text: str) -> None:
    begun = time.process_time()
    with contextlib.suppress(Unfit):
        fitted(text, SPEC, reason="stop")
    assert time.process_time() - begun < 2.0  # mostly below 0.2 s; the bound is for slow machines


# --- Any text ---------------------------------------------------------------------------------------------------

PIECES = st.sampled_from([
    "{", "}", "[", "]", '"', "'", ":", ",", "\\", "\n", " ", "```", "```json\n", "<think>", "</think>", "a", '"a"', "x",
    "null", "true", "1", "-", "1e400", "NaN", "\\ud800", "//", "/*", "*/", "#", "(", ")", "“", '{"a": "x"}', "\ud800",
])  # fmt: skip
NEARLY = st.lists(PIECES, max_size=30).map("".join)
REASONS = st.sampled_from(["stop", "length", "tool_calls", "content_filter"])


@given(st.text() | NEARLY, st.sampled_from([SPEC, ANY_OBJECT, ANYTHING]), REASONS)
@example('{"a":"\ud800"}', SPEC, "stop")
@example("{a: 1e400}", ANY_OBJECT, "stop")
def test_any_text_is_either_unfit_or_becomes_one_that_parses_and_fits(text: str, spec: Any, reason: Any) -> None:
    with contextlib.suppress(Unfit):
        answer, done = fitted(text, spec, reason=reason)
        assert_sound(text, answer, done, spec=spec, reason=reason)


def assert_sound(text: str, answer: str, done: str, *, spec: Any, reason: str) -> None:
    assert spec.problem(orjson.loads(answer)) == ""
    json.loads(answer, parse_constant=pytest.fail)
    assert done in {"", "unwrapped", "mended"}
    if done != "mended":
        assert answer in text, "it is word for word what the model wrote"
    else:
        assert reason != "length"


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3), REASONS)
def test_a_good_answer_comes_through_any_wrapping_unchanged(value: dict[str, str], reason: Any) -> None:
    for bare in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=2)):
        with contextlib.suppress(UnicodeEncodeError):
            bare.encode()
            assert fitted(bare, ANY_OBJECT, reason=reason)[0] == bare
            assert fitted(f"Well:\n```json\n{bare}\n```\nDone.", ANY_OBJECT, reason=reason)[0] == bare
            assert fitted(f"<think>\nHm: {{\n</think>\n{bare}", ANY_OBJECT, reason=reason)[0] == bare


# --- Events -----------------------------------------------------------------------------------------------------

START, END = Started("sim/m", "a"), Finished("stop", Usage(input=1, output=2))


def test_the_text_of_an_answer_becomes_one_piece_at_its_end() -> None:
    thought, call = ReasoningDelta("hm"), ToolCallDelta(0, "id", "f", "{}")
    said: list[Event] = [START, TextDelta('{"a":'), thought, TextDelta(' "x"'), call, TextDelta("}"), END]
    assert held(said, SPEC, who="a") == ([START, thought, call, TextDelta(GOOD), END], "")


def test_a_broken_end_is_no_reason_to_lose_the_text() -> None:
    assert held([START, TextDelta(GOOD)], SPEC, who="a")[0] == [START, TextDelta(GOOD)]


def test_an_answer_without_text_is_refused() -> None:
    with pytest.raises(InvalidOutput) as caught:
        held([START, ToolCallDelta(0, "id", "f", '{"a": "x"}'), END], SPEC, who="a")
    assert caught.value.message == "a: the answer is not JSON"


def test_what_is_refused_names_who_answered_and_nothing_that_was_said() -> None:
    for text in ('{"a": "CANARY", "CANARY": 1}', '{"a": "x", "n": "CANARY"}', "CANARY", "{'a': 1, 'CANARY': 'CANARY"):
        with pytest.raises(InvalidOutput) as caught:
            held([START, TextDelta(text), END], SPEC, who="phi3")
        assert caught.value.message.startswith("phi3: the answer ")
        assert "CANARY" not in caught.value.message
        assert caught.value.__suppress_context__
