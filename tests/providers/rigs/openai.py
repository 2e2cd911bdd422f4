"""The rig of the servers that speak as OpenAI does: a compatible one, and OpenRouter."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Any

import orjson

from llm_pool.core.types import Message, Sampling, Text, ToolChoice, Usage
from llm_pool.providers.openai.client import OpenAI
from tests.fakes.openai import Call, FakeOpenAI, Script, chunk_of
from tests.providers.contract import Can, Filler, Said, Sent, Turn, Wired, parsed

if TYPE_CHECKING:
    from collections.abc import Mapping

CAN: frozenset[Can] = frozenset({
    "wire",
    "counts",
    "tools",
    "images",
    "reasoning",
    "ids",
    "schema",
    "logprobs",
    "embed",
    "dimensions",
    "filter",
})


class OpenAIRig(Wired):
    can = CAN
    model = "gpt"
    chat = b"/chat/completions"
    buckets = Usage(input=3, cache_read=5, output=7, reasoning=11)
    filler = Filler(b": " + b"x" * 60_000 + b"\n\n", b"data: " + b"x" * 60_000)

    def __init__(self, *, openrouter: bool = False) -> None:
        self.name = self.driver = "openrouter" if openrouter else "openai"
        self._openrouter = openrouter
        self.cannot = (({"tool_choice": ToolChoice("required")}, "tool"),)
        if openrouter:
            self.can = CAN | {"seal"}
        else:
            self.cannot += (
                ({"messages": (Message("user", (Text("hi", keep="5m"),)),)}, "cache_control"),
                ({"sampling": Sampling(thinking_tokens=2048)}, "thinking_tokens"),
            )

    def fake(self) -> FakeOpenAI:
        return FakeOpenAI()

    def provider(self, url: str) -> OpenAI:
        return OpenAI(models=(self.model,), base_url=url, api_key="k", openrouter=self._openrouter)

    def script(self, fake: FakeOpenAI, said: Said) -> None:
        details: tuple[dict[str, Any], ...] = ()
        thinking = said.reasoning
        if self._openrouter and thinking:  # it says each thought in both ways
            details = ({"type": "reasoning.text", "text": thinking, "signature": "sealed", "index": 0},)
            thinking = ""
        fake.scripts[self.model] = Script(
            answer="" if said.calls else said.text,
            thinking=thinking,
            details=details,
            calls=tuple(Call(call.name, call.arguments, call.id) for call in said.calls),
            finish_reason=said.reason,
            counts=None if said.usage is None else _counts(said.usage),
            stall_after=said.stall,
        )

    def sent(self, body: Any, headers: Mapping[str, str]) -> Sent:
        form = body.get("response_format")
        return Sent(
            headers,
            tuple(self._turn(message) for message in body["messages"]),
            tuple((tool["function"]["name"], tool["function"]["parameters"]) for tool in body.get("tools", ())),
            form["json_schema"]["schema"] if form else None,
            body.get("top_logprobs", 0) if body.get("logprobs") else None,
        )

    def _turn(self, message: Any) -> Turn:
        content = message["content"] or ""
        pieces: list[Any] = [{"type": "text", "text": content}] if isinstance(content, str) else content
        text = "".join(piece["text"] for piece in pieces if piece["type"] == "text")
        images = [piece["image_url"]["url"] for piece in pieces if piece["type"] == "image_url"]
        thoughts = [(message["reasoning_content"], "")] if "reasoning_content" in message else []
        thoughts += [(detail["text"], detail["signature"]) for detail in message.get("reasoning_details", ())]
        is_result = message["role"] == "tool"
        return Turn(
            message["role"],
            "" if is_result else text,
            tuple(thoughts),
            tuple(
                (call["id"], call["function"]["name"], parsed(call["function"]["arguments"]))
                for call in message.get("tool_calls", ())
            ),
            ((message["tool_call_id"], text),) if is_result else (),
            tuple(b64decode(url.partition(";base64,")[2]) for url in images),
        )

    def saying(self, text: str) -> tuple[Any, ...]:
        return (chunk_of({"role": "assistant", "content": ""}), chunk_of({"content": text}))

    def error(self, message: str) -> bytes:
        return orjson.dumps({"error": {"message": message, "type": message, "param": None, "code": None}})


def _counts(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input + usage.cache_read,
        "completion_tokens": usage.output + usage.reasoning,
        "total_tokens": usage.input + usage.cache_read + usage.output + usage.reasoning,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }
