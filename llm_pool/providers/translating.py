"""What a provider's `translate.py` (pure) gives its `client.py` (I/O)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llm_pool.core.errors import ProviderError
    from llm_pool.core.types import Event, Warning


class Decoder(Protocol):
    """The bytes of one streamed answer in, their events out (all but `Started`). Pure.

    `began` is true after the first sound piece, `done` after the last one: what follows is not looked at.
    """

    began: bool
    done: bool

    def feed(self, data: bytes) -> Iterable[Event]:
        """Raises ProviderGarbled for what is no part of such an answer; for an error that the server reports,
        ProviderError before the answer began and StreamBroken after it. An iterator raises when it comes to it, so
        that words are not lost which came in one packet with what is wrong.
        """
        ...

    def end(self) -> Iterable[Event]:
        """The body has ended: what it left, with `Finished` where that makes the answer whole; else nothing."""
        ...


class Failure(Protocol):
    """What an answer with this status, other than 200, means. `said` is its body, cut at 64 KB; no text of it enters a
    message. `wait`: seconds that it says to wait, if it does.
    """

    def __call__(self, status: int, said: bytes, *, who: str, model: str, wait: float | None) -> ProviderError: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """A body to send, and what of the request it does not hold."""

    path: str
    body: Mapping[str, Any]
    model: str
    warnings: tuple[Warning, ...] = ()
    headers: Mapping[str, str] | None = None  # beside those of every call
