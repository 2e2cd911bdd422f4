"""Asking every question of every model, a few at a time, and marking what comes back."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from benchmarks.tasks.contracts import Invalid, parsed
from benchmarks.tasks.scoring import Score, score

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from benchmarks.tasks.client import Reply
    from benchmarks.tasks.examples import Example

    Ask: TypeAlias = "Callable[[Example, str], Awaitable[Reply]]"  # an example, and the model that is asked
    Tell: TypeAlias = Callable[[str], None]

ROUTED = "routed"  # no model is named: the pool decides


@dataclass(frozen=True, slots=True)
class Outcome:
    """One answered question. `score` is None where there is no valid answer; `error` then says why."""

    asked: str  # the model that was named, or "routed"
    example: Example
    reply: Reply
    score: Score | None = None
    error: str = ""


def marked(asked: str, example: Example, reply: Reply) -> Outcome:
    """The outcome of a reply. Pure."""
    if reply.content is None:
        return Outcome(asked, example, reply, error=reply.error)
    try:
        answer = parsed(example.task, example.prompt, reply.content)
    except Invalid as error:
        return Outcome(asked, example, reply, error=f"invalid answer: {error}")
    return Outcome(asked, example, reply, score(example, answer))


async def ask_all(
    ask: Ask,
    models: Sequence[str],
    tasks: Sequence[Sequence[Example]],
    *,
    into: list[Outcome],
    concurrency: int,
    tell: Tell,
) -> None:
    """Model by model, so that one on the same machine is loaded once; within a model task by task.

    Outcomes go `into` a list of the caller's, which thus has what there is when this is cancelled.
    """
    for model in models:
        for number, examples in enumerate(tasks, 1):
            start, first = time.perf_counter(), len(into)
            todo = iter(examples)
            async with asyncio.TaskGroup() as group:
                for _ in range(min(concurrency, len(examples))):
                    group.create_task(_work(ask, model, todo, into))
            seconds = time.perf_counter() - start
            failed = sum(one.score is None for one in into[first:])
            trouble = f", {failed} without a valid answer" if failed else ""
            tell(f"{model}: {examples[0].task} ({number} of {len(tasks)}) in {seconds:.1f} s{trouble}")


async def _work(ask: Ask, model: str, todo: Iterator[Example], into: list[Outcome]) -> None:
    for example in todo:
        reply = await ask(example, model)
        into.append(marked(model, example, reply))
