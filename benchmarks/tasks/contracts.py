"""Whether an answer is valid: JSON that fits the schema in the prompt of its task, and ids that the question gave."""

from __future__ import annotations

import json
import tomllib
from functools import cache
from typing import TYPE_CHECKING, Any

import jsonschema_rs

from benchmarks.tasks.examples import ROOT
from llm_pool.core.candidates import read

if TYPE_CHECKING:
    from collections.abc import Mapping

PROMPTS = ROOT / "prompts"
_FILES = {"rerank_candidates": "rerank"}  # named otherwise than their task


class Invalid(Exception):
    """The answer is not what the task promises; the text says why."""


def parsed(task: str, prompt: str, content: str) -> Any:
    """The answer as a value; of a task without a schema the text itself. Raises Invalid."""
    contract = of_task(task)
    if "schema" not in contract:
        if not content.strip():
            raise Invalid("it is empty")
        return content
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"it is no JSON: {error}") from error
    wrong = next(iter(_validator(task).iter_errors(answer)), None)
    if wrong is not None:
        raise Invalid(f"{'/'.join(map(str, wrong.instance_path)) or 'it'}: {wrong.message}"[:200])
    _check_ids(contract.get("ids", {}), prompt, answer)
    return answer


@cache
def of_task(task: str) -> Mapping[str, Any]:
    """The front matter of the task's prompt: TOML between two lines of `+++`."""
    text = (PROMPTS / f"{_FILES.get(task, task)}.md").read_text(encoding="utf-8")
    _, front, _ = text.split("+++\n", 2)
    return tomllib.loads(front)


@cache
def _validator(task: str) -> Any:
    return jsonschema_rs.validator_for(of_task(task)["schema"])


def _check_ids(rules: Mapping[str, str], prompt: str, answer: Any) -> None:
    """Of a question in plain text the ids are not known, so nothing is said about them."""
    question = read(prompt) if rules else None
    if question is None:
        return
    if "one" in rules:
        chosen = answer[rules["one"]]
        if chosen is not None and not any(_equal(chosen, each) for each in question.ids):
            raise Invalid(f"{rules['one']}: {json.dumps(chosen)} is no candidate")
    if "each" in rules:
        given = answer[rules["each"]]
        left = [each for each in question.ids if not any(_equal(each, one) for one in given)]
        if left or len(given) != len(question.ids):
            raise Invalid(f"{rules['each']}: does not hold each candidate once")


def _equal(one: object, other: object) -> bool:
    """As it is given: 1 is not "1"."""
    return type(one) is type(other) and one == other
