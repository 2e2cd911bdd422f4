"""The stages of asking one deployment, outermost first. Breaker, concurrency and cooldown find their place here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_pool.core.streams import nested
from llm_pool.core.types import replace
from llm_pool.dispatch.limits import Limits
from llm_pool.dispatch.metering import Metering

if TYPE_CHECKING:
    from llm_pool.core.clock import Clock
    from llm_pool.core.streams import Answering, Ask
    from llm_pool.core.types import Request
    from llm_pool.dispatch.attempts import Line
    from llm_pool.dispatch.router import Deployment
    from llm_pool.telemetry.metrics import Metrics


def lines(metrics: Metrics, *, now: Clock) -> Line:
    """How every deployment is asked."""

    def line(deployment: Deployment, speak_by: float | None) -> Ask:
        # Metering stands outside of the limits, so that a call cut short by one is written down as that.
        ask = nested(
            [
                Metering(deployment, metrics, now=now),
                Limits(deployment.name, speak_by=speak_by, within=deployment.timeout),
            ],
            deployment.provider.chat,
        )

        def by_its_own_name(request: Request) -> Answering:
            return ask(replace(request, model=deployment.upstream))

        return by_its_own_name

    return line
