"""What a failed RPC says beyond its code: `google.rpc.Status` with exactly one ErrorInfo, small and in ASCII."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from llm_pool.core.errors import InvalidRequest

if TYPE_CHECKING:
    import grpc
    from google.protobuf.message import Message

    from llm_pool.core.errors import PoolError

REQUEST_ID = "x-request-id"
DOMAIN = "llm-pool"
VALUE = 64  # characters of one value, so that all stay under 1 KB together
VALUES = 8


def trailers(code: grpc.StatusCode, error: PoolError, request_id: str) -> tuple[tuple[str, str | bytes], ...]:
    """The trailing metadata of an error."""
    details: list[Message] = [_info(error, request_id)]
    if isinstance(error, InvalidRequest) and error.field:
        violation = BadRequest.FieldViolation(field=_ascii(error.field), description=_ascii(error.message, 2 * VALUE))
        details.append(BadRequest(field_violations=[violation]))
    if error.retry_after is not None:
        details.append(_retry(error.retry_after))
    told = Status(
        code=code.value[0], message=_ascii(error.message, 2 * VALUE), details=[_packed(each) for each in details]
    )
    return ((REQUEST_ID, request_id), ("grpc-status-details-bin", told.SerializeToString()))


def _info(error: PoolError, request_id: str) -> ErrorInfo:
    some = dict(list(error.details.items())[:VALUES])
    metadata = {_ascii(key): _ascii(value) for key, value in some.items()}
    return ErrorInfo(reason=error.reason, domain=DOMAIN, metadata={**metadata, "request_id": request_id})


def _retry(seconds: float) -> RetryInfo:
    info = RetryInfo()
    info.retry_delay.FromMilliseconds(round(seconds * 1000))
    return info


def _packed(message: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed


def _ascii(text: str, limit: int = VALUE) -> str:
    return text[:limit].encode("ascii", "replace").decode()
