"""An answer of Chat Completions out of its bytes: a stream of `chat.completion.chunk`s, or one `chat.completion`. Pure.

1. An answer is whole when the model has said why it ended (`finish_reason`), and the stream that it has ended: with
   `[DONE]`, which some servers leave out, or with the end of the body. Usage comes between them, or before, or never.
2. It begins with the first thing said. An error before that is the server's instead of an answer, even inside a 200;
   later it is a broken stream. So is an end without a reason.
3. Nothing is trusted to be of its kind, and what is unknown is passed over: servers add fields as they like.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from llm_pool.core.errors import ProviderError, ProviderGarbled, StreamBroken
from llm_pool.core.types import Event, Finished, FinishReason, ReasoningDelta, TextDelta, ToolCallDelta
from llm_pool.providers.openai.calls import Calls
from llm_pool.providers.openai.counting import logprobs_of, usage_of
from llm_pool.providers.openai.errors import inside, name_of
from llm_pool.providers.openai.reasoning import opaque_of, said_in, sound
from llm_pool.providers.reading import before, is_json, object_of, typed, wrong
from llm_pool.providers.sse import Frames

if TYPE_CHECKING:
    from collections.abc import Iterable

DONE = b"[DONE]"
MARK = b"\xef\xbb\xbf"

# How an event stream may begin: with one of its fields, or a comment.
FIELDS = (b"data", b"event", b"id", b"retry", b":")
MOST_BLANKS = 64 * 1024  # bytes before anything is said: some send them while they think

# What others than OpenAI say; whatever is not here counts as `stop`.
REASONS: dict[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "safety": "content_filter",
}
NO_END = {"error", "abort", "insufficient_system_resource"}  # it gave up: no answer ends so


class Decoder:
    """The bytes of one answer in, their events out (`Started` is the client's to say).

    `provider` marks its thoughts. `whole`: nobody sees the pieces, so that few big ones do.
    """

    __slots__ = (
        *("_blanks", "_calls", "_chunk_reason", "_details", "_frames", "_head", "_json", "_model", "_provider"),
        *(
            "_reason",
            "_refused",
            "_stopped_by",
            "_streams",
            "_texts",
            "_thinking",
            "_usage",
            "_who",
            "_whole",
            "began",
            "done",
        ),
    )

    def __init__(self, who: str, *, model: str = "", provider: str = "openai", whole: bool = False) -> None:
        self._who = who
        self._model = model
        self._provider = provider
        self._whole = whole
        self._frames = Frames(who)
        self._head = b""  # of a body that may yet be either, without what is blank before it
        self._blanks = 0  # bytes of that
        self._json: list[bytes] | None = None  # of a body that is no stream
        self._streams = False
        self._texts: list[str] = []  # words not told yet, where `whole`
        self._details: list[dict[str, Any]] = []  # of the thought under way
        self._thinking = False  # the thought under way has words
        self._calls = Calls(who)
        self._refused = False
        self._chunk_reason: str | None = None  # the latest, as the server says it
        self._reason: FinishReason | None = None
        self._stopped_by = ""
        self._usage: dict[str, Any] | None = None
        self.began = False
        self.done = False

    def feed(self, data: bytes) -> Iterable[Event]:
        if not self._streams:
            data = self._look_at(data)
        events: list[Event] = []
        try:
            for name, said in self._frames.feed(data):
                if name or not self._text_alone(said, events):
                    self._frame(name, said, events)
                    if self.done:
                        break
        except ProviderError as error:
            self._tell(events)
            return before(error, events)
        self._tell(events)
        return events

    def end(self) -> Iterable[Event]:
        """What the end of the body left without an end of its own may be the last of a whole answer."""
        events: list[Event] = []
        if self._json is not None:
            self._whole_body(object_of(b"".join(self._json), who=self._who), events)
            return events
        try:
            for name, said in self._frames.close():
                if said.strip() == DONE or is_json(said):
                    self._frame(name, said, events)
            if self._reason is not None and not self.done:
                self._finish(self._reason, events)
        except ProviderError as error:
            self._tell(events)
            return before(error, events)
        self._tell(events)
        return events

    def _text_alone(self, said: bytes, events: list[Event]) -> bool:
        """Take a chunk that is a piece of the text and nothing else, as nearly all are: in one step, for this is where
        most of an answer is read. False where it may be anything else, or wrong.
        """
        if not said.startswith(b"{"):
            return False
        try:
            chunk = orjson.loads(said)
            (choice,) = chunk["choices"]
            delta = choice["delta"]
            text = delta["content"]
        except (ValueError, LookupError, TypeError):
            return False
        if (
            type(text) is not str
            or not text
            or len(delta) > 1 + ("role" in delta)
            or choice.get("finish_reason", text) is not None
            or choice.get("index")
            or choice.get("logprobs")
            or chunk.get("usage")
            or "error" in chunk
            or chunk.get("object") == "error"
            or self._thinking
            or self._details
        ):
            return False
        self.began = True
        self._chunk_reason = None
        if self._whole:
            self._texts.append(text)
        else:
            events.append(TextDelta(text))
        return True

    # --- Bodies -------------------------------------------------------------------------------------------------

    def _look_at(self, data: bytes) -> bytes:
        """Find out what comes: what of it is of a stream of events."""
        if self._json is not None:
            self._json.append(data)
            return b""
        said = self._head + data
        head = (said if self._blanks else said.removeprefix(MARK)).lstrip()
        self._blanks += len(said) - len(head)
        self._head = head
        if self._blanks > MOST_BLANKS:
            raise self._garbled(f"more than {MOST_BLANKS} blank bytes before its answer")
        if not head or MARK.startswith(head):
            return b""
        if head.startswith(b"{"):
            self._json = [head]
            return b""
        if any(head.startswith(field) for field in FIELDS):
            self._streams = True
            self._head = b""
            return head
        if any(field.startswith(head) for field in FIELDS):
            return b""
        raise self._garbled("neither a stream of events nor JSON")

    def _frame(self, name: bytes, said: bytes, events: list[Event]) -> None:
        said = said.strip()
        if said == DONE:
            # "" in the last chunk is how some servers say that it ended as it should, but others say so in every chunk.
            reason = self._reason or ("stop" if self._chunk_reason == "" else None)
            if reason is None:
                raise self._broken("ended its answer without saying why")
            self._finish(reason, events)
        elif said:
            chunk = object_of(said, who=self._who)
            self._look_for_error(chunk, name)
            usage = chunk.get("usage")
            if usage is not None:
                self._usage = typed(chunk, "usage", dict, who=self._who) or self._usage  # an empty one counts nothing
            choices = chunk.get("choices")
            if choices is not None and type(choices) is not list:
                raise wrong("choices", self._who)
            for choice in choices or ():
                self._choice(choice, "delta", events)

    def _whole_body(self, body: dict[str, Any], events: list[Event]) -> None:
        self._look_for_error(body, b"")
        choices = typed(body, "choices", list, who=self._who)
        if not choices:
            raise self._garbled("JSON that is no answer")
        self._usage = typed(body, "usage", dict, who=self._who)
        for choice in choices:
            self._choice(choice, "message", events)
        self._finish(self._reason or "stop", events)

    def _look_for_error(self, chunk: dict[str, Any], name: bytes) -> None:
        error = chunk.get("error")
        if not error:
            if name != b"error" and chunk.get("object") != "error":
                return
            error = chunk
        raise self._reported(error)

    def _reported(self, error: object) -> ProviderError:
        if not self.began:
            return inside(error, who=self._who, model=self._model)
        what = name_of(error)
        return self._broken("reported an error in the middle of its answer" + (f" ({what})" if what else ""))

    # --- Choices ------------------------------------------------------------------------------------------------

    def _choice(self, choice: object, key: str, events: list[Event]) -> None:
        if type(choice) is not dict:
            raise wrong("choices", self._who)
        if choice.get("index"):  # one answer is asked for; a second one is nobody's
            return
        delta = choice.get(key)
        if delta:
            if type(delta) is not dict:
                raise wrong(key, self._who)
            self._delta(delta, choice.get("logprobs"), events)
        reason = choice.get("finish_reason")
        self._chunk_reason = reason
        if reason:
            self._ends(choice)

    def _delta(self, delta: dict[str, Any], logprobs: object, events: list[Event]) -> None:
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        details = delta.get("reasoning_details")
        if thought or details:
            self._think(thought, details, events)
        content = delta.get("content")
        if content or logprobs:
            self._say(content or "", logprobs, events)
        refusal = delta.get("refusal")
        if refusal:
            self._refused = True
            self._say(refusal, None, events)
        pieces = delta.get("tool_calls") or delta.get("function_call")
        if pieces:
            self._call(pieces, events)

    def _say(self, text: object, logprobs: object, events: list[Event]) -> None:
        if type(text) is not str:
            raise wrong("content", self._who)
        likely = logprobs_of(logprobs, who=self._who) if logprobs else ()
        if not text and not likely:
            return
        self.began = True
        if self._details or self._thinking:
            self._end_thought(events)
        if self._whole and not likely:
            self._texts.append(text)
        else:
            self._tell(events)
            events.append(TextDelta(text, likely))

    def _think(self, thought: object, details: object, events: list[Event]) -> None:
        self.began = True
        if details:
            if not sound(details):
                raise wrong("reasoning_details", self._who)
            self._details += details
            thought = thought or said_in(details)
        if thought:
            if type(thought) is not str:
                raise wrong("reasoning", self._who)
            self._tell(events)
            self._thinking = True
            self._add(ReasoningDelta(thought, provider=self._provider), events)

    def _end_thought(self, events: list[Event]) -> None:
        """With what must come back of it. Without words there is nothing else to it."""
        if self._details:
            self._tell(events)
            opaque = opaque_of(self._details)
            events.append(ReasoningDelta("", opaque, redacted=not self._thinking, provider=self._provider))
            self._details = []
        self._thinking = False

    def _call(self, pieces: object, events: list[Event]) -> None:
        if isinstance(pieces, dict):  # `function_call`, of before there were several
            pieces = [{"index": 0, "function": pieces}]
        if not isinstance(pieces, list):
            raise wrong("tool_calls", self._who)
        self.began = True
        self._end_thought(events)
        self._tell(events)
        for piece in pieces:
            for event in self._calls.feed(piece):
                self._add(event, events)

    # --- The end ------------------------------------------------------------------------------------------------

    def _ends(self, choice: dict[str, Any]) -> None:
        reason = choice["finish_reason"]
        if type(reason) is not str:
            raise wrong("finish_reason", self._who)
        if reason in NO_END:
            error = choice.get("error")
            raise self._reported(error) if error else self._broken("gave its answer up")
        self.began = True
        self._reason = REASONS.get(reason.lower(), "stop")
        stopped_by = choice.get("stop_reason")  # vLLM's: the sequence, or the number of a token
        self._stopped_by = stopped_by if isinstance(stopped_by, str) else ""

    def _finish(self, reason: FinishReason, events: list[Event]) -> None:
        self._end_thought(events)
        self._tell(events)
        events.extend(self._calls.end())
        if self._refused:
            reason = "content_filter"
        elif self._calls and reason == "stop":  # so OpenAI says of a call it was told to make, and others of any
            reason = "tool_calls"
        usage = usage_of(self._usage, who=self._who)
        events.append(Finished(reason, usage, self._stopped_by))
        self.began = self.done = True

    def _add(self, event: ReasoningDelta | ToolCallDelta, events: list[Event]) -> None:
        """To what was said just before, where nobody sees the pieces."""
        last = events[-1] if self._whole and events else None
        match last, event:
            case ReasoningDelta(opaque=""), ReasoningDelta():
                events[-1] = replace(last, text=last.text + event.text)
            case ToolCallDelta(), ToolCallDelta(id="") if last.index == event.index:
                events[-1] = replace(last, arguments=last.arguments + event.arguments)
            case _:
                events.append(event)

    def _tell(self, events: list[Event]) -> None:
        if self._texts:
            events.append(TextDelta("".join(self._texts)))
            self._texts.clear()

    def _broken(self, what: str) -> ProviderError:
        return (StreamBroken if self.began else ProviderError)(f"{self._who} {what}")

    def _garbled(self, what: str) -> ProviderGarbled:
        return ProviderGarbled(f"{self._who} sent {what}")
