"""Replay the example of "The Tail at Scale": 1,000 leaves per question, and one more request after 10 ms of silence.

Dean and Barroso, CACM 56(2), 2013: reading 1,000 keys from 100 servers, hedging after 10 ms takes the 99.9th percentile
of the whole from 1,800 ms to 74 ms, for 2 % more requests. Two of these numbers fix a log-normal leaf: 2 % exceed
10 ms, and without hedging the whole takes 1,800 ms. The other two are then predicted. The delay is `Hedging`'s own,
in its "fixed" mode; nothing in the example bounds the budget, so neither does the replay.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from statistics import NormalDist

import numpy as np

from llm_pool.dispatch.hedging import Hedging, Rules

LEAVES = 1_000
DELAY, EXTRA = 0.010, 0.02  # seconds, share of leaves that exceed it
SHARE, UNHEDGED, HEDGED = 0.999, 1.800, 0.074  # seconds of that percentile of the whole, as published

NORMAL = NormalDist()
LEAF = 1 - SHARE ** (1 / LEAVES)  # a leaf may exceed it so often for the whole to do so once in 1,000 times
SIGMA = math.log(UNHEDGED / DELAY) / (NORMAL.inv_cdf(1 - LEAF) - NORMAL.inv_cdf(1 - EXTRA))
MU = math.log(DELAY) - SIGMA * NORMAL.inv_cdf(1 - EXTRA)


@dataclass(frozen=True, slots=True)
class Replayed:
    """Seconds of the 99.9th percentile of the whole, and the share of extra requests."""

    unhedged: float
    hedged: float
    extra: float


def predicted() -> float:
    """Seconds: where both the first request and the one sent after the delay are still out, rarely enough."""
    low, high = DELAY, UNHEDGED
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _exceeds(middle) * _exceeds(middle - DELAY) > LEAF else (low, middle)
    return high


def replay(questions: int, *, seed: int, at_a_time: int = 500) -> Replayed:
    delay = Hedging(Rules("fixed", prior=DELAY, budget=1.0), random=Random(seed)).begin("leaf")  # noqa: S311
    random, late = np.random.default_rng(seed), (math.log(delay) - MU) / SIGMA
    unhedged, hedged, extra = [], [], 0
    for _ in range(questions // at_a_time):
        first = random.standard_normal((at_a_time, LEAVES))
        slow = first > late
        seconds = np.exp(MU + SIGMA * first[slow])
        second = np.exp(MU + SIGMA * random.standard_normal(len(seconds)))
        saved = np.zeros(first.shape)  # a leaf below the delay decides nothing where any exceeds it
        saved[slow] = np.minimum(seconds, delay + second)
        unhedged.append(np.exp(MU + SIGMA * first.max(axis=1)))
        hedged.append(saved.max(axis=1))
        extra += len(seconds)
    whole, cut = (float(np.quantile(np.concatenate(each), SHARE)) for each in (unhedged, hedged))
    return Replayed(whole, cut, extra / (questions * LEAVES))


def _exceeds(seconds: float) -> float:
    """The share of leaves that take longer. By `erfc`: `1 - cdf` has no digits left so far out."""
    if seconds <= 0:
        return 1.0
    return math.erfc((math.log(seconds) - MU) / SIGMA / math.sqrt(2)) / 2
