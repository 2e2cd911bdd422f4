"""Decide when a silence has lasted too long, and one more deployment is asked for the same answer.

Hedge at the 95th percentile, and 5 % more requests cut off most of the tail (Dean and Barroso, "The Tail at Scale",
CACM 56(2), 2013). What has to be learned is where that percentile lies now:

1. A key (deployment, task, size of the prompt) learns from what its callers waited. Of a request that was hedged, this
   may be when the other one answered. That is still more than the delay, so the quantile at the delay stays right.
2. The delay follows the quantile, but no higher than `CLAMP` times a base that rises slowly and falls faster: else an
   incident would teach us, while it lasts, to wait longer for the one who has it. Nor is it lower than `SPREAD` times
   the median: of those who all take about as long, the last gain nothing by a second request, which takes as long.
3. The budget is held by tokens, whatever the quantile says: in every 1,000 requests at most 1,000 * budget + 10.
4. A budget of 5 % cannot save an incident where most are slow. Who often exceeds its delay is `late`: nine of ten
   requests go to the next one first, the tenth looks whether it is over.

`python -m benchmarks.hedging` scores this very class, on frozen traces and on fresh ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

from llm_pool.dispatch.budget import Budget
from llm_pool.dispatch.quantiles import ALPHA, Sketch

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from random import Random

    from llm_pool.config.settings import Qos

    Key = TypeVar("Key", bound=Hashable)

ENOUGH = 100  # samples of a key, before the prior is given up
EVERY = 50  # samples between two looks at the quantile, which costs more than all the rest
RISE, FALL = 0.01, 0.05  # how far the base goes towards the quantile, each time
SPREAD = 1.5  # times the median
CLAMP = 1.5  # times the base
SHORTEST = 0.01  # seconds; what is so quick is not worth a second question
LATE = 0.25  # share of requests that exceeded the delay
SMOOTHING = 1 / 30  # of that share
PROBES = 0.1  # share of requests that still ask first who is late
MOST_KEYS = 2_048  # configuration bounds them well below


@dataclass(frozen=True, slots=True)
class Rules:
    """`prior` is the delay in seconds while nothing is learned ("fixed": always), `budget` the share of hedges."""

    mode: Literal["adaptive", "fixed", "off"]
    prior: float
    budget: float

    @classmethod
    def of(cls, qos: Qos) -> Rules:
        return cls(mode=qos.hedge, prior=qos.hedge_after_ms / 1000, budget=qos.hedge_budget)


class _Learned:
    """What is known of one key. `delay` and `base` are in seconds, None until there are enough samples."""

    __slots__ = ("base", "delay", "due", "late", "sketch")

    def __init__(self) -> None:
        self.sketch = Sketch()
        self.base: float | None = None
        self.delay: float | None = None
        self.due = ENOUGH  # samples until the next look
        self.late = 0.0


class Hedging:
    """All hedging of one pool: one budget, and what was learned of each key, which outlives a change of `rules`."""

    __slots__ = ("_always", "_budget", "_known", "_random", "_rules")

    def __init__(self, rules: Rules, *, random: Random) -> None:
        self._random = random
        self._known: dict[Hashable, _Learned] = {}  # those that learned last, last
        self._budget = Budget(rules.budget)
        self.rules = rules

    @property
    def rules(self) -> Rules:
        return self._rules

    @rules.setter
    def rules(self, rules: Rules) -> None:
        self._rules = rules
        self._budget.ratio = rules.budget
        self._always: float | None = None  # the delay, where it is not learned
        if rules.mode == "off" or rules.budget <= 0:
            self._always = math.inf
        elif rules.mode == "fixed":
            self._always = rules.prior

    def first(self, keys: Sequence[Key]) -> Key:
        """Which to ask first of these, the best first; at least one. Only "adaptive" ever changes the order."""
        best = keys[0]
        if not self._late(best) or self._rules.mode != "adaptive":
            return best
        for other in keys[1:]:
            if not self._late(other):
                return best if self._random.random() < PROBES else other
        return best  # all are late: then this is how things are

    def begin(self, key: Hashable) -> float:
        """A request asks `key` first. After how many seconds of silence one more may be asked; infinity: never."""
        self._budget.earn()
        return self.delay(key)

    def delay(self, key: Hashable) -> float:
        """The same of one that is asked after another has failed: the budget is a share of the requests."""
        if self._always is not None:
            return self._always
        known = self._known.get(key)
        return self._rules.prior if known is None or known.delay is None else known.delay

    def take(self) -> bool:
        """Spend one extra request, where the budget has one. Ask last: what is taken is not given back."""
        return self._always != math.inf and self._budget.take()

    def record(self, key: Hashable, waited: float, *, hedged: bool) -> None:
        """After `waited` seconds the caller of a request that asked `key` first had its first word, from whomever.

        Never of fast errors: they would teach that the deployment is quick.
        """
        known = self._known.get(key)
        if known is None:
            known = self._remember(key)
        delay = self._rules.prior if known.delay is None else known.delay
        # It may have moved since it was exceeded. A fixed one says nothing about being late.
        exceeded = waited > delay or (hedged and self._always is None)
        known.late += (exceeded - known.late) * SMOOTHING
        known.sketch.add(waited)
        known.due -= 1
        if not known.due:
            self._learn(key, known)

    def _late(self, key: Hashable) -> bool:
        known = self._known.get(key)
        return known is not None and known.late > LATE

    def _remember(self, key: Hashable) -> _Learned:
        if len(self._known) >= MOST_KEYS:
            del self._known[next(iter(self._known))]
        known = self._known[key] = _Learned()
        return known

    def _learn(self, key: Hashable, known: _Learned) -> None:
        known.due = EVERY
        quantile, median = known.sketch.quantile(1 - self._rules.budget), known.sketch.median
        if quantile is None or median is None:  # no samples: never here
            return
        usual = max(quantile, SPREAD * median) / (1 - ALPHA)  # the upper edge of its bucket, which none in it exceeds
        base = self._rules.prior if known.base is None else known.base
        known.base = base + (RISE if usual > base else FALL) * (usual - base)
        known.delay = max(min(usual, CLAMP * known.base), SHORTEST)
        self._known[key] = self._known.pop(key)
