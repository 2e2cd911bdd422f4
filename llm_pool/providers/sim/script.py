"""Decide everything about one simulated answer: its text, its pace and whether it arrives at all. Pure.

What is drawn, and from what:

1. The *answer* is drawn from the question: seed, model, messages and sampling. Equal questions get equal answers, in
   any order, in any process, from any deployment with that seed.
2. *Fates* and *latencies* are two sequences of their own per provider, seeded with seed, provider and models: a
   question asked again can fail the second time, yet a run repeated call by call repeats its fates. Changing the
   latencies does not change who fails. Two deployments of one model need seeds of their own to fail independently.
3. Where nothing is random, nothing is hashed and no generator is seeded (that costs more than all the rest).
"""

from __future__ import annotations

import math
import random
import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal, TypeAlias

import orjson

from llm_pool.core.types import Text, ToolResult, Usage
from llm_pool.providers.sim.shapes import Shape

if TYPE_CHECKING:
    from llm_pool.config.tables import Delay, Sim
    from llm_pool.core.types import FinishReason, Message, Request

Fate: TypeAlias = Literal["ok", "fail", "break", "stall"]

_WORD = re.compile(r"\s*\S+\s*")
_Z99 = 2.3263  # 99th percentile of the standard normal distribution
_QUOTED = 200  # characters of the question that are repeated
_ROUNDING = 1e-9  # rates like 0.7 + 0.2 + 0.1 may add up to a little more than 1


@dataclass(frozen=True, slots=True)
class Play:
    """One answer, in full. `pieces` are pairs of seconds to wait and text to say; joined they are the answer.

    `first_token` is in seconds, before the first piece and before a failure. `break_after` is how many pieces a
    broken answer says. A word with the white space after it counts as a token.
    """

    first_token: float
    pieces: tuple[tuple[float, str], ...]
    fate: Fate
    break_after: int
    usage: Usage
    reason: FinishReason


class Script:
    """Plays for all calls of one provider."""

    def __init__(self, settings: Sim, *, provider: str, models: tuple[str, ...]) -> None:
        """Raises ValueError where the settings contradict themselves or their schema is not supported."""
        if settings.answers and settings.json_schema is not None:
            raise ValueError("sim: give either answers or json_schema")
        if settings.fail_rate + settings.break_rate + settings.stall_rate > 1 + _ROUNDING:
            raise ValueError("sim: fail_rate, break_rate and stall_rate together are more than 1")
        self._provider = provider
        self._seed = settings.seed
        self._answers = tuple(settings.answers)
        self._shape = _shape(settings)
        self._rates = (settings.fail_rate, settings.break_rate, settings.stall_rate)
        seed = f"{settings.seed}/{provider}/{models}"
        self._fates = random.Random(f"{seed}/fates") if any(self._rates) else None  # noqa: S311 - nothing is secret
        latencies = random.Random(f"{seed}/latencies")  # noqa: S311 - nor here
        self._first_token = _Latency(settings.first_token, latencies)
        self._per_token = _Latency(settings.per_token, latencies)

    def play(self, request: Request) -> Play:
        """Decide on one call. Call it once per call: it moves the sequences of rule 2 on."""
        fate, break_at = self._fate()
        first_token = self._first_token.draw()
        text = self._text(request)
        at_once = request.whole and fate == "ok" and self._per_token.is_zero and bool(text)
        limit = request.sampling.max_tokens
        reason: FinishReason = "stop"
        words = (text.split() if at_once else _WORD.findall(text)) or ([text] if text else [])
        if limit is not None and len(words) > limit:
            reason, words = "length", (_WORD.findall(text) or [text])[:limit]
            text = "".join(words)
        usage = Usage(input=_words_of(request.messages), output=len(words))
        if at_once:
            pieces: tuple[tuple[float, str], ...] = (
                (0.0, text),
            )  # nobody sees the words arrive: one event for all of them
        elif self._per_token.is_zero:
            pieces = tuple((0.0, word) for word in words)
        else:
            pieces = tuple((self._per_token.draw() if index else 0.0, word) for index, word in enumerate(words))
        return Play(first_token, pieces, fate, 1 + int(break_at * len(pieces)), usage, reason)

    def _fate(self) -> tuple[Fate, float]:
        """What becomes of the call and, if it breaks, how far through: a share, below 1."""
        if self._fates is None:
            return "ok", 0.0
        fail, broken, stall = self._rates
        draw, break_at = self._fates.random(), self._fates.random()
        if draw < fail:
            return "fail", break_at
        if draw < fail + broken:
            return "break", break_at
        return ("stall" if draw < fail + broken + stall else "ok"), break_at

    def _text(self, request: Request) -> str:
        if self._shape is not None:
            return orjson.dumps(self._shape.draw(self._drawn_for(request)), option=orjson.OPT_INDENT_2).decode()
        if len(self._answers) > 1:
            return self._drawn_for(request).choice(self._answers)
        if self._answers:
            return self._answers[0]
        introduction = f'This is "{self._provider}/{request.model}", a simulated model: no language model answered.'
        asked = _last_question(request.messages)
        return f"{introduction} You asked: {asked}" if asked else introduction

    def _drawn_for(self, request: Request) -> random.Random:
        question = repr((self._seed, request.model, request.messages, request.sampling))
        return random.Random(blake2b(question.encode(), digest_size=16).digest())  # noqa: S311


class _Latency:
    """A log-normal distribution of seconds through a median and a 99th percentile, or a constant."""

    def __init__(self, delay: Delay, rng: random.Random) -> None:
        self._median = delay.median_ms / 1000
        spread = math.log(delay.p99_ms / delay.median_ms) if delay.p99_ms else 0.0
        self._sigma = spread / _Z99
        self._rng = rng
        self.is_zero = self._median == 0

    def draw(self) -> float:
        if self._sigma == 0:
            return self._median
        return self._median * math.exp(self._sigma * self._rng.gauss(0, 1))


def _shape(settings: Sim) -> Shape | None:
    if settings.json_schema is None:
        return None
    try:
        orjson.dumps(settings.json_schema)  # whatever it names can then be written, too
    except TypeError as error:
        raise ValueError("sim: json_schema holds a value that JSON cannot express") from error
    return Shape(settings.json_schema)


def _words_of(messages: tuple[Message, ...]) -> int:
    count = 0
    for message in messages:
        for part in message.parts:
            if isinstance(part, (Text, ToolResult)):
                count += len(part.text.split())
    return count


def _last_question(messages: tuple[Message, ...]) -> str:
    """What the user said last, at most 200 characters of it."""
    for message in reversed(messages):
        if message.role == "user":
            text = "".join([part.text for part in message.parts if isinstance(part, Text)])
            return text if len(text) <= _QUOTED else text[: _QUOTED - 1] + "…"
    return ""
