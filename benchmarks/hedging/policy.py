"""The server's own hedging with its default settings, in the words of the scorer."""

from __future__ import annotations

from random import Random

from llm_pool.config.settings import Qos
from llm_pool.dispatch.hedging import Hedging, Rules

KEYS = ("primary", "backup")


class Policy:
    def __init__(self, seed: int = 1) -> None:
        self.hedging = Hedging(Rules.of(Qos()), random=Random(seed))  # noqa: S311

    def first(self) -> int:
        self.key = self.hedging.first(KEYS)
        return KEYS.index(self.key)

    def hedge_after(self) -> float:
        return self.hedging.begin(self.key)

    def take(self) -> bool:
        return self.hedging.take()

    def record(self, first: int, latency: float, hedged: bool) -> None:
        self.hedging.record(KEYS[first], latency, hedged=hedged)
