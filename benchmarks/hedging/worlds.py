"""Fresh traces of the same kinds as the frozen ones, by any seed: what is tuned to the frozen ones falls short here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

REQUESTS = 40_000
INCIDENT = 2_000  # requests
MEDIAN, SIGMA = 0.45, 0.45  # seconds to the first word of one that does not stall, log-normal
STALL, STALL_SIGMA = 6.0, 0.6  # seconds on top, of one that does, log-normal
STALLS, BACKUP_STALLS = 0.036, 0.022  # shares


def worlds(seed: int) -> Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """World -> seconds to the first word of each request, of the primary and of the backup."""
    world = _World(seed)
    primary, backup = world.primary, world.backup
    drift = np.interp(np.arange(REQUESTS) / REQUESTS, [0.2, 0.4, 0.6, 0.8], [1.0, 2.5, 2.5, 1.0])
    shared = world.some(STALLS)
    return {
        "steady": (primary(), backup()),
        "heavy": (world.spread(0.45, 0.9), world.spread(0.6, 0.9)),
        "light": (world.spread(0.45, 0.15), world.spread(0.45, 0.15)),
        "drift": (primary() * drift, backup()),
        "incident": (world.slowed(primary(), world.incidents(5_000, 30_000)), backup()),
        "incident_cold": (world.slowed(primary(), world.incidents(0, 25_000)), backup()),
        # Two deployments of one provider: most of what stalls the one stalls the other.
        "correlated": (
            world.slowed(world.spread(MEDIAN, SIGMA), shared),
            world.slowed(world.spread(MEDIAN, SIGMA), (shared & world.some(0.65)) | world.some(STALLS)),
        ),
    }


class _World:
    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def spread(self, median: float, sigma: float) -> NDArray[np.float64]:
        return median * np.exp(sigma * self._random.standard_normal(REQUESTS))

    def some(self, share: float) -> NDArray[np.bool_]:
        return self._random.random(REQUESTS) < share

    def slowed(self, usual: NDArray[np.float64], which: NDArray[np.bool_]) -> NDArray[np.float64]:
        return usual + self.spread(STALL, STALL_SIGMA) * which

    def primary(self) -> NDArray[np.float64]:
        return self.slowed(self.spread(MEDIAN, SIGMA), self.some(STALLS))

    def backup(self) -> NDArray[np.float64]:
        return self.slowed(self.spread(0.7, SIGMA), self.some(BACKUP_STALLS))

    def incidents(self, *starts: int) -> NDArray[np.bool_]:
        """Six of ten stall, for so many requests from each start."""
        at = np.arange(REQUESTS)
        during = np.zeros(REQUESTS, dtype=np.bool_)
        for start in starts:
            during |= (start <= at) & (at < start + INCIDENT)
        return self.some(0.6) & during
