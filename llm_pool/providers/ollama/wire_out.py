"""A request of ours in the words of Ollama's native API, pure: no socket is touched here.

Sources: the API reference of Ollama (`/api/chat`, `/api/embed`, `/api/generate`) and its server's source. What it
cannot be told is a warning, or, where leaving it out would ask something else, Unsupported.
"""

from __future__ import annotations

import re
from base64 import b64encode
from itertools import groupby
from typing import TYPE_CHECKING, Any, assert_never

import orjson

from llm_pool.core.errors import ProviderRefused, Unsupported
from llm_pool.core.types import Image, Reasoning, Text, ToolCall, ToolResult, Warning
from llm_pool.providers.translating import Asked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llm_pool.core.types import Message, Part, Request, Role, Sampling, Tool

# How much to think, in its words. A model that only knows whether to think takes any level for yes.
EFFORTS: dict[str, bool | str] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "max",
}


def to_wire(request: Request, *, who: str, provider: str, num_ctx: int | None, keep_alive: str | None) -> Asked:
    """POST /api/chat. Raises Unsupported for what this wire cannot carry.

    `provider`: whose reasoning goes back to it. `who` is named in warnings.
    """
    said = _Said(who)
    body: dict[str, Any] = {
        "model": _model(request),
        "messages": list(_messages(request.messages, said, provider=provider)),
        "stream": True,
        "truncate": False,  # else the oldest messages of what is too long are left out without a word
    }
    body |= _tools(request, said)
    if request.betas:
        said.ignored("anthropic-beta")
    if request.spec is not None:
        if "tools" in body:
            # Its grammar would let the model write nothing but the answer: no tool would ever be called.
            said.ignored("the schema of the answer, beside tools,")
        else:
            body["format"] = dict(request.spec.schema)  # the server then lets the model write nothing else
    body |= _thinking(request.sampling, said)
    if (top := request.sampling.logprobs) is not None:
        body |= {"logprobs": True, "top_logprobs": top}
    body |= _settings(_options(request.sampling) | {"num_ctx": num_ctx}, keep_alive)
    return Asked("/api/chat", body, body["model"], said.warnings)


def embed_wire(request: Request, *, who: str, num_ctx: int | None, keep_alive: str | None) -> Asked:
    """POST /api/embed. Raises Unsupported. What is longer than the model takes is refused by it, not cut in silence."""
    if not all(isinstance(each, str) for each in request.inputs):
        raise Unsupported(f"{who} makes vectors of texts only, not of tokens")
    body: dict[str, Any] = {"model": _model(request), "input": list(request.inputs), "truncate": False}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    return Asked("/api/embed", body | _settings({"num_ctx": num_ctx}, keep_alive), body["model"])


def load_wire(model: str, *, num_ctx: int | None, keep_alive: str | None) -> dict[str, Any]:
    """The body of POST /api/generate that loads a model. With another `num_ctx` the first chat would load it anew."""
    return {"model": model, "stream": False} | _settings({"num_ctx": num_ctx}, keep_alive)


class _Said:
    """What there is to warn of, each once."""

    def __init__(self, who: str) -> None:
        self.who = who
        self._warnings: dict[str, Warning] = {}

    @property
    def warnings(self) -> tuple[Warning, ...]:
        return tuple(self._warnings.values())

    def ignored(self, what: str) -> None:
        if what not in self._warnings:
            self._warnings[what] = Warning(
                "parameter_ignored", f"{what} cannot be told to {self.who}, and was left out"
            )

    def dropped_reasoning(self) -> None:
        self._warnings["reasoning"] = Warning(
            "reasoning_dropped", f"the reasoning of another provider was not sent to {self.who}"
        )


def _model(request: Request) -> str:
    if request.model is None:
        raise ProviderRefused("no model was named")
    return request.model


# --- Messages -------------------------------------------------------------------------------------------------------


def _messages(messages: tuple[Message, ...], said: _Said, *, provider: str) -> Iterator[dict[str, Any]]:
    names: dict[str, str] = {}  # of the tools that were called, by the call's id: a result must say whose it is
    for message in messages:
        if not message.parts:
            yield {"role": message.role, "content": ""}
        for results, parts in groupby(message.parts, key=_is_result):
            if results:
                yield from (_result(part, names, said) for part in parts if isinstance(part, ToolResult))
            else:
                yield _turn(message.role, parts, names, said, provider=provider)


def _is_result(part: Part) -> bool:
    return isinstance(part, ToolResult)


