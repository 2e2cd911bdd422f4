"""Engines that must not pass: valid answers from an empty head, and the question given back in the shape of an answer.

No two answers are equal, for each names its example: that all are alike is not what they are to be found out by.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llm_pool.core.candidates import read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.tasks.examples import Example

THINK = "Think."


def empty_headed(example: Example) -> str:
    """ "Think.", tags a, b, c and d, and the candidates in the order given."""
    answer = _blank(example)[example.task]
    return answer if isinstance(answer, str) else json.dumps(answer)


def echoing(example: Example) -> str:
    """As much of the question as fits wherever a text is asked for; of candidates, too, the order given."""
    said = " ".join(example.text.split())
    words = [word[:40] for word in dict.fromkeys(said.split())]
    filled: Mapping[str, Any] = {
        "expand_queries": {"must_include": words[:6]},
        "site_tactics": {
            "steps": [
                {"action": action, "target": said[:200], "why": example.id} for action in ("open", "search", "extract")
            ]
        },
        "recovery_plan": {"severity": "high", "steps": [{"action": said[:300], "guardrails": [THINK]}]},
        "enrich_metadata": {"title": _whole(said, 60), "one_liner": _whole(said, 120), "tags": words[:4]},
    }
    if example.task == "chat":
        return said
    return json.dumps({**_blank(example)[example.task], **filled.get(example.task, {})}, ensure_ascii=False)


def _blank(example: Example) -> Mapping[str, Any]:
    name = example.id
    question = read(example.prompt)
    ids = list(question.ids) if question else sorted(example.labels.get("grades", {"1": 0}))
    return {
        "expand_queries": {"must_include": ["a"], "optional": [], "negatives": [], "site_hints": [], "notes": name},
        "site_tactics": {"steps": [{"action": "open", "target": THINK, "why": name}], "cautions": []},
        "rerank_candidates": {"ranking": ids, "reasons": {str(ids[0]): name}},
        "judge": {"winner_id": ids[0], "confidence": 0.5, "reason": name},
        "recovery_plan": {
            "severity": "medium",
            "steps": [{"action": THINK, "guardrails": [THINK]}],
            "rollback": THINK,
            "reason": name,
        },
        "enrich_metadata": {
            "title": THINK,
            "one_liner": name,
            "tags": ["a", "b", "c", "d"],
            "mood": "calm",
            "content_flags": [],
        },
        "chat": f"I do not know. ({name})",
    }


def _whole(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit].rpartition(" ")[0]
