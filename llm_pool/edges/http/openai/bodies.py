"""The body of `POST /v1/chat/completions`, as official clients send it and as compatible servers extend it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from llm_pool.edges.http.openai.parts import Breakpoint, CacheControl, Strict

MAX_CHOICES = 8
MAX_STOPS = 4
MAX_MESSAGES = 10_000
MAX_TOOLS = 1_000

_Name = Annotated[str, Field(min_length=1, max_length=256)]
_Stop = Annotated[str, Field(min_length=1, max_length=1024)]
_Unit = Annotated[float, Field(ge=0, le=1)]
_Penalty = Annotated[float, Field(ge=-2, le=2)]
_Tokens = Annotated[int, Field(ge=1, le=10_000_000)]
_Number = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]


# --- Content ----------------------------------------------------------------------------------------------------


class _Marked(Strict):
    cache_control: CacheControl | None = None
    prompt_cache_breakpoint: Breakpoint | None = None


class ChatText(_Marked):
    type: Literal["text"]
    text: str


class ChatRefusal(Strict):
    type: Literal["refusal"]
    refusal: str


class ChatImageUrl(Strict):
    url: str = Field(description="http(s), never fetched by the pool, or data:image/...;base64,...")
    detail: Literal["auto", "low", "high", "original"] | None = None


class ChatImage(_Marked):
    type: Literal["image_url"]
    image_url: ChatImageUrl


# Each list is given up at its first mistake: there may be a hundred thousand parts, and each would be one as a text.
_Texts = Annotated[list[ChatText], Field(fail_fast=True)]
_Shown = Annotated[list[Annotated[ChatText | ChatImage, Field(discriminator="type")]], Field(fail_fast=True)]
_Said = Annotated[list[Annotated[ChatText | ChatRefusal, Field(discriminator="type")]], Field(fail_fast=True)]


# --- Messages ---------------------------------------------------------------------------------------------------


class _Message(Strict):
    name: str | None = None
    cache_control: CacheControl | None = None


class ChatSystem(_Message):
    role: Literal["system", "developer"]
    content: str | _Texts


class ChatUser(_Message):
    role: Literal["user"]
    content: str | _Shown


class ChatCalled(Strict):
    name: _Name
    arguments: str
    parsed_arguments: Any = Field(None, description="ignored: what the official client adds")


class ChatToolCall(Strict):
    id: _Name
    type: Literal["function"] = "function"
    function: ChatCalled
    index: int | None = Field(None, description="ignored: what was streamed has it")


class ChatThought(Strict):
    """One block of what the model thought, to go back as it came."""

    type: Literal["reasoning.text", "reasoning.summary", "reasoning.encrypted"]
    text: str | None = None
    summary: str | None = None
    signature: str | None = None
    data: str | None = None
    format: str | None = None
    index: int | None = None


class ChatAssistant(_Message):
    role: Literal["assistant"]
    content: str | _Said | None = None
    refusal: str | None = None
    tool_calls: Annotated[list[ChatToolCall], Field(fail_fast=True)] | None = None
    reasoning_content: str | None = None
    reasoning_details: Annotated[list[ChatThought], Field(fail_fast=True)] | None = None
    annotations: list[Any] | None = Field(None, description="ignored: answers have it")
    parsed: Any = Field(None, description="ignored: what the official client adds")
    audio: None = None
    function_call: None = None


class ChatToolResult(_Message):
    role: Literal["tool"]
    tool_call_id: _Name
    content: str | _Shown


ChatMessage = Annotated[ChatSystem | ChatUser | ChatAssistant | ChatToolResult, Field(discriminator="role")]


# --- Tools ------------------------------------------------------------------------------------------------------


class ChatFunction(Strict):
    name: _Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ChatTool(Strict):
    type: Literal["function"]
    function: ChatFunction
    cache_control: CacheControl | None = None


class ChatNamed(Strict):
    name: _Name


class ChatNamedTool(Strict):
    type: Literal["function"]
    function: ChatNamed


class ChatAllowed(Strict):
    mode: Literal["auto", "required"]
    tools: Annotated[list[ChatNamedTool], Field(max_length=MAX_TOOLS)]


class ChatAllowedTools(Strict):
    type: Literal["allowed_tools"]
    allowed_tools: ChatAllowed


# --- The rest ---------------------------------------------------------------------------------------------------


class ChatFormatText(Strict):
    type: Literal["text"]


class ChatFormatObject(Strict):
    type: Literal["json_object"]


class ChatSchema(Strict):
    name: _Name
    description: str | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None


class ChatFormatSchema(Strict):
    type: Literal["json_schema"]
    json_schema: ChatSchema


class ChatStreamOptions(Strict):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ChatBody(Strict):
    """A question in OpenAI's words. What is ignored, or unknown, is taken with a warning."""

    model: _Name = Field(description="`provider/model`, an alias, `pool/<strategy>` or `task/<task>`")
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)]
    tools: Annotated[list[ChatTool], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: (
        Literal["auto", "none", "required"]
        | Annotated[ChatNamedTool | ChatAllowedTools, Field(discriminator="type")]
        | None
    ) = None
    parallel_tool_calls: bool | None = None
    response_format: (
        Annotated[ChatFormatText | ChatFormatObject | ChatFormatSchema, Field(discriminator="type")] | None
    ) = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    stream: bool | None = None
    stream_options: ChatStreamOptions | None = None
    max_tokens: _Tokens | None = Field(None, description="the older name of `max_completion_tokens`")
    max_completion_tokens: _Tokens | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: _Unit | None = None
    top_k: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(None, description="an extension")
    stop: _Stop | Annotated[list[_Stop], Field(max_length=MAX_STOPS)] | None = None
    seed: _Number | None = None
    frequency_penalty: _Penalty | None = None
    presence_penalty: _Penalty | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    reasoning_effort: Annotated[str, Field(min_length=1, max_length=32)] | None = None
    user: Annotated[str, Field(max_length=512)] | None = Field(None, description="an end user below you")
    safety_identifier: Annotated[str, Field(max_length=512)] | None = Field(None, description="`user`, by another name")

    metadata: Any = Field(None, description="ignored")
    prompt_cache_key: Any = Field(None, description="ignored")
    prompt_cache_options: Any = Field(None, description="ignored")
    prompt_cache_retention: Any = Field(None, description="ignored")
    service_tier: Any = Field(None, description="ignored")
    store: Any = Field(None, description="ignored")
    verbosity: Any = Field(None, description="ignored")

    audio: Any = Field(None, description="refused")
    function_call: Any = Field(None, description="refused: use tool_choice")
    functions: Any = Field(None, description="refused: use tools")
    logit_bias: Any = Field(None, description="refused")
    modalities: Any = Field(None, description='refused but for ["text"]')
    moderation: Any = Field(None, description="refused")
    prediction: Any = Field(None, description="refused")
    web_search_options: Any = Field(None, description="refused")
