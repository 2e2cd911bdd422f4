"""What is asked of a provider, beside answers: vectors of texts, and how many tokens a question is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from llm_pool.core.errors import Unsupported
from llm_pool.core.ports.embedder import Embedder, TokenCounter
from llm_pool.core.types import Image, Reasoning, Text, ToolCall, ToolResult

if TYPE_CHECKING:
    from llm_pool.core.ports.provider import Provider
    from llm_pool.core.streams import Answering, Ask
    from llm_pool.core.types import Message, Operation, Request

CHARACTERS_PER_TOKEN = 4  # the usual rule of thumb for English; only where a provider has not counted
TOKENS_PER_IMAGE = 1_000  # about what a picture of a megapixel costs at OpenAI and Anthropic


def ways(provider: Provider, name: str) -> dict[Operation, Ask]:
    """How this provider is asked for each."""

    def no_vectors(_: Request) -> Answering:
        raise Unsupported(f"{name} makes no embeddings")

    def uncounted(_: Request) -> Answering:
        raise Unsupported(f"{name} does not count tokens")

    return {
        "chat": provider.chat,
        "embed": provider.embed if isinstance(provider, Embedder) else no_vectors,
        "count": provider.count if isinstance(provider, TokenCounter) else uncounted,
    }


def tokens_of(request: Request) -> int:
    """About how many tokens its messages, tools and inputs are."""
    characters = sum(_characters(message) for message in request.messages)
    for tool in request.tools:
        characters += len(tool.name) + len(tool.description)
        characters += len(orjson.dumps(tool.parameters)) if tool.parameters else 0
    tokens = -(-characters // CHARACTERS_PER_TOKEN)
    for each in request.inputs:
        tokens += -(-len(each) // CHARACTERS_PER_TOKEN) if isinstance(each, str) else len(each)
    return tokens


def _characters(message: Message) -> int:
    characters = 0
    for part in message.parts:
        match part:
            case Text() | Reasoning() | ToolResult():
                characters += len(part.text)
            case ToolCall():
                characters += len(part.name) + len(part.arguments)
            case Image():
                characters += TOKENS_PER_IMAGE * CHARACTERS_PER_TOKEN
    return characters