def _turn(role: Role, parts: Iterable[Part], names: dict[str, str], said: _Said, *, provider: str) -> dict[str, Any]:
    texts: list[str] = []
    lists: dict[str, list[Any]] = {"thinking": [], "images": [], "tool_calls": []}
    for part in parts:
        match part:
            case Text():
                texts.append(part.text)
            case Image():
                lists["images"].append(_image(part, said))
            case ToolCall():
                names[part.id] = part.name
                lists["tool_calls"].append(_call(part, len(lists["tool_calls"]), said))
            case Reasoning():
                if part.redacted or part.provider not in {"", provider}:
                    said.dropped_reasoning()
                else:
                    lists["thinking"].append(part.text)
            case ToolResult():
                raise AssertionError("results are messages of their own")
            case _:
                assert_never(part)
        _note_keep(part, said)
    turn: dict[str, Any] = {"role": role, "content": "".join(texts)}
    turn |= {name: values for name, values in lists.items() if values}
    if "thinking" in turn:
        turn["thinking"] = "".join(turn["thinking"])
    return turn


def _result(result: ToolResult, names: dict[str, str], said: _Said) -> dict[str, Any]:
    if result.is_error:
        said.ignored("is_error")
    _note_keep(result, said)
    for part in result.parts:
        _note_keep(part, said)
    message = {"role": "tool", "content": result.text, "tool_call_id": result.call_id}
    if name := names.get(result.call_id):
        message["tool_name"] = name
    images = [_image(part, said) for part in result.parts if isinstance(part, Image)]
    return message | ({"images": images} if images else {})


def _image(image: Image, said: _Said) -> str:
    if image.data is None:
        raise Unsupported(
            f"{said.who} takes images by value only, and nothing is fetched for it: send the image itself"
        )
    if image.detail not in {"", "auto"}:
        said.ignored("detail")
    return b64encode(image.data).decode()


def _call(call: ToolCall, index: int, said: _Said) -> dict[str, Any]:
    try:
        arguments = orjson.loads(call.arguments or "{}")
    except orjson.JSONDecodeError:
        arguments = None
    if not isinstance(arguments, dict):
        raise Unsupported(f"{said.who} takes tool calls back only where their arguments are a JSON object")
    return {"id": call.id, "function": {"index": index, "name": call.name, "arguments": arguments}}


def _note_keep(part: Part | Tool, said: _Said) -> None:
    if not isinstance(part, Reasoning) and part.keep:
        said.ignored("cache control")


# --- Tools and manner -----------------------------------------------------------------------------------------------


def _tools(request: Request, said: _Said) -> dict[str, Any]:
    choice = request.tool_choice
    if not request.tools:
        if choice.mode in {"required", "named"}:
            raise Unsupported(f"{said.who} cannot be made to call a tool where none is offered")
        return {}
    if choice.mode == "none":
        return {}  # there is no other way to say it
    if choice.mode != "auto":
        said.ignored("tool_choice")
    if choice.parallel is False:
        said.ignored("parallel_tool_calls")
    return {"tools": [_tool(tool, said) for tool in request.tools]}


def _tool(tool: Tool, said: _Said) -> dict[str, Any]:
    if tool.strict:
        said.ignored("strict")
    _note_keep(tool, said)
    parameters = {"type": "object", "properties": {}} if tool.parameters is None else dict(tool.parameters)
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": parameters},
    }


def _thinking(sampling: Sampling, said: _Said) -> dict[str, Any]:
    if sampling.thinking_tokens == 0:
        return {"think": False}
    if sampling.thinking_tokens is not None:
        said.ignored("thinking_tokens")  # only whether, and about how much
    if sampling.effort is None:
        return {} if sampling.thinking_tokens is None else {"think": True}
    think = EFFORTS.get(sampling.effort)
    if think is None:
        said.ignored("effort")
        return {}
    return {"think": think}


def _options(sampling: Sampling) -> dict[str, Any]:
    return {
        "num_predict": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "stop": list(sampling.stop) or None,
        "seed": sampling.seed,
        "frequency_penalty": sampling.frequency_penalty,
        "presence_penalty": sampling.presence_penalty,
    }


def _settings(options: dict[str, Any], keep_alive: str | None) -> dict[str, Any]:
    wanted = {name: value for name, value in options.items() if value is not None}
    settings: dict[str, Any] = {"options": wanted} if wanted else {}
    if keep_alive is not None:
        settings["keep_alive"] = _duration(keep_alive)
    return settings


def _duration(text: str) -> str | int | float:
    """A Go duration ("10m") stays text; a bare number ("-1": for ever) must be a JSON number, seconds."""
    text = text.strip()
    if re.fullmatch(r"[+-]?[0-9]{1,15}", text):
        return int(text)
    if re.fullmatch(r"[+-]?[0-9]{1,15}\.[0-9]{1,15}", text):
        return float(text)
    return text
