"""Measured promises: `python -m benchmarks.NAME` prints figures beside their limits and exits 1 where one is missed."""
