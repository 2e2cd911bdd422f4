"""What `POST /v1/responses` takes, field by field. Whatever is not named here has no effect, and is warned of.

Items, parts and tools are told apart by hand instead of as unions: a mistake is then reported where it is
(`input.2.content.0.text`), once, and a kind that the pool does not serve is refused by its own name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, PlainValidator, TypeAdapter, ValidationInfo
from pydantic_core import PydanticCustomError

from llm_pool.edges.bodies import word
from llm_pool.edges.http.openai.parts import Breakpoint, Strict
from llm_pool.edges.schemas import Schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel

MAX_ITEMS = 10_000
MAX_TOOLS = 1_000
MAX_METADATA = 16

_Name = Annotated[str, Field(min_length=1, max_length=256)]
_CallId = Annotated[str, Field(min_length=1)]  # as long as its provider likes
_Short = Annotated[str, Field(max_length=512)]
_Status = Literal["in_progress", "completed", "incomplete"]
_Object = dict[str, Any]
_Schema = Schema  # what is echoed must be expressible, too


def _false(value: object) -> object:
    """`Literal[False]` by itself takes 0, which Python holds to be equal to it."""
    if value is not False:
        raise PydanticCustomError("false", "must be false")
    return value


_False = Annotated[Literal[False], BeforeValidator(_false)]


def _one_of(
    what: str, kinds: Mapping[str, type[BaseModel]], usual: Callable[[_Object], str] = lambda _: ""
) -> Callable[[Any, ValidationInfo], BaseModel]:
    """Checks an object as the model that its `type` names; `usual` says which where it names none."""

    def checked(value: Any, info: ValidationInfo) -> BaseModel:
        if not isinstance(value, dict):
            raise PydanticCustomError("object", "must be an object")
        kind = value.get("type") or usual(value)
        model = kinds.get(kind) if isinstance(kind, str) else None
        if model is None:
            raise PydanticCustomError("kind", "{told}", {"told": _not_served(what, kind, kinds)})
        return model.model_validate(value, context=info.context)

    return checked


def _not_served(what: str, kind: object, kinds: Mapping[str, object]) -> str:
    told = word(kind) or ("of an unknown type" if kind else "without a type")
    why = " (nothing is stored here to refer to)" if kind == "item_reference" else ""
    return f"this pool takes no {what} {told}{why}, only {', '.join(kinds)}"


def _text_or(many: TypeAdapter[list[Any]]) -> Callable[[Any, ValidationInfo], str | list[Any]]:
    def checked(value: Any, info: ValidationInfo) -> str | list[Any]:
        if isinstance(value, str):
            return value
        if not isinstance(value, list):
            raise PydanticCustomError("text_or_list", "must be a text or a list")
        return many.validate_python(value, context=info.context)

    return checked


# --- Parts of a message -----------------------------------------------------------------------------------------


class ResponsesInputText(Strict):
    type: Literal["input_text"]
    text: str
    prompt_cache_breakpoint: Breakpoint | None = None


class ResponsesInputImage(Strict):
    type: Literal["input_image"]
    image_url: str | None = Field(None, description="an address, or the image itself as a `data:` URL")
    detail: Literal["low", "high", "auto", "original"] | None = None
    file_id: str | None = Field(None, description="refused: no files are kept here")
    prompt_cache_breakpoint: Breakpoint | None = None


class ResponsesOutputText(Strict):
    """What a model has said, as it comes back."""

    type: Literal["output_text"]
    text: str
    annotations: list[_Object] | None = None
    logprobs: list[_Object] | None = None


class ResponsesRefusal(Strict):
    type: Literal["refusal"]
    refusal: str


_SEEN = {"input_text": ResponsesInputText, "input_image": ResponsesInputImage}
_PARTS = {**_SEEN, "output_text": ResponsesOutputText, "refusal": ResponsesRefusal}

Seen = ResponsesInputText | ResponsesInputImage
Part = Seen | ResponsesOutputText | ResponsesRefusal
_Seen = Annotated[Any, PlainValidator(_one_of("part of a result", _SEEN), json_schema_input_type=Seen)]
_Part = Annotated[Any, PlainValidator(_one_of("part", _PARTS), json_schema_input_type=Part)]
# (Lists of parts are given up at their first mistake: there may be a hundred thousand of them.)
_Result = Annotated[
    Any,
    PlainValidator(
        _text_or(TypeAdapter(Annotated[list[_Seen], Field(fail_fast=True)])), json_schema_input_type=str | list[Seen]
    ),
]
_Content = Annotated[
    Any,
    PlainValidator(
        _text_or(TypeAdapter(Annotated[list[_Part], Field(fail_fast=True)])), json_schema_input_type=str | list[Part]
    ),
]


# --- Items ------------------------------------------------------------------------------------------------------


class ResponsesMessage(Strict):
    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: _Content
    id: str | None = None
    status: _Status | None = None
    phase: Literal["commentary", "final_answer"] | None = None


class ResponsesCaller(Strict):
    type: Literal["direct"]


class ResponsesCall(Strict):
    """A call of one of the caller's tools, as the model asked for it."""

    model_config = ConfigDict(validate_by_name=True)  # a dumped answer names the field `async_`

    type: Literal["function_call"]
    call_id: _CallId
    name: _Name
    arguments: str
    id: str | None = None
    status: _Status | None = None
    caller: ResponsesCaller | None = None
    namespace: None = None
    async_: _False | None = Field(None, alias="async")


