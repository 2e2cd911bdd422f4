"""What was done for a request: the one deliberately mutable thing, and the decision read from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from llm_pool.core.outcome import OK
from llm_pool.core.types import Usage

if TYPE_CHECKING:
    from llm_pool.core.types import Warning as Warned


# Why a provider was called: it was the choice, another one had failed, it had failed itself, another one was silent
# (`hedge`), or another one was slow (`race`).
Kind = Literal["first", "failover", "retry", "hedge", "race"]


@dataclass(slots=True)
class Attempt:
    """One provider call. Instants are `core.clock.now` seconds; closed whatever the way out.

    `outcome` is `running`, `ok`, or the reason of what ended it (`CANCELLED`: the caller or the pool walked away;
    `OUTRUN`: another one asked beside it was quicker).
    """

    deployment: str
    model: str
    degraded: str  # why an answer of it is less than was asked for; "" where it is not
    started: float
    first_token: float | None = None
    ended: float | None = None
    usage: Usage = Usage()
    outcome: str = "running"
    why: str = ""
    kind: Kind = "first"

    @property
    def beside(self) -> bool:
        """Whether it was asked while another one was still being asked."""
        return self.kind in {"hedge", "race"}


@dataclass(slots=True)
class Trace:
    """Append-only. Every copy of a request shares its trace, so a caller who leaves loses no usage.

    `task` and `strategy` are what the request's own words came to; empty as long as they have not been resolved.
    """

    started: float
    attempts: list[Attempt] = field(default_factory=list)
    warnings: list[Warned] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    task: str = ""
    strategy: str = ""
    config_version: str = ""
    from_cache: bool = False

    def winner(self) -> Attempt | None:
        for attempt in reversed(self.attempts):
            if attempt.outcome == OK:
                return attempt
        return None

    def hedged(self) -> bool:
        """Whether two were asked at a time."""
        return len(self.attempts) > 1 and any(attempt.beside for attempt in self.attempts)

    def usage(self) -> Usage:
        """What all attempts together consumed, the lost ones too."""
        if len(self.attempts) == 1:
            return self.attempts[0].usage
        return sum((attempt.usage for attempt in self.attempts), Usage())


@dataclass(frozen=True, slots=True)
class Decision:
    """How the answer came about, for the caller: who was asked, who won and why."""

    strategy: str
    voices: tuple[Attempt, ...]
    winner: str
    degraded: bool
    hedged: bool
    why: str
    warnings: tuple[Warned, ...]

    @classmethod
    def of(cls, trace: Trace) -> Decision:
        winner = trace.winner()
        degraded = winner.degraded if winner else ""
        return cls(
            strategy=trace.strategy,
            voices=tuple(trace.attempts),
            winner=winner.deployment if winner else "",
            degraded=bool(degraded),
            hedged=trace.hedged(),
            why="; ".join([*trace.notes, degraded] if degraded else trace.notes),
            warnings=tuple(trace.warnings),
        )
