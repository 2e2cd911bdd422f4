"""The stages of asking one deployment, outermost first. Breaker, concurrency and cooldown find their place here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_pool.core.streams import nested
from llm_pool.core.types import replace
from llm_pool.dispatch.limits import Limits
from llm_pool.dispatch.metering import Metering

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llm_pool.core.clock import Clock
    from llm_pool.core.streams import Answering, Ask, Gate
    from llm_pool.core.types import Request
    from llm_pool.dispatch.attempts import Line
    from llm_pool.dispatch.router import Deployment
    from llm_pool.telemetry.metrics import Metrics


def lines(metrics: Metrics, *, now: Clock, configured: Iterable[Deployment] = ()) -> Line:
    """How every deployment is asked. The stages of those `configured` are built once."""

    def built(deployment: Deployment, speak_by: float | None) -> Ask:
        # Metering stands outside of the limits, so that a call cut short by one is written down as that.
        gates: list[Gate] = [Metering(deployment, metrics, now=now)]
        if speak_by is not None or deployment.timeout is not None:
            gates.append(Limits(deployment.name, speak_by=speak_by, within=deployment.timeout))
        ask = nested(gates, deployment.provider.chat)

        def by_its_own_name(request: Request) -> Answering:
            return ask(replace(request, model=deployment.upstream))

        return by_its_own_name

    kept = {deployment: built(deployment, None) for deployment in configured}

    def line(deployment: Deployment, speak_by: float | None) -> Ask:
        # An instant is never the same again, and neither is a deployment that a request's own words made.
        ask = kept.get(deployment) if speak_by is None else None
        return ask or built(deployment, speak_by)

    return line
