"""Stand in for a provider that is known and has no key: it says so, and is never asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, Self

from llm_pool.core.errors import ProviderNotConfigured
from llm_pool.core.ports.provider import Health

if TYPE_CHECKING:
    from types import TracebackType

    from llm_pool.core.types import Request


class Unconfigured:
    """`variable` is the one of the environment that would hold its key."""

    def __init__(self, *, name: str, variable: str) -> None:
        self._name = name
        self.variable = variable

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close: it has no connection."""

    def chat(self, request: Request) -> NoReturn:  # noqa: ARG002 - whatever it is
        raise ProviderNotConfigured(f"{self._name} has no key: {self.variable} is not set", variable=self.variable)

    async def health(self) -> Health:
        return Health("unhealthy", f"it has no key: {self.variable} is not set")
