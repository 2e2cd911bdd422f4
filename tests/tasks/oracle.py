"""For every labelled example an answer with which all its labels agree: proof that there is one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from benchmarks.tasks.scoring import own_share
from llm_pool.core.candidates import read

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.tasks.examples import Example


def content(example: Example) -> str:
    """The answer as a pool would give it."""
    answer = _OF_TASK[example.task](example)
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)


def _expansion(example: Example) -> Any:
    labels = example.labels
    listed = list(dict.fromkeys(_own(each, example.text) for each in labels["listed"]))
    negatives = [each.split("|")[0] for each in labels["negatives"]]
    return {
        "must_include": listed[:2],
        "optional": listed[2:],
        "negatives": negatives,
        "site_hints": [],
        "notes": example.id,
    }


def _tactics(example: Example) -> Any:
    labels = example.labels
    target = ", ".join(_firsts(labels["words"]))
    steps = [{"action": action, "target": target, "why": example.id} for action in _firsts(labels["actions"])]
    return {"steps": steps, "cautions": [f"never {each}" for each in labels["forbidden"]]}


def _rerank(example: Example) -> Any:
    grades, question = example.labels["grades"], read(example.prompt)
    ids = list(question.ids) if question else sorted(grades)
    ranking = sorted(ids, key=lambda each: -grades[str(each)])
    return {"ranking": ranking, "reasons": {str(ranking[0]): example.id}}


def _judge(example: Example) -> Any:
    return {"winner_id": example.labels["winner"], "confidence": 0.9, "reason": example.id}


def _recovery(example: Example) -> Any:
    labels = example.labels
    action = f"{', '.join(_firsts(labels['words']))} ({example.id})"
    guardrails = [f"never {each}" for each in labels["forbidden"]]
    steps = [{"action": action, "guardrails": guardrails}]
    return {"severity": labels["severities"][0], "steps": steps, "rollback": "undo", "reason": "known"}


def _metadata(example: Example) -> Any:
    labels = example.labels
    return {
        "title": _shortened(example.text, 60),
        "one_liner": _shortened(example.text, 120),
        "tags": [_own(each, example.text) for each in labels["topics"]],
        "mood": "calm",
        "content_flags": labels["flags"],
    }


def _chat(example: Example) -> Any:
    return f"{', '.join(_firsts(example.labels['words']))} ({example.id})"


def _firsts(groups: list[str]) -> list[str]:
    return [each.split("|")[0] for each in groups]


def _own(alternatives: str, text: str) -> str:
    """The first alternative that consists of words of the text, or the first."""
    every = alternatives.split("|")
    return next((each for each in every if own_share(each, text) == 1.0), every[0])


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[:length].rpartition(" ")[0]


_OF_TASK: Mapping[str, Callable[[Example], Any]] = {
    "expand_queries": _expansion,
    "site_tactics": _tactics,
    "rerank_candidates": _rerank,
    "judge": _judge,
    "recovery_plan": _recovery,
    "enrich_metadata": _metadata,
    "chat": _chat,
}
