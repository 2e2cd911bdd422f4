"""The labelled examples: what is asked, and what a reasonable person would say about the answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests" / "tasks" / "examples"
TASKS = (
    "expand_queries",
    "site_tactics",
    "rerank_candidates",
    "judge",
    "recovery_plan",
    "enrich_metadata",
    "chat",
)


@dataclass(frozen=True, slots=True)
class Example:
    """`given` is the prompt as it was written down: a text, or an object or array that is sent as JSON."""

    task: str
    id: str
    language: str  # "en", "pt-BR" or "pt-PT"
    given: Any
    labels: Mapping[str, Any]

    @property
    def prompt(self) -> str:
        """The text that is sent."""
        return self.given if isinstance(self.given, str) else json.dumps(self.given, ensure_ascii=False)

    @property
    def text(self) -> str:
        """What the prompt says, without the names of its fields."""
        return self.given if isinstance(self.given, str) else "\n".join(_leaves(self.given))


def of_task(task: str, folder: Path = FOLDER) -> list[Example]:
    """Every example of one task. Raises OSError, ValueError, KeyError where the file is no list of examples."""
    fixed = {"id", "language", "prompt"}
    return [
        Example(
            task,
            each["id"],
            each["language"],
            each["prompt"],
            {key: value for key, value in each.items() if key not in fixed},
        )
        for each in json.loads((folder / f"{task}.json").read_text(encoding="utf-8"))
    ]


def _leaves(value: object) -> Iterator[str]:
    match value:
        case dict():
            for each in value.values():
                yield from _leaves(each)
        case list():
            for each in value:
                yield from _leaves(each)
        case None | bool():
            return
        case _:
            yield str(value)
