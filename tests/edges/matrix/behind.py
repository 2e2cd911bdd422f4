"""The providers of the matrix: how each is told what to say, and what it must have been asked, word by word."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from base64 import b64encode
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llm_pool.core.types import ToolCall, Usage
from tests.edges.matrix.words import CONTENTS, MOST_TOKENS, Question, Told
from tests.providers.contract import parsed
from tests.providers.rigs.anthropic import AnthropicRig
from tests.providers.rigs.ollama import OllamaRig
from tests.providers.rigs.openai import OpenAIRig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from llm_pool.core.types import Tool
    from tests.providers.contract import Said, Wired

Json = dict[str, Any]


class Behind(ABC):
    """One provider, and whatever answers for it while `running`."""

    name: str  # its table, and the first part of its models' ids

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        yield

    @abstractmethod
    def tables(self) -> str:
        """Its part of the configuration, once it runs."""

    @abstractmethod
    def model(self, content: str) -> str:
        """Who is to be asked for this content, by its public id."""

    @abstractmethod
    def say(self, said: Said) -> None: ...

    @abstractmethod
    def asked(self) -> list[Json]:
        """The bodies that it was sent since `say`."""

    @abstractmethod
    def body(self, question: Question) -> Json:
        """What each of them must be."""

    @abstractmethod
    def told(self, content: str) -> Told:
        """What its answer must come to."""


# --- Behind a wire ----------------------------------------------------------------------------------------------


class Wire(Behind):
    """A provider that is asked over HTTP: a fake server, scripted by the rig of the provider's own tests."""

    rig: Wired
    loses: tuple[str, ...] = ()  # codes of warnings where tools are offered

    def __init__(self, *, priority: int = 0) -> None:
        self.name = self.rig.driver
        self.fake: Any = None
        self._priority = priority
        self._before = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with self.rig.fake() as self.fake:
            yield

    def tables(self) -> str:
        keys = {"driver": self.name, "models": [self.rig.model], "priority": self._priority}
        return table(self.name, **keys, base_url=self.fake.url)

    def model(self, content: str) -> str:
        return f"{self.name}/{self.rig.model}"

    def say(self, said: Said) -> None:
        self._before = len(self.fake.asked())
        self.rig.script(self.fake, replace(said, usage=self.rig.buckets))

    def asked(self) -> list[Json]:
        return [received.body for received in self.fake.asked()[self._before :]]

    def told(self, content: str) -> Told:
        asked, said = CONTENTS[content].question, CONTENTS[content].said
        return Told(
            self.model(content),
            "" if said.calls else said.text,
            said.reasoning,
            tuple(
                (self.id_of(index, call), call.name, parsed(call.arguments)) for index, call in enumerate(said.calls)
            ),
            "tool_calls" if said.calls else "stop",
            self.rig.buckets,
            self.loses if asked.tools else (),
        )

    def id_of(self, index: int, call: ToolCall) -> str:
        return call.id


