"""An answer as Anthropic's stream: blocks one after the other, each with a number, a start, its pieces and a stop.

Models may say several things at a time: the pieces of two calls of tools may come in turns. Only one block is open on
this wire, so what belongs to a later one waits until the open one has been said:

1. Blocks are in the order in which they began, as they are in the whole answer (`core.streams.Sum`).
2. A text or a thought has been said when anything else begins; a call, when its arguments are a whole JSON object.
3. With the end everything has been said. A call whose arguments are no JSON object makes the answer garbled, unless
   `max_tokens` cut it off: then it is told as far as it came, and left out where its turn had not come.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Any, Literal, assert_never

import orjson

from llm_pool.core.errors import ProviderGarbled
from llm_pool.core.types import (
    Event,
    Finished,
    Phase,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    Usage,
    Warning,
)
from llm_pool.edges import status
from llm_pool.edges.http import refusals
from llm_pool.edges.http.anthropic import answers, thoughts
from llm_pool.edges.http.sse import frame

if TYPE_CHECKING:
    from llm_pool.core.errors import PoolError
    from llm_pool.core.types import Request

_END = b"}}\n\n"
_PIECE = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":%b:'
_KINDS = {
    "text": b'"text_delta","text"',
    "thinking": b'"thinking_delta","thinking"',
    "call": b'"input_json_delta","partial_json"',
}
_SIGNATURE = b'"signature_delta","signature"'
_STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
_LAST = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


# What opens or closes anything in JSON, outside of its strings and in them.
_OUTSIDE = re.compile(r'["{}\[\]]')
_INSIDE = re.compile(r'["\\]')


class Telling:
    """One stream, from its `Started` to its `Finished`."""

    __slots__ = ("_calls", "_count", "_last", "_open", "_request", "_text", "_waiting")

    def __init__(self, request: Request) -> None:
        self._request = request
        self._count = 0  # blocks that were begun on the wire
        self._open: _Block | None = None  # on the wire
        self._waiting: deque[_Block] = deque()  # begun by the model, not yet on the wire
        self._last: _Block | None = None  # what the next text or thought may belong to
        self._calls: dict[int, _Block] = {}
        self._text = b""  # what comes before a piece of text, while a text is open: most events are no more than that

    def tell(self, event: Event, choice: int = 0) -> bytes:
        if self._text and type(event) is TextDelta and event.text:
            return b"%b%b%b" % (self._text, orjson.dumps(event.text), _END)
        match event:
            case TextDelta():
                return self._said("text", event.text)
            case ReasoningDelta():
                return self._thought(event)
            case ToolCallDelta():
                return self._called(event)
            case Started():
                message = {**answers.head(self._request.id, event.model), "content": []}
                nothing_yet = {"stop_reason": None, "stop_sequence": None, "usage": answers.usage(Usage())}
                return frame("message_start", {"type": "message_start", "message": {**message, **nothing_yet}})
            case Finished():
                return self._finished(event)
            case Phase() | Warning():
                return b""
            case _:
                assert_never(event)

    def end(self) -> bytes:
        return _LAST

    def error(self, error: PoolError, request_id: str) -> bytes:
        return frame("error", refusals.anthropic(error, status.status(error).http, request_id))

    # --- Blocks -------------------------------------------------------------------------------------------------

    def _said(self, kind: Literal["text", "thinking"], piece: str) -> bytes:
        """A piece of a text or of a thought."""
        if not piece:  # it says nothing, and so begins and ends nothing
            return b""
        block, told = self._last, b""
        if block is None or block.kind != kind:
            self._seal()
            block, told = self._begin(_Block(kind))
        return told + self._piece(block, piece)

    def _thought(self, event: ReasoningDelta) -> bytes:
        if not (event.text or event.opaque or event.redacted):
            return b""
        if event.redacted:
            self._seal()
            data = thoughts.sealed(event.provider, event.opaque, redacted=True)
            _, told = self._begin(_Block("redacted", start={"type": "redacted_thinking", "data": data}))
            self._seal()
            return told
        told = self._said("thinking", event.text)
        block = self._last
        if event.opaque and (block is None or block.kind != "thinking"):  # a signature without a word
            self._seal()
            block, told = self._begin(_Block("thinking"))
        if block is not None and block.kind == "thinking":
            block.provider = event.provider
            if event.opaque:
                block.opaque = event.opaque
                self._seal()
        return told

    def _called(self, event: ToolCallDelta) -> bytes:
        block = self._calls.get(event.index)
        if block is not None:
            return self._piece(block, event.arguments) + (self._advance() if self._waiting else b"")
        self._seal()
        start = {"type": "tool_use", "id": event.id, "name": event.name, "input": {}}
        block, told = self._begin(_Block("call", start=start))
        self._last = None
        self._calls[event.index] = block
        return told + self._piece(block, event.arguments)

    def _seal(self) -> None:
        """Whatever text or thought was being said has been said."""
        if self._last is not None:
            self._last.whole = True
        self._last = None
        self._text = b""

    def _begin(self, block: _Block) -> tuple[_Block, bytes]:
        self._waiting.append(block)
        self._last = block
        return block, self._advance()

    def _piece(self, block: _Block, piece: str) -> bytes:
        if block.told:
            if piece.strip():
                raise ProviderGarbled("more came of a call of a tool whose arguments had been complete")
            return b""
        if block is not self._open or block.kind == "call":
            block.pieces.append(piece)
        return block.delta(piece) if block is self._open and piece and block.may_be_told(piece) else b""

    def _advance(self) -> bytes:
        """Put on the wire whatever its turn has come for."""
        told: list[bytes] = []
        while self._waiting and (self._open is None or self._open.ended()):
            told.append(self._closed())
            block = self._open = self._waiting.popleft()
            told.append(block.started(self._count))
            self._count += 1
        if self._open is not None and self._open.kind == "text" and self._open is self._last:
            self._text = self._open.before
        return b"".join(told)

    def _closed(self) -> bytes:
        return b"" if self._open is None else self._open.stopped()

    def _finished(self, event: Finished) -> bytes:
        self._seal()
        for block in self._calls.values():
            if not (block.told or block.is_sound()):
                self._cut(block, event)
            block.whole = True
        rest = self._advance() + self._closed()
        self._open = None
        delta = {
            "type": "message_delta",
            "delta": answers.stop(event.reason, event.stopped_by),
            "usage": answers.usage(event.usage),
            **answers.warned(self._request.trace.warnings),
        }
        return rest + frame("message_delta", delta)

    def _cut(self, block: _Block, event: Finished) -> None:
        """As `answers` has it of a whole answer, but for what is on the wire already. Raises ProviderGarbled."""
        if event.reason != "length":
            raise ProviderGarbled("a tool was called with what is no JSON object")
        if block is not self._open:
            self._waiting.remove(block)
        self._request.trace.warnings.append(answers.CUT)


class _Block:
    """One block while it is being said."""

    __slots__ = (
        "_closed", "_depth", "_escaped", "_looked", "_odd", "_quoted", "_start",
        "before", "index", "kind", "opaque", "pieces", "provider", "told", "whole",
    )  # fmt: skip

    def __init__(
        self, kind: Literal["text", "thinking", "redacted", "call"], *, start: dict[str, Any] | None = None
    ) -> None:
        self.kind = kind
        self.whole = False  # all of it has been said
        self.told = False  # and is on the wire
        self.pieces: list[str] = []
        self.provider = ""
        self.opaque = ""
        self.index = -1
        self.before = b""
        self._start = start
        # Of a call:
        self._odd: bool | None = None  # its arguments begin like no object; None: they have not begun
        self._looked = 0  # pieces that were looked at for the end of them, up to which there is:
        self._depth = 0  # so much open,
        self._quoted = False  # a string, too,
        self._escaped = False  # and half an escape in it
        self._closed = False

    def ended(self) -> bool:
        if not self.whole and self.kind == "call" and not self._closed and self._closes():
            self._closed = True  # after their first end they are an object or never will be one
            self.whole = self.is_sound()
        return self.whole

    def is_sound(self) -> bool:
        return answers.is_object("".join(self.pieces).strip() or "{}")

    def may_be_told(self, piece: str) -> bool:
        """What is surely no object is kept: clients parse each piece, and would fail before they are told why."""
        if self.kind == "call" and self._odd is None and (begins := piece.lstrip()):
            self._odd = begins[0] != "{"
        return not self._odd

    def _closes(self) -> bool:
        """Whether the arguments come to their end in what has not yet been looked at. Looks at each piece once, for
        another call may be waiting with thousands of them.
        """
        closes = False
        for piece in self.pieces[self._looked :]:
            closes |= self._scanned(piece)
        self._looked = len(self.pieces)
        return closes

    def _scanned(self, piece: str) -> bool:
        closes, at = False, 0
        while at < len(piece):
            if self._escaped:
                self._escaped = False
                at += 1
                continue
            found = (_INSIDE if self._quoted else _OUTSIDE).search(piece, at)
            if found is None:
                break
            at = found.end()
            match found[0]:
                case '"':
                    self._quoted = not self._quoted
                case "\\":
                    self._escaped = True
                case "{" | "[":
                    self._depth += 1
                case _:
                    self._depth -= 1
                    closes |= self._depth == 0
        return closes

    def started(self, index: int) -> bytes:
        """Its start, and what has been said of it meanwhile."""
        self.index = index
        if self.kind != "redacted":
            self.before = _PIECE % (index, _KINDS[self.kind])
        start = self._start or (
            {"type": "text", "text": ""}
            if self.kind == "text"
            else {"type": "thinking", "thinking": "", "signature": ""}
        )
        told = frame("content_block_start", {"type": "content_block_start", "index": index, "content_block": start})
        said = "".join(self.pieces)
        return told + self.delta(said) if said and self.may_be_told(said) else told

    def delta(self, piece: str) -> bytes:
        return b"%b%b%b" % (self.before, orjson.dumps(piece), _END)

    def stopped(self) -> bytes:
        self.told = True
        told = _STOP % self.index
        if self.kind == "thinking" and (seal := thoughts.sealed(self.provider, self.opaque)):
            return b"%b%b%b%b" % (_PIECE % (self.index, _SIGNATURE), orjson.dumps(seal), _END, told)
        return told
