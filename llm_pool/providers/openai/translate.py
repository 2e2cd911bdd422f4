"""Our requests in the words of OpenAI's Chat Completions and Embeddings, for every server that speaks them. Pure.

1. What a server cannot take is left out with a `Warning` where that makes the answer less exact, else `Unsupported`.
2. OpenAI itself refuses fields that it does not know, so it gets its own only; others get what most of them know.
3. The results of tools follow their calls at once; images among them, which a tool's message cannot carry, come in a
   user's message after the last result.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_never

from llm_pool.core.errors import ProviderRefused, Unsupported
from llm_pool.core.types import (
    AS_IT_LIKES,
    Image,
    Keep,
    Message,
    Reasoning,
    Request,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Warning,
)
from llm_pool.providers.openai.reasoning import details_of, joined
from llm_pool.providers.openai.strict import strictly
from llm_pool.providers.translating import Asked

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Json = dict[str, Any]

MARKS = "cache_control"
NO_PARAMETERS = {"type": "object", "properties": {}}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a server's words differ. `provider` is the first part of its model ids, whose thoughts it knows again."""

    who: str
    provider: str
    official: bool = False  # OpenAI's own API
    openrouter: bool = False


# --- Chat -------------------------------------------------------------------------------------------------------


def to_wire(request: Request, dialect: Dialect) -> Asked:
    """POST /chat/completions. Raises Unsupported, and ProviderRefused where no model is named."""
    model = _model(request)
    said = _Conversation(dialect)
    for message in request.messages:
        said.add(message)
    said.close()
    body: Json = {
        "model": model,
        "messages": said.messages,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    ignored = said.ignored
    if request.betas:
        ignored["anthropic-beta"] = None
    body |= _sampled(request.sampling, dialect, ignored) | _tools(request.tools, request.tool_choice, dialect, ignored)
    if request.spec is not None:
        if dialect.official and request.spec.schema.get("type") != "object":  # it takes no other, strict or not
            ignored["response_format"] = None
        else:
            schema = dict(request.spec.schema)
            form = {"name": "answer", "schema": schema, "strict": strictly(schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
    return Asked("/chat/completions", body, model, tuple(_warnings(ignored, dialect, dropped=said.dropped)))


def _model(request: Request) -> str:
    if request.model is None:
        raise ProviderRefused("no model was named")
    return request.model


def _warnings(ignored: Iterable[str], dialect: Dialect, *, dropped: bool) -> Iterable[Warning]:
    if dropped:
        yield Warning(
            "reasoning_dropped", f"{dialect.who} cannot take the reasoning of another provider: it was left out"
        )
    for name in ignored:
        yield Warning("parameter_ignored", f'{dialect.who} cannot take "{name}": it was left out')


def _sampled(sampling: Sampling, dialect: Dialect, ignored: dict[str, None]) -> Json:
    wanted: Json = {
        "max_completion_tokens" if dialect.official else "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "stop": list(sampling.stop) or None,
        "seed": sampling.seed,
        "frequency_penalty": sampling.frequency_penalty,
        "presence_penalty": sampling.presence_penalty,
    }
    if sampling.top_k is not None:
        if dialect.official:
            ignored["top_k"] = None
        else:
            wanted["top_k"] = sampling.top_k
    if sampling.logprobs is not None:
        wanted |= {"logprobs": True, "top_logprobs": sampling.logprobs or None}
    wanted |= _effort(sampling, dialect, ignored)
    return {name: value for name, value in wanted.items() if value is not None}


def _effort(sampling: Sampling, dialect: Dialect, ignored: dict[str, None]) -> Json:
    """OpenRouter takes one of the two, and the number of tokens says more."""
    tokens, effort = sampling.thinking_tokens, sampling.effort
    if not dialect.openrouter:
        if tokens is not None:
            ignored["thinking_tokens"] = None
        return {"reasoning_effort": effort}
    if tokens is None:
        return {"reasoning": {"effort": effort} if effort is not None else None}
    if effort is not None:
        ignored["effort"] = None
    return {"reasoning": {"max_tokens": tokens} if tokens else {"effort": "none"}}


def _tools(tools: Sequence[Tool], choice: ToolChoice, dialect: Dialect, ignored: dict[str, None]) -> Json:
    if not tools:
        if choice.mode in {"required", "named"}:
            raise Unsupported(f"{dialect.who} cannot be made to call a tool where none is offered")
        return {}  # it refuses a choice among nothing
    wanted: Json = {"tools": [_tool(tool, dialect, ignored) for tool in tools]}
    if choice.mode == "named":
        wanted["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
    elif choice.mode != AS_IT_LIKES.mode:
        wanted["tool_choice"] = choice.mode
    if choice.parallel is not None:
        wanted["parallel_tool_calls"] = choice.parallel
    return wanted


def _tool(tool: Tool, dialect: Dialect, ignored: dict[str, None]) -> Json:
    function: Json = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = NO_PARAMETERS if tool.parameters is None else dict(tool.parameters)
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function} | _mark(tool.keep, dialect, ignored)


def _mark(keep: Keep, dialect: Dialect, ignored: dict[str, None]) -> Json:
    if not keep:
        return {}
    if not dialect.openrouter:
        ignored[MARKS] = None
        return {}
    return {MARKS: {"type": "ephemeral"} | ({"ttl": "1h"} if keep == "1h" else {})}


# --- Messages ---------------------------------------------------------------------------------------------------


class _Conversation:
    """The messages so far. `ignored`: what could not be said, in order; `dropped`: whether a thought was left out."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._seen: list[Json] = []  # images among the results of tools, which are not shown yet
        self.messages: list[Json] = []
        self.ignored: dict[str, None] = {}
        self.dropped = False

    def add(self, message: Message) -> None:
        match message.role:
            case "assistant":
                self.close()
                self._assistant(message)
            case "system":
                self.close()
                texts = [part for part in message.parts if isinstance(part, Text)]
                self._refuse_others(message, texts)
                self.messages.append({"role": "system", "content": self._content(texts)})
            case "user" | "tool":
                self._user(message)
            case _:
                assert_never(message.role)

    def close(self) -> None:
        """Show the images that came with results, now that no result follows."""
        if self._seen:
            self.messages.append({"role": "user", "content": self._seen})
            self._seen = []

    def _user(self, message: Message) -> None:
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        own = [part for part in message.parts if isinstance(part, Text | Image)]
        self._refuse_others(message, [*results, *(own if message.role == "user" else ())])
        for result in results:
            self._result(result)
        if own or not results:
            content = self._content(own)
            if self._seen:
                content = self._seen + (self._pieces(own) if isinstance(content, str) else content)
                self._seen = []
            self.messages.append({"role": "user", "content": content})

    def _result(self, result: ToolResult) -> None:
        texts = [part for part in result.parts if isinstance(part, Text)]
        content = self._content(texts)
        if mark := _mark(result.keep, self._dialect, self.ignored):
            if texts:
                content = self._pieces(texts) if isinstance(content, str) else content
                content[-1] |= mark
            else:
                self.ignored[MARKS] = None
        self.messages.append({"role": "tool", "tool_call_id": result.call_id, "content": content})
        self._seen += [self._image(part) for part in result.parts if isinstance(part, Image)]

    def _assistant(self, message: Message) -> None:
        texts = [part for part in message.parts if isinstance(part, Text)]
        calls = [part for part in message.parts if isinstance(part, ToolCall)]
        thoughts = [part for part in message.parts if isinstance(part, Reasoning)]
        self._refuse_others(message, [*texts, *calls, *thoughts])
        content = None if calls and not texts else self._content(texts)
        said: Json = {"role": "assistant", "content": content} | self._thoughts(thoughts)
        if calls:
            said["tool_calls"] = [self._call(call) for call in calls]
        self.messages.append(said)

    def _call(self, call: ToolCall) -> Json:
        if call.keep:
            self.ignored[MARKS] = None  # not even OpenRouter knows one here
        function = {"name": call.name, "arguments": call.arguments or "{}"}
        return {"id": call.id, "type": "function", "function": function}

    def _thoughts(self, thoughts: list[Reasoning]) -> Json:
        own = [part for part in thoughts if part.provider in {"", self._dialect.provider}]
        if self._dialect.official:  # it tells none, and takes none
            own = []
        told = [details_of(part.opaque) for part in own if part.opaque]
        lists = [details for details in told if details is not None]
        if len(own) < len(thoughts) or len(lists) < len(told):
            self.dropped = True
        plain = "".join([part.text for part in own if not part.opaque])
        said: Json = {}
        if plain:
            said["reasoning" if self._dialect.openrouter else "reasoning_content"] = plain
        if lists:
            one_block = len(lists) == 1
            said["reasoning_details"] = lists[0] if one_block else joined([detail for each in lists for detail in each])
        return said

    def _content(self, parts: Sequence[Text | Image]) -> str | list[Json]:
        """Plain text where that says it all: every server knows it."""
        marked = self._dialect.openrouter and any(part.keep for part in parts)
        texts = [part.text for part in parts if isinstance(part, Text)]
        if marked or len(texts) < len(parts):
            return self._pieces(parts)
        if any(part.keep for part in parts):
            self.ignored[MARKS] = None
        return "".join(texts)

    def _pieces(self, parts: Sequence[Text | Image]) -> list[Json]:
        return [self._image(part) if isinstance(part, Image) else self._text(part) for part in parts]

    def _text(self, part: Text) -> Json:
        return {"type": "text", "text": part.text} | _mark(part.keep, self._dialect, self.ignored)

    def _image(self, part: Image) -> Json:
        if part.data is not None:
            url = f"data:{part.media_type};base64,{b64encode(part.data).decode()}"
        elif part.url is not None:
            url = part.url
        else:
            raise Unsupported("an image has neither bytes nor an address")
        image = {"url": url} | ({"detail": part.detail} if part.detail else {})
        return {"type": "image_url", "image_url": image} | _mark(part.keep, self._dialect, self.ignored)

    def _refuse_others(self, message: Message, taken: Sequence[object]) -> None:
        if len(taken) == len(message.parts):
            return
        kept = {id(part) for part in taken}
        kind = next(type(part).__name__ for part in message.parts if id(part) not in kept)
        raise Unsupported(f"{self._dialect.who} takes no {NAMES[kind]} in a message of the {message.role}")


NAMES = {
    "Text": "text",
    "Image": "image",
    "ToolCall": "tool call",
    "ToolResult": "result of a tool",
    "Reasoning": "reasoning",
}


# --- Embeddings -------------------------------------------------------------------------------------------------


def embed_wire(request: Request, dialect: Dialect) -> Asked:
    """POST /embeddings. Raises Unsupported, and ProviderRefused where no model is named."""
    model = _model(request)
    texts = [each for each in request.inputs if isinstance(each, str)]
    if texts and len(texts) < len(request.inputs):
        raise Unsupported(f"{dialect.who} takes either texts or tokens to embed, not both at once")
    body: Json = {
        "model": model,
        "input": [each if isinstance(each, str) else list(each) for each in request.inputs],
        "encoding_format": "float",
    }
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    return Asked("/embeddings", body, model)
