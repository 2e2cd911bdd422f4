"""What a model provider must be able to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType

    from llm_pool.core.streams import Answering
    from llm_pool.core.types import Request

State = Literal["healthy", "degraded", "unhealthy", "checking", "loading"]


@dataclass(frozen=True, slots=True)
class Health:
    """How a provider is. `loading` and `degraded` ones are asked, `unhealthy` ones only when nobody else is left.

    `absent` names those of its models, in its own words, that it does not have: they count as unhealthy. `cold` are
    those that are not in memory yet; a `loading` one that names none loads all. `doubted`: it is well, but has fallen
    ill too often.
    """

    state: State
    why: str = ""
    absent: frozenset[str] = frozenset()
    cold: frozenset[str] = frozenset()
    doubted: bool = False

    def loads(self, model: str) -> bool:
        """Whether this model of it is not in memory yet."""
        return model in self.cold or (self.state == "loading" and not self.cold)


class Provider(Protocol):
    """A model provider, as one `[[providers]]` table configures it. Lives in an `async with` of the pool."""

    def chat(self, request: Request) -> Answering:
        """Ask the model named by `request.model`, which is the provider's own name for it (no prefix).

        The events are one `Started`, any number of others, then `Finished`; or a `ProviderError`.
        Leaving the block closes the upstream connection if the answer has not ended; it takes no longer than 50 ms
        and raises nothing of its own, for it also happens at the deadline.
        """
        ...

    async def health(self) -> Health:
        """Ask the provider how it is, free of charge. Never raises but when cancelled."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
