"""How the tests of the embedded engine ask, and the schemas that its answers must fit."""

from __future__ import annotations

import json
import math
import tomllib
from pathlib import Path
from typing import Any

import jsonschema_rs

from llm_pool.core.trace import Trace
from llm_pool.core.types import Message, Request
from llm_pool.providers.builtin.answer import TASKS, reply

PROMPTS = Path(__file__).parents[3] / "prompts"
_FILES = {"rerank_candidates": "rerank"}


def _schema(task: str) -> Any:
    return tomllib.loads((PROMPTS / f"{_FILES.get(task, task)}.md").read_text().split("+++")[1])["schema"]


SCHEMAS = {task: jsonschema_rs.validator_for(_schema(task)) for task in TASKS}


def request(text: str, task: str = "chat", **changes: Any) -> Request:
    """A question to the model; `changes` are fields of `Request`."""
    fields = {"messages": (Message.of("user", text),), "model": "extractive", "task": task, **changes}
    return Request(id="r", deadline=math.inf, trace=Trace(0.0), **fields)


def asked(task: str, question: object) -> Any:
    """The answer to a task as a value, which is found to fit the task's schema. A question that is no text is JSON."""
    text = question if isinstance(question, str) else json.dumps(question)
    answer = json.loads("".join(reply(request(text, task)).pieces))
    SCHEMAS[task].validate(answer)
    return answer


def chatted(text: str, **changes: Any) -> str:
    return "".join(reply(request(text, **changes)).pieces)
