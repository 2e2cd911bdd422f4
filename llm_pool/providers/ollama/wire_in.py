"""What an Ollama server answers, in our words, pure: lines of a chat, vectors, statuses. No socket is touched here.

Sources: the API reference of Ollama (`/api/chat`, `/api/embed`) and its server's source. No text of a provider's error
body ever enters a message of ours.
"""

from __future__ import annotations

import re
import secrets
from itertools import groupby
from typing import TYPE_CHECKING, Any

import orjson

from llm_pool.core.errors import (
    ContextTooLong,
    ProviderError,
    ProviderGarbled,
    ProviderMisconfigured,
    RequestRefused,
    StreamBroken,
    shown,
)
from llm_pool.core.types import Finished, Logprob, ReasoningDelta, TextDelta, ToolCallDelta, Usage
from llm_pool.providers.failures import by_status, object_in
from llm_pool.providers.ndjson import Lines
from llm_pool.providers.reading import count_of, is_json, object_of, typed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llm_pool.core.types import Event, FinishReason, Request

NOT_FOUND = 404
TOO_LARGE = (400, 413, 500)  # what it says, with words, when a question is longer than the context

# How its sentences about that begin: "the input length exceeds the context length" and the like. Only the beginning
# counts, for the rest may repeat the question.
_TOO_LONG = re.compile(r"(the )?(input|prompt)[a-z ;]{0,40} context (length|size|window)", re.IGNORECASE)


class Decoder:
    """The lines of one answer in, their events out (`Started` is the client's to say).

    `began` is true after the first sound line, `done` after the last one. Raises ProviderGarbled for what is no line
    of a chat, and for an error line ProviderError before the answer began, StreamBroken after it.

    `provider`: whose reasoning it is. `tools`: whether any were offered. `whole`: nobody sees the pieces, so those of
    one feed become one.
    """

    __slots__ = (
        "_calls",
        "_id",
        "_lines",
        "_logprobs",
        "_provider",
        "_said",
        "_tools",
        "_who",
        "_whole",
        "began",
        "done",
    )

    def __init__(self, who: str, *, provider: str = "ollama", tools: bool = False, whole: bool = False) -> None:
        self._who = who
        self._provider = provider
        self._tools = tools
        self._whole = whole
        self._lines = Lines(who)
        self._said = False
        self._calls = 0
        self._id = ""
        self._logprobs: tuple[Logprob, ...] = ()  # of tokens whose text is not there yet
        self.began = False
        self.done = False

    def feed(self, data: bytes) -> Iterable[Event]:
        return self._decoded(self._lines.feed(data))

    def end(self) -> Iterable[Event]:
        """The line that the end of the body left without a line end may be the last one of a whole answer."""
        return self._decoded([line for line in self._lines.close() if is_json(line)])

    def _decoded(self, lines: list[bytes]) -> Iterable[Event]:
        events = self._each(lines)
        return _joined(events) if self._whole else events

    def _each(self, lines: list[bytes]) -> Iterator[Event]:
        for line in lines:
            yield from self.decode(line)
            if self.done:
                return

    def decode(self, line: bytes) -> list[Event]:
        chunk = object_of(line, who=self._who)
        if "error" in chunk:
            if self.began:
                raise StreamBroken(f"{self._who} reported an error in the middle of its answer")
            raise ProviderError(f"{self._who} reported an error instead of an answer")
        done = typed(chunk, "done", bool, who=self._who)
        message = typed(chunk, "message", dict, who=self._who)
        if message is None and not done:
            raise self._garbled("a line that is no part of a chat")
        events = self._deltas(message, chunk) if message else []
        if done:
            events.append(self._finished(chunk))
        self.began = True
        self.done = bool(done)
        return events

    def _deltas(self, message: dict[str, Any], chunk: dict[str, Any]) -> list[Event]:
        events: list[Event] = []
        thought = typed(message, "thinking", str, who=self._who)
        text = typed(message, "content", str, who=self._who)
        logprobs = self._likely(chunk["logprobs"], text, thought) if chunk.get("logprobs") else ()
        if thought:
            events.append(ReasoningDelta(thought, provider=self._provider))
        if text:
            events.append(TextDelta(text, self._logprobs + logprobs))
            self._logprobs = ()
        if message.get("tool_calls"):
            events += self._called(message["tool_calls"])
        self._said = self._said or bool(events)
        return events

    def _likely(self, values: object, text: str | None, thought: str | None) -> tuple[Logprob, ...]:
        """Those of thoughts are nobody's; those that come before their text wait for it."""
        found = self._logprobs_in(values)
        if text:
            return found
        if not thought:
            self._logprobs += found
        return ()

    def _logprobs_in(self, values: object) -> tuple[Logprob, ...]:
        try:
            return tuple([_logprob(value) for value in values])  # type: ignore[attr-defined] # a TypeError below
        except (AttributeError, KeyError, TypeError, ValueError):
            raise self._garbled('"logprobs" of a wrong kind') from None

    def _called(self, calls: object) -> list[Event]:
        """Each comes whole, in one line. The server counts them by itself, not always from 0 and upward."""
        if not self._tools:
            raise self._garbled("a tool call although no tool was offered")
        events: list[Event] = []
        for call in calls if isinstance(calls, list) else [None]:
            if not isinstance(call, dict) or not isinstance(function := call.get("function"), dict):
                raise self._garbled("a tool call of a wrong kind")
            name = typed(function, "name", str, who=self._who)
            arguments = typed(function, "arguments", dict, who=self._who)
            if not name:
                raise self._garbled("a tool call without a name")
            call_id = typed(call, "id", str, who=self._who) or self._made_id()
            events.append(ToolCallDelta(self._calls, call_id, name, orjson.dumps(arguments or {}).decode()))
            self._calls += 1
        return events

    def _made_id(self) -> str:
        """Older servers give none, and a result must be able to say whose it is, among those of all answers."""
        self._id = self._id or secrets.token_hex(8)
        return f"call_{self._id}_{self._calls}"

    def _finished(self, chunk: dict[str, Any]) -> Finished:
        why = typed(chunk, "done_reason", str, who=self._who)
        if why in {"load", "unload"} and not self._said:
            # What it says when it had nothing to answer but was to load or unload: an empty answer would be a lie.
            raise self._garbled("word of a loaded or unloaded model instead of an answer")
        reason: FinishReason = "tool_calls" if self._calls else "stop"
        return Finished("length" if why == "length" else reason, self._usage(chunk))

    def _usage(self, chunk: dict[str, Any]) -> Usage:
        """Servers of before 2025 leave `prompt_eval_count` out when the prompt was cached; newer ones report the cached
        tokens, which are part of it, in `prompt_eval_cached_count`. Thinking is part of `eval_count`.
        """
        prompt = count_of(chunk, "prompt_eval_count", who=self._who)
        output = count_of(chunk, "eval_count", who=self._who)
        cached = min(count_of(chunk, "prompt_eval_cached_count", who=self._who) or 0, prompt or 0)
        return Usage(
            input=(prompt or 0) - cached,
            cache_read=cached,
            output=output or 0,
            estimated=prompt is None or output is None,
        )

    def _garbled(self, what: str) -> ProviderGarbled:
        return ProviderGarbled(f"{self._who} sent {what}")


