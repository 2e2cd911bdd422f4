"""HTTP: one file per door, all over the same pool."""

from llm_pool.edges.http.server import serve

__all__ = ["serve"]
