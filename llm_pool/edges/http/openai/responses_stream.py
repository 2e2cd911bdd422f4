"""An answer of `POST /v1/responses` as it comes: OpenAI's events, each with its number.

1. A text or a thought ends where another item begins. A tool call stays open to the end: pieces of several may come
   in turn, and each item goes by its `output_index`.
2. The `response` of the last event is what the same answer would be as a whole.
3. A stream that breaks ends with `response.failed`, which also has an `error` at its top: official clients raise that,
   where they would take the event alone for the end of an answer. What follows is nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, assert_never

import orjson

from llm_pool.core.types import (
    Finished,
    Phase,
    Reasoning,
    ReasoningDelta,
    Started,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Warning,
)
from llm_pool.edges.http.openai import parts
from llm_pool.edges.http.openai import responses_out as out
from llm_pool.edges.http.sse import frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_pool.core.errors import PoolError
    from llm_pool.core.trace import Trace
    from llm_pool.core.types import Event, Logprob
    from llm_pool.edges.http.openai.responses_out import Object, Words

Kind = Literal["text", "reasoning", "call"]

_NO_LOGPROBS = b"[]"
_DELTAS: dict[Kind, str] = {
    "text": "response.output_text.delta",
    "reasoning": "response.reasoning_summary_text.delta",
    "call": "response.function_call_arguments.delta",
}


class _Item:
    """One item while it is being said. `done` is what it came to, once that is known."""

    __slots__ = ("begun", "done", "head", "id", "index", "kind", "logprobs", "name", "pieces", "seal", "spot")

    def __init__(self, kind: Kind, index: int, call: str, *, name: tuple[str, str] = ("", "")) -> None:
        self.kind = kind
        self.index = index
        self.name = name  # of a tool call: its id and the tool's name
        self.pieces: list[str] = []
        self.logprobs: list[Logprob] = []
        self.seal = ("", False, "")  # of a thought: opaque, redacted, provider
        self.begun = False  # whether its only part is
        self.done: Object | None = None
        self.id = out.item_id(self.part(), call, index)
        self.spot: Object = {"item_id": self.id, "output_index": index}
        if kind == "text":
            self.spot["content_index"] = 0
        elif kind == "reasoning":
            self.spot["summary_index"] = 0
        self.head = _head(_DELTAS[kind], self.spot)

    def part(self) -> Text | Reasoning | ToolCall:
        said = "".join(self.pieces)
        match self.kind:
            case "text":
                return Text(said)
            case "reasoning":
                return Reasoning(said, *self.seal)
            case "call":
                return ToolCall(*self.name, said)
            case _:
                assert_never(self.kind)


def _head(name: str, spot: Object) -> bytes:
    """The beginning of every delta of an item, up to what differs: a stream is mostly these."""
    data = orjson.dumps({"type": name, **spot})
    return b'event: %b\ndata: %b,"delta":' % (name.encode(), data[:-1])


class Telling:
    def __init__(self, words: Words, model: str, trace: Trace, *, now: Callable[[], float]) -> None:
        """`model` is what was asked for; `now` is the clock on the wall."""
        self._words = words
        self._model = model
        self._trace = trace
        self._now = now
        self._number = 0
        self._items: list[_Item] = []
        self._open: _Item | None = None  # the text or the thought that the next piece of its kind belongs to
        self._calls: dict[int, _Item] = {}

    def tell(self, event: Event, choice: int = 0) -> bytes:
        match event:
            case TextDelta():
                return self._text(event)
            case ReasoningDelta():
                return self._thought(event)
            case ToolCallDelta():
                return self._call(event)
            case Started():
                self._model = event.model
                begun = self._words.begun(event.model)
                names = ("response.created", "response.in_progress")
                return b"".join([self._frame(name, response=begun) for name in names])
            case Finished():
                return self._finished(event)
            case Phase() | Warning():
                return b""  # this wire has no word for them; warnings are in the last event
            case _:
                assert_never(event)

    def end(self) -> bytes:
        return b""

    def error(self, error: PoolError, request_id: str) -> bytes:
        told: Any = parts.error_json(error, request_id)["error"]
        output = [item.done for item in self._items if item.done is not None]
        response = self._words.failed(self._model, output, told)
        return self._frame("response.failed", response=response, error=told)

    # --- Pieces -----------------------------------------------------------------------------------------------------

    def _text(self, event: TextDelta) -> bytes:
        if not (event.text or event.logprobs):  # it says nothing, and so ends nothing
            return b""
        item = self._open
        if item is not None and item.kind == "text":
            before = b""
        else:
            before = self._close()
            item = self._open = self._item("text")
            before += self._added(item, status="in_progress", role="assistant", content=[])
            before += self._frame("response.content_part.added", **item.spot, part=out.text_part(""))
        told = _NO_LOGPROBS
        if event.logprobs:
            item.logprobs += event.logprobs
            told = orjson.dumps([out.logprob_json(each) for each in event.logprobs])
        return before + self._delta(item, event.text, b',"logprobs":' + told)

    def _thought(self, event: ReasoningDelta) -> bytes:
        if not (event.text or event.opaque or event.redacted):
            return b""
        item, before = self._open, b""
        if item is None or item.kind != "reasoning" or event.redacted:
            before = self._close()
            item = self._open = self._item("reasoning")
            before += self._added(item, summary=[], encrypted_content=None)
        item.seal = (event.opaque, event.redacted, event.provider)
        if event.text:
            if not item.begun:
                item.begun = True
                part = out.summary_part("")
                before += self._frame("response.reasoning_summary_part.added", **item.spot, part=part)
            before += self._delta(item, event.text)
        if event.opaque or event.redacted:
            before += self._close()
        return before

    def _call(self, event: ToolCallDelta) -> bytes:
        item, before = self._calls.get(event.index), b""
        if item is None:
            before = self._close()
            item = self._calls[event.index] = self._item("call", name=(event.id, event.name))
            called = {"call_id": event.id, "name": event.name, "arguments": ""}
            before += self._added(item, status="in_progress", **called)
        return before + self._delta(item, event.arguments) if event.arguments else before

    def _finished(self, event: Finished) -> bytes:
        whole = not out.cut(event.reason)
        open_ = [item for item in self._items if item.done is None]
        frames = [self._done(item, whole=whole or item is not self._items[-1]) for item in open_]
        response = self._words.done(
            self._model,
            [item.done for item in self._items if item.done is not None],
            reason=event.reason,
            usage=event.usage,
            trace=self._trace,
            now=self._now(),
        )
        frames.append(self._frame("response.completed" if whole else "response.incomplete", response=response))
        return b"".join(frames)

    # --- Items ------------------------------------------------------------------------------------------------------

    def _item(self, kind: Kind, *, name: tuple[str, str] = ("", "")) -> _Item:
        item = _Item(kind, len(self._items), self._words.call, name=name)
        self._items.append(item)
        return item

    def _close(self) -> bytes:
        """Rule 1."""
        item, self._open = self._open, None
        return b"" if item is None else self._done(item, whole=True)

    def _added(self, item: _Item, **begun: Any) -> bytes:
        told = out.item(item.part(), item.id, whole=True) | begun
        return self._frame("response.output_item.added", output_index=item.index, item=told)

    def _done(self, item: _Item, *, whole: bool) -> bytes:
        part = item.part()
        told = item.done = out.item(part, item.id, whole=whole, logprobs=item.logprobs)
        match part:
            case Text():
                said = told["content"][0]
                last = {"text": part.text, "logprobs": said["logprobs"]}
                frames = [
                    self._frame("response.output_text.done", **item.spot, **last),
                    self._frame("response.content_part.done", **item.spot, part=said),
                ]
            case Reasoning() if item.begun:
                frames = [
                    self._frame("response.reasoning_summary_text.done", **item.spot, text=part.text),
                    self._frame("response.reasoning_summary_part.done", **item.spot, part=told["summary"][0]),
                ]
            case Reasoning():
                frames = []
            case ToolCall():
                last = {"name": part.name, "arguments": part.arguments}
                frames = [self._frame("response.function_call_arguments.done", **item.spot, **last)]
            case _:
                assert_never(part)
        frames.append(self._frame("response.output_item.done", output_index=item.index, item=told))
        return b"".join(frames)

    # --- Frames -----------------------------------------------------------------------------------------------------

    def _delta(self, item: _Item, piece: str, more: bytes = b"") -> bytes:
        item.pieces.append(piece)
        number = self._number
        self._number += 1
        return b'%b%b%b,"sequence_number":%d}\n\n' % (item.head, orjson.dumps(piece), more, number)

    def _frame(self, name: str, /, **data: Any) -> bytes:
        number = self._number
        self._number += 1
        return frame(name, {"type": name, "sequence_number": number, **data})
