"""The bodies of our own API, checked: what a question may be, for both edges.

gRPC's messages are brought into these, too, so that equal questions meet equal checks. What no single field can say is
checked in `wire` and `conversation`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema

from llm_pool.core.errors import InvalidRequest, shown
from llm_pool.core.types import Role
from llm_pool.edges.schemas import Schema

MAX_META = 32
MAX_MESSAGES = 10_000
MAX_PARTS = 1_000
MAX_TOOLS = 512
MAX_INPUTS = 2_048
MAX_STOPS = 16
MAX_PROBLEMS = 5  # named in one message
MANY_PROBLEMS = 100

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", re.ASCII)

Body = TypeVar("Body", bound=BaseModel)


_Name = Annotated[str, Field(min_length=1, max_length=256)]
_Short = Annotated[str, Field(max_length=512)]
_ToolName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")]
_Base64 = Annotated[
    bytes, Field(min_length=1), WithJsonSchema({"type": "string", "contentEncoding": "base64", "minLength": 1})
]

# Fields of every question.
_DeadlineMs = Annotated[
    Annotated[int, Field(ge=1)] | None,
    Field(
        description="how long the whole answer may take, from the arrival of the question; at most "
        "`qos.max_deadline_ms`, and `qos.default_deadline_ms` where it is not given"
    ),
]
_RequestId = Annotated[
    str | None,
    Field(
        description="your name for this call, for correlation only; it wins over the header `x-request-id`",
        json_schema_extra={"pattern": "^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$"},
    ),
]
_TenantId = Annotated[str | None, Field(description="must be your own tenant: `default` where nobody is authenticated")]
_ProjectId = Annotated[_Short | None, Field(description="kept with the request, for the log")]
_Meta = Annotated[
    dict[_Short, _Short],
    Field(max_length=MAX_META, description="kept with the request; `user` is where an end user is named"),
]


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, val_json_bytes="base64")


def _one_of(**kinds: str) -> dict[str, Any]:
    """For the document of the API: exactly one of these fields, of this type, is given."""
    return {"oneOf": [{"required": [name], "properties": {name: {"type": kind}}} for name, kind in kinds.items()]}


# --- Conversations ----------------------------------------------------------------------------------------------


class ImageBody(_Body):
    """An image: either its `data`, with its `media_type`, or its `url`, which the pool passes on and never fetches."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {
                    "required": ["data", "media_type"],
                    "properties": {"data": {"type": "string"}, "media_type": {"type": "string"}},
                },
                {"required": ["url"], "properties": {"url": {"type": "string"}}},
            ]
        }
    )

    media_type: Annotated[str, Field(pattern=r"^image/[a-z0-9][a-z0-9.+-]{0,63}$")] | None = Field(
        None, description="what `data` is", examples=["image/png"]
    )
    data: _Base64 | None = Field(None, description="the bytes of it, in base64")
    url: Annotated[str, Field(pattern=r"^https?://\S+$", max_length=8192)] | None = Field(
        None, description="where it is"
    )
    detail: Literal["low", "high", "auto"] | None = Field(None, description="how closely to look at it")


class ToolCallBody(_Body):
    """A call that a model asked for, as its answer had it."""

    id: _Short = Field(min_length=1, description="what its result is told by")
    name: _Name
    arguments: str = Field(description="the JSON text, as the model wrote it")


class ToolResultBody(_Body):
    """What came of a call."""

    call_id: _Short = Field(min_length=1, description="the `id` of a call that stands before it")
    content: str = Field(description="what it gave, or what is wrong")
    is_error: bool = Field(False, description="whether it failed")


class ReasoningBody(_Body):
    """What a model thought, as one of the `reasoning_parts` of its answer. Goes to nobody but its own provider."""

    text: str = ""
    opaque: str = Field("", description="what its provider knows it by; must come back as it was")
    redacted: bool = Field(False, description="whether `opaque` is all there is of it")
    provider: Annotated[str, Field(max_length=256)] = Field("", description="whose thought it is")


class PartBody(_Body):
    """One part of a message: exactly one of these."""

    model_config = ConfigDict(
        json_schema_extra=_one_of(
            text="string", image="object", tool_call="object", tool_result="object", reasoning="object"
        )
    )

    text: str | None = None
    image: ImageBody | None = Field(None, description="in a message of the `user`")
    tool_call: ToolCallBody | None = Field(None, description="in a message of the `assistant`")
    tool_result: ToolResultBody | None = Field(None, description="in a message of a `tool`, or of the `user`")
    reasoning: ReasoningBody | None = Field(None, description="in a message of the `assistant`")


class MessageBody(_Body):
    """One message of a conversation: either `content` or `parts`."""

    model_config = ConfigDict(json_schema_extra=_one_of(content="string", parts="array"))

    role: Role = Field(description="who says it")
    content: str | None = Field(None, description="what is said, where it is text and nothing else")
    parts: Annotated[list[PartBody], Field(min_length=1, max_length=MAX_PARTS)] | None = Field(
        None, description="what is said, part by part"
    )


class ToolBody(_Body):
    """A function that the model may ask you to call."""

    name: _ToolName = Field(description="what it is called by; no other tool has it")
    description: str = Field("", description="what it does, for the model")
    parameters: Schema | None = Field(None, description="the JSON Schema of its arguments, at most 256 KB of it")
    strict: bool | None = Field(None, description="whether arguments must fit the schema exactly")


class ToolChoiceBody(_Body):
    """Whether tools are called."""

    mode: Literal["auto", "none", "required", "named"] = Field(
        "auto", description="as the model likes, not at all, at least one, or the one of this `name`"
    )
    name: _ToolName | None = Field(None, description="the tool to call, with `named`")
    parallel: bool | None = Field(None, description="whether several may be called at once")


