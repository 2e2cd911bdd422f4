"""Make one voice dependable: failover, hedge and retry, which are three things, end at its first word.

- *Failover*: another deployment after an error. Free; each deployment is asked at most once.
- *Hedge*: another deployment, on another host, while the first is silent (`race.py`). A share of all requests may.
- *Retry*: the same deployment again, after a pause, when there is nobody else of its tier. A share of all requests may,
  each `max_retries` times at most, and never past its deadline.

What has spoken is never swapped for another voice. A `whole` request is spoken only when everything is there, so it
survives a line that drops half-way; and where it has a `spec`, an answer that does not fit is one more failure before
the first word, unless it can be mended. The fallback tier is asked when every other candidate has failed, and also when
none has said a word (of a `whole` request: all of them) by `FALLBACK_RESERVE` before the deadline.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from llm_pool.core.errors import (
    AllProvidersFailed,
    InvalidOutput,
    NoProvider,
    ProviderError,
    ProviderUnavailable,
    RequestRefused,
)
from llm_pool.core.ports.embedder import TokenCounter
from llm_pool.core.streams import Events
from llm_pool.core.types import Text, Warning
from llm_pool.dispatch.counting import Counted
from llm_pool.dispatch.metering import FIRST, Asking
from llm_pool.dispatch.race import Race, Tried
from llm_pool.dispatch.race import Rules as RaceRules
from llm_pool.dispatch.reading import Reading, read
from llm_pool.dispatch.retrying import wait_before

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from random import Random
    from types import TracebackType

    from llm_pool.core.errors import ProviderNotConfigured
    from llm_pool.core.streams import Answering
    from llm_pool.core.trace import Kind, Trace
    from llm_pool.core.types import Request
    from llm_pool.dispatch.learned import Learned
    from llm_pool.dispatch.line import Line
    from llm_pool.dispatch.router import Deployment, Plan, Router
    from llm_pool.telemetry.metrics import Metrics

FALLBACK_RESERVE = 0.1  # seconds before the deadline
MOST_PAUSE = 5.0  # seconds that a retry is waited for; else the caller is told when to come back
MOST_BEFORE_OTHERS = 2.0  # seconds that a retry is waited for while somebody else is left, if only the fallback
SMALL_BITS = 10  # prompts of up to about a thousand characters are alike


class Attempts:
    """`ask` is what a strategy's `then` ends in."""

    def __init__(
        self, router: Router, metrics: Metrics, *, line: Line, learned: Learned, max_retries: int, random: Random
    ) -> None:
        self.router = router
        self.metrics = metrics
        self.line = line
        self.hedging = learned.hedging
        self.retries = learned.retries
        self.max_retries = max_retries
        self.random = random
        self.now = learned.now
        self.races = RaceRules(line, learned.hedging, metrics)

    def ask(self, request: Request) -> Answering:
        if request.operation == "count":
            return self._count(request)
        return _Dependable(self, request)

    def _count(self, request: Request) -> Answering:
        able = self.router.able(request.model or "")
        if not able:
            return _Dependable(self, request)  # which says why
        counts = any(isinstance(deployment.provider, TokenCounter) for deployment in able)
        return Counted(request, able[0], _Dependable(self, request) if counts else None, now=self.now)


