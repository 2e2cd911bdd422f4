"""Configurations that can be told apart in every part of an answer: each has a number, and shows it in many places.

Where an answer shows two numbers, it was made of two configurations.
"""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

ANSWER = 60  # words
FEWEST, LENGTHS = 3, 17  # words that are said where a request names no limit, and how many such limits there are
PROMPTS = 13  # lengths of the prompt
STRATEGIES = ("voting", "weighted", "consensus", "judge", "council")  # not built yet: an answer names the one it wanted
QUESTION = "hi"

CONFIG = """
qos.max_tokens_default = {limit}
ensemble.default_strategy = "{strategy}"

[[providers]]
name = "quick-{number}"
driver = "sim"
model = "quick-{number}"
tasks = ["chat"]
sim.answers = ["{answer}"]

[[providers]]
name = "slow"
driver = "sim"
model = "slow-{number}"
tasks = ["slow"]
sim.answers = ["{answer}"]
sim.per_token.median_ms = {pace}
"""
STEADY = '\n[[providers]]\nname = "steady"\ndriver = "sim"\nmodel = "steady"\ntasks = ["steady"]\n'


def mount(folder: Path, number: int, *, before: str = "", after: str = STEADY, pace: float = 10.0) -> None:
    """Put this configuration there with one rename, as Kubernetes does, and take the one before away.

    `before` and `after` stand around it and are the same each time; `pace` is in milliseconds per word.
    """
    last = (folder / "..data").readlink() if (folder / "..data").is_symlink() else None
    (new := folder / f"..{number}").mkdir(parents=True)
    (new / "prompts").mkdir()
    for name, text in _files(number, before=before, after=after, pace=pace):
        (new / name).write_text(text, encoding="utf-8")
    (folder / "..data_tmp").symlink_to(new.name)
    (folder / "..data_tmp").rename(folder / "..data")
    if last is None:
        for name in ("llm-pool.toml", "prompts"):
            (folder / name).symlink_to(f"..data/{name}")
    else:
        shutil.rmtree(folder / last)


def _files(number: int, *, before: str, after: str, pace: float) -> Iterator[tuple[str, str]]:
    table = CONFIG.format(
        number=number,
        limit=FEWEST + number % LENGTHS,
        strategy=STRATEGIES[number % len(STRATEGIES)],
        answer=" ".join([f"n{number}"] * ANSWER),
        pace=pace,
    )
    yield "llm-pool.toml", before + table + after
    for task in ("chat", "slow"):
        yield f"prompts/{task}.md", " ".join(["be"] * (1 + number % PROMPTS))


def mixture(content: str, end: Mapping[str, Any], *, limit: int | None = None) -> str:
    """What in this answer does not go with the rest of it; empty: nothing. `end`: all but its content."""
    numbers = {int(word) for word in re.findall(r"n(\d+)", content)}
    if len(numbers) != 1:
        return f"words of {sorted(numbers)}"
    [number] = numbers
    strategy = STRATEGIES[number % len(STRATEGIES)]
    wanted: dict[str, object] = {
        "words": FEWEST + number % LENGTHS if limit is None else limit,
        "output tokens": FEWEST + number % LENGTHS if limit is None else limit,
        "input tokens": 1 + number % PROMPTS + len(QUESTION.split()),
        "model": number,
        "why": f"{strategy} is not built yet: answered by fastest",
    }
    shown: dict[str, object] = {
        "words": len(content.split()),
        "output tokens": end["usage"]["output_tokens"],
        "input tokens": end["usage"]["input_tokens"],
        "model": int(end["winner_model"].rpartition("-")[2]),
        "why": end["decision"]["why"],
    }
    return ", ".join(f"{key} {shown[key]} of {number}" for key in wanted if shown[key] != wanted[key])


def number_of(content: str) -> int:
    """The configuration that this answer came from."""
    return int(content.split(maxsplit=1)[0].removeprefix("n"))
