"""What the document of the API shows: questions to try, one for each task at least, and answers of each kind."""

from __future__ import annotations

from typing import Any

import orjson


def _asking(**question: object) -> str:
    return orjson.dumps(question).decode()


CANDIDATES = [
    {"id": "a", "text": "Lounge visuals, 4K, one hour, no talking"},
    {"id": "b", "text": "How to edit a cinematic video in ten minutes"},
    {"id": "c", "text": "Night drive with lounge music, ten hours"},
]

# A PNG of one red pixel.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mP4z8AAAAMBAQD3A0FDAAAAAElFTkSuQmCC"

# By name: what it shows, and the body. Their tasks are known where nothing is configured otherwise.
QUESTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("Answer a question", {"task": "chat", "prompt": "Say hello"}),
    "conversation": (
        "Go on with a conversation, word by word",
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "What is the capital of Portugal?"},
                {"role": "assistant", "content": "Lisbon."},
                {"role": "user", "content": "And its river?"},
            ],
            "stream": True,
        },
    ),
    "tools": (
        "Offer a tool, and tell what came of the call that the model asked for",
        {
            "messages": [
                {"role": "user", "content": "How warm is it in Lisbon?"},
                {
                    "role": "assistant",
                    "parts": [{"tool_call": {"id": "call_1", "name": "weather", "arguments": '{"city": "Lisbon"}'}}],
                },
                {"role": "tool", "parts": [{"tool_result": {"call_id": "call_1", "content": "22 °C, sunny"}}]},
            ],
            "tools": [
                {
                    "name": "weather",
                    "description": "The weather of a city, now",
                    "parameters": {
                        "type": "object",
                        "properties": {"city": {"type": "string"}},
                        "required": ["city"],
                    },
                }
            ],
        },
    ),
    "image": (
        "Ask about an image",
        {
            "messages": [
                {
                    "role": "user",
                    "parts": [
                        {"text": "Which colour is this?"},
                        {"image": {"media_type": "image/png", "data": PIXEL}},
                    ],
                }
            ]
        },
    ),
    "schema": (
        "Get an answer of your own shape",
        {
            "prompt": "Name a river and its length in km.",
            "response_schema": {
                "type": "object",
                "properties": {"river": {"type": "string"}, "km": {"type": "integer"}},
                "required": ["river", "km"],
                "additionalProperties": False,
            },
            "temperature": 0.0,
            "seed": 7,
        },
    ),
    "expand_queries": (
        "Turn one search wish into the terms to search with",
        {
            "task": "expand_queries",
            "prompt": "Generate search terms for cinematic lounge videos",
            "max_tokens": 256,
            "deadline_ms": 20_000,
        },
    ),
    "site_tactics": (
        "Plan how to reach a goal on a web site",
        {
            "task": "site_tactics",
            "prompt": _asking(site="videos.example.org", goal="the ten newest lounge videos in 4K"),
        },
    ),
    "rerank_candidates": (
        "Order candidates by how well they fit",
        {
            "task": "rerank_candidates",
            "prompt": _asking(query="calm lounge videos", criteria=["4K", "no talking"], candidates=CANDIDATES),
        },
    ),
    "judge": (
        "Choose the best of several candidates, or none",
        {
            "task": "judge",
            "prompt": _asking(query="a video to fall asleep to", candidates=CANDIDATES),
            "temperature": 0.0,
        },
    ),
    "recovery_plan": (
        "Say what to do after something failed",
        {
            "task": "recovery_plan",
            "prompt": "The crawler gets 429 from videos.example.org since 10:15. 3,000 pages are waiting.",
            "request_id": "crawl-2041",
            "meta": {"job": "2041"},
        },
    ),
    "enrich_metadata": (
        "Title, one line, tags and mood for a text",
        {
            "task": "enrich_metadata",
            "prompt": "One hour of slow city lights after rain, filmed from a tram, with soft electric piano.",
            "project_id": "catalogue",
        },
    ),
}

ACTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "open": ("Ask none of its models until you close it", {"action": "open"}),
    "close": ("Ask one of them again", {"action": "close", "model": "ollama/phi3:mini"}),
}

RESPONSES: dict[str, tuple[str, dict[str, Any]]] = {
    "text": ("Ask as OpenAI's clients do", {"model": "pool/fastest", "input": "Say hello"}),
}

_SAY_HELLO = {"model": "pool/fastest", "messages": [{"role": "user", "content": "Say hello"}]}
MESSAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "text": ("Ask as Anthropic's clients do", {**_SAY_HELLO, "max_tokens": 256}),
}
COUNTS: dict[str, tuple[str, dict[str, Any]]] = {
    "text": ("Count as Anthropic's clients do", {**_SAY_HELLO, "model": "ollama/phi3:mini"}),
}

ID = "a52a42d9be9e1cf9a09b77c8a07c31a5"
_USAGE = {
    "input_tokens": 2,
    "cache_read_tokens": 0,
    "cache_write_tokens": 0,
    "output_tokens": 2,
    "reasoning_tokens": 0,
    "estimated": False,
}
FINISHED: dict[str, Any] = {
    "request_id": ID,
    "winner_model": "ollama/phi3:mini",
    "duration_ms": 412.7,
    "from_cache": False,
    "strategy_used": "fastest",
    "finish_reason": "stop",
    "usage": _USAGE,
    "decision": {
        "strategy": "fastest",
        "voices": [
            {
                "provider": "phi3",
                "model": "ollama/phi3:mini",
                "kind": "first",
                "outcome": "ok",
                "latency_ms": 409.3,
                "first_token_ms": 201.4,
                "usage": _USAGE,
                "why": "",
            }
        ],
        "winner": "phi3",
        "degraded": False,
        "hedged": False,
        "why": "",
        "warnings": [],
    },
}
EVENTS: list[tuple[str, dict[str, Any]]] = [
    ("started", {"model": "ollama/phi3:mini", "provider": "phi3", "request_id": ID}),
    ("text", {"text": "Hello"}),
    ("text", {"text": "!"}),
    ("finished", FINISHED),
]
ANSWER: dict[str, Any] = {"request_id": ID, "content": "Hello!", **FINISHED}

# By status: code, message and details.
ERRORS: dict[int, tuple[str, str, dict[str, str]]] = {
    400: ("INVALID_REQUEST", "prompt: must not be empty", {"field": "prompt"}),
    403: ("FORBIDDEN", 'tenant_id: only "default" may be named here', {"field": "tenant_id"}),
    404: (
        "UNKNOWN_MODEL",
        'unknown model "ollama/phi3"; did you mean "ollama/phi3:mini"?',
        {"field": "model", "nearest": "ollama/phi3:mini"},
    ),
    408: ("BODY_TOO_SLOW", "the body must be there within 30 seconds", {}),
    413: ("BODY_TOO_LARGE", "the body must be at most 20971520 bytes", {}),
    415: ("UNSUPPORTED_MEDIA_TYPE", "the body must be application/json", {}),
    500: ("INTERNAL", "internal error", {}),
    502: ("ALL_PROVIDERS_FAILED", "all 2 providers failed", {"phi3": "PROVIDER_TIMEOUT", "llama": "PROVIDER_FAILED"}),
    503: ("PROVIDER_UNAVAILABLE", "phi3 has failed too often lately", {}),
    504: ("DEADLINE_EXCEEDED", "the deadline passed before the answer was complete", {}),
}
