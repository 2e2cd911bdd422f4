"""What a request to Anthropic's Messages API must be, where its documentation says so; else the fake answers 400."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable

Json = dict[str, Any]

FIELDS = {
    "model", "messages", "max_tokens", "system", "tools", "tool_choice", "thinking", "output_config", "stream",
    "stop_sequences", "temperature", "top_p", "top_k", "metadata", "service_tier", "cache_control",
}  # fmt: skip
THOUGHTS = ("thinking", "redacted_thinking")


class Invalid(Exception):
    """What the API says of a request that it refuses."""


class Rules:
    """What the documentation says a request must be."""

    def __init__(self, body: Json, answered: Iterable[tuple[Json, ...]], *, budgets: bool) -> None:
        self._body = body
        self._answered = list(answered)
        self._budgets = budgets
        self._thinking = body.get("thinking", {}).get("type")

    def check(self) -> None:
        body = self._body
        for name in body:
            self._must(name in FIELDS, f"{name}: Extra inputs are not permitted")
        for name in ("model", "messages", "max_tokens"):
            self._must(name in body, f"{name}: Field required")
        self._must(body["messages"], "messages: at least one message is required")
        for index, message in enumerate(body["messages"]):
            self._check_message(index, message)
        for block in body.get("system", []):
            self._must(block["type"] == "text" and block["text"].strip(), "system: text must be non-whitespace")
        marks = orjson.dumps(body).count(b'"cache_control"')
        self._must(marks <= 4, "A maximum of 4 blocks with cache_control may be provided")
        self._check_settings()
        self._check_tools()
        self._check_thoughts()

    def _must(self, true: object, message: str) -> None:
        if not true:
            raise Invalid(message)

    def _check_message(self, index: int, message: Json) -> None:
        at, role, messages = f"messages.{index}", message["role"], self._body["messages"]
        self._must(role in {"user", "assistant", "system"}, f"{at}: Unexpected role")
        if role == "system":
            after = messages[index + 1]["role"] if index + 1 < len(messages) else "assistant"
            placed = index > 0 and messages[index - 1]["role"] == "user" and after == "assistant"
            self._must(not self._budgets, "role 'system' is not supported on this model")
            self._must(placed, f"{at}: a system message must follow a user turn")
        content = message["content"] if isinstance(message["content"], list) else []
        self._must(message["content"], f"{at}: content must be non-empty")
        for block in content:
            blank = block["type"] == "text" and not block["text"].strip()
            self._must(not blank, "messages: text content blocks must contain non-whitespace text")
            sound = block["type"] != "tool_use" or (
                isinstance(block["input"], dict) and re.fullmatch(r"[a-zA-Z0-9_-]+", block["id"])
            )
            self._must(sound, f"{at}: input should be a valid dictionary, and id should match pattern")
        called = [block["id"] for block in content if block["type"] == "tool_use"]
        following = messages[index + 1]["content"] if index + 1 < len(messages) else []
        first = [block.get("tool_use_id") for block in following[: len(called)] if isinstance(block, dict)]
        words = f"{at}: `tool_use` ids were found without `tool_result` blocks immediately after"
        self._must(sorted(called) == sorted(map(str, first)) or index + 1 == len(messages), words)
        results = {block["tool_use_id"] for block in content if block["type"] == "tool_result"}
        before = messages[index - 1]["content"] if index else []
        known = {block.get("id") for block in before if isinstance(block, dict)}
        self._must(results <= known, f"{at}: unexpected `tool_use_id` found in `tool_result` blocks")

    def _check_settings(self) -> None:
        body = self._body
        self._must(0 <= body.get("temperature", 1) <= 1, "temperature: range: 0..1")
        blank = any(not stop.strip() for stop in body.get("stop_sequences", []))
        self._must(not blank, "stop_sequences: each stop sequence must contain non-whitespace")
        drawn = {"temperature", "top_p", "top_k"} & set(body)
        self._must(self._budgets or not drawn, "`temperature` is deprecated for this model")
        format_ = body.get("output_config", {}).get("format")
        if format_ is not None:
            self._must(format_["type"] == "json_schema", "output_config.format.type: unknown")
            self._must(_closed(format_["schema"]), "additionalProperties must be explicitly set to false")

    def _check_tools(self) -> None:
        body = self._body
        used = b'"tool_use_id"' in orjson.dumps(body["messages"])
        words = "Requests which include `tool_use` or `tool_result` blocks must define tools"
        self._must(not used or body.get("tools"), words)
        self._must("tool_choice" not in body or body.get("tools"), "tool_choice: may only be specified with tools")
        for tool in body.get("tools", []):
            self._must(tool["input_schema"]["type"] == "object", "input_schema.type: Field required")
            self._must(not tool.get("strict") or _closed(tool["input_schema"]), "additionalProperties must be false")

    def _check_thoughts(self) -> None:
        body = self._body
        if self._thinking == "enabled":
            budget = body["thinking"]["budget_tokens"]
            self._must(self._budgets, '"thinking.type.enabled" is not supported for this model')
            self._must(1024 <= budget < body["max_tokens"], "`max_tokens` must be greater than `budget_tokens`")
            forced = body.get("tool_choice", {}).get("type") in {"any", "tool"}
            self._must(not forced, "Thinking may not be enabled when tool_choice forces tool use")
            self._must(body.get("temperature", 1) == 1 and "top_k" not in body, "`temperature` may only be set to 1")
        if self._thinking == "adaptive":
            self._must(not self._budgets, "adaptive thinking is not supported on this model")
        given = [block for answer in self._answered for block in answer if block["type"] in THOUGHTS]
        turns = [turn["content"] for turn in body["messages"] if turn["role"] == "assistant"]
        for block in (block for turn in turns for block in turn if block["type"] in THOUGHTS):
            self._must(block in given, "Invalid `signature` in `thinking` block")
        self._check_loop(turns)

    def _check_loop(self, turns: list[list[Json]]) -> None:
        """The thoughts of the latest turn are all there, unchanged, before the calls they led to."""
        if not turns or self._thinking not in {"enabled", "adaptive"}:
            return
        ids = {block["id"] for block in turns[-1] if block["type"] == "tool_use"}
        for answer in self._answered:
            if ids & {block.get("id") for block in answer}:
                kinds = (*THOUGHTS, "tool_use")
                same = [b for b in turns[-1] if b["type"] in kinds] == [b for b in answer if b["type"] in kinds]
                self._must(same, "`thinking` or `redacted_thinking` blocks in the latest message cannot be modified")


def _closed(schema: object) -> bool:
    """Whether every object in it says that it has no other members."""
    if isinstance(schema, list):
        return all(map(_closed, schema))
    if not isinstance(schema, dict):
        return True
    open_ = schema.get("type") == "object" and schema.get("additionalProperties") is not False
    return not open_ and all(map(_closed, schema.values()))
