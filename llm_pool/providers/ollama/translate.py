"""Ollama's native wire and our words, pure: requests out, lines and statuses in. No socket is touched here.

Sources: the API reference of Ollama (`/api/chat`, `/api/generate`, `/api/tags`, `/api/ps`) and its server's source.
No text of a provider's error body ever enters a message of ours.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, assert_never

import orjson

from llm_pool.core.errors import (
    ProviderError,
    ProviderGarbled,
    ProviderMisconfigured,
    ProviderRefused,
    StreamBroken,
    shown,
)
from llm_pool.core.ports.provider import Health
from llm_pool.core.types import (
    Event,
    Finished,
    FinishReason,
    Image,
    Message,
    Reasoning,
    ReasoningDelta,
    Request,
    Text,
    TextDelta,
    ToolCall,
    ToolResult,
    Usage,
)
from llm_pool.providers.failures import by_status
from llm_pool.providers.ndjson import Lines
from llm_pool.providers.translating import Asked

if TYPE_CHECKING:
    from collections.abc import Iterable

NOT_FOUND = 404

# --- Requests ---------------------------------------------------------------------------------------------------


def to_wire(request: Request, *, num_ctx: int | None, keep_alive: str | None) -> Asked:
    """POST /api/chat. Raises ProviderRefused for what this wire cannot carry."""
    if request.model is None:
        raise ProviderRefused("no model was named")
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [{"role": message.role, "content": _content(message)} for message in request.messages],
        "stream": True,
    }
    sampling = request.sampling
    options = {
        "num_predict": sampling.max_tokens,
        "temperature": sampling.temperature,
        "num_ctx": num_ctx,
    }
    if request.spec is not None:
        body["format"] = dict(request.spec.schema)  # the server then lets the model write nothing else
    return Asked("/api/chat", body | _settings(options, keep_alive), request.model)


def load_wire(model: str, *, num_ctx: int | None, keep_alive: str | None) -> dict[str, Any]:
    """The body of POST /api/generate that loads a model. With another `num_ctx` the first chat would load it anew."""
    return {"model": model, "stream": False} | _settings({"num_ctx": num_ctx}, keep_alive)


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


def _content(message: Message) -> str:
    return "".join([_text(part) for part in message.parts])


def _text(part: Text | Image | ToolCall | ToolResult | Reasoning) -> str:
    match part:
        case Text():
            return part.text
        case Image():
            raise ProviderRefused("images cannot be sent to Ollama by this version")
        case ToolCall() | ToolResult():
            raise ProviderRefused("tool calls and their results cannot be sent to Ollama by this version")
        case Reasoning():
            raise ProviderRefused("reasoning cannot be sent back to Ollama by this version")
        case _:
            assert_never(part)


# --- Answers ----------------------------------------------------------------------------------------------------


class Decoder:
    """The lines of one answer in, their events out (`Started` is the client's to say).

    `began` is true after the first sound line, `done` after the last one. Raises ProviderGarbled for what is no line
    of a chat, and for an error line ProviderError before the answer began, StreamBroken after it.
    """

    __slots__ = ("_lines", "_said", "_who", "began", "done")

    def __init__(self, who: str) -> None:
        self._who = who
        self._lines = Lines(who)
        self._said = False
        self.began = False
        self.done = False

    def feed(self, data: bytes) -> list[Event]:
        return self._decoded(self._lines.feed(data))

    def end(self) -> list[Event]:
        """The line that the end of the body left without a line end may be the last one of a whole answer."""
        return self._decoded([line for line in self._lines.close() if _is_json(line)])

    def _decoded(self, lines: list[bytes]) -> list[Event]:
        events: list[Event] = []
        for line in lines:
            events += self.decode(line)
            if self.done:
                break
        return events

    def decode(self, line: bytes) -> list[Event]:
        chunk = self._object(line)
        if "error" in chunk:
            if self.began:
                raise StreamBroken(f"{self._who} reported an error in the middle of its answer")
            raise ProviderError(f"{self._who} reported an error instead of an answer")
        done = _typed(chunk, "done", bool, who=self._who)
        message = _typed(chunk, "message", dict, who=self._who)
        if message is None and not done:
            raise self._garbled("a line that is no part of a chat")
        events = self._deltas(message or {})
        if done:
            events.append(self._finished(chunk))
        self.began = True
        self.done = bool(done)
        return events

    def _object(self, line: bytes) -> dict[str, Any]:
        try:
            chunk = orjson.loads(line)
        except orjson.JSONDecodeError:
            raise self._garbled("something that is not JSON") from None
        if not isinstance(chunk, dict):
            raise self._garbled("a line that is no JSON object")
        return chunk

    def _deltas(self, message: dict[str, Any]) -> list[Event]:
        if message.get("tool_calls"):
            raise self._garbled("a tool call although no tool was offered")
        events: list[Event] = []
        if thought := _typed(message, "thinking", str, who=self._who):
            events.append(ReasoningDelta(thought))
        if text := _typed(message, "content", str, who=self._who):
            events.append(TextDelta(text))
        self._said = self._said or bool(events)
        return events

    def _finished(self, chunk: dict[str, Any]) -> Finished:
        why = _typed(chunk, "done_reason", str, who=self._who)
        if why in {"load", "unload"} and not self._said:
            # What it says when it had nothing to answer but was to load or unload: an empty answer would be a lie.
            raise self._garbled("word of a loaded or unloaded model instead of an answer")
        reason: FinishReason = "length" if why == "length" else "stop"
        return Finished(reason, self._usage(chunk))

    def _usage(self, chunk: dict[str, Any]) -> Usage:
        """Servers of before 2025 leave `prompt_eval_count` out when the prompt was cached; newer ones report the cached
        tokens, which are part of it, in `prompt_eval_cached_count`. Thinking is part of `eval_count`.
        """
        prompt = _typed(chunk, "prompt_eval_count", int, who=self._who)
        output = _typed(chunk, "eval_count", int, who=self._who)
        cached = min(_typed(chunk, "prompt_eval_cached_count", int, who=self._who) or 0, prompt or 0)
        return Usage(
            input=(prompt or 0) - cached,
            cache_read=cached,
            output=output or 0,
            estimated=prompt is None or output is None,
        )

    def _garbled(self, what: str) -> ProviderGarbled:
        return ProviderGarbled(f"{self._who} sent {what}")


def _is_json(line: bytes) -> bool:
    """A line that was cut is not."""
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True


MOST_TOKENS = 2**31 - 1  # what fits into our own messages; nobody counts further


def _typed(values: dict[str, Any], key: str, kind: type[Any], *, who: str) -> Any:
    value = values.get(key)
    wrong = value is not None and type(value) is not kind  # exact: a bool is no count
    if wrong or (kind is int and value is not None and not 0 <= value <= MOST_TOKENS):
        raise ProviderGarbled(f'{who} sent "{key}" of a wrong kind')
    return value


# --- Statuses ---------------------------------------------------------------------------------------------------


def failure(status: int, said: bytes, *, who: str, model: str, wait: float | None) -> ProviderError:  # noqa: ARG001
    """What an answer with this status, other than 200, means. What Ollama says in it may repeat the prompt."""
    if status == NOT_FOUND:
        name = shown(model)
        return ProviderMisconfigured(f'{who}: model "{name}" is not installed: run "ollama pull {name}"')
    return by_status(status, who=who, model=model, wait=wait)


# --- Models -----------------------------------------------------------------------------------------------------


def model_names(body: bytes, *, who: str) -> frozenset[str]:
    """The canonical names in an answer of /api/tags or /api/ps. Raises ProviderGarbled."""
    try:
        models = orjson.loads(body)["models"] or []
        return frozenset(canonical(model[key]) for model in models for key in ("name", "model") if key in model)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise ProviderGarbled(f"{who} does not list its models as Ollama does") from None


def canonical(model: str) -> str:
    """A name as it compares: case does not count, and one without a tag means `:latest`."""
    name = model.casefold()
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def state(
    models: tuple[str, ...], *, installed: frozenset[str], loaded: frozenset[str] | None, loading: str | None
) -> Health:
    """The health of a server that answers, serving `models` (none: any). `loaded` None: it cannot say, so all are."""
    missing = _absent(models, installed)
    waiting = [model for model in models if model == loading or (loaded is not None and canonical(model) not in loaded)]
    cold = frozenset(waiting) - frozenset(missing)
    if missing:
        why = "; ".join(f'model "{model}" is not installed: run "ollama pull {model}"' for model in missing)
        return Health("unhealthy" if len(missing) == len(models) else "degraded", why, frozenset(missing), cold)
    if loading is not None:
        return Health("loading", f'model "{loading}" is being loaded', cold=cold)
    if cold:
        return Health("loading", "not in memory yet, the next answer loads it: " + ", ".join(waiting), cold=cold)
    return Health("healthy")


def _absent(models: Iterable[str], present: frozenset[str]) -> list[str]:
    return [model for model in models if canonical(model) not in present]
