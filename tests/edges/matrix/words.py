"""What is asked and what is answered in every cell of the matrix, in our words: the one table that all are held to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llm_pool.core.types import Tool, ToolCall, Usage
from tests.providers.contract import Said

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_pool.core.types import FinishReason

MOST_TOKENS = 4_000  # every question says it: one of the doors wants it

PNG = b"\x89PNG\r\n\x1a\n\x00\xfb\xff\xfe"  # in base64 with both of the characters that its alphabets write differently


@dataclass(frozen=True)
class Question:
    text: str
    system: str = ""
    image: bytes | None = None  # after the text; a PNG
    tools: tuple[Tool, ...] = ()
    schema: Mapping[str, Any] | None = None
    effort: str | None = None


@dataclass(frozen=True)
class Told:
    """An answer as a caller got it. `calls` are id, name and arguments (parsed); `warnings` their codes."""

    model: str
    text: str
    thoughts: str
    calls: tuple[tuple[str, str, Any], ...]
    reason: FinishReason
    usage: Usage
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Content:
    """One column of the matrix: `said` is what the model says to the question."""

    question: Question
    said: Said = field(default_factory=Said)


def closed(**properties: Mapping[str, Any]) -> dict[str, Any]:
    """A schema that every provider can keep a model to."""
    names = list(properties)
    return {"type": "object", "properties": properties, "required": names, "additionalProperties": False}


WEATHER = Tool("weather", "How it is somewhere", closed(city={"type": "string"}), strict=True)
CLOCK = Tool("clock", "What time it is", closed(zone={"type": "string"}, exact={"type": "boolean"}), strict=True)
SHAPE = closed(km={"type": "integer"}, via={"type": "array", "items": {"type": "string"}})

FARO = ToolCall("call_f", "weather", '{"city":"Faro"}')
EVORA = ToolCall("call_e", "weather", '{"city":"Évora \\"o\\" 🙂"}')
NOON = ToolCall("call_n", "clock", '{"zone":"WET","exact":true}')

CONTENTS = {
    "text": Content(Question("How are you?", system="Be brief,\nplease.")),
    "tools": Content(Question("How is it in Faro?", tools=(WEATHER,)), Said(calls=(FARO,))),
    "parallel": Content(
        Question("And in Évora, and what time is it?", tools=(WEATHER, CLOCK)), Said(calls=(EVORA, NOON, FARO))
    ),
    "image": Content(Question("What is this?", image=PNG), Said("A very small one.")),
    "schema": Content(Question("How far is it?", schema=SHAPE), Said('{"km": 1007, "via": ["Sé", "Beja"]}')),
    "reasoning": Content(
        Question("Which is it?", effort="low"), Said("The second.", reasoning="First, 日本.\n\nThen the second 🙂 one.")
    ),
}
