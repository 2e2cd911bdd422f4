"""The bytes of an answer of Anthropic's Messages API as our events. Pure.

The order is `message_start`; for each block `content_block_start`, deltas, `content_block_stop`; `message_delta` with
the reason; `message_stop`. Without the last two an answer is broken. Pings, and events and blocks that are not known,
mean nothing. A server that does not stream sends the whole message as one JSON object.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import orjson

from llm_pool.core.errors import ProviderError, ProviderGarbled, StreamBroken
from llm_pool.core.types import Finished, ReasoningDelta, TextDelta, ToolCallDelta, Usage
from llm_pool.providers.anthropic.statuses import reported
from llm_pool.providers.reading import before, count_of, is_json, object_of, typed, wrong
from llm_pool.providers.sse import Frames

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llm_pool.core.types import Event, FinishReason

# A reason that is not known means that it stopped.
_REASONS: dict[str, FinishReason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_COUNTS = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")


class _Block:
    """One block while it is being said. `kind` is "" where it is one that we do not know."""

    __slots__ = ("call", "given", "kind", "said", "signature")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.call = 0  # which of the calls it is
        self.given = "{}"  # the arguments, where no delta brings any
        self.said = False
        self.signature = ""


class Decoder:
    """`whole`: nobody sees the pieces, so those of one text in one `feed` are joined."""

    __slots__ = (
        "_blocks", "_calls", "_counts", "_frames", "_json", "_model", "_provider", "_reason", "_spoke",
        "_stopped_by", "_streams", "_thought", "_who", "_whole", "began", "done",
    )  # fmt: skip

    def __init__(self, who: str, *, provider: str, model: str, whole: bool) -> None:
        self._who = who
        self._provider = provider
        self._model = model
        self._whole = whole
        self._frames = Frames(who)
        self._streams = False  # known to: the first byte has come
        self._json: list[bytes] | None = None  # the body of a server that does not stream
        self._blocks: dict[int, _Block] = {}
        self._calls = 0
        self._counts: dict[str, int] = {}
        self._thought = 0  # tokens
        self._reason: str | None = None
        self._stopped_by = ""
        self._spoke = False
        self.began = False
        self.done = False

    def feed(self, data: bytes) -> Iterable[Event]:
        if self._json is not None:
            self._json.append(data)
            return []
        if not self._streams and (begins := data.lstrip()[:1]):
            if begins == b"{":  # no line of a stream begins with it
                self._json = [data]
                return []
            self._streams = True
        return self._decoded(self._frames.feed(data))

    def end(self) -> Iterable[Event]:
        """What the end of the body left without the end of its event may be the last event of a whole answer."""
        if self._json is None:
            return self._decoded([frame for frame in self._frames.close() if is_json(frame[1])])
        said = b"".join(self._json)
        return self._message(object_of(said, who=self._who)) if is_json(said) else []

    def _decoded(self, frames: list[tuple[bytes, bytes]]) -> Iterable[Event]:
        events: list[Event] = []
        error: ProviderError | None = None
        try:
            for _, data in frames:
                self._decode(data, events)
                if self.done:
                    break
        except ProviderError as raised:
            error = raised
        if events:
            self._spoke = True
        said = _joined(events) if self._whole and len(events) > 1 else events
        return said if error is None else before(error, said)

    def _decode(self, data: bytes, events: list[Event]) -> None:
        event = object_of(data, who=self._who)
        kind = event.get("type")
        if kind == "content_block_delta":  # nearly all of them
            self._delta(event, events)
        elif kind == "content_block_start":
            self._start(event, events)
        elif kind == "content_block_stop":
            self._stop(self._index(event), events)
        elif kind == "message_start":
            self._begin(event)
        elif kind == "message_delta":
            self._turn(typed(event, "delta", dict, who=self._who) or {}, typed(event, "usage", dict, who=self._who))
        elif kind == "message_stop":
            self._finish(events)
        elif kind == "error":
            raise self._failed(event, spoke=self._spoke or bool(events))

    # --- Blocks -------------------------------------------------------------------------------------------------

    def _start(self, event: dict[str, Any], events: list[Event]) -> None:
        if not self.began:
            raise self._garbled("a part of an answer before its beginning")
        self._open(self._index(event), typed(event, "content_block", dict, who=self._who) or {}, events)

    def _open(self, index: int, content: dict[str, Any], events: list[Event]) -> None:
        kind = content.get("type")
        block = self._blocks[index] = _Block(kind if isinstance(kind, str) else "")
        if kind == "text":
            if text := typed(content, "text", str, who=self._who):
                events.append(TextDelta(text))
        elif kind == "thinking":
            block.signature = typed(content, "signature", str, who=self._who) or ""
            if thought := typed(content, "thinking", str, who=self._who):
                events.append(ReasoningDelta(thought, provider=self._provider))
        elif kind == "redacted_thinking":
            opaque = typed(content, "data", str, who=self._who) or ""
            events.append(ReasoningDelta("", opaque, redacted=True, provider=self._provider))
        elif kind == "tool_use":
            self._call(block, content, events)

    def _call(self, block: _Block, content: dict[str, Any], events: list[Event]) -> None:
        called, name = typed(content, "id", str, who=self._who), typed(content, "name", str, who=self._who)
        if not called or not name:
            raise self._garbled("a tool call without its id or name")
        if given := typed(content, "input", dict, who=self._who):
            block.given = orjson.dumps(given).decode()
        block.call = self._calls
        self._calls += 1
        events.append(ToolCallDelta(block.call, called, name, ""))

    def _delta(self, event: dict[str, Any], events: list[Event]) -> None:
        block = self._blocks.get(self._index(event))
        delta = event.get("delta")
        if block is None or not isinstance(delta, dict):
            raise self._garbled("a piece of a part that it had not begun")
        kind = block.kind
        if kind == "text":
            if text := typed(delta, "text", str, who=self._who):
                events.append(TextDelta(text))
        elif kind == "tool_use":
            if piece := typed(delta, "partial_json", str, who=self._who):
                block.said = True
                events.append(ToolCallDelta(block.call, "", "", piece))
        elif kind == "thinking":
            self._think(block, delta, events)

    def _think(self, block: _Block, delta: dict[str, Any], events: list[Event]) -> None:
        if thought := typed(delta, "thinking", str, who=self._who):
            events.append(ReasoningDelta(thought, provider=self._provider))
        if signature := typed(delta, "signature", str, who=self._who):
            block.signature = signature

    def _stop(self, index: int, events: list[Event]) -> None:
        block = self._blocks.pop(index, None)
        if block is None:
            raise self._garbled("the end of a part that it had not begun")
        self._close(block, events)

    def _close(self, block: _Block, events: list[Event]) -> None:
        if block.kind == "tool_use" and not block.said:
            events.append(ToolCallDelta(block.call, "", "", block.given))
        if block.kind == "thinking" and block.signature:
            events.append(ReasoningDelta("", block.signature, provider=self._provider))

    # --- The message --------------------------------------------------------------------------------------------

    def _begin(self, event: dict[str, Any]) -> None:
        message = typed(event, "message", dict, who=self._who)
        if message is None or self.began:
            raise self._garbled("no beginning of an answer, or two")
        self._count(typed(message, "usage", dict, who=self._who))
        self.began = True

    def _turn(self, delta: dict[str, Any], usage: dict[str, Any] | None) -> None:
        if not self.began:
            raise self._garbled("the end of an answer before its beginning")
        self._reason = typed(delta, "stop_reason", str, who=self._who) or self._reason
        self._stopped_by = typed(delta, "stop_sequence", str, who=self._who) or self._stopped_by
        self._count(usage)

    def _count(self, usage: dict[str, Any] | None) -> None:
        """The counts are sums so far, so the latest one of each holds."""
        if usage is None:
            return
        for name in _COUNTS:
            if (count := count_of(usage, name, who=self._who)) is not None:
                self._counts[name] = count
        details = typed(usage, "output_tokens_details", dict, who=self._who) or {}
        self._thought = count_of(details, "thinking_tokens", who=self._who) or self._thought

    def _finish(self, events: list[Event]) -> None:
        if self._reason is None:
            raise self._garbled("an answer that ends for no reason")
        for block in self._blocks.values():
            self._close(block, events)
        reason = _REASONS.get(self._reason, "stop")
        events.append(Finished(reason, self._usage(), self._stopped_by))
        self.done = True

    def _usage(self) -> Usage:
        counts = self._counts
        output = counts.get("output_tokens", 0)
        thought = min(self._thought, output)
        return Usage(
            input=counts.get("input_tokens", 0),
            cache_read=counts.get("cache_read_input_tokens", 0),
            cache_write=counts.get("cache_creation_input_tokens", 0),
            output=output - thought,
            reasoning=thought,
            estimated="input_tokens" not in counts or "output_tokens" not in counts,
        )

    def _message(self, message: dict[str, Any]) -> list[Event]:
        """All of an answer at once."""
        if message.get("type") == "error":
            raise self._failed(message, spoke=False)
        content = typed(message, "content", list, who=self._who)
        if message.get("type") != "message" or content is None:
            raise self._garbled("something that is no message")
        events: list[Event] = []
        for index, block in enumerate(content):
            if not isinstance(block, dict):
                raise self._garbled("a part of an answer that is none")
            self._open(index, block, events)
            self._stop(index, events)
        self.began = True
        self._turn(message, typed(message, "usage", dict, who=self._who))
        self._finish(events)
        return events

    # --- What is wrong ------------------------------------------------------------------------------------------

    def _failed(self, event: dict[str, Any], *, spoke: bool) -> ProviderError:
        if spoke:
            return StreamBroken(f"{self._who} reported an error in the middle of its answer")
        return reported(event.get("error"), who=self._who, model=self._model)

    def _index(self, event: dict[str, Any]) -> int:
        index = event.get("index")
        if type(index) is not int:
            raise wrong("index", self._who)
        return index

    def _garbled(self, what: str) -> ProviderGarbled:
        return ProviderGarbled(f"{self._who} sent {what}")


def counted(body: bytes, *, who: str) -> Finished:
    """The answer of /v1/messages/count_tokens. Raises ProviderGarbled."""
    count = count_of(object_of(body, who=who), "input_tokens", who=who)
    if count is None:
        raise wrong("input_tokens", who)
    return Finished("stop", Usage(), counted=count)


def _joined(events: list[Event]) -> list[Event]:
    joined: list[Event] = []
    for kind, run in groupby(events, type):
        if kind is TextDelta:
            joined.append(TextDelta("".join([event.text for event in run if isinstance(event, TextDelta)])))
        else:
            joined += run
    return joined
