"""What the Messages API takes: the body of a call, checked field by field before anything of it is believed."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError, from_json

from llm_pool.core.errors import InvalidRequest, shown
from llm_pool.edges.bodies import MANY_PROBLEMS, MAX_PROBLEMS, MAX_TOOLS, word
from llm_pool.edges.http.unknown import Open, warned
from llm_pool.edges.schemas import Schema  # noqa: TC001 - read at run time: `Open` is a pydantic model

if TYPE_CHECKING:
    from llm_pool.core.types import Warning

_MARK = "?"  # before the tag of a union, so that no path in a message has one

_Name = Annotated[str, Field(min_length=1, max_length=256)]
_Id = Annotated[str, Field(min_length=1, max_length=512)]  # other providers' calls have ids of every make
_Share = Annotated[float, Field(ge=0, le=1)]


def _by_type(value: object) -> str | None:
    """The tag of a block: its type."""
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return f"{_MARK}{kind}" if isinstance(kind, str) else None


def _by_form(value: object) -> str | None:
    """The tag of what may be one text or a list of blocks."""
    return f"{_MARK}text" if isinstance(value, str) else f"{_MARK}blocks" if isinstance(value, list) else None


def _bytes(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        raise PydanticCustomError("base64", "must be base64") from None


def _custom(value: object) -> object:
    kind = value.get("type") if isinstance(value, dict) else None
    if isinstance(kind, str) and kind != "custom":
        told = "{kind}: tools that the provider itself runs or defines are not supported here"
        raise PydanticCustomError("unsupported", told, {"kind": word(kind).strip('"') or "its type"})
    return value


_FORM = Discriminator(_by_form, custom_error_type="form", custom_error_message="must be a string or a list of blocks")


# --- Blocks -----------------------------------------------------------------------------------------------------


class CacheMark(Open):
    """Keep what precedes this in the provider's prompt cache."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] = "5m"
    scope: str | None = Field(None, description="ignored: whom a provider shares its cache with is its own affair")


class TextBlock(Open):
    type: Literal["text"]
    text: str
    cache_control: CacheMark | None = None
    citations: list[dict[str, Any]] | None = Field(None, description="ignored")


class Base64Source(Open):
    type: Literal["base64"]
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: Annotated[
        bytes, BeforeValidator(_bytes), WithJsonSchema({"type": "string", "contentEncoding": "base64", "minLength": 1})
    ] = Field(min_length=1)


class UrlSource(Open):
    type: Literal["url"]
    url: Annotated[str, Field(pattern="^https?://", max_length=8192)] = Field(
        description="passed on to the provider; the pool fetches nothing"
    )


_Source: TypeAlias = Annotated[
    Annotated[Base64Source, Tag(f"{_MARK}base64")] | Annotated[UrlSource, Tag(f"{_MARK}url")], Discriminator(_by_type)
]


class ImageBlock(Open):
    type: Literal["image"]
    source: _Source
    cache_control: CacheMark | None = None
    transformations: dict[str, Any] | None = Field(None, description="ignored")


class DirectCaller(Open):
    type: Literal["direct"]


class ToolUseBlock(Open):
    type: Literal["tool_use"]
    id: _Id
    name: _Name
    input: dict[str, Any]
    cache_control: CacheMark | None = None
    caller: DirectCaller | None = None
    toolset_name: None = None


_Shown: TypeAlias = Annotated[
    Annotated[TextBlock, Tag(f"{_MARK}text")] | Annotated[ImageBlock, Tag(f"{_MARK}image")], Discriminator(_by_type)
]


class ToolResultBlock(Open):
    type: Literal["tool_result"]
    tool_use_id: _Id
    content: Annotated[
        Annotated[str, Tag(f"{_MARK}text")] | Annotated[list[_Shown], Field(fail_fast=True), Tag(f"{_MARK}blocks")],
        _FORM,
    ] = ""
    is_error: bool = False
    cache_control: CacheMark | None = None
    toolset_name: None = None


