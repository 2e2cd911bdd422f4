"""What the tests of the Anthropic provider share: questions, ways to ask them, and answers to be heard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from llm_pool.core.streams import Answer, collect
from llm_pool.core.trace import Trace
from llm_pool.core.types import Event, Finished, Message, Reasoning, Request, Text, ToolCall, Usage
from llm_pool.providers.anthropic.client import Anthropic
from llm_pool.providers.anthropic.decoding import Decoder
from llm_pool.providers.anthropic.translate import to_wire
from tests.fakes.anthropic import Script

if TYPE_CHECKING:
    from llm_pool.core.types import Part, Warning
    from tests.fakes.anthropic import FakeAnthropic

WHO = "Anthropic"
OLD = "claude-haiku-4-5"  # thinks on a budget
NEW = "claude-opus-4-8"  # thinks as it sees fit
NEWEST = "claude-opus-5-5"  # always thinks

# Wrong in the ways that bytes can be mangled: not ASCII, not aligned, and with what looks like base64.
SIGNATURE = "EqQBCkgIARABGAIiQL/+8ié=="
THOUGHT = {"type": "thinking", "thinking": "Hm, é?\n Let me see 🙂 ", "signature": SIGNATURE}
REDACTED = {"type": "redacted_thinking", "data": "EmwKAhgBEgy3va3pzix/LafPsn4a=="}
WEATHER = {"type": "tool_use", "id": "toolu_01", "name": "weather", "input": {"city": "São Paulo", "days": 3}}
CLOCK = {"type": "tool_use", "id": "toolu_02", "name": "clock", "input": {}}

USAGE = {"input_tokens": 7, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20}
GOLDEN = {
    "text": Script.saying("Hé, 日本 🙂 you"),
    "thinking": Script((THOUGHT, {"type": "text", "text": "It is é."}), usage=USAGE),
    "redacted": Script((REDACTED, THOUGHT, REDACTED, {"type": "text", "text": "Well."})),
    "parallel": Script((THOUGHT, {"type": "text", "text": "I look."}, WEATHER, CLOCK), stop_reason="tool_use"),
    "stopped": Script.saying("One two", stop_reason="stop_sequence", stop_sequence="three"),
    "unknown": Script((
        {"type": "server_tool_use", "id": "s", "name": "x", "input": {}},
        {"type": "text", "text": "a"},
    )),
    "silent": Script((), stop_reason="refusal"),
}


def request(*messages: Message | str, model: str = OLD, **more: Any) -> Request:
    said = [Message.of("user", message) if isinstance(message, str) else message for message in messages or ("hi",)]
    return Request("r", tuple(said), 60.0, Trace(0.0), model=model, **more)


def said(*parts: Part) -> Message:
    return Message("assistant", parts)


def wire(asked: Request, provider: str = "anthropic") -> dict[str, Any]:
    """The body as it goes out."""
    body: dict[str, Any] = orjson.loads(orjson.dumps(to_wire(asked, who=WHO, provider=provider).body))
    return body


def warnings(asked: Request) -> list[str]:
    """What is warned of: the parameter that is ignored, or else the code."""
    return [_named(warning) for warning in to_wire(asked, who=WHO, provider="anthropic").warnings]


def _named(warning: Warning) -> str:
    assert WHO in warning.message
    return warning.message.partition(":")[0] if warning.code == "parameter_ignored" else warning.code


def decoder(*, whole: bool = False) -> Decoder:
    return Decoder(WHO, provider="anthropic", model=OLD, whole=whole)


def heard(*pieces: bytes, whole: bool = False) -> list[Event]:
    """The events of a body in these pieces, up to its end."""
    decoding = decoder(whole=whole)
    events = [event for piece in pieces for event in decoding.feed(piece)]
    return events if decoding.done else events + list(decoding.end())


async def added_up(events: list[Event]) -> Answer:
    async def stream() -> Any:
        for event in events:
            yield event

    return await collect(stream())


def meant(script: Script) -> tuple[tuple[Text | Reasoning | ToolCall, ...], Finished]:
    """The parts and the end that a script says, taken from its content and not from its stream."""
    usage = {**script.usage, **script.last_usage}
    counts = Usage(
        input=usage["input_tokens"],
        cache_read=usage.get("cache_read_input_tokens", 0),
        cache_write=usage.get("cache_creation_input_tokens", 0),
        output=usage["output_tokens"],
    )
    reasons: Any = {"tool_use": "tool_calls", "refusal": "content_filter"}
    parts = tuple([part for block in script.content for part in _parts(block)])
    return parts, Finished(reasons.get(script.stop_reason, "stop"), counts, script.stop_sequence or "")


def _parts(block: dict[str, Any]) -> list[Text | Reasoning | ToolCall]:
    match block["type"]:
        case "text":
            return [Text(block["text"])]
        case "thinking":
            return [Reasoning(block["thinking"], block["signature"], provider="anthropic")]
        case "redacted_thinking":
            return [Reasoning("", block["data"], redacted=True, provider="anthropic")]
        case "tool_use":
            return [ToolCall(block["id"], block["name"], orjson.dumps(block["input"]).decode())]
        case _:
            return []


def provider(fake: FakeAnthropic, *models: str, **settings: Any) -> Anthropic:
    return Anthropic(base_url=fake.url, models=models or (OLD,), **settings)


async def ask(anthropic: Anthropic, asked: Request | None = None) -> Answer:
    async with anthropic.chat(asked or request()) as events:
        return await collect(events)


async def hear(closed: Anthropic, seen: list[Event]) -> None:
    """Ask, and note what comes before an error, if one comes."""
    async with closed as anthropic, anthropic.chat(request(whole=False)) as events:
        async for event in events:
            seen.append(event)
