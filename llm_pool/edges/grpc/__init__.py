"""gRPC: the service, its guard, health and reflection, over the same pool."""

from llm_pool.edges.grpc.server import serve

__all__ = ["serve"]
