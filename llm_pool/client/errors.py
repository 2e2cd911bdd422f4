"""What a caller of the client may meet: one type of error with a code to branch on, and one for "nobody is there"."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

BROKEN = "STREAM_BROKEN"  # an answer began and did not end
UNREACHABLE = "UNREACHABLE"  # the one code that no pool sends


class ClientError(Exception):
    """The pool did not answer the question, and said why.

    `code` is what to branch on (the pool's `error.code`), `status` the HTTP status: 200 where the answer had begun.
    `retry_after` is in seconds, None where the pool did not say.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        request_id: str = "",
        status: int = 0,
        details: Mapping[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.request_id = request_id
        self.status = status
        self.details = dict(details or {})
        self.retry_after = retry_after


class Unreachable(ClientError):
    """No pool answers at this address: nobody listens, or somebody else does."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(UNREACHABLE, message, status=status)
