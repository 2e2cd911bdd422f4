"""The tool calls of one answer, out of pieces that every server cuts and numbers in its own way. Pure.

OpenAI numbers the pieces, and says id and name with the first; others send whole calls without a number, give several
the same number but an id each, repeat the id in every piece, send no id, or arguments that are an object.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from llm_pool.core.errors import ProviderGarbled
from llm_pool.core.types import ToolCallDelta
from llm_pool.providers.reading import typed, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_ARGUMENTS = "{}"
MOST_CALLS = 1024  # of one answer


@dataclass(slots=True)
class _Call:
    index: int  # among the calls of the answer, from 0
    id: str  # as the server gave it, "" where it did not
    begun: bool = False  # its first piece has been told
    said: bool = False  # it has arguments
    held: list[str] = field(default_factory=list)  # arguments that came before the name


class Calls:
    def __init__(self, who: str) -> None:
        self._who = who
        self._calls: list[_Call] = []
        self._numbered: dict[int, _Call] = {}  # by the server's number, the latest
        self._named: dict[str, _Call] = {}  # by the server's id, the latest

    def __bool__(self) -> bool:
        return bool(self._calls)

    def feed(self, piece: object) -> Iterator[ToolCallDelta]:
        """What one entry of `tool_calls` adds. Raises ProviderGarbled."""
        if not isinstance(piece, dict):
            raise wrong("tool_calls", self._who)
        function = typed(piece, "function", dict, who=self._who) or {}
        name = typed(function, "name", str, who=self._who) or ""
        call = self._call(typed(piece, "index", int, who=self._who), typed(piece, "id", str, who=self._who) or "", name)
        arguments = self._arguments(function)
        call.said = call.said or bool(arguments)
        if call.begun:
            if arguments:
                yield ToolCallDelta(call.index, "", "", arguments)
        elif name:
            call.begun = True
            identity = call.id or f"call_{secrets.token_hex(12)}"
            yield ToolCallDelta(call.index, identity, name, "".join(call.held) + arguments)
        elif arguments:
            call.held.append(arguments)

    def end(self) -> Iterator[ToolCallDelta]:
        """What is missing of them at the end of the answer. Raises ProviderGarbled for one without a name."""
        for call in self._calls:
            if not call.begun:
                raise ProviderGarbled(f"{self._who} sent a tool call without a name")
            if not call.said:
                yield ToolCallDelta(call.index, "", "", NO_ARGUMENTS)

    def _call(self, number: int | None, identity: str, name: str) -> _Call:
        """The call that a piece belongs to."""
        if number is not None:
            known = self._numbered.get(number)
            another = known is not None and identity and known.id and identity != known.id and name
            if known is None or another:
                known = self._numbered[number] = self._new(identity)
        elif identity:
            known = self._named.get(identity) or self._new(identity)
        else:
            known = self._new("") if name or not self._calls else self._calls[-1]
        if identity and not known.id and not known.begun:
            known.id = identity
            self._named[identity] = known
        return known

    def _new(self, identity: str) -> _Call:
        if len(self._calls) == MOST_CALLS:
            raise ProviderGarbled(f"{self._who} sent more than {MOST_CALLS} tool calls")
        call = _Call(len(self._calls), identity)
        self._calls.append(call)
        if identity:
            self._named[identity] = call
        return call

    def _arguments(self, function: dict[str, Any]) -> str:
        arguments = function.get("arguments")
        if isinstance(arguments, dict):
            return orjson.dumps(arguments).decode()
        return typed(function, "arguments", str, who=self._who) or ""
