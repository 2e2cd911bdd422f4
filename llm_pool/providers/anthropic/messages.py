"""A conversation in our words as Anthropic's system blocks and turns. Pure.

1. Turns alternate: messages of one role that follow each other are one. Results of tools stand first in a user's turn.
2. System messages before anybody spoke are `system`. A later one stays where it is for a model that takes it there:
   after a user's turn, and before the model's or at the end. Otherwise it is moved, and a warning says so.
3. Thinking goes back in the order it came in, each block with its signature, and only to whom it came from. Servers
   that sign nothing get theirs back with an empty one.
4. Blocks of text that are blank are refused by the API, so they are left out.
5. Arguments of calls are sent as the text that the model wrote: a large number, or the order of keys, survives.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, assert_never

import orjson

from llm_pool.core.errors import Unsupported
from llm_pool.core.types import Image, Reasoning, Text, ToolCall, ToolResult

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llm_pool.core.types import Keep, Message
    from llm_pool.providers.anthropic.models import Traits
    from llm_pool.providers.anthropic.notes import Notes

Block: TypeAlias = dict[str, Any]

# What ids of calls may be made of. Other providers' may hold more.
_ID = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


@dataclass(slots=True)
class Turn:
    role: str
    results: list[Block] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)

    @property
    def content(self) -> list[Block]:
        return self.results + self.blocks


class Conversation:
    """`system` and `turns`, once the messages were added."""

    def __init__(self, *, provider: str, traits: Traits, notes: Notes) -> None:
        self.system: list[Block] = []
        self.turns: list[Turn] = []
        self.called: list[str] = []  # names of the tools that were called in it
        self._provider = provider
        self._hears_system = traits.hears_system
        self._signs = traits.signs
        self._notes = notes
        self._waiting: list[Block] = []  # of system messages, for the user's turn to end

    def add(self, messages: Iterable[Message]) -> None:
        for message in messages:
            if message.role == "system":
                self._instruct(message)
            else:
                self._speak("assistant" if message.role == "assistant" else "user", message)
        self._settle()

    def wire(self) -> list[Block]:
        return [{"role": turn.role, "content": turn.content} for turn in self.turns]

    def lacks_thought(self) -> bool:
        """Whether the model is to go on with a turn of its own that does not begin with a thought.

        One turn is all that it said since the user spoke last: what tools returned does not end it.
        """
        first: Turn | None = None
        for turn in reversed(self.turns):
            if turn.role == "assistant":
                first = turn
            elif turn.role == "user" and (not turn.results or turn.blocks):
                break
        return first is not None and first.blocks[0]["type"] not in {"thinking", "redacted_thinking"}

    def _instruct(self, message: Message) -> None:
        blocks = [block for part in message.parts if (block := self._instruction(part)) is not None]
        if self.turns and self._hears_system:
            if self.turns[-1].role != "user":
                self._moved()
            self._waiting += blocks
            return
        if self.turns and blocks:
            self._moved()
        self.system += blocks

    def _instruction(self, part: object) -> Block | None:
        if not isinstance(part, Text):
            raise self._cannot("anything but text in a system message")
        return self._text(part)

    def _speak(self, role: str, message: Message) -> None:
        turn = Turn(role)
        for part in message.parts:
            block = self._block(part, role)
            if block is not None:
                (turn.results if block["type"] == "tool_result" else turn.blocks).append(block)
        if not turn.content:
            return
        if role == "assistant":
            self._settle()
        elif self._waiting:
            self._moved()  # past what the user goes on to say
        if self.turns and self.turns[-1].role == role:
            self.turns[-1].results += turn.results
            self.turns[-1].blocks += turn.blocks
        else:
            self.turns.append(turn)

    def _settle(self) -> None:
        """System messages that wait go behind the user's turn, or to the others where there is none."""
        if self._waiting and self.turns[-1].role == "user":
            self.turns.append(Turn("system", blocks=self._waiting))
        else:
            self.system += self._waiting
        self._waiting = []

    def _moved(self) -> None:
        self._notes.say("system_moved", "takes no system message in that place: it was moved")

    def _block(self, part: Text | Image | ToolCall | ToolResult | Reasoning, role: str) -> Block | None:
        match part:
            case Text():
                return self._text(part)
            case Image():
                if role == "assistant":
                    raise self._cannot("an image that an assistant said")
                return self._image(part)
            case ToolCall():
                if role != "assistant":
                    raise self._cannot("a tool call that no assistant made")
                self.called.append(part.name)
                return _marked(self._call(part), part.keep)
            case ToolResult():
                if role != "user":
                    raise self._cannot("the result of a tool in an assistant's message")
                return _marked(self._result(part), part.keep)
            case Reasoning():
                return self._thought(part)
            case _:
                assert_never(part)

    def _text(self, part: Text) -> Block | None:
        if part.text.strip():
            return _marked({"type": "text", "text": part.text}, part.keep)
        if part.keep:
            self._notes.ignored("cache_control", "takes no mark on a blank text")
        return None

    def _image(self, part: Image) -> Block:
        if part.detail in {"low", "high"}:
            self._notes.ignored("detail", "decides for itself how closely it looks at an image")
        if part.data is not None:
            data = base64.b64encode(part.data).decode()
            source = {"type": "base64", "media_type": part.media_type, "data": data}
        elif part.url is not None:
            source = {"type": "url", "url": part.url}
        else:
            raise self._cannot("an image that has neither data nor address")
        return _marked({"type": "image", "source": source}, part.keep)

    def _call(self, part: ToolCall) -> Block:
        text = part.arguments if part.arguments.strip() else "{}"
        try:
            sound = isinstance(orjson.loads(text), dict)
        except orjson.JSONDecodeError:
            sound = False
        if not sound:
            raise self._cannot("a tool call whose arguments are no JSON object")
        return {"type": "tool_use", "id": _id(part.id), "name": part.name, "input": orjson.Fragment(text)}

    def _result(self, part: ToolResult) -> Block:
        result: Block = {"type": "tool_result", "tool_use_id": _id(part.call_id)}
        blocks = [self._text(inner) if isinstance(inner, Text) else self._image(inner) for inner in part.parts]
        if content := [block for block in blocks if block is not None]:
            result["content"] = content
        if part.is_error:
            result["is_error"] = True
        return result

    def _thought(self, part: Reasoning) -> Block | None:
        unsigned = not (self._signs or part.opaque or part.redacted) and part.provider == self._provider
        if part.provider not in {"", self._provider} or not (part.opaque or unsigned):
            what = "is not sent the reasoning of another provider, or what lacks its signature"
            self._notes.say("reasoning_dropped", what)
            return None
        if part.redacted:
            return {"type": "redacted_thinking", "data": part.opaque}
        return {"type": "thinking", "thinking": part.text, "signature": part.opaque}

    def _cannot(self, what: str) -> Unsupported:
        return Unsupported(f"{self._notes.who} cannot be sent {what}")


def _id(given: str) -> str:
    """The id, or one that stands for it wherever it holds a character that the API refuses."""
    if _ID.fullmatch(given):
        return given
    return "call_" + hashlib.sha256(given.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _marked(block: Block, keep: Keep) -> Block:
    if keep:
        block["cache_control"] = mark(keep)
    return block


def mark(keep: Keep) -> Block:
    """Five minutes is what it keeps a prompt for where no time is said."""
    return {"type": "ephemeral", "ttl": "1h"} if keep == "1h" else {"type": "ephemeral"}
