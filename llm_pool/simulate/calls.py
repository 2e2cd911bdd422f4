"""What is replayed: requests that arrive, and what a call of a deployment would have done. Frozen values."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from llm_pool.core.errors import ProviderError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request. How long its answer is belongs to it, whoever answers."""

    at: float  # seconds since the first one
    task: str
    prompt: int  # characters
    tokens: int  # of the answer
    whole: bool
    deadline: float | None = None  # seconds; None: what the configuration gives to a request that names none
    model: str | None = None  # that it names


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a deployment; durations in seconds. A `first_token` at infinity never comes.

    `fails_after` counts from its beginning: before the first token it never speaks, later it breaks off, at the end of
    its answer at the latest.
    """

    first_token: float = 0.0
    per_token: float = 0.0  # each after the first one
    fails_after: float = math.inf
    error: type[ProviderError] = ProviderError


# The call that a deployment gets at this instant, for a request by its number, which has asked it so often before.
Draw: TypeAlias = Callable[[float, int, int], Call]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a deployment bears: calls at a time, those that wait for their turn, and calls per `QUOTA_WINDOW`."""

    slots: int | None = None
    line: int = 0
    quota: int | None = None


QUOTA_WINDOW = 10.0  # seconds
NO_BOUNDS = Bounds()


class World(Protocol):
    """Everything that a configuration has no say in. The same world may be asked by several configurations."""

    @property
    def arrivals(self) -> Sequence[Arrival]:
        """In the order of their instants."""
        ...

    def draw(self, deployment: str, model: str) -> Draw | None:
        """How this deployment's calls of a model (by its public id) go, None where nothing is known of them."""
        ...

    def bounds(self, deployment: str) -> Bounds: ...
