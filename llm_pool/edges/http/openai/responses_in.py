"""From the body of `POST /v1/responses` to our words, pure: items to messages, tools, manner, and what to warn of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from llm_pool.core.errors import InvalidRequest
from llm_pool.core.types import (
    AS_IT_LIKES,
    Message,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Warning,
)
from llm_pool.edges.http.openai import parts
from llm_pool.edges.http.openai.responses_bodies import (
    ResponsesAllowedTools,
    ResponsesCall,
    ResponsesFunctionChoice,
    ResponsesInputImage,
    ResponsesInputText,
    ResponsesJsonObject,
    ResponsesJsonSchema,
    ResponsesMessage,
    ResponsesOutputText,
    ResponsesPlainText,
    ResponsesRefusal,
    ResponsesResult,
    ResponsesThought,
)
from llm_pool.edges.http.openai.responses_thoughts import opened
from llm_pool.edges.schemas import spec_said

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_pool.core.types import Image, Part, Role, Spec
    from llm_pool.edges.http.openai.responses_bodies import Item as ItemBody
    from llm_pool.edges.http.openai.responses_bodies import Part as PartBody
    from llm_pool.edges.http.openai.responses_bodies import ResponsesBody, ResponsesFunctionTool, ResponsesReasoning

LOGPROBS = "message.output_text.logprobs"
_CARRIED = {LOGPROBS, "reasoning.encrypted_content"}  # of what may be included; all else is of tools that are not here

_STORED = "this pool stores nothing: send the whole conversation as input"
_REFUSED = {
    "background": "this pool runs nothing in the background: leave it out, or stream",
    "previous_response_id": _STORED,
    "conversation": _STORED,
    "prompt": "this pool stores no prompts: send instructions and input",
    "moderation": "this pool moderates nothing",
}
# By name: the values that ask for no more than is done anyway.
_IGNORED: dict[str, tuple[object, ...]] = {
    "truncation": ("disabled",),
    "service_tier": ("auto", "default"),
    "prompt_cache_key": (),
    "prompt_cache_options": (),
    "prompt_cache_retention": (),
    "context_management": (),
    "access_programs": (),
    "image": (),
}
_ANY_OBJECT = {"type": "object"}


def messages(body: ResponsesBody) -> tuple[Message, ...]:
    """Raises InvalidRequest."""
    system = [Message.of("system", body.instructions)] if body.instructions else []
    if isinstance(body.input, str):
        return (*system, Message.of("user", body.input))
    return (*system, *_turns(body.input))


def _turns(items: list[ItemBody]) -> Iterator[Message]:
    """What a model says in one go - thoughts, text, calls - are items of their own here, and one message with us: some
    providers know a thought again only in the message that it came with.
    """
    said: list[Part] = []
    for index, item in enumerate(items):
        if isinstance(item, ResponsesResult) or (isinstance(item, ResponsesMessage) and item.role != "assistant"):
            if said:
                yield Message("assistant", tuple(said))
                said = []
            yield _heard(item, f"input.{index}")
        else:
            said += _said(item, f"input.{index}")
    if said:
        yield Message("assistant", tuple(said))


def _heard(item: ResponsesMessage | ResponsesResult, at: str) -> Message:
    if isinstance(item, ResponsesResult):
        result = tuple(_texts_and_images(item.output, f"{at}.output"))
        return Message("tool", (ToolResult(item.call_id, result),))
    role: Role = "user" if item.role == "user" else "system"
    return Message(role, tuple(_texts_and_images(item.content, f"{at}.content")))


def _said(item: ItemBody, at: str) -> list[Part]:
    match item:
        case ResponsesMessage():
            return [*_texts_and_images(item.content, f"{at}.content")]
        case ResponsesCall():
            return [ToolCall(item.call_id, item.name, item.arguments)]
        case ResponsesThought():
            return [opened(item)]
        case ResponsesResult():
            raise AssertionError("results are not the model's")
        case _:
            assert_never(item)


def _texts_and_images(content: str | list[PartBody], at: str) -> Iterator[Text | Image]:
    if isinstance(content, str):
        yield Text(content)
        return
    for index, part in enumerate(content):
        match part:
            case ResponsesInputText():
                yield Text(part.text, parts.keep(None, part.prompt_cache_breakpoint))
            case ResponsesOutputText():
                yield Text(part.text)
            case ResponsesRefusal():
                yield Text(part.refusal)
            case ResponsesInputImage():
                yield _image(part, f"{at}.{index}")
            case _:
                assert_never(part)


def _image(part: ResponsesInputImage, at: str) -> Image:
    if part.file_id:
        raise InvalidRequest(f"{at}.file_id: this pool keeps no files: send an image_url", field=f"{at}.file_id")
    if not part.image_url:
        raise InvalidRequest(f"{at}.image_url: field required", field=f"{at}.image_url")
    keep = parts.keep(None, part.prompt_cache_breakpoint)
    return parts.image(part.image_url, detail=part.detail, field=f"{at}.image_url", keep=keep)


# --- Tools and manner -------------------------------------------------------------------------------------------


def tools(body: ResponsesBody) -> tuple[tuple[Tool, ...], ToolChoice]:
    """What may be called, and whether. Raises InvalidRequest."""
    offered: list[ResponsesFunctionTool] = body.tools or []
    choice = body.tool_choice
    if isinstance(choice, ResponsesAllowedTools):
        offered = [_named(each.name, offered) for each in choice.tools]
        choice = choice.mode
    if isinstance(choice, ResponsesFunctionChoice):
        _named(choice.name, offered)
        choose = ToolChoice("named", choice.name, parallel=body.parallel_tool_calls)
    elif choice == "required" and not offered:
        raise InvalidRequest("tool_choice: there are no tools to choose from", field="tool_choice")
    elif offered:
        choose = ToolChoice(choice, parallel=body.parallel_tool_calls)
    else:
        choose = AS_IT_LIKES
    return tuple([_tool(each) for each in offered]), choose


def _named(name: str, offered: list[ResponsesFunctionTool]) -> ResponsesFunctionTool:
    for each in offered:
        if each.name == name:
            return each
    raise InvalidRequest("tool_choice: names a tool that is not among the tools", field="tool_choice")


def _tool(tool: ResponsesFunctionTool) -> Tool:
    return Tool(tool.name, tool.description or "", tool.parameters, tool.strict)


def sampling(body: ResponsesBody) -> Sampling:
    logprobs = body.top_logprobs
    if logprobs is None and LOGPROBS in (body.include or ()):
        logprobs = 0
    return Sampling(
        max_tokens=body.max_output_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        logprobs=logprobs,
        effort=body.reasoning.effort if body.reasoning else None,
    )


def spec(body: ResponsesBody) -> Spec | None:
    """Raises InvalidRequest where the schema is none."""
    wanted: Any = body.text.format if body.text else None
    match wanted:
        case ResponsesJsonSchema():
            return spec_said(wanted.schema_, at="text.format.schema", field="text.format.schema")
        case ResponsesJsonObject():
            return spec_said(_ANY_OBJECT, at="text.format", field="text.format")
        case ResponsesPlainText() | None:
            return None
        case _:
            raise AssertionError("no such format")


def warnings(body: ResponsesBody) -> list[Warning]:
    """What is taken, and changes nothing. Raises InvalidRequest for what would change the answer."""
    parts.refuse(body, _REFUSED)
    return [*parts.ignored(body, _IGNORED), *(parts.not_done(name) for name in _inner(body))]


def _inner(body: ResponsesBody) -> Iterator[str]:
    """The same for what depends on more than a field by itself."""
    if body.store:
        yield "store (nothing is stored)"
    yield from (f"include {each}" for each in body.include or () if each not in _CARRIED)
    if body.text and body.text.verbosity not in {None, "medium"}:
        yield "text.verbosity"
    if body.stream_options and body.stream_options.include_obfuscation:
        yield "stream_options.include_obfuscation"
    if body.reasoning:
        yield from _of_thinking(body.reasoning)
    offered: list[ResponsesFunctionTool] = body.tools or []
    if any(each.defer_loading for each in offered):
        yield "tools.defer_loading"
    if any(each.output_schema for each in offered):
        yield "tools.output_schema"


def _of_thinking(said: ResponsesReasoning) -> Iterator[str]:
    """What is told of a thought is the thought itself, as long as it is."""
    if {said.summary, said.generate_summary} & {"concise", "detailed"}:
        yield "reasoning.summary"
    if said.context not in {None, "auto"}:
        yield "reasoning.context"
    if said.mode not in {None, "standard"}:
        yield "reasoning.mode"
