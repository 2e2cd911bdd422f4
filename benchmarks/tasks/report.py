"""The tables: how each model did in each task, and the embedded engine beside its limits."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.tasks import scoring
from benchmarks.tasks.scoring import equal_answers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.tasks.run import Outcome

BUILTIN = "builtin/extractive"

# What the score of a task is, and what the embedded engine must reach on average.
MEASURES = {
    "expand_queries": "listed expansions found",
    "site_tactics": "expected parts of the plan",
    "rerank_candidates": "nDCG@5",
    "judge": "right choices",
    "recovery_plan": "expected parts of the plan",
    "enrich_metadata": "own words and topics",
    "chat": "expected words",
}
# Each lies between the embedded engine and two of no use (tests/tasks/useless.py; a test checks their figures):
# "empty" answers "Think." and leaves candidates in their order, "echo" fills the same answer with the question's words.
LIMITS = {
    "expand_queries": 0.8,  # engine 0.90, empty 0.00, echo 0.22
    "site_tactics": 0.85,  # engine 0.92, empty 0.20, echo 0.80
    "rerank_candidates": 0.8,  # engine 0.93, empty and echo 0.55
    "judge": 0.8,  # engine 0.90, empty and echo 0.25
    "recovery_plan": 0.8,  # engine 0.85, empty 0.18, echo 0.69
    "enrich_metadata": 0.9,  # engine 0.97, empty 0.30, echo 0.89
    "chat": 0.7,  # engine 0.90, empty 0.10, echo 0.15
}
CHECKS = {
    "expand_queries": (scoring.DISTINCT, scoring.OWN_WORDS, scoring.ON_TOPIC, scoring.EXCLUDED),
    "enrich_metadata": (scoring.OWN_WORDS, scoring.TRUE, scoring.FLAGS),
    "site_tactics": (scoring.HARMLESS,),
    "recovery_plan": (scoring.HARMLESS,),
    "chat": (scoring.ANSWERED,),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One model in one task. An answer that is not valid has quality 0; times are in milliseconds."""

    model: str
    task: str
    asked: int
    valid: int
    quality: float
    clean: int  # answers that pass every check which is fair to a language model
    p50: float
    p95: float
    degraded: int


@dataclass(frozen=True, slots=True)
class Promise:
    """One thing that the embedded engine must reach, and the examples that keep it from it."""

    task: str
    what: str
    value: float
    limit: float
    culprits: tuple[str, ...] = ()

    @property
    def kept(self) -> bool:
        return self.value >= self.limit - 1e-9


def rows(outcomes: Iterable[Outcome]) -> list[Row]:
    """In the order in which models and tasks were first asked."""
    grouped: dict[tuple[str, str], list[Outcome]] = {}
    for one in outcomes:
        grouped.setdefault((one.asked, one.example.task), []).append(one)
    return [_row(model, task, group) for (model, task), group in grouped.items()]


def promises(outcomes: Sequence[Outcome]) -> list[Promise]:
    """What the outcomes of one model say about everything that the embedded engine promises."""
    by_task: dict[str, list[Outcome]] = {}
    for one in outcomes:
        by_task.setdefault(one.example.task, []).append(one)
    return [promise for task, group in by_task.items() for promise in _promises(task, group)]


def table(found: Sequence[Row]) -> str:
    lines = [("model", "task", "quality", "", "valid", "checks", "p50", "p95", "degraded")]
    lines += [
        (
            each.model,
            each.task,
            f"{each.quality:.3f}",
            MEASURES[each.task],
            f"{each.valid}/{each.asked}",
            f"{each.clean}/{each.asked}",
            _ms(each.p50),
            _ms(each.p95),
            str(each.degraded),
        )
        for each in found
    ]
    return _aligned(lines, right={2, 4, 5, 6, 7, 8})


def promise_table(found: Sequence[Promise]) -> str:
    lines = [("task", "promise", "value", "limit", "", "")]
    lines += [
        (
            each.task,
            each.what,
            f"{each.value:.3f}",
            f"{each.limit:.2f}",
            "met" if each.kept else "missed",
            "" if each.kept else ", ".join(each.culprits[:8]),
        )
        for each in found
    ]
    return _aligned(lines, right={2, 3})


def troubles(outcomes: Iterable[Outcome], most: int = 10) -> list[str]:
    """Why answers are missing or not valid, the most frequent first."""
    counted = Counter(f"{one.asked}: {one.example.task}: {one.error}" for one in outcomes if one.score is None)
    return [f"{times} x {why}" for why, times in counted.most_common(most)]


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all lie at or below (nearest rank); 0 of nothing."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)] if ordered else 0.0


def _row(model: str, task: str, group: Sequence[Outcome]) -> Row:
    scores = [one.score for one in group if one.score is not None]
    took = [one.reply.ms for one in group if one.reply.content is not None]
    return Row(
        model,
        task,
        asked=len(group),
        valid=len(scores),
        quality=sum(each.value for each in scores) / len(group),
        clean=sum(not set(each.failed) - scoring.STRICT for each in scores),
        p50=quantile(took, 0.5),
        p95=quantile(took, 0.95),
        degraded=sum(one.reply.degraded for one in group),
    )


def _promises(task: str, group: Sequence[Outcome]) -> list[Promise]:
    invalid = tuple(one.example.id for one in group if one.score is None)
    found = [Promise(task, "valid answers", 1 - len(invalid) / len(group), 1.0, invalid)]
    if task in LIMITS:
        quality = sum(one.score.value for one in group if one.score) / len(group)
        worst = sorted((one for one in group if _value(one) < 1.0), key=_value)
        found.append(Promise(task, MEASURES[task], quality, LIMITS[task], tuple(one.example.id for one in worst)))
    for check in CHECKS.get(task, ()):
        failing = tuple(one.example.id for one in group if one.score is None or check in one.score.failed)
        found.append(Promise(task, check, 1 - len(failing) / len(group), 1.0, failing))
    answers = {one.example.id: one.reply.content for one in group if one.reply.content is not None}
    equal = equal_answers(answers)
    pairs = tuple(f"{one} = {other}" for one, other in equal)
    return [*found, Promise(task, "different answers", 1 - len(equal) / len(group), 1.0, pairs)]


def _value(one: Outcome) -> float:
    return one.score.value if one.score else 0.0


def _ms(value: float) -> str:
    if not value:
        return "-"
    return f"{value:,.1f} ms" if value < 100 else f"{value:,.0f} ms"


def _aligned(lines: Sequence[tuple[str, ...]], *, right: set[int]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            f"{cell:>{width}}" if at in right else f"{cell:{width}}"
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
