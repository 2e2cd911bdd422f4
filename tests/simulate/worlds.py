"""Small worlds by hand, and configurations for them."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from llm_pool.config.load import Loaded, load
from llm_pool.simulate.calls import NO_BOUNDS, Arrival, Bounds, Call

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from llm_pool.simulate.calls import Draw

TWO = """
[qos]
hedge = "off"
[[providers]]
name = "a"
driver = "sim"
model = "m"
[[providers]]
name = "b"
driver = "sim"
model = "m"
"""
SPARE = """
[[providers]]
name = "spare"
driver = "builtin"
model = "extractive"
fallback = true
"""
BROKEN = Call(math.inf, fails_after=0.1)


def loaded(tmp_path: Path, toml: str = TWO) -> Loaded:
    path = tmp_path / "my.toml"
    path.write_text(toml)
    return load(path, {})


def arrivals(number: int, *, every: float = 1.0, whole: bool = True, **said: Any) -> list[Arrival]:
    """So many of ten tokens each."""
    values = {"task": "chat", "prompt": 100, "tokens": 10, **said}
    return [Arrival(at=every * each, whole=whole, **values) for each in range(number)]


class ByHand:
    """A `World` in which every call of a deployment is the same."""

    def __init__(
        self, arriving: Sequence[Arrival], calls: Mapping[str, Call], bounds: Mapping[str, Bounds] | None = None
    ) -> None:
        self.arrivals = arriving
        self._calls = calls
        self._bounds = bounds or {}

    def draw(self, deployment: str, model: str) -> Draw | None:
        call = self._calls.get(deployment)
        return None if call is None else lambda _at, _request, _again: call

    def bounds(self, deployment: str) -> Bounds:
        return self._bounds.get(deployment, NO_BOUNDS)


def attempt(deployment: str = "a", **said: Any) -> dict[str, Any]:
    """One of a trace: a second of silence, then nine more tokens, one every 0.1 s."""
    usual = {
        "deployment": deployment, "model": "sim/m", "kind": "first", "started": 0.0, "first_token": 1.0, "ended": 1.9,
        "tokens": 10, "outcome": "ok",
    }  # fmt: skip
    return {**usual, **said}


def recorded(at: float, *attempts: dict[str, Any], **said: Any) -> dict[str, Any]:
    usual = {"at": 1e9 + at, "task": "chat", "prompt": 8, "whole": True, "deadline": 30.0, "attempts": list(attempts)}
    return {**usual, **said}


def trace(tmp_path: Path, *lines: Mapping[str, Any] | str) -> Path:
    path = tmp_path / "trace.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in ({"llm_pool_trace": 1}, *lines)]
    path.write_text("\n".join(texts) + "\n")
    return path
