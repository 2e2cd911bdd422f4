"""Decide everything about one simulated answer: what it says, its pace and whether it arrives at all. Pure.

What is drawn, and from what:

1. The *answer* is drawn from the question: seed, model, messages and sampling. Equal questions get equal answers, in
   any order, in any process, from any deployment with that seed. A vector is drawn from seed, model and its text.
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
from typing import TYPE_CHECKING, Literal, TypeAlias

import orjson

from llm_pool.core.errors import RequestRefused
from llm_pool.core.types import (
    Reasoning,
    ReasoningDelta,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolResult,
    Usage,
    Warning,
)
from llm_pool.providers.sim.drawn import likelihoods, seal, seeded, unit_vector
from llm_pool.providers.sim.shapes import Shape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llm_pool.config.tables import Delay, Sim
    from llm_pool.core.types import FinishReason, Logprob, Message, Request, Sampling

Fate: TypeAlias = Literal["ok", "fail", "break", "stall"]
Said: TypeAlias = TextDelta | ReasoningDelta | ToolCallDelta

MOST_DIMENSIONS = 4_096  # as many as its settings take

_WORD = re.compile(r"\s*\S+\s*")
_Z99 = 2.3263  # 99th percentile of the standard normal distribution
_QUOTED = 200  # characters of the question that are repeated
_ROUNDING = 1e-9  # rates like 0.7 + 0.2 + 0.1 may add up to a little more than 1
_PIECE = 12  # characters of the arguments of a tool call that are said at a time


@dataclass(frozen=True, slots=True)
class Play:
    """One answer, in full. `pieces` are pairs of seconds to wait and what to say; joined they are the answer.

    `first_token` is in seconds, before the first piece and before a failure. `break_after` is how many pieces a
    broken answer says. A word with the white space after it counts as a token.
    """

    first_token: float
    fate: Fate
    usage: Usage
    pieces: tuple[tuple[float, Said], ...] = ()
    break_after: int = 0
    reason: FinishReason = "stop"
    stopped_by: str = ""
    warnings: tuple[Warning, ...] = ()
    vectors: tuple[tuple[float, ...], ...] = ()
    counted: int | None = None


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
        self._calls = _calls(settings)
        self._reasoning = settings.reasoning
        self._dimensions = settings.dimensions
        self._rates = (settings.fail_rate, settings.break_rate, settings.stall_rate)
        seed = f"{settings.seed}/{provider}/{models}"
        self._fates = random.Random(f"{seed}/fates") if any(self._rates) else None  # noqa: S311 - nothing is secret
        latencies = random.Random(f"{seed}/latencies")  # noqa: S311 - nor here
        self._first_token = _Latency(settings.first_token, latencies)
        self._per_token = _Latency(settings.per_token, latencies)

    def play(self, request: Request) -> Play:
        """Decide on one call. Call it once per call: it moves the sequences of rule 2 on.

        Raises RequestRefused for a thought of its own that is not what it was.
        """
        fate, break_at = self._fate()
        first_token = self._first_token.draw()
        asked, thoughts = _looked_at(request)
        warnings = self._recognised(thoughts) if thoughts else ()
        at_once = request.whole and fate == "ok" and self._per_token.is_zero
        reasoning = self._reasoning if self._reasoning and _may_think(request.sampling) else ""
        said: list[Said] = list(_thought(reasoning, self._provider, at_once=at_once)) if reasoning else []
        reason: FinishReason = "stop"
        stopped_by = ""
        if self._calls and (calls := self._called(request)):
            reason = "tool_calls"
            said += _asked_for(calls, at_once=at_once)
            tokens = sum(max(1, len(call.arguments.split())) for call in calls)
        else:
            sampling = request.sampling
            exact = not at_once or sampling.logprobs is not None  # else it is enough to count the words
            text, words, reason, stopped_by = _cut(self._text(request), sampling, exact=exact)
            said += self._spoken(text, words, request, at_once=at_once)
            tokens = len(words)
        if self._per_token.is_zero:
            pieces = tuple([(0.0, each) for each in said])
        else:
            pieces = tuple([(self._per_token.draw() if index else 0.0, each) for index, each in enumerate(said)])
        return Play(
            first_token,
            fate,
            Usage(input=asked, output=tokens, reasoning=len(reasoning.split())),
            pieces,
            1 + int(break_at * len(pieces)),
            reason,
            stopped_by,
            warnings,
        )

    def embed(self, request: Request) -> Play:
        """As `play` does. Raises RequestRefused for more dimensions than it makes."""
        fate, _ = self._fate()
        first_token = self._first_token.draw()
        dimensions = self._dimensions if request.dimensions is None else request.dimensions
        if not 1 <= dimensions <= MOST_DIMENSIONS:
            raise RequestRefused(f"a simulated model makes vectors of 1 to {MOST_DIMENSIONS} dimensions")
        found = [unit_vector(dimensions, seeded(self._seed, request.model, each)) for each in request.inputs]
        tokens = sum(len(each.split() if isinstance(each, str) else each) for each in request.inputs)
        return Play(first_token, fate, Usage(input=tokens), vectors=tuple(found))

    def count(self, request: Request) -> Play:
        fate, _ = self._fate()
        return Play(self._first_token.draw(), fate, Usage(), counted=_looked_at(request)[0])

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

    def _spoken(self, text: str, words: Sequence[str], request: Request, *, at_once: bool) -> list[Said]:
        alternatives = request.sampling.logprobs
        likely: Sequence[Logprob] = ()
        if alternatives is not None:
            likely = likelihoods(words, self._drawn_for(request), alternatives=alternatives)
        if at_once:  # nobody sees the words arrive: one event for all of them
            return [TextDelta(text, tuple(likely))] if text else []
        return [TextDelta(word, tuple(likely[place : place + 1])) for place, word in enumerate(words)]

    def _called(self, request: Request) -> list[ToolCall]:
        """Those of its calls that may be made now."""
        choice = request.tool_choice
        if not request.tools or choice.mode == "none" or _is_result(request.messages):
            return []
        offered = {choice.name} if choice.mode == "named" else {tool.name for tool in request.tools}
        chosen = [(name, arguments) for name, arguments in self._calls if name in offered]
        drawn = self._drawn_for(request).randbytes(8).hex()
        return [
            ToolCall(f"call_{drawn}_{index}", name, arguments)
            for index, (name, arguments) in enumerate(chosen[: None if choice.parallel is not False else 1])
        ]

    def _recognised(self, thoughts: Sequence[Reasoning]) -> tuple[Warning, ...]:
        """Look at those that came back: its own must be what they were, those of others mean nothing to it."""
        foreign = False
        for thought in thoughts:
            if thought.provider not in {"", self._provider}:
                foreign = True
            elif thought.provider and thought.opaque != seal(thought.text, self._provider):
                raise RequestRefused("a thought of the simulated model came back changed")
        what = f'the reasoning of another provider means nothing to the simulated provider "{self._provider}"'
        return (Warning("reasoning_dropped", what),) if foreign else ()

    def _drawn_for(self, request: Request) -> random.Random:
        return seeded(self._seed, request.model, request.messages, request.sampling)


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


def _calls(settings: Sim) -> tuple[tuple[str, str], ...]:
    """Names and arguments, as JSON text."""
    try:
        return tuple([(call.name, orjson.dumps(call.arguments).decode()) for call in settings.tool_calls])
    except TypeError as error:
        raise ValueError("sim: tool_calls hold a value that JSON cannot express") from error


def _cut(text: str, sampling: Sampling, *, exact: bool) -> tuple[str, list[str], FinishReason, str]:
    """What is said of it, its words (`exact`: joined they are the text), why no more are, and the stop sequence."""
    stopped_by = ""
    if sampling.stop:
        ends = [(found, stop) for stop in sampling.stop if stop and (found := text.find(stop)) >= 0]
        end, stopped_by = min(ends, default=(len(text), ""))
        text = text[:end]
    words = (_WORD.findall(text) if exact else text.split()) or ([text] if text else [])
    if sampling.max_tokens is not None and len(words) > sampling.max_tokens:
        words = (_WORD.findall(text) or [text])[: sampling.max_tokens]
        return "".join(words), words, "length", ""
    return text, words, "stop", stopped_by


def _may_think(sampling: Sampling) -> bool:
    return sampling.effort != "none" and sampling.thinking_tokens != 0


def _thought(text: str, provider: str, *, at_once: bool) -> Iterator[Said]:
    """Said with its seal at the end, without which its provider would not know it again."""
    if not at_once:
        for word in _WORD.findall(text):
            yield ReasoningDelta(word, provider=provider)
    yield ReasoningDelta(text if at_once else "", seal(text, provider), provider=provider)


def _asked_for(calls: Sequence[ToolCall], *, at_once: bool) -> Iterator[Said]:
    for index, call in enumerate(calls):
        said = call.arguments
        cut = len(said) if at_once else _PIECE
        yield ToolCallDelta(index, call.id, call.name, said[:cut])
        for start in range(cut, len(said), _PIECE):
            yield ToolCallDelta(index, "", "", said[start : start + _PIECE])


def _is_result(messages: Sequence[Message]) -> bool:
    """Whether what was said last is what came of a call."""
    return bool(messages) and any(isinstance(part, ToolResult) for part in messages[-1].parts)


def _looked_at(request: Request) -> tuple[int, list[Reasoning]]:
    """How many words are asked, and the thoughts among them."""
    count = 0
    thoughts: list[Reasoning] = []
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, (Text, ToolResult)):
                count += len(part.text.split())
            elif isinstance(part, ToolCall):
                count += len(part.arguments.split())
            elif isinstance(part, Reasoning):
                count += len(part.text.split())
                thoughts.append(part)
    if request.tools:
        count += sum(1 + len(tool.description.split()) for tool in request.tools)
    return count, thoughts


def _last_question(messages: tuple[Message, ...]) -> str:
    """What the user said last, at most 200 characters of it."""
    for message in reversed(messages):
        if message.role == "user":
            text = "".join([part.text for part in message.parts if isinstance(part, Text)])
            return text if len(text) <= _QUOTED else text[: _QUOTED - 1] + "…"
    return ""
