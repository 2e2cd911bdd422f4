"""The one error table: what each error of ours is on HTTP and on gRPC."""

from __future__ import annotations

from typing import NamedTuple

from llm_pool.core import errors
from llm_pool.core.errors import PoolError


class Status(NamedTuple):
    http: int
    grpc: str  # the name of a `grpc.StatusCode`; this module is imported where no gRPC is


OVERLOADED = 503  # the status that tells when to come back
RETRIED = (502, OVERLOADED)  # those that may tell it

ROW: dict[type[PoolError], Status] = {
    errors.InvalidRequest: Status(400, "INVALID_ARGUMENT"),
    errors.UnknownName: Status(404, "NOT_FOUND"),
    errors.NotFound: Status(404, "NOT_FOUND"),
    errors.MethodNotAllowed: Status(405, "UNIMPLEMENTED"),
    errors.BodyTooSlow: Status(408, "CANCELLED"),
    errors.BodyTooLarge: Status(413, "RESOURCE_EXHAUSTED"),
    errors.UnsupportedMedia: Status(415, "INVALID_ARGUMENT"),
    errors.Forbidden: Status(403, "PERMISSION_DENIED"),
    errors.CallerLeft: Status(499, "CANCELLED"),
    errors.DeadlineExceeded: Status(504, "DEADLINE_EXCEEDED"),
    errors.NoProvider: Status(503, "UNAVAILABLE"),
    errors.Overloaded: Status(503, "UNAVAILABLE"),
    errors.ShuttingDown: Status(503, "UNAVAILABLE"),
    errors.ProviderUnavailable: Status(503, "UNAVAILABLE"),
    errors.ProviderNotConfigured: Status(503, "FAILED_PRECONDITION"),
    errors.RequestRefused: Status(400, "INVALID_ARGUMENT"),
    errors.ProviderError: Status(502, "UNAVAILABLE"),
    PoolError: Status(500, "INTERNAL"),
}


def status(error: PoolError) -> Status:
    """The row of the nearest class."""
    return next(ROW[kind] for kind in type(error).__mro__ if kind in ROW)


def internal() -> PoolError:
    """What a caller is told of a bug of ours: nothing but the request id, which the edge adds."""
    return PoolError("internal error")


def body(error: PoolError, request_id: str) -> dict[str, object]:
    """The error object of our own HTTP door."""
    return {
        "error": {
            "code": error.reason,
            "message": error.message,
            "request_id": request_id,
            "details": error.details,
        }
    }
