"""Remember how long the last calls took, to 1 %, in little room.

A histogram whose buckets grow by a constant factor: any value in a bucket is within `ALPHA` of the one that stands for
it, whatever its size (the mapping of DDSketch: Masson, Rim, Lee, "DDSketch: a fast and fully-mergeable quantile sketch
with relative-error guarantees", PVLDB 12(12), 2019). Four of them make a ring, so that the past is forgotten a quarter
at a time.
"""

from __future__ import annotations

import math

ALPHA = 0.01  # relative accuracy
PERIODS, PERIOD = 4, 250  # histograms, and samples in each
SMALLEST, LARGEST = 1e-5, 1e5  # seconds; what lies beyond counts as one of these

GAMMA = (1 + ALPHA) / (1 - ALPHA)  # every bucket is that much wider than the one before
_SCALE = 1 / math.log(GAMMA)


class Sketch:
    """Of the last 751 to 1,000 samples, in seconds. At most 1,152 different buckets, and no more than samples."""

    __slots__ = ("_counts", "_current", "_left", "_periods")

    def __init__(self) -> None:
        self._current: dict[int, int] = {}
        self._periods = [self._current]  # the oldest first
        self._counts: dict[int, int] = {}  # all of them added up
        self._left = PERIOD  # samples until the next histogram

    def add(self, value: float) -> None:
        # Negated so that what is no number at all goes to the lowest bucket, too, instead of raising.
        if not value > SMALLEST:
            value = SMALLEST
        elif value > LARGEST:
            value = LARGEST
        if not self._left:
            self._turn()
        bucket = math.ceil(math.log(value) * _SCALE)
        current, counts = self._current, self._counts
        current[bucket] = current.get(bucket, 0) + 1
        counts[bucket] = counts.get(bucket, 0) + 1
        self._left -= 1

    def quantile(self, q: float) -> float | None:
        """Seconds that the share `q` (0 to 1) of the samples did not exceed, within 1 %; None of nothing."""
        rank = q * (len(self) - 1)
        for bucket, count in sorted(self._counts.items()):
            rank -= count
            if rank < 0:
                return 2 * GAMMA**bucket / (GAMMA + 1)  # in the middle, as relative errors go
        return None

    @property
    def median(self) -> float | None:
        return self.quantile(0.5)

    def __len__(self) -> int:
        return len(self._periods) * PERIOD - self._left

    def _turn(self) -> None:
        if len(self._periods) == PERIODS:
            for bucket, count in self._periods.pop(0).items():
                self._counts[bucket] -= count
                if not self._counts[bucket]:
                    del self._counts[bucket]
        self._current = {}
        self._periods.append(self._current)
        self._left = PERIOD
