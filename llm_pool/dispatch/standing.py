"""What is known of one deployment: whether it may be asked now, and how well it has done. It outlives configurations.

The parts are pure and know nothing of each other; here the beginning and the end of a call are told to all of them.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, assert_never

from llm_pool.config.settings import Breaker as BreakerSection
from llm_pool.core.errors import (
    OutOfTime,
    ProviderError,
    ProviderLimited,
    ProviderMisconfigured,
    ProviderOverloaded,
    ProviderTimeout,
    ProviderUnavailable,
)
from llm_pool.dispatch.balance import Load
from llm_pool.dispatch.breaker import Breaker
from llm_pool.dispatch.breaker import Rules as BreakerRules
from llm_pool.dispatch.cooldown import Cooldown
from llm_pool.dispatch.operations import CHARACTERS_PER_TOKEN
from llm_pool.dispatch.quantiles import Sketch
from llm_pool.dispatch.quota import Allowed, Quota
from llm_pool.dispatch.slots import Slots, limit_of
from llm_pool.telemetry.logs import fields

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from llm_pool.core.clock import Clock
    from llm_pool.core.ports.provider import Health
    from llm_pool.core.trace import Attempt
    from llm_pool.dispatch.breaker import State, Verdict
    from llm_pool.telemetry.metrics import Metrics

Permit: TypeAlias = "tuple[Breaker, int]"
Action: TypeAlias = Literal["open", "close", "reset"]

log = logging.getLogger(__name__)

IN_METRICS: dict[State, int] = {"closed": 0, "half_open": 1, "open": 2}
SOONEST = 0.1  # seconds; when somebody who was refused may come back at the soonest
FEWEST_SAID = 64  # characters of an answer whose pace is worth remembering


@dataclass(frozen=True, slots=True)
class Terms:
    """What the configuration grants a deployment. `max_concurrent`: a number, "adaptive", or None for no limit."""

    breaker: BreakerRules = BreakerRules.of(BreakerSection())
    per_task: bool = False
    max_concurrent: int | Literal["adaptive"] | None = None
    patience: float = 1.0  # seconds in a long line
    quota: Allowed = Allowed()


class Standing:
    """Of one model of one `[[providers]]` table; a table that passes any model on has one for all of them."""

    __slots__ = (
        "_any_model", "_era", "_metrics", "_now", "_random", "_taken_out", "_terms", "breakers", "cooldown", "load",
        "loading", "model", "name", "pace", "quota", "slots", "words",
    )  # fmt: skip

    def __init__(
        self, name: str, model: str, terms: Terms | None = None, *, metrics: Metrics, now: Clock, random: Random
    ) -> None:
        self.name = name
        self.model = model
        self._metrics = metrics
        self._now = now
        self._random = random
        self._terms = terms or Terms()
        self._any_model = model.endswith("/*")
        self._taken_out = False  # by an operator
        self.loading = False  # into memory, as its health check says
        self._era = 0  # of breakers
        self.breakers: dict[str, Breaker] = {}  # by task, "" for all of them
        self.cooldown = Cooldown(name, now=now, random=random)
        self.load = Load(now=now)
        self.words = Sketch()  # seconds to the first word
        self.pace = Sketch()  # seconds for each token after it
        limit = limit_of(self._terms.max_concurrent)
        self.slots = None if limit is None else Slots(limit, now=now, patience=self._terms.patience)
        self.quota = None if self._terms.quota == Allowed() else Quota(self._terms.quota, now=now)

    # --- Asking -----------------------------------------------------------------------------------------------------

    def refusal(self, task: str, *, tokens: int = 0) -> ProviderError | None:
        """Why it must not be asked now, for so many tokens; None where it may."""
        if (why := self._pause(tokens)) is not None:
            return why
        breaker = self.breaker(task)
        if breaker.admits():
            return None
        soon = max(breaker.opens_in(), SOONEST)
        if breaker.held:
            return ProviderUnavailable(self._told_out, retry_after=soon)
        return ProviderUnavailable(f"{self.name} has failed too often lately", retry_after=soon)

    def _pause(self, tokens: int) -> ProviderError | None:
        """Why it is left alone whatever the task."""
        if self.cooldown.active and (why := self.cooldown.refusal()) is not None:
            return why
        if self.quota is not None and (wait := self.quota.refusal_in(tokens)) > 0:
            return ProviderUnavailable(f"the quota of {self.name} is spent", retry_after=wait)
        return None

    @property
    def _told_out(self) -> str:
        return f"an operator has taken {self.name} out"

    @property
    def trouble(self) -> str:
        """Why it is not asked now, for some task at least; "" where it is."""
        if self._taken_out:
            return self._told_out
        refusals = (self._pause(0), *(self.refusal(task) for task in self.breakers))
        return next((why.message for why in refusals if why is not None), "")

    @property
    def out(self) -> bool:
        """Whether somebody has to do something before it can be asked again."""
        return self._taken_out or isinstance(self.cooldown.refusal(), ProviderMisconfigured)

    @property
    def full(self) -> bool:
        """Whether a call would have to wait for its turn."""
        return self.slots is not None and self.slots.used >= self.slots.limit

    def breaker(self, task: str) -> Breaker:
        key = task if self._terms.per_task else ""
        breaker = self.breakers.get(key)
        if breaker is None:  # tasks are configured names, so these stay few
            breaker = self.breakers[key] = Breaker(
                self._terms.breaker, now=self._now, random=self._random, changed=self._changed(key)
            )
            if self._taken_out:
                breaker.open()
            else:
                self._metrics.breaker_state(self.name, self.model, key).set(0)
        return breaker

    # --- One call ---------------------------------------------------------------------------------------------------

    def begin(self, task: str, *, tokens: int, panic: bool) -> Permit:
        """A call begins, which may take so many tokens. Gives what its end has to show again.

        Raises what refuses it: the plan may be as old as the wait for another one, or for a turn.
        """
        breaker = self.breaker(task)
        in_doubt = not breaker.closed or self.cooldown.active or self.quota is not None
        if in_doubt and not panic and (why := self.refusal(task, tokens=tokens)) is not None:
            raise why
        permit = breaker.begin(panic=panic)
        assert permit is not None  # noqa: S101 - it admits the call, or is not asked
        if self.cooldown.active:
            self.cooldown.begin()
        if self.quota is not None:
            self.quota.begin(tokens)
        self.load.begin()
        return breaker, permit

    def spoke(self, seconds: float) -> None:
        """Its first word has come, so long after it was asked."""
        self.load.first_token(seconds)
        self.words.add(seconds)

    def end(
        self, permit: Permit, attempt: Attempt, verdict: Verdict, error: BaseException | None, *, tokens: int, said: int
    ) -> None:  # fmt: skip
        """A call has ended, whatever its way out. `tokens` are those of its beginning, `said` characters of answer."""
        self.load.end()
        if verdict != "success" and attempt.first_token is None and attempt.ended is not None and not said:
            self._was_silent(attempt, error)
        breaker, number = permit
        breaker.ended(number, verdict)
        if self.quota is not None:
            usage = attempt.usage
            self.quota.end(tokens, usage.input + usage.output + usage.cache_write + usage.reasoning)
        if verdict == "success":
            if self.cooldown.active:
                self.cooldown.succeeded(begun=attempt.started)
            if self.slots is not None:
                self.slots.served()
            if said >= FEWEST_SAID:
                self._remember_pace(attempt, said)
        elif isinstance(error, ProviderError):
            self._blame(error, attempt)

    def _blame(self, error: ProviderError, attempt: Attempt) -> None:
        match error:
            case ProviderLimited():
                self.cooldown.limited(error.retry_after, begun=attempt.started)
            case ProviderMisconfigured() if not self._any_model:  # else it may be the name that the caller gave
                self.cooldown.misconfigured(error)
                log.error("provider is misconfigured", extra=fields(deployment=self.name, why=error.message))
            case _:
                pass
        pushed_back = isinstance(error, ProviderLimited | ProviderOverloaded | ProviderTimeout)
        if self.slots is not None and pushed_back and not isinstance(error, OutOfTime):
            self.slots.pushed_back()

    def _was_silent(self, attempt: Attempt, error: BaseException | None) -> None:
        """It has said nothing for so long: that is slow, unless it failed quickly."""
        if error is None or isinstance(error, ProviderTimeout | asyncio.CancelledError):
            self.load.silent((attempt.ended or attempt.started) - attempt.started)

    def _remember_pace(self, attempt: Attempt, said: int) -> None:
        if attempt.first_token is not None and attempt.ended is not None:
            self.pace.add((attempt.ended - attempt.first_token) * CHARACTERS_PER_TOKEN / said)

    # --- Configuration and operators --------------------------------------------------------------------------------

    def adopt(self, terms: Terms) -> None:
        """From now on these count. What was learned stays."""
        before, self._terms = self._terms, terms
        if terms.per_task != before.per_task:
            self._forget_breakers()
        for breaker in self.breakers.values():
            breaker.rules = terms.breaker
            if not terms.breaker.enabled and not breaker.held:
                breaker.close()
        if terms.max_concurrent != before.max_concurrent:
            limit = limit_of(terms.max_concurrent)
            if limit is None or self.slots is None:  # calls under way keep the slots that they began with
                self.slots = None if limit is None else Slots(limit, now=self._now)
            else:
                self.slots.limit = limit
        if self.slots is not None:
            self.slots.patience = terms.patience
        if terms.quota != before.quota:
            if terms.quota == Allowed() or self.quota is None:
                self.quota = None if terms.quota == Allowed() else Quota(terms.quota, now=self._now)
            else:
                self.quota.allowed = terms.quota

    def _about(self, task: str) -> dict[str, object]:
        """What a line of the log tells of a breaker, beside what it is now."""
        breaker = self.breakers.get(task)
        seen = {} if breaker is None else breaker.snapshot()
        told = {"task": task or None, "calls": seen.get("calls"), "failed": seen.get("failed")}
        return {name: value for name, value in told.items() if value is not None}

    def _forget_breakers(self) -> None:
        for key in self.breakers:
            self._metrics.breaker_state.forget(self.name, self.model, key)
        self.breakers.clear()
        self._era += 1

    def looked(self, health: Health, *, better: bool) -> None:
        """Its health check has looked at it, and found it better than before or not."""
        self.loading = health.loads(self.model.partition("/")[2])
        if better:
            self.cooldown.recovered()
            for breaker in self.breakers.values():
                breaker.hasten()

    def snapshot(self) -> dict[str, object]:
        """For a report. Times are in milliseconds, None where nothing is known."""
        slots = self.slots
        return {
            "model": self.model,
            "breakers": [{"task": task, **breaker.snapshot()} for task, breaker in sorted(self.breakers.items())],
            "resting": self.trouble,
            "outstanding": self.load.outstanding,
            "first_token_ms": _milliseconds(self.words.median),
            "per_token_ms": _milliseconds(self.pace.median),
            "limit": None if slots is None else slots.limit,
            "waiting": 0 if slots is None else slots.waiting,
        }

    def operate(self, action: Action) -> None:
        """An operator opens, closes or resets its breakers, those of all tasks. To reset ends any pause, too, be it one
        that it asked for or one that it has because it is misconfigured.
        """
        self._taken_out = action == "open"
        if action == "reset":
            self.cooldown = Cooldown(self.name, now=self._now, random=self._random)
        for breaker in self.breakers.values() if self._terms.per_task else [self.breaker("")]:
            match action:
                case "open":
                    breaker.open()
                case "close" | "reset":
                    breaker.close()
                case _:
                    assert_never(action)

    def forget(self) -> None:
        """It is no more."""
        self._forget_breakers()
        self._metrics.resting.forget(self.name, self.model)

    def _changed(self, task: str) -> Callable[[State, State], None]:
        era = self._era

        def told(before: State, after: State) -> None:
            if era != self._era:  # a call of before has ended: nobody asks this breaker any more
                return
            self._metrics.breaker_changes(self.name, after).inc()
            self._metrics.breaker_state(self.name, self.model, task).set(IN_METRICS[after])
            log.log(
                logging.WARNING if after == "open" else logging.INFO,
                "circuit breaker is %s",
                after.replace("_", "-"),
                extra=fields(deployment=self.name, model=self.model, before=before, **self._about(task)),
            )

        return told


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
