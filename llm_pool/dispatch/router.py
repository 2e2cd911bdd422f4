"""Which deployments may answer a request, best first. Pure: it looks at configuration, health and standing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from llm_pool.core.errors import ProviderNotConfigured
from llm_pool.dispatch.limits import Limits
from llm_pool.dispatch.standing import Standing, Terms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from llm_pool.core.errors import ProviderError
    from llm_pool.core.ports.provider import Health, Provider
    from llm_pool.core.types import Request
    from llm_pool.dispatch.balance import Balance, Load

ANY = "*"
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class Deployment:
    """One model of one `[[providers]]` table.

    `model` is its public id `provider/model`, `upstream` the provider's own name for it, `tasks` are those it is asked
    for without being named. `host` is where it runs: two on one host are slow together.
    """

    name: str
    model: str
    upstream: str
    provider: Provider
    standing: Standing
    terms: Terms = Terms()
    tasks: frozenset[str] = frozenset()
    host: str = ""
    weight: float = 1.0
    priority: int = 0
    fallback: bool = False
    model_free: bool = False  # no language model answers there
    missing: str = ""  # the variable that would hold its key; "" where it has all it needs
    max_tokens: int | None = None
    limits: Limits = field(default_factory=Limits)

    @property
    def degraded(self) -> str:
        """Why an answer of it is less than was asked for; "" where it is not."""
        return "fallback" if self.fallback else "no language model" if self.model_free else ""

    @property
    def load(self) -> Load:
        return self.standing.load

    @property
    def loading(self) -> bool:
        return self.standing.loading


@dataclass(frozen=True, slots=True)
class Plan:
    """Who may be asked, tier by tier, each in its order; `refused`: who must not be asked now, and why.

    The unhealthy come last instead of never: what health says may be a few seconds old, and asking is free once nobody
    else is left.
    """

    ready: Sequence[Deployment]
    fallbacks: Sequence[Deployment] = ()
    unhealthy: Sequence[Deployment] = ()
    refused: Sequence[tuple[Deployment, ProviderError]] = ()
    desperate: Deployment | None = None  # to be asked all the same where nobody else is left
    missing: ProviderNotConfigured | None = None  # why it is the fallbacks who answer for what was named

    @property
    def alone(self) -> Deployment | None:
        """The one who is there, where there is nobody else to choose or to fall back to."""
        return self.ready[0] if len(self.ready) == 1 and not self.fallbacks else None


class Router:
    """Sorts candidates into the tiers of a plan, and has the first of them balanced."""

    def __init__(
        self,
        deployments: Iterable[Deployment],
        *,
        health: Callable[[str], Health],
        balance: Balance,
        unconfigured: Mapping[str, str] = NOTHING,
        substitute: bool = False,
    ) -> None:
        """`health` tells of a table by its name. `unconfigured`: first parts of model ids whose provider has no table,
        and the variable of its key. `substitute`: the fallback tier answers for them, and for tables without a key.
        """
        self._health = health
        self._balance = balance
        self._unconfigured = unconfigured
        self._substitute = substitute
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
        self._alone: dict[str, Plan] = {}  # by task: plans of the one who serves it

    def plan(self, request: Request) -> Plan:
        """Everybody who could answer. Empty where nobody is configured to."""
        if request.model is not None:
            named = self._named(request.model)
            if (missing := self._missing(request.model, named)) is not None:
                return Plan((), fallbacks=self._substitutes(request), missing=missing)
            return self._planned(named, request.task)
        alone = self._alone.get(request.task)
        if alone is not None and alone.ready[0].standing.refusal(request.task) is None:
            return alone
        serving = self._serving(request.task)
        plan = self._planned(serving, request.task)
        if len(serving) == 1 and plan.ready:
            self._alone[request.task] = plan
        return plan

    def able(self, model: str) -> list[Deployment]:
        """The deployments of this model that have all they need, whether they may be asked now or not."""
        return [deployment for deployment in self._named(model) if not deployment.missing]

    def _serving(self, task: str) -> list[Deployment]:
        serving = self._by_task.get(task)
        if serving is None:  # task names are configured ones, so this stays small
            serving = [deployment for deployment in self._balanced if task in deployment.tasks]
            self._by_task[task] = serving
        return serving

    def _missing(self, model: str, named: Sequence[Deployment]) -> ProviderNotConfigured | None:
        """Why nobody can be asked for this model that is known."""
        if any(not deployment.missing for deployment in named):
            return None
        if named:
            return _no_key(named[0])
        prefix = model.partition("/")[0]
        variable = self._unconfigured.get(prefix, "")
        told = f"{prefix} is not configured: it needs a [[providers]] table, whose key is read from {variable}"
        return ProviderNotConfigured(told, variable=variable) if variable else None

    def _substitutes(self, request: Request) -> list[Deployment]:
        if not self._substitute or request.operation != "chat":
            return []
        return [each for each in self._serving(request.task) if each.fallback and not each.missing]

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

    def _planned(self, deployments: list[Deployment], task: str) -> Plan:
        free: list[Deployment] = []
        full: list[Deployment] = []
        fallbacks: list[Deployment] = []
        unhealthy: list[Deployment] = []
        refused: list[tuple[Deployment, ProviderError]] = []
        doubted: list[Deployment] = []
        for deployment in deployments:
            health = self._health(deployment.name)
            if deployment.missing:
                refused.append((deployment, _no_key(deployment)))
            elif (why := deployment.standing.refusal(task)) is not None:
                refused.append((deployment, why))
            elif deployment.fallback:
                fallbacks.append(deployment)
            elif len(deployments) > 1 and (health.state == "unhealthy" or deployment.upstream in health.absent):
                unhealthy.append(deployment)
            elif health.doubted:
                doubted.append(deployment)
            else:
                (full if deployment.standing.full else free).append(deployment)
        ready = [each for tier in (free, full, doubted) if tier for each in self._balance.order(tier)]
        desperate = None if ready or unhealthy else _tried_soonest([each for each, _ in refused], task)
        return Plan(ready, fallbacks, unhealthy, refused, desperate)


def _no_key(deployment: Deployment) -> ProviderNotConfigured:
    variable = deployment.missing
    return ProviderNotConfigured(f"{deployment.name} has no key: {variable} is not set", variable=variable)


def _tried_soonest(refused: Sequence[Deployment], task: str) -> Deployment | None:
    """Where the breakers of several are open, and of nobody else, the one that would be tried next: rather ask it than
    refuse everybody. Of a single one there is nothing to choose, and its breaker is obeyed.
    """
    opened = [each for each in refused if _merely_open(each.standing, task)]
    if len(opened) < 2:  # noqa: PLR2004 - several
        return None
    return min(opened, key=lambda each: each.standing.breaker(task).opens_in())


def _merely_open(standing: Standing, task: str) -> bool:
    """Whether its breaker is all that stands in the way."""
    breaker = standing.breaker(task)
    alone = not standing.cooldown.active and (standing.quota is None or standing.quota.refusal_in() <= 0)
    return alone and not breaker.admits() and not breaker.held
