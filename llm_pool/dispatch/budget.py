"""Spend only a share of what comes in: every request earns a fraction of an extra one, and little can be saved up.

A token bucket that traffic fills, not time: in every window of n requests at most `n * ratio + cap` extra ones are
spent, at any rate of traffic, and a pool that nobody asks saves up nothing.
"""

from __future__ import annotations

INITIAL, CAP = 2.0, 10.0  # tokens


class Budget:
    """`ratio` is the share of extra requests, 0 to 1; it may be set at any time. `tokens` is what could be spent."""

    __slots__ = ("_cap", "ratio", "tokens")

    def __init__(self, ratio: float, *, initial: float = INITIAL, cap: float = CAP) -> None:
        self.ratio = ratio
        self.tokens = min(initial, cap)
        self._cap = cap

    def earn(self) -> None:
        """One request came in."""
        self.tokens = min(self.tokens + self.ratio, self._cap)

    def take(self) -> bool:
        """Spend one token, where there is one."""
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True
