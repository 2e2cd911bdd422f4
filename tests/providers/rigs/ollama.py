"""The rig of Ollama, newer servers and older ones."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Any

import orjson

from llm_pool.core.types import Image, Message, Text, Tool, ToolCall, ToolChoice, Usage
from llm_pool.providers.ollama.client import Ollama
from tests.fakes.ollama import FakeOllama, Script, vector
from tests.providers.contract import Can, Filler, Said, Sent, Turn, Wired, parsed

if TYPE_CHECKING:
    from collections.abc import Mapping

CAN: frozenset[Can] = frozenset({
    "wire",
    "counts",
    "tools",
    "images",
    "reasoning",
    "schema",
    "logprobs",
    "embed",
    "dimensions",
})


class OllamaRig(Wired):
    driver = "ollama"
    can = CAN
    model = "llama3"
    chat = b"/api/chat"
    buckets = Usage(input=3, cache_read=5, output=7)
    filler = Filler(
        b'{"message":{"role":"assistant","content":""},"padding":"' + b"x" * 60_000 + b'"}\n',
        b'{"message":{"role":"assistant","content":"' + b"x" * 60_000,
        "application/x-ndjson",
    )
    cannot = (
        ({"messages": (Message("user", (Image("", url="http://127.0.0.1/a.png"),)),)}, "image"),
        ({"messages": (Message("assistant", (ToolCall("1", "f", "{"),)),)}, "arguments"),
        ({"messages": (Message("user", (Text("hi", keep="5m"),)),)}, "cache control"),
        ({"tools": (Tool("f"),), "tool_choice": ToolChoice("required")}, "tool_choice"),
        ({"tools": (Tool("f"),), "tool_choice": ToolChoice(parallel=False)}, "parallel"),
        ({"tool_choice": ToolChoice("required")}, "tool"),
    )

    def __init__(self, *, ids: bool) -> None:
        self.name = "ollama" if ids else "ollama, older"
        self._ids = ids

    def fake(self) -> FakeOllama:
        return FakeOllama()

    def provider(self, url: str) -> Ollama:
        return Ollama(models=(self.model,), base_url=url)

    def script(self, fake: FakeOllama, said: Said) -> None:
        counts = None
        if (usage := said.usage) is not None:
            counts = {"prompt_eval_count": usage.input + usage.cache_read, "eval_count": usage.output}
            counts["prompt_eval_cached_count"] = usage.cache_read
        fake.scripts["llama3:latest"] = Script(
            answer="" if said.calls else said.text,
            thinking=said.reasoning,
            calls=tuple((call.name, parsed(call.arguments)) for call in said.calls),
            call_ids=self._ids,
            done_reason="length" if said.reason == "length" else "stop",
            counts=counts,
            stall_after=said.stall,
        )

    def sent(self, body: Any, headers: Mapping[str, str]) -> Sent:
        return Sent(
            headers,
            tuple(_turn(message) for message in body["messages"]),
            tuple((tool["function"]["name"], tool["function"]["parameters"]) for tool in body.get("tools", ())),
            body.get("format"),
            body["top_logprobs"] if body.get("logprobs") else None,
        )

    def saying(self, text: str) -> tuple[Any, ...]:
        return ({"message": {"role": "assistant", "content": text}, "done": False},)

    def error(self, message: str) -> bytes:
        return orjson.dumps({"error": message})

    def vector(self, text: str) -> tuple[float, ...]:
        return tuple(vector(text))


def _turn(message: Any) -> Turn:
    is_result = message["role"] == "tool"
    return Turn(
        message["role"],
        "" if is_result else message["content"],
        ((message["thinking"], ""),) if "thinking" in message else (),
        tuple(
            (call["id"], call["function"]["name"], call["function"]["arguments"])
            for call in message.get("tool_calls", ())
        ),
        ((message["tool_call_id"], message["content"]),) if is_result else (),
        tuple(b64decode(image) for image in message.get("images", ())),
    )
