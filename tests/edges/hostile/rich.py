"""For each door over HTTP: bodies in which, together, every field stands that it takes. Their model is left out."""

from __future__ import annotations

from typing import Any

from llm_pool.edges.http.examples import PIXEL

Json = dict[str, Any]
Bodies = tuple[Json, ...]

# A sentence, so that nothing may take it for an identifier. No log may have it.
CANARY = "the canary sings at dawn"
DATA_URL = f"data:image/png;base64,{PIXEL}"
SCHEMA: Json = {"type": "object", "properties": {"city": {"type": "string", "description": CANARY}}}
MARK: Json = {"type": "ephemeral", "ttl": "5m"}


# --- Our own ----------------------------------------------------------------------------------------------------

_OWN_TALK: list[Json] = [
    {"role": "system", "content": CANARY},
    {
        "role": "user",
        "parts": [
            {"text": CANARY},
            {"image": {"media_type": "image/png", "data": PIXEL, "detail": "low"}},
            {"image": {"url": "https://images.example/a.png"}},
        ],
    },
    {
        "role": "assistant",
        "parts": [
            {"reasoning": {"text": CANARY, "opaque": CANARY, "redacted": False, "provider": "elsewhere"}},
            {"tool_call": {"id": "call_1", "name": "weather", "arguments": '{"city": "Lisbon"}'}},
        ],
    },
    {"role": "tool", "parts": [{"tool_result": {"call_id": "call_1", "content": CANARY, "is_error": False}}]},
]
INFER: Bodies = (
    {
        "task": "chat",
        "messages": _OWN_TALK,
        "strategy": "fastest",
        "tools": [{"name": "weather", "description": CANARY, "parameters": SCHEMA, "strict": False}],
        "tool_choice": {"mode": "auto", "name": None, "parallel": True},
        "response_schema": None,
        "max_tokens": 64,
        "temperature": 0.5,
        "top_p": 0.5,
        "top_k": 5,
        "stop": ["###"],
        "seed": 7,
        "frequency_penalty": 0.5,
        "presence_penalty": 0.5,
        "logprobs": 1,
        "effort": "low",
        "thinking_tokens": 2048,
        "deadline_ms": 20_000,
        "stream": False,
        "request_id": "r-1",
        "tenant_id": "default",
        "project_id": "p",
        "meta": {"user": CANARY},
    },
    {"prompt": CANARY, "response_schema": SCHEMA},
)


# --- OpenAI -----------------------------------------------------------------------------------------------------

_FUNCTION = {"name": "weather", "description": CANARY, "parameters": SCHEMA, "strict": False}
_BREAKPOINT = {"mode": "explicit", "ttl": "30m"}
_CHAT_TALK: list[Json] = [
    {"role": "system", "content": [{"type": "text", "text": CANARY, "cache_control": MARK}], "name": "s"},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": CANARY, "prompt_cache_breakpoint": _BREAKPOINT},
            {"type": "image_url", "image_url": {"url": DATA_URL, "detail": "low"}, "cache_control": MARK},
        ],
        "cache_control": MARK,
    },
    {
        "role": "assistant",
        "content": [{"type": "text", "text": CANARY}, {"type": "refusal", "refusal": CANARY}],
        "refusal": CANARY,
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "index": 0,
                "function": {"name": "weather", "arguments": '{"city": "Lisbon"}', "parsed_arguments": {"city": "x"}},
            }
        ],
        "reasoning_content": CANARY,
        "reasoning_details": [
            {"type": "reasoning.text", "text": CANARY, "signature": CANARY, "format": "elsewhere", "index": 0},
            {"type": "reasoning.encrypted", "data": CANARY, "format": "elsewhere", "index": 1},
            {"type": "reasoning.summary", "summary": CANARY, "format": "elsewhere", "index": 2},
        ],
        "annotations": [],
        "parsed": None,
        "audio": None,
        "function_call": None,
    },
    {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": CANARY}], "cache_control": MARK},
]
CHAT: Bodies = (
    {
        "messages": _CHAT_TALK,
        "tools": [{"type": "function", "function": _FUNCTION, "cache_control": MARK}],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "parallel_tool_calls": True,
        "response_format": {"type": "text"},
        "n": 1,
        "stream": True,
        "stream_options": {"include_usage": True, "include_obfuscation": False},
        "max_tokens": 64,
        "max_completion_tokens": 64,
        "temperature": 0.5,
        "top_p": 0.5,
        "top_k": 5,
        "stop": ["###"],
        "seed": 7,
        "frequency_penalty": 0.5,
        "presence_penalty": 0.5,
        "logprobs": True,
        "top_logprobs": 1,
        "reasoning_effort": "low",
        "user": CANARY,
        "metadata": {"a": CANARY},
        "prompt_cache_key": CANARY,
        "prompt_cache_options": {"mode": "implicit"},
        "prompt_cache_retention": "24h",
        "safety_identifier": CANARY,
        "service_tier": "auto",
        "store": False,
        "verbosity": "low",
    },
    {
        "messages": [{"role": "user", "content": CANARY}],
        "tools": [{"type": "function", "function": {"name": "weather"}}],
        "tool_choice": {
            "type": "allowed_tools",
            "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "weather"}}]},
        },
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "city", "description": CANARY, "schema": SCHEMA, "strict": False},
        },
        "modalities": ["text"],
        **dict.fromkeys((
            "audio",
            "function_call",
            "functions",
            "logit_bias",
            "moderation",
            "prediction",
            "web_search_options",
        )),
    },
)