class ResponsesResult(Strict):
    """What came of a call."""

    type: Literal["function_call_output"]
    call_id: _CallId
    output: _Result
    id: str | None = None
    status: _Status | None = None
    name: str | None = None
    caller: ResponsesCaller | None = None
    namespace: None = None


class ResponsesSummaryText(Strict):
    type: Literal["summary_text"]
    text: str


class ResponsesReasoningText(Strict):
    type: Literal["reasoning_text"]
    text: str


class ResponsesThought(Strict):
    """What a model thought, as it comes back. `encrypted_content` says whose it is."""

    type: Literal["reasoning"]
    summary: Annotated[list[ResponsesSummaryText], Field(fail_fast=True)]
    id: str | None = None
    content: Annotated[list[ResponsesReasoningText], Field(fail_fast=True)] | None = None
    encrypted_content: str | None = None
    status: _Status | None = None


_ITEMS = {
    "message": ResponsesMessage,
    "function_call": ResponsesCall,
    "function_call_output": ResponsesResult,
    "reasoning": ResponsesThought,
}
Item = ResponsesMessage | ResponsesCall | ResponsesResult | ResponsesThought
_Item = Annotated[
    Any,
    PlainValidator(
        _one_of("item", _ITEMS, lambda item: "message" if "role" in item else ""), json_schema_input_type=Item
    ),
]
_Items = Annotated[
    Any,
    PlainValidator(
        _text_or(TypeAdapter(Annotated[list[_Item], Field(min_length=1, max_length=MAX_ITEMS)])),
        json_schema_input_type=str | list[Item],
    ),
]


# --- Tools and manner -------------------------------------------------------------------------------------------


class ResponsesFunctionTool(Strict):
    model_config = ConfigDict(validate_by_name=True)

    type: Literal["function"]
    name: _Name
    description: str | None = None
    parameters: _Schema | None = Field(None, description="the JSON Schema of its arguments")
    strict: bool | None = None
    output_schema: _Schema | None = None
    defer_loading: bool | None = None
    allowed_callers: list[Literal["direct"]] | None = None
    async_: _False | None = Field(None, alias="async")


_Tool = Annotated[
    Any,
    PlainValidator(_one_of("tool", {"function": ResponsesFunctionTool}), json_schema_input_type=ResponsesFunctionTool),
]


class ResponsesFunctionChoice(Strict):
    type: Literal["function"]
    name: _Name


