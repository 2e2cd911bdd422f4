"""Believe a recovery the later the more often it did not last. Pure: it is told of every check and knows the time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llm_pool.core.clock import Clock

FIRST = 5.0  # seconds that one must have been well before its second recovery is believed; doubled each time
MOST = 60.0  # seconds, at most
LASTS = 300.0  # seconds after which a recovery has lasted: when it falls ill again then, all before it is forgotten


class Flapping:
    """Of one provider. The first recovery is believed at once; one that falls ill again within `LASTS` of it, believed
    or not, is watched before the next one.
    """

    __slots__ = ("_ill", "_now", "_recovered", "falls", "watched")

    def __init__(self, *, now: Clock) -> None:
        self._now = now
        self._ill = False
        self._recovered: float | None = None  # when it was seen well again
        self.falls = 0  # recoveries in a row that did not last
        self.watched = 0.0  # seconds that it must have been well to be believed

    def ill(self) -> None:
        """A check found it ill."""
        if self._recovered is not None and not self._ill:
            if self._now() - self._recovered < LASTS:
                self.falls += 1
                self.watched = min(2 * self.watched or FIRST, MOST)
            else:
                self.falls, self.watched = 0, 0.0
        self._ill = True

    def well(self) -> bool:
        """A check found it well: whether to believe that."""
        if self._ill:
            self._ill, self._recovered = False, self._now()
        if self._recovered is None:
            return True
        return self._now() - self._recovered >= self.watched
