"""Which deployments may answer a request, best first. Pure: it looks at configuration and health and decides."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable

    from llm_pool.core.ports.provider import Health, Provider
    from llm_pool.core.types import Request

ANY = "*"


@dataclass(frozen=True, slots=True, eq=False)
class Deployment:
    """One model of one `[[providers]]` table.

    `model` is its public id `provider/model`, `upstream` the provider's own name for it, `tasks` are those it is asked
    for without being named; `timeout` is in seconds.
    """

    name: str
    model: str
    upstream: str
    provider: Provider
    tasks: frozenset[str] = frozenset()
    weight: float = 1.0
    fallback: bool = False
    model_free: bool = False  # no language model answers there
    max_tokens: int | None = None
    timeout: float | None = None

    @property
    def degraded(self) -> str:
        """Why an answer of it is less than was asked for; "" where it is not."""
        return "fallback" if self.fallback else "no language model" if self.model_free else ""


class Router:
    """Orders candidates: the usable ones by weighted chance, then the fallback tier, then the unhealthy.

    The unhealthy come last instead of never: what health says may be a few seconds old, and asking is free once
    nobody else is left.
    """

    def __init__(
        self, deployments: Iterable[Deployment], *, health: Callable[[str], Health], random: random.Random
    ) -> None:
        """`health` tells of a table by its name."""
        self._health = health
        self._random = random
        self._by_model: dict[str, list[Deployment]] = {}
        self._wildcards: dict[str, list[Deployment]] = {}
        self._balanced: list[Deployment] = []
        for deployment in deployments:
            if deployment.upstream == ANY:
                self._wildcards.setdefault(deployment.model.partition("/")[0], []).append(deployment)
            else:
                self._by_model.setdefault(deployment.model, []).append(deployment)
                self._balanced.append(deployment)
        self._by_task: dict[str, list[Deployment]] = {}

    def candidates(self, request: Request) -> list[Deployment]:
        """Every deployment that may be asked, in the order to ask them. Empty where none is configured."""
        if request.model is not None:
            return self._ordered(self._named(request.model))
        serving = self._by_task.get(request.task)
        if serving is None:  # task names are configured ones, so this stays small
            serving = [deployment for deployment in self._balanced if request.task in deployment.tasks]
            self._by_task[request.task] = serving
        return self._ordered(serving)

    def _named(self, model: str) -> list[Deployment]:
        """Deployments of one model. A named fallback is a candidate like any other."""
        exact = self._by_model.get(model)
        if exact is not None:
            return [replace(deployment, fallback=False) if deployment.fallback else deployment for deployment in exact]
        prefix, _, upstream = model.partition("/")
        return [
            replace(deployment, model=model, upstream=upstream, fallback=False)
            for deployment in self._wildcards.get(prefix, [])
        ]

    def _ordered(self, deployments: list[Deployment]) -> list[Deployment]:
        if len(deployments) == 1:
            return deployments
        usable: list[tuple[float, Deployment]] = []
        fallbacks: list[Deployment] = []
        unhealthy: list[Deployment] = []
        for deployment in deployments:
            if deployment.fallback:
                fallbacks.append(deployment)
            elif self._down(deployment):
                unhealthy.append(deployment)
            else:
                usable.append((self._chance(deployment.weight), deployment))
        usable.sort(key=lambda pair: pair[0])
        return [deployment for _, deployment in usable] + fallbacks + unhealthy

    def _down(self, deployment: Deployment) -> bool:
        health = self._health(deployment.name)
        return health.state == "unhealthy" or deployment.upstream in health.absent

    def _chance(self, weight: float) -> float:
        """An order drawn by weight without replacement: exponential keys (Efraimidis and Spirakis, 2006)."""
        return -math.log(1.0 - self._random.random()) / weight
