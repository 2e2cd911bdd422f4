"""The world of a trace file (`telemetry/traces.py` says what stands in it): what was, to be asked again.

1. Requests arrive as they did. How long an answer is belongs to its request: the tokens of the call that answered it,
   else the most that any call of it said, else the median of the file.
2. A call at an instant goes as the call of that deployment that began nearest to it, so that incidents stay where they
   were. What a request has asked of a deployment before is passed over, or a retry would fail as the call before it.
3. A call that was hung up on (its caller left, its deadline passed, another one was quicker) says only how long it was
   silent at least. It goes as the nearest one that was silent for longer (Efron's redistribution to the right, Proc.
   5th Berkeley Symposium, 1967), among `NEIGHBOURS`; where there is none, it speaks when it was hung up on.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from statistics import median
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from llm_pool.core.errors import CallerLeft, DeadlineExceeded, ProviderError, ProviderUnavailable, StartRefused, shown
from llm_pool.core.outcome import OK, OUTRUN
from llm_pool.simulate.calls import NO_BOUNDS, Arrival, Call

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from llm_pool.simulate.calls import Bounds, Draw

NEIGHBOURS = 200  # calls on either side
LONGEST_LINE = 1_000_000  # bytes

HUNG_UP = frozenset({CallerLeft.reason, DeadlineExceeded.reason, OUTRUN})
NOT_ASKED = frozenset({ProviderUnavailable.reason, "running"})
KINDS: list[type[ProviderError]] = [ProviderError, *ProviderError.__subclasses__()]
ERRORS = {kind.reason: kind for kind in KINDS}

Seconds = Annotated[float, Field(ge=0, le=1e6)]


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)


class _Header(_Line):
    llm_pool_trace: Literal[1]


class _Attempt(_Line):
    deployment: str
    model: str
    kind: str
    started: Seconds
    first_token: Seconds | None
    ended: Seconds
    tokens: int = Field(ge=0)
    outcome: str


class _Request(_Line):
    at: float
    task: str
    prompt: int = Field(ge=0, le=1_000_000_000)
    whole: bool
    deadline: Seconds
    model: str | None = None
    attempts: list[_Attempt]


@dataclass(frozen=True, slots=True)
class _Heard:
    """A call as it went. `silent_for` where it was hung up on before it spoke: seconds."""

    at: float
    call: Call
    silent_for: float | None = None


class Recorded:
    """A `World`. `deployments` are those that it has calls of, `tasks` what its requests were for."""

    def __init__(self, path: Path) -> None:
        """Raises StartRefused, naming file and line, where it is no trace or has no requests."""
        requests = sorted(_read(path), key=lambda request: request.at)
        if not requests:
            raise StartRefused(f"{shown(str(path), 200)}: no request is recorded there")
        begun = requests[0].at
        heard: dict[tuple[str, str], list[_Heard]] = defaultdict(list)
        for request in requests:
            for attempt in request.attempts:
                if attempt.outcome not in NOT_ASKED:
                    heard[attempt.deployment, attempt.model].append(_heard(attempt, request.at - begun))
        self._draws: dict[tuple[str, str], Draw] = {}
        for who, calls in heard.items():
            calls.sort(key=lambda call: call.at)
            self._draws[who] = partial(_nearest, _completed(calls), [call.at for call in calls])
        usual = round(median([said for request in requests if (said := _tokens(request))] or [1]))
        self.arrivals: Sequence[Arrival] = [
            Arrival(
                at=request.at - begun,
                task=request.task,
                prompt=request.prompt,
                tokens=_tokens(request) or usual,
                whole=request.whole,
                deadline=request.deadline,
                model=request.model,
            )
            for request in requests
        ]
        self.deployments = frozenset(name for name, _ in heard)
        self.tasks = frozenset(request.task for request in requests)

    def draw(self, deployment: str, model: str) -> Draw | None:
        return self._draws.get((deployment, model))

    def bounds(self, deployment: str) -> Bounds:  # noqa: ARG002 - whatever it bore shows in its latencies
        return NO_BOUNDS


def _read(path: Path) -> Iterator[_Request]:
    """Raises StartRefused."""
    name = shown(str(path), 200)
    number = 0
    try:
        with path.open("rb") as file:
            while line := file.readline(LONGEST_LINE):
                number += 1
                if number == 1 or b'"llm_pool_trace"' in line[:20]:
                    _Header.model_validate_json(line)
                elif line.endswith(b"\n") and line.strip():  # the last one may be torn: whoever wrote it died
                    yield _Request.model_validate_json(line)
    except ValidationError as error:
        if number == 1:
            raise StartRefused(f"{name}:1: is no trace that [telemetry] trace_file has written") from None
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, problem["loc"]))
        raise StartRefused(f"{name}:{number}: {where + ': ' if where else ''}{_lower(problem['msg'])}") from None
    except OSError as error:
        raise StartRefused(f"{name}: {_lower(error.strerror or 'cannot be read')}") from None


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _tokens(request: _Request) -> int:
    answered = [attempt.tokens for attempt in request.attempts if attempt.outcome == OK]
    return answered[-1] if answered else max((attempt.tokens for attempt in request.attempts), default=0)


def _heard(attempt: _Attempt, arrived: float) -> _Heard:
    at = arrived + attempt.started
    lasted = max(0.0, attempt.ended - attempt.started)
    hung_up = attempt.outcome in HUNG_UP
    error = ERRORS.get(attempt.outcome, ProviderError)
    if attempt.first_token is None:
        if hung_up or attempt.outcome == OK:  # an answer without a word: it ended, which is all that is known
            return _Heard(at, Call(first_token=lasted), silent_for=lasted if hung_up else None)
        return _Heard(at, Call(first_token=math.inf, fails_after=lasted, error=error))
    first_token = max(0.0, attempt.first_token - attempt.started)
    per_token = max(0.0, lasted - first_token) / max(1, attempt.tokens - 1)
    fails_after = math.inf if hung_up or attempt.outcome == OK else max(lasted, math.nextafter(first_token, math.inf))
    return _Heard(at, Call(first_token, per_token, fails_after, error))


def _completed(heard: Sequence[_Heard]) -> list[Call]:
    """Each call as it would have gone on, had nobody hung up (rule 3)."""
    paces = [each.call.per_token for each in heard if each.silent_for is None and each.call.per_token > 0]
    usual = median(paces) if paces else 0.0
    calls = []
    for index, each in enumerate(heard):
        call = each.call
        if (silent_for := each.silent_for) is not None:
            near = islice(_outwards(heard, index), 2 * NEIGHBOURS)
            longer = (other.call for other in near if other.silent_for is None and _silence(other.call) > silent_for)
            call = next(longer, replace(call, per_token=usual))
        calls.append(call)
    return calls


def _silence(call: Call) -> float:
    """Seconds until it speaks or fails."""
    return min(call.first_token, call.fails_after)


def _nearest(calls: Sequence[Call], began: Sequence[float], at: float, _request: int, again: int) -> Call:
    """The `again`-th nearest, from 0; where there are not so many, from the beginning again (rule 2)."""
    index = bisect_left(began, at)
    low, high = index - 1, index
    for _ in range(again % len(calls) + 1):
        if high >= len(calls) or (low >= 0 and at - began[low] <= began[high] - at):
            found, low = low, low - 1
        else:
            found, high = high, high + 1
    return calls[found]


def _outwards(heard: Sequence[_Heard], index: int) -> Iterator[_Heard]:
    """The others, nearest first by their place."""
    for distance in range(1, len(heard)):
        for other in (index - distance, index + distance):
            if 0 <= other < len(heard):
                yield heard[other]
