"""Ask a second deployment while the first is silent, or slow; take the one that is quicker, hang up on the other.

1. The first contender runs inline, in the caller's task: where it speaks in time, no task is made. The second one is a
   task (`beside.py`).
2. A *hedge* begins after a delay without a word, and the first word wins. A *race* begins when a whole answer comes
   much slower than usual, and the first end wins, for until then nobody has been told anything.
3. Whoever lost is hung up on at once. An error of one leaves the other; a bug of either settles it at once, for a bug
   must not become a silence.
4. The task ends before the block of the race does, whatever the way out.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llm_pool.core.alarm import Alarm, Rang
from llm_pool.core.errors import OutOfTime, ProviderError, ProviderTimeout
from llm_pool.core.types import WORDS, Event, Finished, ReasoningDelta, TextDelta
from llm_pool.dispatch.beside import Beside
from llm_pool.dispatch.metering import Asking
from llm_pool.dispatch.operations import CHARACTERS_PER_TOKEN
from llm_pool.dispatch.reading import read

if TYPE_CHECKING:
    from collections.abc import Hashable

    from llm_pool.core.trace import Kind
    from llm_pool.core.types import Request
    from llm_pool.dispatch.hedging import Hedging
    from llm_pool.dispatch.line import Line
    from llm_pool.dispatch.reading import Reading
    from llm_pool.dispatch.router import Deployment
    from llm_pool.dispatch.standing import Standing
    from llm_pool.telemetry.metrics import Metrics

SLOW = 2.5  # times the median seconds per token
TOKENS_BEFORE_SLOW = 64
CLOSES_WITHIN = 0.05  # seconds; as long as a provider may take, for the winner's words wait for it
PACES_BEFORE_SLOW = 20  # answers that were heard before


@dataclass(frozen=True, slots=True)
class Rules:
    """What every race of one configuration needs."""

    line: Line
    hedging: Hedging
    metrics: Metrics


@dataclass(slots=True)
class Tried:
    """Whom a request has asked so far, and what came of it. `outrun` have not failed, and may be asked again."""

    asked: set[Deployment] = field(default_factory=set)
    failures: list[tuple[Deployment, ProviderError]] = field(default_factory=list)
    outrun: list[Deployment] = field(default_factory=list)


class Race:
    """`key` is what the delay is learned for. `tried` is the request's own, and is added to.

    `left` must be awaited at the end of whatever the answer lives in, also where `run` raises.
    """

    def __init__(
        self, rules: Rules, request: Request, first: Deployment, second: Deployment, *, kind: Kind, key: Hashable,
        speak_by: float | None, tried: Tried,
    ) -> None:  # fmt: skip
        self._rules = rules
        self._request = request
        self._first, self._second = first, second
        self._key = key
        hedging = rules.hedging
        # Seconds of silence before the second one is asked, too.
        self._delay = hedging.begin(key) if kind == "first" else hedging.delay(key)
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._alarm = Alarm(self._loop)
        self._asking = Asking(kind, speak_by=speak_by)
        self._tried = tried
        self._beside: Beside | None = None
        self._spoke_at: float | None = None  # the first one
        self._said = 0  # characters, by the first one
        self._slowest: float | None = None  # seconds for a token that it may take
        self._over = False  # one of them has won, or is alone
        self._insisting: asyncio.TimerHandle | None = None

    @property
    def both_asked(self) -> bool:
        return self._beside is not None

    async def run(self) -> Reading:
        """The answer of the quicker one. Raises the ProviderError of who failed last, and whatever else ends either."""
        by = self._began + self._delay
        timer = self._loop.call_at(by, self._silent) if by < self._request.deadline else None
        try:
            with self._alarm:
                reading = await read(self._rules.line, self._first, self._request, self._asking, self._heard)
            self._first_won()
            return reading
        except Rang:
            return await self._of_second()
        except ProviderError as error:
            if not self._asking.outrun:  # else it failed while it was hung up on, and nobody minds
                self._first_failed(error)
                if self._over:
                    raise
                self._over = True
            return await self._of_second(instead_of=error)
        except asyncio.CancelledError:
            self._learn_at_least()
            raise
        finally:
            for each in (timer, self._insisting):
                if each is not None:
                    each.cancel()

    async def left(self) -> None:
        """End what still runs of it."""
        if self._beside is not None:
            await self._beside.left()

    # --- The first one ----------------------------------------------------------------------------------------------

    def _heard(self, event: Event) -> None:
        if self._spoke_at is None:
            if not isinstance(event, WORDS):
                return
            self._spoke_at = self._loop.time()
            self._learn(self._spoke_at - self._began)
            if self._beside is not None:
                self._first_won()
        if isinstance(event, Finished):  # who is asked beside it comes too late, however long this one closes
            self._first_won()
        elif self._request.whole and isinstance(event, TextDelta | ReasoningDelta):
            self._said += len(event.text)
            if self._beside is None and self._slow(self._spoke_at):
                self._ask_second("race")

    def _slow(self, spoke_at: float) -> bool:
        """Whether its words come much slower than they usually do."""
        tokens = self._said / CHARACTERS_PER_TOKEN
        if tokens < TOKENS_BEFORE_SLOW:
            return False
        if self._slowest is None:
            self._slowest = _slowest(self._first.standing)
        return (self._loop.time() - spoke_at) / tokens > self._slowest

    def _first_won(self) -> None:
        if not self._over and self._beside is not None:
            self._beside.asking.outrun = True
            self._tried.outrun.append(self._second)
            self._beside.hang_up()
        self._over = True

    def _first_failed(self, error: ProviderError) -> None:
        self._tried.failures.append((self._first, error))
        # A fast error says nothing about how long words take; to have waited in vain does.
        if self._spoke_at is None and isinstance(error, ProviderTimeout) and not isinstance(error, OutOfTime):
            self._learn(self._loop.time() - self._began)

    def _learn(self, waited: float) -> None:
        self._rules.hedging.record(self._key, waited, hedged=self._beside is not None)

    def _learn_at_least(self) -> None:
        """The caller left. What was waited in vain counts once it is longer than the delay; less says nothing."""
        waited = self._loop.time() - self._began
        if not self._over and self._spoke_at is None and waited > self._delay:
            self._learn(waited)

    # --- The second one ---------------------------------------------------------------------------------------------

    def _silent(self) -> None:
        if not self._over and self._spoke_at is None and self._beside is None:
            self._ask_second("hedge")

    def _ask_second(self, kind: Kind) -> None:
        second, standing = self._second, self._second.standing
        usual = standing.words.median or 0.0
        in_time = self._request.deadline - self._loop.time() > usual
        quick = in_time and not standing.full and not standing.loading
        if quick and standing.refusal(self._request.task) is None and self._rules.hedging.take():
            self._rules.metrics.hedges(second.name, "sent").inc()
            self._tried.asked.add(second)
            self._beside = Beside(
                self._rules.line, second, self._request, Asking(kind, speak_by=self._asking.speak_by),
                heard=self._heard_beside, known=self._known_beside,
            )  # fmt: skip

    def _heard_beside(self, event: Event) -> None:
        assert self._beside is not None  # noqa: S101 - it is what speaks
        if self._beside.asking.kind == "hedge" and isinstance(event, WORDS):
            self._second_won()

    def _known_beside(self, error: Exception | None) -> None:
        if isinstance(error, ProviderError):
            self._tried.failures.append((self._second, error))
        else:  # it is complete, or it has a bug
            self._second_won()

    def _second_won(self) -> None:
        if self._over:  # it has long since, or the other one has failed
            return
        self._over = True
        self._asking.outrun = True
        self._tried.outrun.append(self._first)
        if self._spoke_at is None:
            self._learn(self._loop.time() - self._began)
        self._alarm.ring()
        self._insisting = self._loop.call_later(CLOSES_WITHIN, self._alarm.ring)

    async def _of_second(self, *, instead_of: ProviderError | None = None) -> Reading:
        if self._beside is None:
            assert instead_of is not None  # noqa: S101 - it was alone, and failed
            raise instead_of
        reading = await self._beside.answer()
        self._rules.metrics.hedges(self._second.name, "won").inc()
        return reading


def _slowest(standing: Standing) -> float:
    """Seconds for a token that are not slow yet."""
    usual = standing.pace.median if len(standing.pace) >= PACES_BEFORE_SLOW else None
    return math.inf if usual is None else SLOW * usual