class ResponsesAllowedTools(Strict):
    """Only some of the tools may be called."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Annotated[list[ResponsesFunctionChoice], Field(min_length=1, max_length=MAX_TOOLS)]


_CHOICES: dict[str, type[BaseModel]] = {"function": ResponsesFunctionChoice, "allowed_tools": ResponsesAllowedTools}
_chosen = _one_of("tool_choice", _CHOICES)


def _choice(value: Any, info: ValidationInfo) -> Any:
    if not isinstance(value, str):
        return _chosen(value, info)
    if value not in {"auto", "none", "required"}:
        raise PydanticCustomError("choice", "must be auto, none, required or an object")
    return value


Choice = Literal["auto", "none", "required"] | ResponsesFunctionChoice | ResponsesAllowedTools


class ResponsesPlainText(Strict):
    type: Literal["text"]


class ResponsesJsonObject(Strict):
    type: Literal["json_object"]


class ResponsesJsonSchema(Strict):
    type: Literal["json_schema"]
    name: _Name
    schema_: _Object = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


_FORMATS = {"text": ResponsesPlainText, "json_object": ResponsesJsonObject, "json_schema": ResponsesJsonSchema}
Format = ResponsesPlainText | ResponsesJsonObject | ResponsesJsonSchema


_Format = Annotated[Any, PlainValidator(_one_of("format", _FORMATS), json_schema_input_type=Format)]


class ResponsesText(Strict):
    format: _Format = ResponsesPlainText(type="text")
    verbosity: Literal["low", "medium", "high"] | None = None


class ResponsesReasoning(Strict):
    """How much to think first."""

    effort: Annotated[str, Field(min_length=1, max_length=32)] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None
    context: Literal["auto", "current_turn", "all_turns"] | None = None
    mode: Annotated[str, Field(max_length=32)] | None = None


class ResponsesStreamOptions(Strict):
    include_obfuscation: bool | None = None


Includable = Literal[
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
]


# --- The body ---------------------------------------------------------------------------------------------------


class ResponsesBody(Strict):
    """A question in the words of OpenAI's Responses API. Nothing is stored: a conversation is sent whole each time."""

    model: _Name = Field(description="`provider/model`, `pool/<strategy>`, `task/<task>` or an alias")
    input: _Items = Field(description="the question as one text, or a conversation as a list of items")
    instructions: str | None = Field(None, description="a system message that stands before the `input`")
    stream: bool | None = Field(None, description="answer as server-sent events, piece by piece")
    max_output_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    include: list[Includable] | None = None
    tools: Annotated[list[_Tool], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: Annotated[Any, PlainValidator(_choice, json_schema_input_type=Choice)] = "auto"
    parallel_tool_calls: bool | None = None
    max_tool_calls: Annotated[int, Field(ge=1, le=10_000_000)] | None = Field(
        None, description="of tools that the server runs, of which there are none here"
    )
    text: ResponsesText | None = None
    reasoning: ResponsesReasoning | None = None
    metadata: Annotated[dict[Annotated[str, Field(max_length=64)], _Short], Field(max_length=MAX_METADATA)] | None = (
        None
    )
    user: _Short | None = None
    safety_identifier: _Short | None = None
    store: bool | None = Field(None, description="nothing is ever stored")
    truncation: Literal["auto", "disabled"] | None = None
    stream_options: ResponsesStreamOptions | None = None
    service_tier: Annotated[str, Field(max_length=64)] | None = None
    prompt_cache_key: _Short | None = None
    prompt_cache_options: _Object | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    context_management: list[_Object] | None = None
    access_programs: _Object | None = None
    image: _Object | None = None
    background: bool | None = Field(None, description="refused where it is true")
    previous_response_id: str | None = Field(None, description="refused: nothing is stored")
    conversation: str | _Object | None = Field(None, description="refused: nothing is stored")
    prompt: _Object | None = Field(None, description="refused: nothing is stored")
    moderation: _Object | None = Field(None, description="refused: nothing is moderated here")
