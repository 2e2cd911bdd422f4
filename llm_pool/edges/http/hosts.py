"""Which `Host` a request may name: any web page could otherwise read a pool on loopback through DNS rebinding."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llm_pool.core.errors import Forbidden, InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

_HOST = re.compile(r"(?P<name>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?", re.ASCII)
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_REMEMBERED = 64


class Hosts:
    def __init__(self, allowed: Iterable[str], *, bound: str) -> None:
        """`bound` is the address listened on, `allowed` the further names of the configuration ("*": any)."""
        names = {*_LOOPBACK, bound if ":" not in bound else f"[{bound}]", *allowed}
        self._any = "*" in names
        self._names = {name.lower() for name in names}
        self._good: set[str] = set()  # whole header values that passed; there are few of them

    def check(self, headers: list[str]) -> None:
        """Raises InvalidRequest where the header is not one well-formed host, Forbidden where it is not ours."""
        if len(headers) == 1 and headers[0] in self._good:
            return
        match = _HOST.fullmatch(headers[0]) if len(headers) == 1 else None
        if match is None:
            raise InvalidRequest("Host: must be one host name, with or without a port", field="Host")
        if not self._any and match["name"].lower() not in self._names:
            raise Forbidden("this Host is not served here; add it to server.allowed_hosts", details={"field": "Host"})
        if len(self._good) < _REMEMBERED:
            self._good.add(headers[0])
