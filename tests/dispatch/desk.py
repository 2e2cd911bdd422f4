"""A standing on a table: its clock, and calls of it that begin and end as a test says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llm_pool.core.errors import ProviderError
from llm_pool.core.outcome import OK
from llm_pool.core.trace import Attempt
from llm_pool.core.types import Usage
from llm_pool.dispatch.standing import Standing, Terms
from llm_pool.telemetry.metrics import Metrics
from tests.scripted import InOrder

if TYPE_CHECKING:
    from llm_pool.dispatch.breaker import Verdict
    from llm_pool.dispatch.standing import Permit

NOTHING = Usage()


class Desk:
    """A standing, its clock, and calls of it."""

    def __init__(self, model: str = "sim/m", **terms: Any) -> None:
        self.at = 100.0
        self.metrics = Metrics()
        self.standing = Standing(
            "a", model, Terms(**terms), metrics=self.metrics, now=lambda: self.at, random=InOrder()
        )

    def begin(self, task: str = "chat", *, tokens: int = 0, panic: bool = False) -> tuple[Permit, Attempt]:
        return self.standing.begin(task, tokens=tokens, panic=panic), Attempt("a", "sim/m", "", self.at)

    def end(
        self,
        call: tuple[Permit, Attempt],
        error: BaseException | None = None,
        *,
        verdict: Verdict | None = None,
        tokens: int = 0,
        said: int = 0,
        usage: Usage = NOTHING,
    ) -> None:
        permit, attempt = call
        attempt.ended, attempt.usage = self.at, usage
        attempt.outcome = OK if error is None else "failed"
        said_so: Verdict = verdict or ("success" if error is None else "failure")
        self.standing.end(permit, attempt, said_so, error, tokens=tokens, said=said)

    def fail(self, times: int = 10, task: str = "chat", *, every: float = 0.0) -> None:
        for _ in range(times):
            self.end(self.begin(task), ProviderError("500"))
            self.at += every

    def why_not(self, task: str = "chat") -> ProviderError:
        why = self.standing.refusal(task)
        assert why is not None
        return why

    @property
    def gauge(self) -> dict[str, float]:
        return {
            sample.labels["task"]: sample.value
            for family in self.metrics.registry.collect()
            for sample in family.samples
            if sample.name == "llm_pool_breaker_state"
        }
