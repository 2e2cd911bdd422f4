"""Answers as chat completions: whole, or as the chunks of a stream. Pure; the stream is the hot path."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, assert_never

from orjson import JSONDecodeError, dumps, loads

from llm_pool.core.types import (
    Finished,
    Phase,
    Reasoning,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    Usage,
    Warning,
)
from llm_pool.edges.http.openai.parts import error_json, warnings_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_pool.core.errors import PoolError
    from llm_pool.core.streams import Answer
    from llm_pool.core.types import Event, Logprob, Request

DONE = b"data: [DONE]\n\n"
_REST = b',"logprobs":null,"finish_reason":null}]}\n\n'  # of a chunk, after its delta
_REST_OF_TEXT = b"}" + _REST
# In JSON: what an object can begin or end with, or a text; and all of a text but its end.
_MARK = re.compile('["{}]')
_REST_OF_QUOTE = re.compile(r'(?:[^"\\]++|\\.)*+', re.DOTALL)


def completion(request: Request, answers: Sequence[Answer]) -> dict[str, Any]:
    """The answers to one question, as one object."""
    logprobs = request.sampling.logprobs is not None
    return {
        "id": f"chatcmpl-{request.id}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": answers[0].model,
        "choices": [_choice(index, answer, logprobs=logprobs) for index, answer in enumerate(answers)],
        "usage": usage_json(sum((answer.usage for answer in answers), Usage())),
        "system_fingerprint": None,
        **warnings_json(request.trace),
    }


def usage_json(usage: Usage) -> dict[str, Any]:
    """OpenAI counts what was cached inside the prompt, and what was thought inside the completion."""
    prompt = usage.input + usage.cache_read + usage.cache_write
    completion = usage.output + usage.reasoning
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def _choice(index: int, answer: Answer, *, logprobs: bool) -> dict[str, Any]:
    said, calls = answer.content, answer.tool_calls
    # A refusal comes as text and `content_filter`: the core has no other word for it, so `refusal` is never said here.
    message: dict[str, Any] = {"role": "assistant", "content": said if said or not calls else None, "refusal": None}
    if calls:
        message["tool_calls"] = [_called(call.id, call.name, call.arguments) for call in calls]
    thoughts = [part for part in answer.parts if isinstance(part, Reasoning)]
    if thoughts:
        if text := answer.reasoning:
            message["reasoning_content"] = text
        message["reasoning_details"] = [_thought(place, each) for place, each in enumerate(thoughts)]
    return {
        "index": index,
        "message": message,
        "logprobs": _logprobs(answer.logprobs) if logprobs and answer.logprobs else None,
        "finish_reason": answer.reason,
    }


def _called(id_: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def _thought(index: int, thought: Reasoning | ReasoningDelta) -> dict[str, Any]:
    """What must come back to whoever thought it, in the words of servers that tell reasoning on this wire."""
    if thought.redacted:
        text = {"text": thought.text} if thought.text else {}
        kind: dict[str, Any] = {"type": "reasoning.encrypted", "data": thought.opaque, **text}
    else:
        kind = {"type": "reasoning.text", "text": thought.text, "signature": thought.opaque or None}
    return {**kind, "format": thought.provider, "index": index}


def _logprobs(tokens: Sequence[Logprob]) -> dict[str, Any]:
    content = [{**_logprob(each), "top_logprobs": [_logprob(top) for top in each.top]} for each in tokens]
    return {"content": content, "refusal": None}


def _logprob(each: Logprob) -> dict[str, Any]:
    return {"token": each.token, "logprob": each.logprob, "bytes": None if each.bytes is None else list(each.bytes)}


def _likely(tokens: Sequence[Logprob]) -> bytes:
    """The rest of a chunk whose words have these."""
    return b',"logprobs":' + dumps(_logprobs(tokens)) + b',"finish_reason":null}]}\n\n'


class ChatTelling:
    """A stream as chunks. What all of them have in common is laid out once, and the words go in between.

    Pieces of several calls may come in turns. Official clients take a call for whole as soon as a piece of another one
    comes, and parse it: so what belongs to another waits until the open one is a JSON object, or all was said.
    """

    def __init__(self, request: Request, *, usage: bool, choices: int) -> None:
        self._request = request
        self._tells_usage = usage
        self._tells_logprobs = request.sampling.logprobs is not None
        self._last = choices - 1
        self._used = Usage()
        self._created = int(time.time())

    def tell(self, event: Event, choice: int = 0) -> bytes:
        match event:
            case TextDelta():
                return self._say(event)
            case ReasoningDelta():
                return self._think(event)
            case ToolCallDelta():
                return self._call(event)
            case Started():
                return self._start(event, choice)
            case Finished():
                return self._finish(event, choice)
            case Phase() | Warning():
                return b""  # warnings are told at the end
            case _:
                assert_never(event)

    def end(self) -> bytes:
        if not self._tells_usage:
            return DONE
        told = {"choices": [], "usage": usage_json(self._used), **warnings_json(self._request.trace)}
        return self._common + dumps(told)[1:] + b"\n\n" + DONE

    def error(self, error: PoolError, request_id: str) -> bytes:
        return b"data: %b\n\n" % dumps(error_json(error, request_id))

    def _start(self, event: Started, choice: int) -> bytes:
        common = {
            "id": f"chatcmpl-{self._request.id}",
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": event.model,
            "system_fingerprint": None,
        }
        self._common = b"data: " + dumps(common)[:-1] + b","
        null = b'"usage":null,' if self._tells_usage else b""
        self._delta = self._common + null + b'"choices":[{"index":%d,"delta":' % choice
        self._text = self._delta + b'{"content":'
        self._thought = -1  # the index of the latest
        self._thinking = False  # whether the next piece of a thought belongs to it
        self._called: set[int] = set()
        self._open: int | None = None  # the call whose pieces go out
        self._arguments = _Arguments()  # of it
        self._waiting: dict[int, list[ToolCallDelta]] = {}  # pieces of others, in the order in which those began
        self._said = False
        # Null, for nobody knows yet whether there will be any text: clients add what follows to it.
        return self._delta + b'{"role":"assistant","content":null,"refusal":null}' + _REST

    def _say(self, event: TextDelta) -> bytes:
        likely = self._tells_logprobs and event.logprobs
        if not event.text:  # it says nothing, and so ends no thought
            return self._delta + b"{}" + _likely(event.logprobs) if likely else b""
        self._thinking = False
        self._said = True
        told = self._text + dumps(event.text)
        return told + b"}" + _likely(event.logprobs) if likely else told + _REST_OF_TEXT

    def _think(self, event: ReasoningDelta) -> bytes:
        """The first piece of a block says whose it is: clients put the pieces of one `index` together, text by text."""
        if not (event.text or event.opaque or event.redacted):
            return b""
        if event.redacted or not self._thinking:
            self._thought += 1
            piece = _thought(self._thought, event)
        else:
            text = {"text": event.text} if event.text else {}
            signed = {"signature": event.opaque} if event.opaque else {}
            piece = {"type": "reasoning.text", **text, **signed, "index": self._thought}
        self._thinking = not (event.opaque or event.redacted)
        said = {"reasoning_content": event.text} if event.text else {}
        return self._delta + dumps({**said, "reasoning_details": [piece]}) + _REST

    def _call(self, event: ToolCallDelta) -> bytes:
        self._thinking = False
        if self._open in {None, event.index}:
            self._open = event.index
            told = self._piece(event)
            return told + self._next_calls() if self._waiting else told
        self._waiting.setdefault(event.index, []).append(event)
        return self._next_calls()

    def _next_calls(self, *, ended: bool = False) -> bytes:
        """Whatever of the calls that wait has its turn by now."""
        told: list[bytes] = []
        while self._waiting and (ended or self._arguments.are_object()):
            self._open = next(iter(self._waiting))
            self._arguments = _Arguments()
            told += [self._piece(event) for event in self._waiting.pop(self._open)]
        return b"".join(told)

    def _piece(self, event: ToolCallDelta) -> bytes:
        self._arguments.add(event.arguments)
        if event.index in self._called:
            if not event.arguments:
                return b""
            start = self._delta + b'{"tool_calls":[{"index":%d,"function":{"arguments":' % event.index
            return start + dumps(event.arguments) + b"}}]}" + _REST
        self._called.add(event.index)
        call = {"index": event.index, **_called(event.id, event.name, event.arguments)}
        return self._delta + dumps({"tool_calls": [call]}) + _REST

    def _finish(self, event: Finished, choice: int) -> bytes:
        self._used += event.usage
        rest_of_calls = self._next_calls(ended=True)
        delta = b"{}" if self._said or self._called else b'{"content":""}'
        told = {} if self._tells_usage or choice < self._last else warnings_json(self._request.trace)
        rest = b"}\n\n" if not told else b"," + dumps(told)[1:] + b"\n\n"
        last = self._delta + delta + b',"logprobs":null,"finish_reason":' + dumps(event.reason) + b"}]" + rest
        return rest_of_calls + last


class _Arguments:
    """What has come of the arguments of one call: whether they are a JSON object by now.

    Each piece is looked at once, and only when somebody asks; all are parsed once, when the last brace is closed.
    """

    __slots__ = ("_cut", "_depth", "_is_object", "_pieces", "_quoted", "_read")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._read = 0  # pieces that were looked at
        self._depth = 0  # of braces
        self._quoted = False  # whether the next piece goes on with a text
        self._cut = False  # whether it begins with what a backslash stands before
        self._is_object: bool | None = None  # None: not known yet

    def add(self, piece: str) -> None:
        self._pieces.append(piece)

    def are_object(self) -> bool:
        while self._is_object is None and self._read < len(self._pieces):
            if self._closes(self._pieces[self._read]):
                self._is_object = _is_object("".join(self._pieces))
            self._read += 1
        return self._is_object is True

    def _closes(self, piece: str) -> bool:
        """Whether the outermost brace is closed in it: what comes after that makes no object of what is none."""
        at, end = int(self._cut and piece != ""), len(piece)
        self._cut = self._cut and not piece
        while at < end:
            if self._quoted:
                at = _REST_OF_QUOTE.match(piece, at).end()  # type: ignore[union-attr]  # if only by nothing at all
                self._quoted = at == end or piece[at] != '"'
                self._cut = self._quoted and at < end
                at += 1
            elif mark := _MARK.search(piece, at):
                at = mark.end()
                self._quoted = mark[0] == '"'
                self._depth += (mark[0] == "{") - (mark[0] == "}")
                if mark[0] == "}" and self._depth <= 0:
                    return True
            else:
                break
        return False


def _is_object(text: str) -> bool:
    try:
        return isinstance(loads(text), dict)
    except JSONDecodeError:
        return False
