"""Worlds made up from a seed: requests, and how long the calls of each configured deployment take.

What they share:

1. Requests arrive by a Poisson process of `rate` per second. Every second one is streamed, the others are whole. A
   prompt has some 800 characters and an answer some 150 tokens (medians of log-normal distributions, sigma 1.0 and
   0.7; at most 1,000 tokens). They give no deadline, so that of the configuration holds.
2. Each deployment is a little different. The median of its first tokens lies between 0.28 and 0.57 s, their
   distribution is log-normal with sigma 0.6 (the 99th percentile is four times the median); its pace lies between 40
   and 90 tokens/s, log-normal with sigma 0.2 from call to call. Three of a thousand calls fail.
3. Every call is drawn from the seed, the deployment, the request and how often that has asked it before. So two
   configurations that ask the same deployment for the same request get the same call, and chance does not stand
   between them. A deployment added to a configuration changes nothing about the others.
4. *The first* is the first deployment of the (first) configuration that serves the task and is no fallback. Trouble
   begins when a quarter of the time is over; it lasts at most half of the time.

The `builtin` engine is no model: it answers within 5 ms in every scenario.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, partial
from random import Random
from typing import TYPE_CHECKING

from llm_pool.core.errors import ProviderError, ProviderUnreachable
from llm_pool.simulate.calls import NO_BOUNDS, QUOTA_WINDOW, Arrival, Bounds, Call

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_pool.simulate.calls import Draw

REQUESTS = 6_000
RATE = 5.0  # per second

FIRST_TOKEN, UNLIKE = 0.4, 0.35  # seconds; how far deployments are apart, as a logarithm
PER_TOKEN, PER_TOKEN_UNLIKE, PER_TOKEN_SIGMA = 1 / 60, 0.4, 0.2
PROMPT, PROMPT_SIGMA = 800, 1.0  # characters
TOKENS, TOKENS_SIGMA, MOST_TOKENS = 150, 0.7, 1_000
FAIL_RATE = 0.003
FAILS_AFTER = 0.1  # seconds
LINE = 512  # calls that wait where a deployment bears no more, as in Ollama (OLLAMA_MAX_QUEUE)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is particular about one. Factors multiply durations; `of the first` are those that concern it alone."""

    tells: str
    sigma: float = 0.6  # of first tokens
    drift: float = 1.0  # factor at the end, for all
    slow: float = 1.0  # factor of the first, during the trouble
    fail_rate: float = 0.0  # of the first, during the trouble
    fails_with: type[ProviderError] = ProviderError
    trouble: float = 300.0  # seconds
    load: float = 0.0  # requests that come, as a multiple of what all can answer; 0: they bear anything
    quota: float | None = None  # of the first, as a share of an even share of the requests


SCENARIOS: Mapping[str, Scenario] = {
    "steady": Scenario("nothing special happens"),
    "heavy": Scenario("a heavy tail: one first token in a hundred takes 16 times the median", sigma=1.2),
    "drift": Scenario("all deployments become slower bit by bit, to three times", drift=3.0),
    "incident": Scenario("the first deployment is six times slower for 300 s", slow=6.0),
    "outage": Scenario(
        "the first deployment fails for 300 s, every call", fail_rate=1.0, fails_with=ProviderUnreachable
    ),
    "brownout": Scenario("60 % of the first deployment's calls fail for 600 s", fail_rate=0.6, trouble=600.0),
    "overload": Scenario("twice the requests that all deployments together can answer", load=2.0),
    "ratelimits": Scenario(
        "the first deployment takes half of an even share, then says 429 with Retry-After", quota=0.5
    ),
}


class Synthetic:
    """A `World`. `deployments` are those that serve the task, by name, in their order."""

    def __init__(
        self, name: str, deployments: Sequence[str], *, seed: int, requests: int = REQUESTS, rate: float = RATE,
        task: str = "chat",
    ) -> None:  # fmt: skip
        self._scenario = SCENARIOS[name]
        self._deployments = deployments
        self._seed = seed
        self._requests = requests
        self._rate = rate
        self._task = task
        self._span = requests / rate

    @cached_property
    def arrivals(self) -> Sequence[Arrival]:
        drawn = Random(f"{self._seed}/arrivals")  # noqa: S311 - nothing is secret
        found, at = [], 0.0
        for number in range(self._requests):
            tokens = min(MOST_TOKENS, max(1, round(_log_normal(drawn, TOKENS, TOKENS_SIGMA))))
            prompt = max(1, round(_log_normal(drawn, PROMPT, PROMPT_SIGMA)))
            found.append(Arrival(at, self._task, prompt, tokens, whole=number % 2 == 1))
            at += drawn.expovariate(self._rate)
        return found

    def draw(self, deployment: str, model: str) -> Draw:
        fixed = Random(f"{self._seed}/{deployment}/{model}")  # noqa: S311 - nothing is secret
        first_token = FIRST_TOKEN * math.exp(fixed.uniform(-UNLIKE, UNLIKE))
        per_token = PER_TOKEN * math.exp(fixed.uniform(-PER_TOKEN_UNLIKE, PER_TOKEN_UNLIKE))
        return partial(self._call, deployment, model, first_token, per_token)

    def bounds(self, deployment: str) -> Bounds:
        each = self._rate / max(1, len(self._deployments))  # requests per second
        if self._scenario.load:
            answer = TOKENS * math.exp(TOKENS_SIGMA**2 / 2) * PER_TOKEN * math.exp(PER_TOKEN_SIGMA**2 / 2)
            lasts = FIRST_TOKEN * math.exp(self._scenario.sigma**2 / 2) + answer  # means of log-normal distributions
            slots = max(1, round(each / self._scenario.load * lasts))
            return Bounds(slots=slots, line=LINE)
        if self._scenario.quota is not None and self._is_first(deployment):
            return Bounds(quota=max(1, round(each * self._scenario.quota * QUOTA_WINDOW)))
        return NO_BOUNDS

    def _call(  # noqa: PLR0917 - the first four are bound
        self, deployment: str, model: str, first_token: float, per_token: float, at: float, request: int, again: int
    ) -> Call:
        scenario = self._scenario
        drawn = Random(f"{self._seed}/{deployment}/{model}/{request}/{again}")  # noqa: S311 - nothing is secret
        fate = drawn.random()
        troubled = self._is_first(deployment) and self._in_trouble(at)
        factor = scenario.drift ** min(1.0, at / self._span) * (scenario.slow if troubled else 1.0)
        if troubled and fate < scenario.fail_rate:
            return Call(math.inf, fails_after=FAILS_AFTER, error=scenario.fails_with)
        if fate > 1 - FAIL_RATE:
            return Call(math.inf, fails_after=FAILS_AFTER)
        return Call(
            first_token=factor * _log_normal(drawn, first_token, scenario.sigma),
            per_token=factor * _log_normal(drawn, per_token, PER_TOKEN_SIGMA),
        )

    def _is_first(self, deployment: str) -> bool:
        return bool(self._deployments) and deployment == self._deployments[0]

    def _in_trouble(self, at: float) -> bool:
        begins = self._span / 4
        return begins <= at < begins + min(self._scenario.trouble, self._span / 2)


def _log_normal(drawn: Random, median: float, sigma: float) -> float:
    return median * math.exp(drawn.gauss(0.0, sigma))