class ThinkingBlock(Open):
    type: Literal["thinking"]
    thinking: str
    signature: str


class RedactedThinkingBlock(Open):
    type: Literal["redacted_thinking"]
    data: str


Block: TypeAlias = Annotated[
    Annotated[TextBlock, Tag(f"{_MARK}text")]
    | Annotated[ImageBlock, Tag(f"{_MARK}image")]
    | Annotated[ToolUseBlock, Tag(f"{_MARK}tool_use")]
    | Annotated[ToolResultBlock, Tag(f"{_MARK}tool_result")]
    | Annotated[ThinkingBlock, Tag(f"{_MARK}thinking")]
    | Annotated[RedactedThinkingBlock, Tag(f"{_MARK}redacted_thinking")],
    Discriminator(_by_type),
]


class Turn(Open):
    """One message of the conversation."""

    role: Literal["user", "assistant", "system"]
    # (Blocks are given up at their first mistake: there may be a hundred thousand of them.)
    content: Annotated[
        Annotated[str, Tag(f"{_MARK}text")] | Annotated[list[Block], Field(fail_fast=True), Tag(f"{_MARK}blocks")],
        _FORM,
    ]


# --- Around the conversation ------------------------------------------------------------------------------------


class OfferedTool(Open):
    """A tool that the caller runs."""

    type: Literal["custom"] | None = None
    name: Annotated[str, Field(pattern="^[a-zA-Z0-9_-]{1,128}$")]
    description: str = ""
    input_schema: Schema
    strict: bool | None = None
    cache_control: CacheMark | None = None
    # How the text of its input is cut into pieces: the pool passes each on as it comes, which is always allowed.
    eager_input_streaming: bool | None = None
    input_examples: list[dict[str, Any]] | None = Field(None, description="ignored")
    defer_loading: bool | None = Field(None, description="ignored: every tool is offered from the start")
    allowed_callers: list[Literal["direct"]] | None = None


class ChosenTool(Open):
    """How the tools are used."""

    type: Literal["auto", "any", "tool", "none"]
    name: _Name | None = None
    disable_parallel_tool_use: bool | None = None


class ThinkingWish(Open):
    type: Literal["enabled", "disabled", "adaptive", "between_tools"]
    budget_tokens: Annotated[int, Field(ge=1024, le=10_000_000)] | None = None
    display: Literal["summarized", "omitted"] | None = Field(None, description="ignored")


class OutputFormat(Open):
    type: Literal["json_schema"]
    schema_: Schema = Field(alias="schema")


class OutputConfig(Open):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: OutputFormat | None = None


class Thread(Open):
    """A conversation that Anthropic's server may keep between two calls. The pool keeps none."""

    type: Literal["create", "continue"]
    previous_message_id: str | None = None


class Metadata(Open):
    user_id: Annotated[str, Field(max_length=512)] | None = None


# Taken for the sake of clients that send them, and told of in a warning: without them the answer is the same.
IGNORED = ("speed", "context_management", "service_tier", "diagnostics", "fallbacks", "fallback_credit_token")

_MUST_NOT_BE = {"container", "mcp_servers", "toolset_name"}  # they are there for the sake of a better message


