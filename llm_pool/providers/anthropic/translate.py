"""A request in our words as a body of Anthropic's Messages API. Pure: no socket is touched here.

Sources: Anthropic's API reference (`/v1/messages`, `/v1/messages/count_tokens`) and its pages on thinking, effort, tool
use, structured outputs and prompt caching. What a model would answer 400 to is left out with a warning, where leaving
it out makes the answer less exact; else it is `Unsupported`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from llm_pool.core.errors import ProviderRefused, Unsupported
from llm_pool.core.types import Sampling, replace
from llm_pool.providers.anthropic.messages import Conversation, mark
from llm_pool.providers.anthropic.models import traits_of
from llm_pool.providers.anthropic.notes import Notes
from llm_pool.providers.anthropic.schemas import Room
from llm_pool.providers.anthropic.thinking import thinking
from llm_pool.providers.translating import Asked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_pool.core.types import Request, Tool
    from llm_pool.providers.anthropic.models import Traits
    from llm_pool.providers.anthropic.thinking import Thinking

MESSAGES = "/v1/messages"
COUNT = "/v1/messages/count_tokens"
BETA = "anthropic-beta"  # the header that asks for features by name

# What of a body is counted; the rest is refused there.
_COUNTED = ("model", "system", "messages", "tools", "tool_choice", "thinking", "output_config")

HOTTEST = 1.0  # temperature
NARROWEST = 0.95  # top_p, while thinking
MOST_STRICT = 20  # tools

_FIT = (
    "Answer with one JSON value that fits this JSON Schema, and with nothing else: no words around it, no Markdown.\n"
)


def to_wire(request: Request, *, who: str, provider: str, betas: tuple[str, ...] = ()) -> Asked:
    """POST /v1/messages. `provider` is whose reasoning goes back; `betas` are those of every call, which what a call
    says would else replace. Raises ProviderRefused (mostly Unsupported).
    """
    if request.model is None:
        raise ProviderRefused("no model was named")
    traits = traits_of(request.model)
    notes = Notes(who)
    spoken = Conversation(provider=provider, traits=traits, notes=notes)
    spoken.add(request.messages)
    if not spoken.turns:
        raise Unsupported(f"{who} wants at least one message that is no system message")
    thoughts = thinking(request.sampling, traits, can_budget=not spoken.lacks_thought(), notes=notes)
    room = Room()
    output = {"effort": thoughts.effort} if thoughts.effort is not None else {}
    system = list(spoken.system)
    if request.spec is not None:
        output |= _format(request.spec.schema, traits, room, system)
    body: dict[str, Any] = {
        "model": request.model,
        "max_tokens": thoughts.max_tokens,
        "stream": True,
        "messages": spoken.wire(),
    }
    if system:
        body["system"] = system
    body |= _tools(request, traits, thoughts, room=room, called=spoken.called, notes=notes)
    body |= _sampling(request.sampling, traits, thoughts, notes)
    if thoughts.config is not None:
        body["thinking"] = thoughts.config
    if output:
        body["output_config"] = output
    headers = {BETA: ",".join(dict.fromkeys(betas + request.betas))} if request.betas else None
    return Asked(MESSAGES, body, request.model, notes.all(), headers)


def count_wire(request: Request, *, who: str, provider: str, betas: tuple[str, ...] = ()) -> Asked:
    """POST /v1/messages/count_tokens. Raises as `to_wire` does."""
    said = request.sampling
    counts = Sampling(max_tokens=said.max_tokens, effort=said.effort, thinking_tokens=said.thinking_tokens)
    asked = to_wire(replace(request, sampling=counts), who=who, provider=provider, betas=betas)
    body = {name: asked.body[name] for name in _COUNTED if name in asked.body}
    return Asked(COUNT, body, asked.model, asked.warnings, asked.headers)


def _format(schema: Mapping[str, Any], traits: Traits, room: Room, system: list[dict[str, Any]]) -> dict[str, Any]:
    """The schema, where the API keeps the model to it. Else the model is told; dispatch looks at the answer anyway."""
    fitted = room.fitted(schema) if traits.structured else None
    if fitted is None:
        system.append({"type": "text", "text": _FIT + orjson.dumps(dict(schema)).decode()})
        return {}
    return {"format": {"type": "json_schema", "schema": fitted}}


# --- Tools ------------------------------------------------------------------------------------------------------


def _tools(
    request: Request, traits: Traits, thoughts: Thinking, *, room: Room, called: list[str], notes: Notes
) -> dict[str, Any]:
    if not request.tools:
        if request.tool_choice.mode in {"required", "named"}:
            raise Unsupported(f"{notes.who} cannot be made to call a tool where none is offered")
        if not called or not traits.kept_off:
            return {}
        # The API wants tools that were called to be there; they are not offered again.
        known = [{"name": name, "input_schema": {"type": "object"}} for name in dict.fromkeys(called)]
        return {"tools": known, "tool_choice": {"type": "none"}}
    if request.tool_choice.mode == "none" and not traits.kept_off:
        return {}
    strict = 0
    tools = []
    for tool in request.tools:
        strict += bool(tool.strict)  # also those that turn out not to fit: each costs time
        tools.append(_tool(tool, traits, room if strict <= MOST_STRICT else None, notes))
    choice = _choice(request, traits, thoughts, notes)
    return {"tools": tools} | ({"tool_choice": choice} if choice else {})


def _tool(tool: Tool, traits: Traits, room: Room | None, notes: Notes) -> dict[str, Any]:
    schema = {"type": "object"} | dict(tool.parameters or {"properties": {}})
    body: dict[str, Any] = {"name": tool.name}
    if tool.description:
        body["description"] = tool.description
    if tool.strict:
        fitted = room.fitted(schema) if traits.structured and room is not None else None
        if fitted is None:
            notes.ignored("strict", "cannot hold this model to the schema of a tool")
        else:
            schema, body["strict"] = fitted, True
    body["input_schema"] = schema
    if tool.keep:
        body["cache_control"] = mark(tool.keep)
    return body


def _choice(request: Request, traits: Traits, thoughts: Thinking, notes: Notes) -> dict[str, Any]:
    """What is said of it; empty where that is nothing."""
    asked = request.tool_choice
    if asked.mode == "none":
        return {"type": "none"}
    choice: dict[str, Any] = {"type": "auto"}
    if asked.mode != "auto":
        if not traits.forced:
            notes.ignored("tool_choice", "cannot make this model call a tool")
        elif thoughts.budgeted:
            notes.ignored("tool_choice", "cannot make this model call a tool while it thinks")
        else:
            choice = {"type": "any"} if asked.mode == "required" else {"type": "tool", "name": asked.name}
    if asked.parallel is not None:
        choice["disable_parallel_tool_use"] = not asked.parallel
    return choice if asked.parallel is not None or choice["type"] != "auto" else {}


# --- Sampling ---------------------------------------------------------------------------------------------------


def _sampling(sampling: Sampling, traits: Traits, thoughts: Thinking, notes: Notes) -> dict[str, Any]:
    for name in ("seed", "frequency_penalty", "presence_penalty", "logprobs"):
        if getattr(sampling, name) is not None:
            notes.ignored(name, "has no such parameter")
    body: dict[str, Any] = {}
    if stop := [sequence for sequence in sampling.stop if sequence.strip()]:
        body["stop_sequences"] = stop
    if len(stop) < len(sampling.stop):
        notes.ignored("stop", "takes no blank stop sequence")
    drawn = {"temperature": _temperature(sampling.temperature, notes), "top_p": sampling.top_p, "top_k": sampling.top_k}
    drawn = {name: value for name, value in drawn.items() if value is not None}
    for name in _refused(drawn, traits, thoughts, notes):
        del drawn[name]
    return body | drawn


def _temperature(asked: float | None, notes: Notes) -> float | None:
    if asked is not None and asked > HOTTEST:
        notes.ignored("temperature", "takes no more than 1: that is what it was")
        return HOTTEST
    return asked


def _refused(drawn: dict[str, Any], traits: Traits, thoughts: Thinking, notes: Notes) -> list[str]:
    """Which of these the model would answer 400 to. What is the default anyway is left out without a word."""
    refused = []
    defaults = {"temperature": HOTTEST, "top_p": 1.0}
    for name, value in drawn.items():
        if not traits.samples or (thoughts.on and not (name == "top_p" and value >= NARROWEST)):
            refused.append(name)
            if value != defaults.get(name):
                when = "while it thinks" if traits.samples else "for this model"
                notes.ignored(name, f"takes none {when}")
    if traits.one_sampler and not refused and {"temperature", "top_p"} <= set(drawn):
        refused.append("top_p")
        notes.ignored("top_p", "takes one of temperature and top_p: the former was sent")
    return refused