class _Dependable(AbstractAsyncContextManager[Events]):
    __slots__ = ("_attempts", "_inner", "_out", "_race", "_request", "_reserve", "_size", "_tried")

    def __init__(self, attempts: Attempts, request: Request) -> None:
        self._attempts = attempts
        self._request = request
        self._inner: Answering | None = None
        self._race: Race | None = None
        self._size: int | None = None

    async def __aenter__(self) -> Events:
        plan = self._attempts.router.plan(self._request)
        self._attempts.retries.earn()
        if (alone := plan.alone) is None:
            reading = await self._first_answer(plan, Tried())
        else:  # nobody to go to or to ask beside it: the shortest way
            try:
                reading = await read(self._attempts.line, alone, self._request, FIRST)
            except ProviderError as error:
                reading = await self._first_answer(plan, Tried({alone}, [(alone, error)]))
        self._inner = reading.inner
        self._out = _told(reading, self._request.trace)
        return self._out

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._out.aclose()
        finally:
            try:
                if self._inner is not None:
                    await self._inner.__aexit__(kind, error, trace)
            finally:
                if self._race is not None:
                    await self._race.left()

    async def _first_answer(self, plan: Plan, tried: Tried) -> Reading:
        """Ask one after the other, tier by tier. Raises the error that sums all failures up."""
        self._tried = tried
        self._reserve = _reserve(self._request) if plan.fallbacks else None
        try:
            return await self._of_the_tiers(plan)
        except BaseException:  # whatever ends it: what runs beside it is ended
            if self._race is not None:
                await self._race.left()
            raise

    async def _of_the_tiers(self, plan: Plan) -> Reading:
        tried = self._tried
        ready = plan.ready if len(plan.ready) < 2 else self._rerouted(plan.ready)  # noqa: PLR2004 - somewhere to go
        for deployment in ready:
            if deployment not in tried.asked and (reading := await self._ask(deployment, beside=ready)) is not None:
                return reading
        if tried.outrun and (reading := await self._ask(tried.outrun.pop())) is not None:
            return reading  # it was hung up on because another one spoke, which then broke
        if tried.failures and (reading := await self._retried(plan)) is not None:
            return reading
        for deployment in (*plan.fallbacks, *plan.unhealthy):
            if (reading := await self._ask(deployment)) is not None:
                return reading if plan.missing is None else _instead_of(plan.missing, reading, deployment)
        if plan.desperate is not None and (reading := await self._ask(plan.desperate, panic=True)) is not None:
            return reading
        raise plan.missing or _summary(self._request, tried.failures, plan.refused)

    # --- Failover ---------------------------------------------------------------------------------------------------

    async def _ask(
        self, deployment: Deployment, *, beside: Sequence[Deployment] = (), again: bool = False, panic: bool = False
    ) -> Reading | None:
        """What it says; None where it fails. `beside` may be asked while it is silent."""
        speak_by = None if deployment.fallback else self._reserve
        tried = self._tried
        tried.asked.add(deployment)
        if speak_by is not None and asyncio.get_running_loop().time() >= speak_by:
            return None
        kind: Kind = "first"
        if again:
            kind = "retry"
            self._attempts.metrics.retries(deployment.name).inc()
        elif tried.failures:
            kind = "failover"
            self._attempts.metrics.failovers(tried.failures[-1][0].name).inc()
        race = self._race_with(deployment, beside, kind, speak_by) if len(beside) > 1 else None
        try:
            if race is not None:
                return await race.run()
            usual = kind == "first" and speak_by is None and not panic
            asking = FIRST if usual else Asking(kind, speak_by=speak_by, panic=panic)
            return await read(self._attempts.line, deployment, self._request, asking)
        except ProviderError as error:
            if race is None:  # which has noted it
                tried.failures.append((deployment, error))
        return None

    # --- Hedge ------------------------------------------------------------------------------------------------------

    def _rerouted(self, ready: Sequence[Deployment]) -> Sequence[Deployment]:
        """While the best one is late, most requests begin with the next one on another host."""
        best = ready[0]
        hedging = self._attempts.hedging
        other = next((each for each in ready if _elsewhere(each, best) and not each.standing.full), None)
        if other is None or hedging.rules.mode != "adaptive":
            return ready
        key = self._key(best)
        if hedging.first((key, self._key(other))) == key:
            return ready
        return [other, *(each for each in ready if each is not other)]

    def _race_with(
        self, deployment: Deployment, beside: Sequence[Deployment], kind: Kind, speak_by: float | None
    ) -> Race | None:
        """A race in which the next one on another host may be asked, too; at most one of a request ever is."""
        attempts = self._attempts
        if attempts.hedging.rules.mode == "off" or (self._race is not None and self._race.both_asked):
            return None
        second = next((each for each in beside if each not in self._tried.asked and _elsewhere(each, deployment)), None)
        if second is None:
            return None
        self._race = Race(
            attempts.races, self._request, deployment, second, kind=kind, key=self._key(deployment), speak_by=speak_by,
            tried=self._tried,
        )  # fmt: skip
        return self._race

    def _key(self, deployment: Deployment) -> Hashable:
        if self._size is None:
            self._size = _size(self._request)
        return deployment.standing, self._request.task, self._size

    # --- Retry ------------------------------------------------------------------------------------------------------

    async def _retried(self, plan: Plan) -> Reading | None:
        attempts, loop = self._attempts, asyncio.get_running_loop()
        patience = MOST_BEFORE_OTHERS if plan.fallbacks or plan.unhealthy else MOST_PAUSE
        for tries in range(1, attempts.max_retries + 1):
            soonest = self._soonest(tries)
            if soonest is None:
                return None
            wait, deployment = soonest
            in_time = wait <= patience and loop.time() + wait < (self._reserve or self._request.deadline)
            if not in_time or not attempts.retries.take():
                return None
            await asyncio.sleep(wait)
            if deployment.standing.refusal(self._request.task) is not None:  # something has happened meanwhile
                continue
            if (reading := await self._ask(deployment, again=True)) is not None:
                return reading
        return None

    def _soonest(self, tries: int) -> tuple[float, Deployment] | None:
        """Which of those that failed to ask again, and in how many seconds: none that must not be asked by then."""
        found: list[tuple[float, Deployment]] = []
        for deployment, error in dict(self._tried.failures).items():
            wait = wait_before(error, tries=tries, random=self._attempts.random)
            refusal = deployment.standing.refusal(self._request.task)
            if wait is not None and (refusal is None or 0.0 < (refusal.retry_after or math.inf) <= wait):
                found.append((wait, deployment))
        return min(found, key=lambda pair: pair[0], default=None)


