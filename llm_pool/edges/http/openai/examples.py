"""What the document of the API shows of OpenAI's doors: questions to try."""

from __future__ import annotations

from typing import Any

_WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "How the weather is in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
_CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "country": {"type": "string"}},
    "required": ["city", "country"],
    "additionalProperties": False,
}

# By name: what it shows, and the body.
CHATS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("Answer a question", {"model": "task/chat", "messages": [{"role": "user", "content": "Say hello"}]}),
    "stream": (
        "Answer word by word, and say in the end what it took",
        {
            "model": "pool/fastest",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "What is the capital of Portugal?"},
            ],
            "stream": True,
            "stream_options": {"include_usage": True},
        },
    ),
    "tools": (
        "Offer a tool",
        {
            "model": "task/chat",
            "messages": [{"role": "user", "content": "How is the weather in Lisbon?"}],
            "tools": [_WEATHER],
        },
    ),
    "schema": (
        "Answer as JSON that fits a schema",
        {
            "model": "task/chat",
            "messages": [{"role": "user", "content": "Name a city"}],
            "response_format": {"type": "json_schema", "json_schema": {"name": "city", "schema": _CITY}},
        },
    ),
}
EMBEDDINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "texts": ("Two texts at once", {"model": "ollama/nomic-embed-text", "input": ["a cat", "a dog"]}),
}