# --- Questions --------------------------------------------------------------------------------------------------


class InferBody(_Body):
    """A question. Of `prompt` and `messages` exactly one is given; an unknown field is refused."""

    model_config = ConfigDict(json_schema_extra=_one_of(prompt="string", messages="array"))

    task: _Name = Field("chat", description="a configured task: it decides the prompt, the defaults and who may answer")
    prompt: str | None = Field(
        None,
        description="the question as one text, not empty, of at most `qos.max_prompt_bytes` bytes (16 KB)",
        json_schema_extra={"pattern": "\\S"},
    )
    messages: Annotated[list[MessageBody], Field(min_length=1, max_length=MAX_MESSAGES)] | None = Field(
        None, description="the question as a conversation"
    )
    model: _Name | None = Field(
        None,
        description="who answers: `provider/model`, `pool/<strategy>` or `task/<task>`; without it the pool decides",
        examples=["ollama/phi3:mini", "pool/fastest"],
    )
    strategy: _Name | None = Field(
        None, description="how the answer is found, in any case; without it the task decides", examples=["fastest"]
    )
    tools: Annotated[list[ToolBody], Field(min_length=1, max_length=MAX_TOOLS)] | None = Field(
        None, description="what the model may ask you to call; names are unique"
    )
    tool_choice: ToolChoiceBody | None = Field(None, description="whether tools are called; only with `tools`")
    response_schema: Schema | None = Field(
        None,
        description="the JSON Schema that the answer must fit, of at most 256 KB; it wins over that of the task, and "
        "the answer then comes in one piece",
    )
    max_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = Field(
        None, description="how long the answer may be; without it the task decides, then `qos.max_tokens_default`"
    )
    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(
        None, description="how freely the answer is drawn; 0: always the likeliest word"
    )
    top_p: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="draw only from the likeliest words that together have this probability"
    )
    top_k: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        None, description="draw only from so many of the likeliest words"
    )
    stop: Annotated[list[Annotated[str, Field(min_length=1, max_length=1024)]], Field(max_length=MAX_STOPS)] | None = (
        Field(None, description="texts before which the answer ends")
    )
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = Field(
        None, description="the same question with the same seed gets the same answer, as far as the provider can"
    )
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = Field(
        None, description="how much less likely a word becomes each time it was said"
    )
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = Field(
        None, description="how much less likely a word becomes once it was said"
    )
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = Field(
        None, description="tell how likely each token was, and so many others in its place"
    )
    effort: Annotated[str, Field(pattern="^[a-z]{1,32}$")] | None = Field(
        None,
        description="how much to think first: `none`, `minimal`, `low`, `medium`, `high`, or a provider's own word",
        examples=["low"],
    )
    thinking_tokens: Annotated[int, Field(ge=0, le=10_000_000)] | None = Field(
        None, description="how much to think first, in tokens"
    )
    deadline_ms: _DeadlineMs = None
    stream: bool = Field(False, description="answer as server-sent events, word by word")
    request_id: _RequestId = None
    tenant_id: _TenantId = None
    project_id: _ProjectId = None
    meta: _Meta = Field(default_factory=dict)


class EmbedBody(_Body):
    """Texts whose vectors are wanted. Asked over gRPC; over HTTP OpenAI's door has it."""

    model: _Name
    inputs: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=MAX_INPUTS)]
    dimensions: Annotated[int, Field(ge=1, le=65_536)] | None = None
    deadline_ms: _DeadlineMs = None
    request_id: _RequestId = None
    tenant_id: _TenantId = None
    project_id: _ProjectId = None
    meta: _Meta = Field(default_factory=dict)


def parsed(raw: bytes) -> InferBody:
    """Raises InvalidRequest naming the field, or the line and column where it is no JSON."""
    try:
        return InferBody.model_validate_json(raw)
    except ValidationError as error:
        raise invalid(error) from None


def checked(kind: type[Body], fields: dict[str, Any]) -> Body:
    """The same from fields that are already Python values. Raises InvalidRequest naming the field."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise invalid(error) from None


# --- What is wrong ----------------------------------------------------------------------------------------------


def invalid(error: ValidationError) -> InvalidRequest:
    """Say what is wrong, field by field, without repeating the caller's values."""
    if error.error_count() > MANY_PROBLEMS:  # to list them would take seconds, and hold up everybody else
        return InvalidRequest(f"the body has {error.error_count()} problems")
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    told = [_problem(problem["loc"], problem["type"], problem["msg"]) for problem in problems[:MAX_PROBLEMS]]
    more = f" (and {len(problems) - MAX_PROBLEMS} more)" if len(problems) > MAX_PROBLEMS else ""
    return InvalidRequest("; ".join(told) + more, field=_path(problems[0]["loc"]))


def word(text: object) -> str:
    """What a caller calls something, in quotes; "" where it is no identifier: then it may be anything, a question even,
    and is not to be repeated.
    """
    return f'"{text}"' if isinstance(text, str) and _WORD.fullmatch(text) else ""


def _path(location: tuple[int | str, ...]) -> str:
    return shown(".".join(str(step) for step in location))


def _problem(location: tuple[int | str, ...], kind: str, message: str) -> str:
    field = _path(location)
    match kind:
        case "extra_forbidden":
            return f"{field}: unknown field"
        case "json_invalid":
            return f"the body is not valid JSON: {message.removeprefix('Invalid JSON: ')}"
        case "model_type" if not field:
            return "the body must be a JSON object"
        case "bytes_invalid_encoding":
            return f"{field}: must be base64"
        case _:
            return f"{field}: {message[:1].lower()}{message[1:]}"