class CountBody(Open):
    """A conversation whose tokens are to be counted."""

    model: _Name = Field(description="`provider/model`, or an alias of one")
    messages: Annotated[list[Turn], Field(min_length=1, max_length=100_000)]
    system: (
        Annotated[
            Annotated[str, Tag(f"{_MARK}text")]
            | Annotated[list[TextBlock], Field(fail_fast=True), Tag(f"{_MARK}blocks")],
            _FORM,
        ]
        | None
    ) = None
    tools: Annotated[list[Annotated[OfferedTool, BeforeValidator(_custom)]], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: ChosenTool | None = None
    thinking: ThinkingWish | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = Field(None, description="the older name of `output_config.format`")
    cache_control: CacheMark | None = Field(None, description="as if it stood at the last block that can have one")
    mcp_servers: Annotated[list[Any], Field(max_length=0)] | None = None
    speed: str | None = Field(None, description="ignored")
    context_management: dict[str, Any] | None = Field(None, description="ignored: nothing is taken out")


class MessagesBody(CountBody):
    """A question. What is ignored, or unknown, is taken with a warning."""

    model: _Name = Field(description="who answers: `provider/model`, `pool/<strategy>`, `task/<task>`, or an alias")
    max_tokens: Annotated[int, Field(ge=1, le=10_000_000)] = Field(description="how long the answer may be")
    stream: bool = False
    stop_sequences: Annotated[list[Annotated[str, Field(min_length=1)]], Field(max_length=8192)] | None = None
    temperature: _Share | None = None
    top_p: _Share | None = None
    top_k: Annotated[int, Field(ge=0, le=10_000_000)] | None = None
    metadata: Metadata | None = None
    inference_geo: Literal["global"] | None = None
    container: None = None
    thread: Thread | None = Field(None, description="`create` is ignored, to `continue` one is refused: none is kept")
    service_tier: Literal["auto", "standard_only"] | None = Field(None, description="ignored")
    diagnostics: dict[str, Any] | None = Field(None, description="ignored")
    fallbacks: list[Any] | Literal["default"] | None = Field(None, description="ignored: the pool has its own")
    fallback_credit_token: Any = Field(None, description="ignored")


# --- Checking ---------------------------------------------------------------------------------------------------

Body = TypeVar("Body", bound=CountBody)


def checked(raw: bytes, kind: type[Body]) -> tuple[Body, tuple[Warning, ...]]:
    """A body of this kind, and what is to be warned of because nobody knows it.

    Raises InvalidRequest naming the field, or the line and column where it is no JSON.
    """
    unknown: dict[str, None] = {}
    try:
        # Python's values first: a union then looks at each of them without making it anew.
        values = from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidRequest(f"the body is not valid JSON: {error}") from None
    try:
        return kind.model_validate(values, extra="forbid"), ()  # as most are; that takes a tenth less time
    except ValidationError:
        try:
            body = kind.model_validate(values, context=unknown)
        except ValidationError as error:
            raise _invalid(error) from None
    return body, warned(unknown)


def _invalid(error: ValidationError) -> InvalidRequest:
    """Say what is wrong, field by field, without repeating the caller's values."""
    if error.error_count() > MANY_PROBLEMS:  # to list them would take seconds, and hold up everybody else
        return InvalidRequest(f"the body has {error.error_count()} problems")
    problems = error.errors(include_url=False, include_input=False)
    told = [_problem(dict(problem)) for problem in problems[:MAX_PROBLEMS]]
    more = f" (and {len(problems) - MAX_PROBLEMS} more)" if len(problems) > MAX_PROBLEMS else ""
    return InvalidRequest("; ".join(told) + more, field=_path(problems[0]["loc"]))


def _path(location: tuple[int | str, ...]) -> str:
    return shown(".".join(str(step) for step in location if not str(step).startswith(_MARK)))


def _problem(problem: dict[str, Any]) -> str:
    field, message = _path(problem["loc"]), problem["msg"]
    match problem["type"]:
        case "union_tag_invalid":
            kind = word(problem["ctx"]["tag"].removeprefix(_MARK))
            return f"{field}: the type {kind} is not supported here" if kind else f"{field}: has an unknown type"
        case "union_tag_not_found":
            return f'{field}: must be an object with a "type"'
        case "model_type" if not field:
            return "the body must be a JSON object"
        case "model_type":
            return f"{field}: must be an object"
        case "none_required" | "too_long" if problem["loc"][-1] in _MUST_NOT_BE:
            return f"{field}: is not supported here"
        case _:
            return f"{field}: {message[:1].lower()}{message[1:]}"
