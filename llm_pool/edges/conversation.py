"""Messages, parts and tools of a body as words of the core, with the checks that no single field can make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never

from llm_pool.core.errors import InvalidRequest
from llm_pool.core.types import (
    AS_IT_LIKES,
    Image,
    Message,
    Part,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from llm_pool.edges.bodies import ImageBody, ReasoningBody, ToolCallBody, ToolResultBody

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_pool.core.types import Role
    from llm_pool.edges.bodies import MessageBody, PartBody, ToolBody, ToolChoiceBody

# In whose messages a part may stand; text may in all.
_SAID_BY: Final[dict[str, tuple[Role, ...]]] = {
    "image": ("user",),
    "tool_call": ("assistant",),
    "tool_result": ("tool", "user"),
    "reasoning": ("assistant",),
}
_KINDS = ("text", *_SAID_BY)


def messages_of(bodies: Sequence[MessageBody]) -> tuple[Message, ...]:
    """Raises InvalidRequest."""
    called: set[str] = set()  # ids of the calls so far
    return tuple([_message(body, at, called) for at, body in enumerate(bodies)])


def _message(body: MessageBody, at: int, called: set[str]) -> Message:
    content, parts = body.content, body.parts
    if parts is None:
        if content is None:
            raise _wrong(f"messages.{at}.content", "give either content or parts")
        return Message.of(body.role, content)
    if content is not None:
        raise _wrong(f"messages.{at}.content", "give either content or parts")
    return Message(body.role, tuple([_part(part, body.role, (at, index), called) for index, part in enumerate(parts)]))


def _part(body: PartBody, role: Role, at: tuple[int, int], called: set[str]) -> Part:
    """`at`: which message, and which part of it."""
    said = [name for name in _KINDS if getattr(body, name) is not None]
    if len(said) != 1:
        raise _wrong(_place(at), f"must have exactly one of {', '.join(_KINDS)}")
    [kind] = said
    if role not in _SAID_BY.get(kind, (role,)):
        raise _wrong(_place(at, kind), f"stands in a message of the role {' or '.join(_SAID_BY[kind])} only")
    told: str | ImageBody | ToolCallBody | ToolResultBody | ReasoningBody = getattr(body, kind)
    match told:
        case str():
            return Text(told)
        case ImageBody():
            return _image(told, at)
        case ToolCallBody():
            called.add(told.id)
            return ToolCall(told.id, told.name, told.arguments)
        case ToolResultBody():
            if told.call_id not in called:
                raise _wrong(_place(at, "tool_result", "call_id"), "no tool_call before it has this id")
            return ToolResult(told.call_id, (Text(told.content),), told.is_error)
        case ReasoningBody():
            return Reasoning(told.text, told.opaque, told.redacted, told.provider)
        case _:
            assert_never(told)


def _image(body: ImageBody, at: tuple[int, int]) -> Image:
    if (body.data is None) == (body.url is None):
        raise _wrong(_place(at, "image"), "give either data or url")
    if body.data is not None and body.media_type is None:
        raise _wrong(_place(at, "image", "media_type"), "must be given with data")
    return Image(body.media_type or "", body.data, body.url, body.detail or "")


def tools_of(tools: Sequence[ToolBody] | None, choice: ToolChoiceBody | None) -> tuple[tuple[Tool, ...], ToolChoice]:
    """Raises InvalidRequest."""
    if not tools:
        if choice is not None:
            raise _wrong("tool_choice", "needs tools")
        return (), AS_IT_LIKES
    names: set[str] = set()
    for at, tool in enumerate(tools):
        if tool.name in names:
            raise _wrong(f"tools.{at}.name", "another tool has this name")
        names.add(tool.name)
    offered = tuple([Tool(tool.name, tool.description, tool.parameters, tool.strict) for tool in tools])
    return offered, AS_IT_LIKES if choice is None else _choice(choice, names)


def _choice(body: ToolChoiceBody, names: set[str]) -> ToolChoice:
    if (body.mode == "named") != (body.name is not None):
        raise _wrong("tool_choice.name", 'must be given with the mode "named", and only then')
    if body.name is not None and body.name not in names:
        raise _wrong("tool_choice.name", "no tool has this name")
    return ToolChoice(body.mode, body.name or "", body.parallel)


def _place(at: tuple[int, int], *steps: str) -> str:
    message, part = at
    return ".".join((f"messages.{message}.parts.{part}", *steps))


def _wrong(field: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"{field}: {what}", field=field)