_TOOL = {"type": "function", **_FUNCTION}
RESPONSES: Bodies = (
    {
        "input": [
            {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_text", "text": CANARY, "prompt_cache_breakpoint": _BREAKPOINT},
                    {"type": "input_image", "image_url": DATA_URL, "detail": "low", "file_id": None},
                ],
                "id": "m",
                "status": "completed",
                "phase": None,
            },
            {
                "type": "reasoning",
                "summary": [{"type": "summary_text", "text": CANARY}],
                "id": "t",
                "content": [{"type": "reasoning_text", "text": CANARY}],
                "encrypted_content": None,
                "status": "completed",
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "output_text", "text": CANARY, "annotations": [], "logprobs": []},
                    {"type": "refusal", "refusal": CANARY},
                ],
            },
            {
                "type": "function_call",
                "call_id": "call_1",
                "name": "weather",
                "arguments": '{"city": "Lisbon"}',
                "id": "c",
                "status": "completed",
                "caller": {"type": "direct"},
                "namespace": None,
                "async": False,
            },
            {
                "type": "function_call_output",
                "call_id": "call_1",
                "output": [{"type": "input_text", "text": CANARY}],
                "id": "o",
                "status": "completed",
                "name": "weather",
                "caller": {"type": "direct"},
                "namespace": None,
            },
        ],
        "instructions": CANARY,
        "stream": True,
        "max_output_tokens": 64,
        "temperature": 0.5,
        "top_p": 0.5,
        "top_logprobs": 1,
        "include": ["message.output_text.logprobs"],
        "tools": [
            {
                **_TOOL,
                "output_schema": SCHEMA,
                "defer_loading": False,
                "allowed_callers": ["direct"],
                "async": False,
            }
        ],
        "tool_choice": {
            "type": "allowed_tools",
            "mode": "auto",
            "tools": [{"type": "function", "name": "weather"}],
        },
        "parallel_tool_calls": True,
        "max_tool_calls": 5,
        "text": {"format": {"type": "text"}, "verbosity": "low"},
        "reasoning": {
            "effort": "low",
            "summary": "auto",
            "generate_summary": "auto",
            "context": "auto",
            "mode": "standard",
        },
        "metadata": {"a": CANARY},
        "user": CANARY,
        "safety_identifier": CANARY,
        "store": False,
        "truncation": "disabled",
        "stream_options": {"include_obfuscation": False},
        "service_tier": "auto",
        "prompt_cache_key": CANARY,
        "prompt_cache_options": {"mode": "implicit"},
        "prompt_cache_retention": "24h",
        "context_management": [],
        "access_programs": {},
        "image": {},
        "background": False,
        **dict.fromkeys(("previous_response_id", "conversation", "prompt", "moderation")),
    },
    {
        "input": CANARY,
        "tools": [_TOOL],
        "tool_choice": {"type": "function", "name": "weather"},
        "text": {
            "format": {
                "type": "json_schema",
                "name": "city",
                "description": CANARY,
                "schema": SCHEMA,
                "strict": False,
            }
        },
    },
)
EMBEDDINGS: Bodies = (
    {"input": [CANARY, "b"], "encoding_format": "base64", "dimensions": 4, "user": CANARY},
    {"input": [[1, 2], [3]], "encoding_format": "float"},
)


# --- Anthropic --------------------------------------------------------------------------------------------------

_IMAGE: Json = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
_COUNTED: Json = {
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": CANARY, "cache_control": {**MARK, "scope": "s"}, "citations": []},
                {**_IMAGE, "cache_control": MARK, "transformations": {}},
                {"type": "image", "source": {"type": "url", "url": "https://images.example/a.png"}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": CANARY, "signature": CANARY},
                {"type": "redacted_thinking", "data": CANARY},
                {
                    "type": "tool_use",
                    "id": "call_1",
                    "name": "weather",
                    "input": {"city": CANARY},
                    "cache_control": MARK,
                    "caller": {"type": "direct"},
                    "toolset_name": None,
                },
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "call_1",
                    "content": [{"type": "text", "text": CANARY}, _IMAGE],
                    "is_error": False,
                    "cache_control": MARK,
                    "toolset_name": None,
                }
            ],
        },
    ],
    "system": [{"type": "text", "text": CANARY}],
    "tools": [
        {
            "type": "custom",
            "name": "weather",
            "description": CANARY,
            "input_schema": SCHEMA,
            "strict": False,
            "cache_control": MARK,
            "eager_input_streaming": False,
            "input_examples": [{"city": CANARY}],
            "defer_loading": False,
            "allowed_callers": ["direct"],
        }
    ],
    "tool_choice": {"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 2048, "display": "summarized"},
    "output_config": {"effort": "low", "format": None},
    "output_format": None,
    "cache_control": MARK,
    "mcp_servers": [],
    "speed": "fast",
    "context_management": {},
    "betas": ["b"],
}
_COUNTED_TOO: Json = {
    "messages": [{"role": "user", "content": CANARY}],
    "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
}
_ASKED: Json = {
    "max_tokens": 4096,
    "stream": True,
    "stop_sequences": ["###"],
    "temperature": 1.0,
    "top_p": 0.5,
    "top_k": 5,
    "metadata": {"user_id": CANARY},
    "inference_geo": "global",
    "container": None,
    "thread": {"type": "create", "previous_message_id": None},
    "service_tier": "auto",
    "diagnostics": {},
    "fallbacks": [],
    "fallback_credit_token": CANARY,
}
_SAID: Json = {"messages": [{"role": "user", "content": CANARY}]}
MESSAGES: Bodies = ({**_COUNTED, **_ASKED}, {**_COUNTED_TOO, "max_tokens": 64})
COUNT: Bodies = (_COUNTED, _COUNTED_TOO)
