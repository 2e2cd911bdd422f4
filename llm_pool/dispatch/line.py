"""The stages of asking one deployment, outermost first.

- *turns*: wait for room at this deployment. Outermost, for waiting for a turn is no call yet: nothing is metered.
- *metering*: the attempt is written down, the deployment's standing (breaker, cooldown, load) told of it, and it is
  ended where it takes longer than it may.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from llm_pool.core.streams import Ask, nested
from llm_pool.core.types import replace
from llm_pool.dispatch.admission import Turns
from llm_pool.dispatch.metering import FIRST, Asking, Metering
from llm_pool.dispatch.operations import ways
from llm_pool.dispatch.router import Deployment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llm_pool.core.clock import Clock
    from llm_pool.core.streams import Answering, Gate
    from llm_pool.core.types import Request
    from llm_pool.telemetry.metrics import Metrics

# How to ask one deployment this time.
Line: TypeAlias = Callable[[Deployment, Asking], Ask]


def lines(metrics: Metrics, *, now: Clock, configured: Iterable[Deployment] = ()) -> Line:
    """How every deployment is asked. The stages of those `configured`, asked as usual, are built once."""

    def built(deployment: Deployment, asking: Asking) -> Ask:
        gates: list[Gate] = [Metering(deployment, metrics, now=now, asking=asking)]
        if deployment.standing.slots is not None:
            gates.insert(0, Turns(deployment.standing.slots, deployment.name, by=asking.speak_by))
        way = ways(deployment.provider, deployment.name)
        ask = nested(gates, lambda request: way[request.operation](request))

        def by_its_own_name(request: Request) -> Answering:
            return ask(replace(request, model=deployment.upstream))

        return by_its_own_name

    kept = {deployment: built(deployment, FIRST) for deployment in configured}

    def line(deployment: Deployment, asking: Asking) -> Ask:
        # What is special about a call is never the same again, and neither is a deployment that a request's own words
        # made.
        ask = kept.get(deployment) if asking is FIRST else None
        return ask or built(deployment, asking)

    return line
