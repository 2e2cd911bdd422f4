"""The tools of which the models know, in the words of each API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anthropic.types import ToolParam
    from openai.types.chat import ChatCompletionToolParam
    from openai.types.responses import FunctionToolParam

NUMBER = {"type": "integer"}


def _taking(*names: str) -> dict[str, Any]:
    return {"type": "object", "properties": dict.fromkeys(names, NUMBER), "required": list(names)}


WORDS = {"add": "Adds two numbers.", "multiply": "Multiplies two numbers."}
TAKES: Mapping[str, dict[str, Any]] = {"add": _taking("a", "b"), "multiply": _taking("x", "y")}

OPENAI: list[ChatCompletionToolParam] = [
    {"type": "function", "function": {"name": name, "description": WORDS[name], "parameters": takes}}
    for name, takes in TAKES.items()
]
RESPONSES: list[FunctionToolParam] = [
    {"type": "function", "name": name, "description": WORDS[name], "parameters": takes, "strict": False}
    for name, takes in TAKES.items()
]
ANTHROPIC: list[ToolParam] = [
    {"name": name, "description": WORDS[name], "input_schema": takes} for name, takes in TAKES.items()
]
