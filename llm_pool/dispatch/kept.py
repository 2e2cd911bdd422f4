"""The open providers, kept over a change of the configuration that does not concern them."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping
    from types import TracebackType

    from llm_pool.core.ports.provider import Provider

Key: TypeAlias = "tuple[str, Hashable]"  # name, and what it is made of


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A provider that has not been opened, and what it is made of: equal makings mean an equal provider."""

    of: Hashable
    provider: Provider


@dataclass(slots=True, eq=False)
class _Open:
    provider: Provider
    life: AsyncExitStack = field(default_factory=AsyncExitStack)
    users: int = 0  # configurations


class Kept(AbstractAsyncContextManager["Kept"]):
    """Closes what is still open at its end."""

    def __init__(self) -> None:
        self._open: dict[Key, _Open] = {}

    async def take(self, wanted: Mapping[str, Made]) -> dict[str, Provider]:
        """The open provider for each name: the one that is there, or else the one given. Give them back by `drop`."""
        taken: dict[str, Provider] = {}
        async with AsyncExitStack() as undo:  # somebody may leave while one is being opened
            for name, made in wanted.items():
                undo.push_async_callback(self._released, (name, made.of))
                taken[name] = await self._taken((name, made.of), made.provider)
            undo.pop_all()
        return taken

    async def drop(self, wanted: Mapping[str, Made]) -> None:
        """One configuration less uses these. Those that no other one uses are closed."""
        async with AsyncExitStack() as all_of_them:  # one that fails to close keeps none of the others
            for name, made in wanted.items():
                all_of_them.push_async_callback(self._released, (name, made.of))

    async def _taken(self, key: Key, provider: Provider) -> Provider:
        kept = self._open.setdefault(key, _Open(provider))
        kept.users += 1
        if kept.users == 1:
            await kept.life.enter_async_context(kept.provider)
        return kept.provider

    async def _released(self, key: Key) -> None:
        kept = self._open[key]
        kept.users -= 1
        if kept.users == 0:
            del self._open[key]
            await kept.life.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async with AsyncExitStack() as all_of_them:
            for kept in self._open.values():
                all_of_them.push_async_callback(kept.life.aclose)
            self._open = {}
