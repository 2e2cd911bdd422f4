"""The rig of Anthropic."""

from __future__ import annotations

from base64 import b64decode
from collections import deque
from typing import TYPE_CHECKING, Any

import orjson

from llm_pool.core.types import Image, Message, Sampling, ToolCall, ToolChoice, Usage
from llm_pool.providers.anthropic.client import Anthropic
from tests.fakes.anthropic import FakeAnthropic, Script
from tests.providers.contract import Can, Filler, Said, Sent, Turn, Wired, parsed

if TYPE_CHECKING:
    from collections.abc import Mapping

CAN: frozenset[Can] = frozenset({
    "wire",
    "counts",
    "tools",
    "images",
    "reasoning",
    "seal",
    "ids",
    "schema",
    "stopped_by",
    "filter",
})
REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}


class AnthropicRig(Wired):
    name = driver = "anthropic"
    can = CAN
    model = "claude-haiku-4-5"
    chat = b"/v1/messages"
    buckets = Usage(input=3, cache_read=5, cache_write=6, output=7)
    filler = Filler(b": " + b"x" * 60_000 + b"\n\n", b"data: " + b"x" * 60_000)
    cannot = (
        ({"sampling": Sampling(seed=7)}, "seed"),
        ({"sampling": Sampling(frequency_penalty=0.5)}, "frequency_penalty"),
        ({"sampling": Sampling(logprobs=2)}, "logprobs"),
        ({"messages": (Message("assistant", (ToolCall("1", "f", "{"),)),)}, "arguments"),
        ({"messages": (Message("user", (Image("image/png"),)),)}, "image"),
        ({"tool_choice": ToolChoice("required")}, "tool"),
    )

    def fake(self) -> FakeAnthropic:
        return FakeAnthropic()

    def provider(self, url: str) -> Anthropic:
        return Anthropic(models=(self.model,), base_url=url, api_key="k")

    def script(self, fake: FakeAnthropic, said: Said) -> None:
        content: list[dict[str, Any]] = []
        if said.reasoning:
            content.append({"type": "thinking", "thinking": said.reasoning, "signature": "sealed"})
        if said.calls:
            content += [
                {"type": "tool_use", "id": call.id, "name": call.name, "input": parsed(call.arguments)}
                for call in said.calls
            ]
        elif said.text:
            content.append({"type": "text", "text": said.text})
        usage = Usage(input=7, output=5) if said.usage is None else said.usage
        script = Script(
            tuple(content),
            stop_reason="stop_sequence" if said.stopped_by else REASONS["tool_calls" if said.calls else said.reason],
            stop_sequence=said.stopped_by or None,
            usage={
                "input_tokens": usage.input,
                "cache_read_input_tokens": usage.cache_read,
                "cache_creation_input_tokens": usage.cache_write,
            },
            last_usage={"output_tokens": usage.output},
            stall_after=said.stall,
        )
        fake.scripts[self.model] = deque([script])

    def sent(self, body: Any, headers: Mapping[str, str]) -> Sent:
        system = [Turn("system", block["text"]) for block in body.get("system", ())]
        form = body.get("output_config", {}).get("format")
        return Sent(
            headers,
            (*system, *(_turn(message) for message in body["messages"])),
            tuple((tool["name"], tool["input_schema"]) for tool in body.get("tools", ())),
            form["schema"] if form else None,
            None,
        )

    def saying(self, text: str) -> tuple[Any, ...]:
        return (
            {"type": "message_start", "message": {"type": "message", "content": []}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
        )

    def error(self, message: str) -> bytes:
        return orjson.dumps({"type": "error", "error": {"type": message, "message": message}, "request_id": message})


def _turn(message: Any) -> Turn:
    blocks = message["content"]
    if isinstance(blocks, str):
        blocks = [{"type": "text", "text": blocks}]

    def of(kind: str) -> list[Any]:
        return [block for block in blocks if block["type"] == kind]

    return Turn(
        message["role"],
        "".join(block["text"] for block in of("text")),
        tuple((block["thinking"], block["signature"]) for block in of("thinking")),
        tuple((block["id"], block["name"], block["input"]) for block in of("tool_use")),
        tuple(
            (block["tool_use_id"], "".join(inner["text"] for inner in block["content"])) for block in of("tool_result")
        ),
        tuple(b64decode(block["source"]["data"]) for block in of("image")),
    )
