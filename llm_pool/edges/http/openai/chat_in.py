"""From the body of a chat completion to the words of the core. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, assert_never

from llm_pool.core.errors import InvalidRequest
from llm_pool.core.types import (
    AS_IT_LIKES,
    NOTHING_SAID,
    Image,
    Message,
    Reasoning,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from llm_pool.edges.http.openai.bodies import (
    ChatAllowedTools,
    ChatAssistant,
    ChatBody,
    ChatFormatObject,
    ChatFormatSchema,
    ChatFormatText,
    ChatImage,
    ChatNamedTool,
    ChatRefusal,
    ChatSystem,
    ChatText,
    ChatToolResult,
    ChatUser,
)
from llm_pool.edges.http.openai.parts import checked, ignored, image, keep, not_done, refuse
from llm_pool.edges.schemas import expressible, spec_said

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llm_pool.core.types import Keep, Part, Spec, Warning
    from llm_pool.edges.http.openai.bodies import ChatFunction, ChatMessage, ChatThought
    from llm_pool.edges.http.openai.parts import CacheControl

_NO = "is not supported"

# What changes nothing here, and the values by which nothing is asked.
IGNORED: dict[str, tuple[object, ...]] = {
    "metadata": (),
    "prompt_cache_key": (),
    "prompt_cache_options": ({"mode": "implicit"},),
    "prompt_cache_retention": ("in_memory",),
    "service_tier": ("auto", "default"),
    "store": (),
    "verbosity": ("medium",),
}
REFUSED = {
    "audio": _NO,
    "function_call": f"{_NO}; use tool_choice",
    "functions": f"{_NO}; use tools",
    "logit_bias": _NO,
    "moderation": _NO,
    "prediction": _NO,
}
UNUSUAL = {"modalities", "web_search_options", *IGNORED, *REFUSED}
SAMPLED = {
    "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "stop", "seed", "frequency_penalty",
    "presence_penalty", "logprobs", "top_logprobs", "reasoning_effort",
}  # fmt: skip
ANY_OBJECT = {"type": "object"}


@dataclass(frozen=True, slots=True)
class Chat:
    """One question as the core words it. `words` are the fields of its `Request` that any question may leave out."""

    model: str
    messages: tuple[Message, ...]
    words: dict[str, Any] = field(default_factory=dict)
    user: str | None = None
    stream: bool = False
    usage: bool = False  # whether a stream tells it
    choices: int = 1
    warnings: tuple[Warning, ...] = ()


def read(raw: bytes) -> Chat:
    """Raises InvalidRequest naming the field."""
    body, warnings = checked(ChatBody, raw)
    if not UNUSUAL.isdisjoint(body.model_fields_set):
        warnings += _unusual(body)
    for message in body.messages:
        if message.name is not None and not isinstance(message, ChatToolResult):
            warnings.append(not_done("messages.name"))
            break
    if body.stream_options is not None and not body.stream:
        raise InvalidRequest("stream_options: is only for a stream", field="stream_options")
    choices = body.n or 1
    wanted = _spec(body)
    return Chat(
        model=body.model,
        messages=tuple([_message(message, index) for index, message in enumerate(body.messages)]),
        words={
            "sampling": _sampling(body),
            **_tools(body),
            "spec": wanted,
            "whole": not body.stream or wanted is not None or choices > 1,
        },
        user=body.user or body.safety_identifier,
        stream=bool(body.stream),
        usage=body.stream_options is not None and bool(body.stream_options.include_usage),
        choices=choices,
        warnings=tuple(warnings),
    )


def _unusual(body: ChatBody) -> list[Warning]:
    """Raises InvalidRequest."""
    refuse(body, REFUSED)
    if body.modalities and body.modalities != ["text"]:
        raise InvalidRequest("modalities: only text is supported", field="modalities")
    if body.web_search_options is not None:  # an empty one asks for it, too
        raise InvalidRequest(f"web_search_options: {_NO}", field="web_search_options")
    return ignored(body, IGNORED)


# --- Messages ---------------------------------------------------------------------------------------------------


def _message(message: ChatMessage, index: int) -> Message:
    match message:
        case ChatUser():
            return Message("user", _content(message.content, message.cache_control, index))
        case ChatAssistant():
            parts = tuple(_assistant(message)) or (Text(""),)
            return Message("assistant", _marked(parts, message.cache_control))
        case ChatToolResult():
            told, mark = _content(message.content, None, index), message.cache_control
            return Message("tool", (ToolResult(message.tool_call_id, told, keep="" if mark is None else keep(mark)),))
        case ChatSystem():
            return Message("system", _content(message.content, message.cache_control, index))
        case _:
            assert_never(message)


def _content(
    said: str | Sequence[ChatText | ChatImage], marked: CacheControl | None, index: int
) -> tuple[Text | Image, ...]:
    """Raises InvalidRequest."""
    if isinstance(said, str):
        return (Text(said),) if marked is None else (Text(said, keep(marked)),)
    at = f"messages.{index}.content"
    if not said:
        raise InvalidRequest(f"{at}: must not be empty", field=at)
    parts: list[Text | Image] = []
    for place, part in enumerate(said):
        mark = marked if part.cache_control is None and place == len(said) - 1 else part.cache_control
        kept = keep(mark, part.prompt_cache_breakpoint)
        if isinstance(part, ChatImage):
            where = f"{at}.{place}.image_url.url"
            parts.append(image(part.image_url.url, detail=part.image_url.detail, field=where, keep=kept))
        else:
            parts.append(Text(part.text, kept))
    return tuple(parts)


def _assistant(message: ChatAssistant) -> Iterator[Part]:
    """What it thought, said and called, in the order in which models do."""
    yield from _thoughts(message)
    said = message.content or message.refusal
    if isinstance(said, list):
        for part in said:
            yield Text(part.refusal) if isinstance(part, ChatRefusal) else _text(part)
    elif said:
        yield Text(said)
    for call in message.tool_calls or ():
        yield ToolCall(call.id, call.function.name, call.function.arguments)


def _text(part: ChatText) -> Text:
    return Text(part.text, keep(part.cache_control, part.prompt_cache_breakpoint))


def _thoughts(message: ChatAssistant) -> Iterator[Reasoning]:
    """The blocks as they were told; their text alone is for clients that keep nothing else."""
    if message.reasoning_details:
        for each in message.reasoning_details:
            yield _thought(each)
    elif message.reasoning_content:
        yield Reasoning(message.reasoning_content)


def _thought(each: ChatThought) -> Reasoning:
    redacted = each.type == "reasoning.encrypted"
    opaque = each.data if redacted else each.signature
    return Reasoning(
        each.text or each.summary or "", opaque=opaque or "", redacted=redacted, provider=each.format or ""
    )


def _marked(parts: tuple[Part, ...], mark: CacheControl | None) -> tuple[Part, ...]:
    """A mark on a message is one on its last part."""
    *before, last = parts
    if mark is None or not isinstance(last, Text | ToolCall):
        return parts
    return (*before, replace(last, keep=keep(mark)))


# --- Everything else --------------------------------------------------------------------------------------------


def _sampling(body: ChatBody) -> Sampling:
    if SAMPLED.isdisjoint(body.model_fields_set):
        return NOTHING_SAID
    most = body.max_completion_tokens
    if body.max_tokens is not None:
        if most is not None and most != body.max_tokens:
            raise InvalidRequest("max_tokens: is another one than max_completion_tokens", field="max_tokens")
        most = body.max_tokens
    if body.top_logprobs and not body.logprobs:
        raise InvalidRequest("top_logprobs: needs logprobs to be true", field="top_logprobs")
    return Sampling(
        max_tokens=most,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        stop=(body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ()),
        seed=body.seed,
        frequency_penalty=body.frequency_penalty,
        presence_penalty=body.presence_penalty,
        logprobs=(body.top_logprobs or 0) if body.logprobs else None,
        effort=body.reasoning_effort,
    )


def _tools(body: ChatBody) -> dict[str, Any]:
    """Raises InvalidRequest."""
    tools = tuple([
        _tool(tool.function, keep(tool.cache_control), index) for index, tool in enumerate(body.tools or ())
    ])
    choice, parallel = body.tool_choice, body.parallel_tool_calls
    names = {tool.name for tool in tools}
    match choice:
        case None | "auto":
            chosen = AS_IT_LIKES if parallel is None else ToolChoice(parallel=parallel)
        case "none" | "required":
            chosen = ToolChoice(choice, parallel=parallel)
        case ChatNamedTool():
            chosen = ToolChoice("named", _known(choice.function.name, names), parallel=parallel)
        case ChatAllowedTools():
            allowed = {_known(tool.function.name, names) for tool in choice.allowed_tools.tools}
            tools = tuple([tool for tool in tools if tool.name in allowed])
            chosen = ToolChoice(choice.allowed_tools.mode, parallel=parallel)
        case _:
            assert_never(choice)
    if not tools and chosen.mode in {"required", "named"}:
        raise InvalidRequest("tool_choice: there are no tools to call", field="tool_choice")
    return {"tools": tools, "tool_choice": chosen} if tools else {}


def _tool(function: ChatFunction, kept: Keep, index: int) -> Tool:
    if function.parameters is not None:
        expressible(function.parameters, at=f"tools.{index}.function.parameters")
    return Tool(function.name, function.description or "", function.parameters, function.strict, kept)


def _known(name: str, names: set[str]) -> str:
    if name not in names:
        raise InvalidRequest("tool_choice: names none of the tools", field="tool_choice")
    return name


def _spec(body: ChatBody) -> Spec | None:
    """Raises InvalidRequest."""
    wanted = body.response_format
    match wanted:
        case None | ChatFormatText():
            return None
        case ChatFormatObject():
            return spec_said(ANY_OBJECT, at="response_format", field="response_format")
        case ChatFormatSchema():
            asked = wanted.json_schema.schema_
            at = "response_format.json_schema.schema"
            return spec_said(ANY_OBJECT if asked is None else asked, at=at, field="response_format")
        case _:
            assert_never(wanted)
