"""From the words of the Messages API to those of the core. Pure.

What comes out of it may be less than was said only where the answer stays the same, and then `Asked.warnings` says so.
Whatever else the core has no word for is refused here, by its path in the body.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, assert_never

import orjson

from llm_pool.core.errors import InvalidRequest, NotFound
from llm_pool.core.types import (
    AS_IT_LIKES,
    Image,
    Message,
    Reasoning,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Warning,
)
from llm_pool.edges.http.anthropic import thoughts
from llm_pool.edges.http.anthropic.bodies import (
    IGNORED,
    ImageBlock,
    MessagesBody,
    RedactedThinkingBlock,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
    UrlSource,
)
from llm_pool.edges.schemas import spec_said

if TYPE_CHECKING:
    from llm_pool.core.types import Keep, Part, Role, Spec
    from llm_pool.edges.http.anthropic.bodies import CacheMark, ChosenTool, CountBody, OfferedTool, ThinkingWish, Turn

    Block: TypeAlias = TextBlock | ImageBlock | ToolUseBlock | ToolResultBlock | ThinkingBlock | RedactedThinkingBlock

_SAID_BY: dict[str, tuple[type[object], ...]] = {
    "user": (TextBlock, ImageBlock, ToolResultBlock),
    "assistant": (TextBlock, ToolUseBlock, ThinkingBlock, RedactedThinkingBlock),
    "system": (TextBlock,),
}
_MODES: dict[str, Literal["auto", "none", "required", "named"]] = {
    "auto": "auto",
    "any": "required",
    "none": "none",
    "tool": "named",
}
_USUAL_EFFORT = "high"  # what Anthropic takes where thinking is adaptive and no effort is said


@dataclass(slots=True)
class Asked:
    """A body in the words of the core."""

    messages: tuple[Message, ...]
    sampling: Sampling
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = AS_IT_LIKES
    spec: Spec | None = None
    warnings: tuple[Warning, ...] = ()


def asked(body: CountBody, unknown: tuple[Warning, ...] = ()) -> Asked:
    """`unknown` is what there is to warn of already.

    Raises InvalidRequest naming the field, and NotFound where a conversation is to go on that nobody keeps.
    """
    ignored = _Ignored()
    if isinstance(body, MessagesBody) and body.thread is not None:
        if body.thread.type == "continue":
            # What Anthropic says of one that is gone: its clients then send the whole conversation.
            gone = {"field": "thread", "error_code": "thread_not_found"}
            raise NotFound("thread: the pool keeps no conversations: send the whole of it", details=gone)
        ignored.note("thread")
    messages = _messages(body, ignored)
    tools = tuple([_tool(tool, ignored) for tool in body.tools or ()])
    if body.cache_control is not None:
        messages, tools = _marked(messages, tools, _keep(body.cache_control, ignored))
    for name in IGNORED:
        if getattr(body, name, None) is not None:
            ignored.note(name)
    return Asked(
        messages,
        _sampling(body, ignored),
        tools=tools,
        tool_choice=_choice(body.tool_choice, tools),
        spec=_spec(body),
        warnings=unknown + ignored.warnings(),
    )


@dataclass(slots=True)
class _Ignored:
    """What was said and is not heeded, each once however often it was said."""

    names: dict[str, None] = field(default_factory=dict)

    def note(self, name: str) -> None:
        self.names[name] = None

    def warnings(self) -> tuple[Warning, ...]:
        return tuple([Warning("parameter_ignored", f"{name}: is ignored by the pool") for name in self.names])


# --- Messages ---------------------------------------------------------------------------------------------------


def _messages(body: CountBody, ignored: _Ignored) -> tuple[Message, ...]:
    messages = _system(body, ignored)
    last = len(body.messages) - 1
    for number, turn in enumerate(body.messages):
        if turn.content:
            messages += _turn(turn, f"messages.{number}", ignored)
        elif turn.role != "assistant" or number != last:  # an answer that begins with nothing is just an answer
            raise _wrong(f"messages.{number}.content", "must not be empty")
    return tuple(messages)


def _system(body: CountBody, ignored: _Ignored) -> list[Message]:
    if not body.system:
        return []
    if isinstance(body.system, str):
        return [Message.of("system", body.system)]
    return [Message("system", tuple([_text(block, ignored) for block in body.system]))]


def _turn(turn: Turn, at: str, ignored: _Ignored) -> list[Message]:
    """One message, or several where results of tools stand beside other things."""
    if isinstance(turn.content, str):
        return [Message.of(turn.role, turn.content)]
    messages: list[Message] = []
    parts: list[Part] = []
    role: Role = turn.role
    for number, block in enumerate(turn.content):
        if not isinstance(block, _SAID_BY[turn.role]):
            raise _wrong(f"{at}.content.{number}", f'"{block.type}" blocks cannot be in a message of role {turn.role}')
        by: Role = "tool" if isinstance(block, ToolResultBlock) else turn.role
        if by != role and parts:
            messages.append(Message(role, tuple(parts)))
            parts = []
        role = by
        parts.append(_part(block, f"{at}.content.{number}", ignored))
    messages.append(Message(role, tuple(parts)))
    return messages


def _part(block: Block, at: str, ignored: _Ignored) -> Part:
    match block:
        case TextBlock():
            if not block.text:
                raise _wrong(f"{at}.text", "must not be empty")
            return _text(block, ignored)
        case ImageBlock():
            return _image(block, ignored)
        case ToolResultBlock():
            return _result(block, ignored)
        case ToolUseBlock():
            return ToolCall(
                block.id, block.name, _json(block.input, f"{at}.input"), _keep(block.cache_control, ignored)
            )
        case ThinkingBlock():
            return _thought(block.signature, block.thinking, f"{at}.signature")
        case RedactedThinkingBlock():
            return _thought(block.data, "", f"{at}.data", redacted=True)
        case _:
            assert_never(block)


def _text(block: TextBlock, ignored: _Ignored) -> Text:
    if block.citations:
        ignored.note("citations")
    return Text(block.text, _keep(block.cache_control, ignored))


def _image(block: ImageBlock, ignored: _Ignored) -> Image:
    if block.transformations:
        ignored.note("transformations")
    source, keep = block.source, _keep(block.cache_control, ignored)
    if isinstance(source, UrlSource):
        return Image("", url=source.url, keep=keep)
    return Image(source.media_type, source.data, keep=keep)


def _result(block: ToolResultBlock, ignored: _Ignored) -> ToolResult:
    keep = _keep(block.cache_control, ignored)
    if isinstance(block.content, str):
        parts: tuple[Text | Image, ...] = (Text(block.content),) if block.content else ()
    else:
        parts = tuple([
            _text(part, ignored) if isinstance(part, TextBlock) else _image(part, ignored) for part in block.content
        ])
    return ToolResult(block.tool_use_id, parts, block.is_error, keep)


def _thought(seal: str, text: str, at: str, *, redacted: bool = False) -> Reasoning:
    try:
        return thoughts.opened(seal, text, redacted=redacted)
    except ValueError as error:
        raise _wrong(at, str(error)) from None


def _json(value: dict[str, object], at: str) -> str:
    try:
        text = orjson.dumps(value)
        if b"null" not in text or orjson.loads(text) == value:  # it writes a number that is too large so
            return text.decode()
    except TypeError:  # an integer of more than 64 bits, which a model may well have written
        pass
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (RecursionError, ValueError):
        raise _wrong(at, "holds what JSON cannot express") from None


def _keep(mark: CacheMark | None, ignored: _Ignored) -> Keep:
    if mark is None:
        return ""
    if mark.scope is not None:
        ignored.note("cache_control.scope")
    return mark.ttl


def _marked(
    messages: tuple[Message, ...], tools: tuple[Tool, ...], keep: Keep
) -> tuple[tuple[Message, ...], tuple[Tool, ...]]:
    """With the mark at the last thing that can have one; where that has its own, it keeps it."""
    for at in reversed(range(len(messages))):
        message = messages[at]
        for number in reversed(range(len(message.parts))):
            part = message.parts[number]
            if isinstance(part, Reasoning):
                continue
            if part.keep:
                return messages, tools
            kept = dataclasses.replace(part, keep=keep)
            parts = (*message.parts[:number], kept, *message.parts[number + 1 :])
            return (*messages[:at], Message(message.role, parts), *messages[at + 1 :]), tools
    return messages, tools


# --- Around them ------------------------------------------------------------------------------------------------


def _tool(tool: OfferedTool, ignored: _Ignored) -> Tool:
    for name in ("input_examples", "defer_loading"):
        if getattr(tool, name):
            ignored.note(name)
    return Tool(tool.name, tool.description, tool.input_schema, tool.strict, _keep(tool.cache_control, ignored))


def _choice(chosen: ChosenTool | None, tools: tuple[Tool, ...]) -> ToolChoice:
    names = {tool.name for tool in tools}
    if len(names) < len(tools):
        raise _wrong("tools", "no two may have one name")
    if chosen is None:
        return AS_IT_LIKES
    if (chosen.name is not None) != (chosen.type == "tool"):
        raise _wrong("tool_choice.name", 'belongs to the type "tool", and to no other')
    if chosen.name is not None and chosen.name not in names:
        raise _wrong("tool_choice.name", "is none of the tools")
    if not tools and chosen.type == "any":
        raise _wrong("tool_choice", "there are no tools")
    several = None if chosen.disable_parallel_tool_use is None else not chosen.disable_parallel_tool_use
    return ToolChoice(_MODES[chosen.type], chosen.name or "", several)


def _sampling(body: CountBody, ignored: _Ignored) -> Sampling:
    effort: str | None = body.output_config.effort if body.output_config else None
    tokens = None
    if body.thinking is not None:
        tokens = _thinking_tokens(body.thinking)
        if body.thinking.type == "adaptive":
            effort = effort or _USUAL_EFFORT
        if body.thinking.display is not None:
            ignored.note("thinking.display")
    if not isinstance(body, MessagesBody):
        return Sampling(effort=effort, thinking_tokens=tokens)
    return Sampling(
        max_tokens=body.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        stop=tuple(body.stop_sequences or ()),
        effort=effort,
        thinking_tokens=tokens,
    )


def _thinking_tokens(wish: ThinkingWish) -> int | None:
    """How many tokens before the answer. Thoughts between calls of tools alone are none before the answer."""
    if (wish.budget_tokens is not None) != (wish.type == "enabled"):
        raise _wrong("thinking.budget_tokens", 'belongs to the type "enabled", and to no other')
    return 0 if wish.type in {"disabled", "between_tools"} else wish.budget_tokens


def _spec(body: CountBody) -> Spec | None:
    at, wanted = "output_config.format", body.output_config.format if body.output_config else None
    if wanted is None:
        at, wanted = "output_format", body.output_format
    if wanted is None:
        return None
    return spec_said(wanted.schema_, at=f"{at}.schema")


def _wrong(at: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"{at}: {what}", field=at)