def _joined(events: Iterator[Event]) -> Iterator[Event]:
    """Neighbours of a kind become one. What came before an error is said before it, for it was paid for."""
    said: list[Event] = []
    broken: ProviderError | None = None
    try:
        said.extend(events)  # keeps what there was, where it raises
    except ProviderError as error:
        broken = error
    for kind, run in groupby(said, key=type):
        if kind is TextDelta:
            texts = [event for event in run if isinstance(event, TextDelta)]
            likely = [each for event in texts for each in event.logprobs]
            yield TextDelta("".join([event.text for event in texts]), tuple(likely))
        elif kind is ReasoningDelta:
            thoughts = [event for event in run if isinstance(event, ReasoningDelta)]
            yield ReasoningDelta("".join([event.text for event in thoughts]), provider=thoughts[0].provider)
        else:
            yield from run
    if broken is not None:
        raise broken


def _logprob(value: dict[str, Any]) -> Logprob:
    token, raw = value["token"], value.get("bytes")
    if not isinstance(token, str) or not isinstance(raw, list | None):  # `bytes` of a number would be that many
        raise TypeError
    return Logprob(
        token,
        float(value["logprob"]),
        None if raw is None else tuple(bytes(raw)),
        tuple([_logprob({**each, "top_logprobs": None}) for each in value.get("top_logprobs") or ()]),
    )


# --- Vectors --------------------------------------------------------------------------------------------------------


def vectors(body: bytes, *, asked: Request, who: str) -> Finished:
    """The answer of /api/embed, one vector for each input. Raises ProviderError."""
    found = object_in(body)
    rows = found.get("embeddings")
    if not isinstance(rows, list) or len(rows) != len(asked.inputs) or not all(map(_is_vector, rows)):
        raise ProviderGarbled(f"{who} did not send one vector for each input")
    if asked.dimensions is not None and any(len(row) != asked.dimensions for row in rows):
        # An older server does not know the word, and a model cannot give more than it has: never silence.
        raise RequestRefused(f"{who} does not make vectors of {asked.dimensions} dimensions with this model")
    tokens = count_of(found, "prompt_eval_count", who=who)
    return Finished("stop", Usage(input=tokens or 0, estimated=tokens is None), vectors=tuple(map(tuple, rows)))


def _is_vector(row: object) -> bool:
    return isinstance(row, list) and bool(row) and all(type(value) in {float, int} for value in row)


# --- Statuses -------------------------------------------------------------------------------------------------------


def failure(status: int, said: bytes, *, who: str, model: str, wait: float | None) -> ProviderError:
    """What an answer with this status, other than 200, means. What Ollama says in it may repeat the prompt."""
    if status == NOT_FOUND:
        name = shown(model)
        return ProviderMisconfigured(f'{who}: model "{name}" is not installed: run "ollama pull {name}"')
    if status in TOO_LARGE and _TOO_LONG.match(str(object_in(said).get("error", ""))):
        told = "the question is longer than the model's context, which num_ctx sets"
        return ContextTooLong(f"{who}: {told} ({status})")
    return by_status(status, who=who, model=model, wait=wait)
