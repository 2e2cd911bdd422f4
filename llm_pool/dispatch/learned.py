"""All that dispatch learns and keeps over a change of the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_pool.config.settings import Qos
from llm_pool.dispatch.budget import Budget
from llm_pool.dispatch.hedging import Hedging
from llm_pool.dispatch.hedging import Rules as HedgingRules
from llm_pool.dispatch.slots import Slots, limit_of
from llm_pool.dispatch.standing import Standing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from llm_pool.core.clock import Clock
    from llm_pool.core.ports.provider import Health, Provider
    from llm_pool.dispatch.router import Deployment
    from llm_pool.dispatch.standing import Terms
    from llm_pool.telemetry.metrics import Metrics

RETRY_SHARE = 0.1  # of all requests


class Learned:
    """A deployment's standing lives as long as its provider is the same object, which outlives any change of the
    configuration that does not concern its connection.
    """

    def __init__(self, *, metrics: Metrics, now: Clock, random: Random) -> None:
        self._metrics = metrics
        self.now = now
        self._random = random
        self._standings: dict[tuple[str, str], tuple[Provider, Standing]] = {}
        self.hedging = Hedging(HedgingRules.of(Qos()), random=random)
        self.retries = Budget(RETRY_SHARE)
        self.room = Slots(limit_of(Qos().max_concurrent_requests), now=now)  # for requests of the whole pool
        metrics.waiting.set_function(lambda: self.room.waiting)
        metrics.before_scrapes(self._show)

    def standing(self, name: str, model: str, provider: Provider, terms: Terms) -> Standing:
        """The standing of one model of one table: the one that is there, or a new one where the provider is new."""
        known = self._standings.get((name, model))
        if known is not None and known[0] is provider:
            return known[1]
        return Standing(name, model, terms, metrics=self._metrics, now=self.now, random=self._random)

    def adopt(self, qos: Qos, deployments: Sequence[Deployment]) -> None:
        """A configuration comes into effect: it has these deployments."""
        self.hedging.rules = HedgingRules.of(qos)
        self.room.limit = limit_of(qos.max_concurrent_requests)
        self.room.patience = qos.queue_timeout_ms / 1000
        before = {standing for _, standing in self._standings.values()}
        self._standings = {(each.name, each.standing.model): (each.provider, each.standing) for each in deployments}
        for gone in before - {each.standing for each in deployments}:
            gone.forget()
        for each in deployments:
            each.standing.adopt(each.terms)

    def of(self, name: str) -> list[Standing]:
        """The standings of one table's models."""
        return [standing for _, standing in self._standings.values() if standing.name == name]

    def looked(self, name: str, health: Health, better: bool) -> None:
        """The health check of this table has looked at it."""
        for standing in self.of(name):
            standing.looked(health, better=better)

    def trouble(self, name: str) -> str:
        """Why one of this table's models is not asked now; "" where all are."""
        return next((standing.trouble for standing in self.of(name) if standing.trouble), "")

    def out(self, name: str) -> bool:
        """Whether none of this table's models can be asked before somebody does something."""
        standings = self.of(name)
        return bool(standings) and all(standing.out for standing in standings)

    def _show(self) -> None:
        for _, standing in list(self._standings.values()):
            rests = standing.cooldown.refusal() is not None
            self._metrics.resting(standing.name, standing.model).set(rests)
