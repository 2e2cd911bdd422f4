"""Durations. Deadlines use `loop.time()`; on uvloop that has a resolution of 1 ms, too coarse to measure with."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

Clock: TypeAlias = Callable[[], float]

now: Clock = time.monotonic