class OpenAI(Wire):
    def __init__(self, *, openrouter: bool = False, priority: int = 0) -> None:
        self.rig = OpenAIRig(openrouter=openrouter)
        self._openrouter = openrouter
        super().__init__(priority=priority)

    def body(self, question: Question) -> Json:
        content: Any = question.text
        if question.image is not None:
            url = f"data:image/png;base64,{b64(question.image)}"
            content = [{"type": "text", "text": question.text}, {"type": "image_url", "image_url": {"url": url}}]
        body: Json = {
            "model": self.rig.model,
            "messages": [*system(question, question.system), {"role": "user", "content": content}],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": MOST_TOKENS,
        }
        if question.tools:
            body["tools"] = [
                function(tool) | {"function": function(tool)["function"] | {"strict": True}} for tool in question.tools
            ]
        if question.schema is not None:
            form = {"name": "answer", "schema": question.schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        if question.effort is not None:
            told = {"reasoning": {"effort": question.effort}}
            body |= told if self._openrouter else {"reasoning_effort": question.effort}
        return body


class Anthropic(Wire):
    rig = AnthropicRig()

    def body(self, question: Question) -> Json:
        content: list[Json] = [{"type": "text", "text": question.text}]
        if question.image is not None:
            source = {"type": "base64", "media_type": "image/png", "data": b64(question.image)}
            content.append({"type": "image", "source": source})
        body: Json = {
            "model": self.rig.model,
            "messages": [{"role": "user", "content": content}],
            "stream": True,
            "max_tokens": MOST_TOKENS,
        }
        if question.system:
            body["system"] = [{"type": "text", "text": question.system}]
        if question.tools:
            body["tools"] = [
                {"name": tool.name, "description": tool.description, "strict": True, "input_schema": tool.parameters}
                for tool in question.tools
            ]
        if question.schema is not None:
            body["output_config"] = {"format": {"type": "json_schema", "schema": question.schema}}
        if question.effort is not None:
            body["thinking"] = {"type": "enabled", "budget_tokens": 2_048}
        return body


class Ollama(Wire):
    rig = OllamaRig(ids=True)
    loses = ("parameter_ignored",)  # it cannot be told that a tool is strict

    def body(self, question: Question) -> Json:
        image = {} if question.image is None else {"images": [b64(question.image)]}
        body: Json = {
            "model": self.rig.model,
            "messages": [*system(question, question.system), {"role": "user", "content": question.text} | image],
            "stream": True,
            "truncate": False,
            "options": {"num_predict": MOST_TOKENS},
        }
        if question.tools:
            body["tools"] = [function(tool) for tool in question.tools]
        if question.schema is not None:
            body["format"] = question.schema
        if question.effort is not None:
            body["think"] = question.effort
        return body

    def id_of(self, index: int, call: ToolCall) -> str:
        return f"call_{call.name}{index}"  # its server gives its own


# --- Behind nothing ---------------------------------------------------------------------------------------------


class Sim(Behind):
    """The simulated provider: a model for each content. Nobody hears what it is asked, but it counts the words."""

    name = "sim"

    def tables(self) -> str:
        return "".join(self._table(name, content.said) for name, content in CONTENTS.items())

    def _table(self, content: str, said: Said) -> str:
        calls = [{"name": call.name, "arguments": parsed(call.arguments)} for call in said.calls]
        script = {"answers": [said.text], "reasoning": said.reasoning, "tool_calls": calls}
        return table(f"sim-{content}", driver="sim", models=[content], sim=script)

    def model(self, content: str) -> str:
        return f"sim/{content}"

    def say(self, said: Said) -> None:
        """It says what its model's table has."""

    def asked(self) -> list[Json]:
        return []

    def body(self, question: Question) -> Json:
        return {}  # there is no wire

    def told(self, content: str) -> Told:
        asked, said = CONTENTS[content].question, CONTENTS[content].said
        heard = words(asked.system, asked.text, *(f"{tool.name} {tool.description}" for tool in asked.tools))
        spoken = [call.arguments for call in said.calls] or [said.text]
        return Told(
            self.model(content),
            "" if said.calls else said.text,
            said.reasoning,
            tuple(("", call.name, parsed(call.arguments)) for call in said.calls),
            "tool_calls" if said.calls else "stop",
            Usage(input=heard, output=words(*spoken), reasoning=words(said.reasoning)),
        )


# --- Words they share -------------------------------------------------------------------------------------------


def system(question: Question, content: Any) -> list[Json]:
    return [{"role": "system", "content": content}] if question.system else []


def function(tool: Tool) -> Json:
    told = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": told}


def b64(data: bytes) -> str:
    return b64encode(data).decode()


def words(*texts: str) -> int:
    return sum(len(text.split()) for text in texts)


def table(name: str, **keys: Any) -> str:
    """A `[[providers]]` table."""
    lines = [f"{key} = {toml(value)}" for key, value in {"name": name, **keys}.items()]
    return "\n".join(["[[providers]]", *lines, ""])


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