def _instead_of(missing: ProviderNotConfigured, reading: Reading, deployment: Deployment) -> Reading:
    """What the fallback tier says in the place of a provider that has no key, with a word about that."""
    told = Warning("provider_not_configured", f"{missing.message}; {deployment.name} answers instead")
    reading.head[1:1] = [told]  # after `Started`
    return reading


async def _told(reading: Reading, trace: Trace) -> Events:
    """What the caller hears. Warnings of whom nobody hears are none.

    Those that are known by now are noted before the first event: an edge tells them in headers, which go out with it.
    """
    trace.warnings += [event for event in reading.head if isinstance(event, Warning)]
    for event in reading.head:
        yield event
    if reading.rest is not None:
        async for event in reading.rest:
            if isinstance(event, Warning):
                trace.warnings.append(event)
            yield event


def _elsewhere(other: Deployment, deployment: Deployment) -> bool:
    """Whether it could speak while the other one is slow: on another host, and without loading a model first."""
    return other.host != deployment.host and not other.loading


def _reserve(request: Request) -> float:
    """By when others than the fallback tier must have spoken: only where somebody stands behind them."""
    left = request.deadline - asyncio.get_running_loop().time()
    return request.deadline - min(FALLBACK_RESERVE, left / 2)  # a short deadline is shared


def _size(request: Request) -> int:
    """The bucket of the prompt's size, each four times the one before: long prompts take longer to the first word."""
    characters = sum(len(part.text) for message in request.messages for part in message.parts if isinstance(part, Text))
    return max(0, characters.bit_length() - SMALL_BITS) // 2


def _summary(
    request: Request,
    failures: Sequence[tuple[Deployment, ProviderError]],
    refused: Sequence[tuple[Deployment, ProviderError]],
) -> Exception:
    """One failure speaks for itself; several are named. Where nobody was asked, it says when to come back."""
    if not failures and not refused:
        return NoProvider(f"no provider is configured for task {request.task}")
    last = {**dict(refused), **dict(failures)}
    errors = list(last.values())
    if all(isinstance(error, RequestRefused) for error in errors):  # they agree that it is the request
        return errors[0]
    soonest = min((error.retry_after for error in errors if error.retry_after is not None), default=None)
    if len(last) == 1:
        return errors[0]
    names = [deployment.name for deployment in last]
    details = {
        each.name if names.count(each.name) == 1 else f"{each.name} {each.model}": _why(error)
        for each, error in last.items()
    }
    if any(isinstance(error, InvalidOutput) for error in errors):
        return InvalidOutput(f"no answer fits the schema of task {request.task}", details=details)
    if all(isinstance(error, ProviderUnavailable) for error in errors):
        told = f"none of {len(last)} providers can be asked now"
        return ProviderUnavailable(told, details=details, retry_after=soonest or 1.0)
    return AllProvidersFailed(f"all {len(last)} providers failed", details=details, retry_after=soonest)


def _why(error: ProviderError) -> str:
    """Why one that was not asked was not says more than that; an error's words may be long, and are in `voices`."""
    return error.message if isinstance(error, ProviderUnavailable) else error.reason
