"""How callers reach the pool."""
