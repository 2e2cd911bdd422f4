"""Providers that think between calls of tools: what each says, turn by turn, and the very words it must see again."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from tests.edges.matrix import behind
from tests.edges.matrix.words import CLOCK, EVORA, FARO, NOON, WEATHER, Question
from tests.fakes import anthropic, ollama, openai
from tests.providers.contract import parsed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_pool.core.types import ToolCall

Json = dict[str, Any]


@dataclass(frozen=True)
class Turn:
    """The model thinks, and either calls or answers."""

    thought: str
    calls: tuple[ToolCall, ...] = ()
    text: str = ""

    def called(self, ids: Sequence[str]) -> list[tuple[str, ToolCall]]:
        """With the ids that its calls have come to."""
        return list(zip(ids, self.calls, strict=True))


TURNS = (
    Turn('First, "日本".\n\n  Both \\ of ', (FARO, NOON)),
    Turn(" Then the other 🙂.\n", (EVORA,)),
    Turn("Now I know.", text="Warm, and late."),
)
QUESTION = Question("Is it warm, and is it late?", tools=(WEATHER, CLOCK), effort="low")


class Thinker(behind.Wire):
    @property
    def warns(self) -> set[str]:
        """Codes of its warnings where it goes on with what another has thought."""
        return {"reasoning_dropped", *self.loses}

    def healthy(self) -> None:
        self.fake.statuses.clear()

    def down(self) -> None:
        """It answers 503 to every question."""
        self.fake.statuses[self.rig.chat.decode()] = 503

    def say_turn(self, turn: Turn) -> None:
        raise NotImplementedError

    def again(self, turn: Turn, ids: Sequence[str], results: Sequence[str], *, thinks: bool = True) -> list[Any]:
        """A turn and what came of its calls, as they come back; without its thought where that is another's."""
        raise NotImplementedError

    def heard(self) -> list[Any]:
        """The messages of the latest question."""
        messages: list[Any] = self.fake.asked()[-1].body["messages"]
        return messages

    def first(self) -> list[Any]:
        """The question, before anything else was said."""
        messages: list[Any] = self.body(QUESTION)["messages"]
        return messages


class OpenAI(behind.OpenAI, Thinker):
    """As vLLM, llama-server and others tell what their models think."""

    def say_turn(self, turn: Turn) -> None:
        self._say(openai.Script(thinking=turn.thought, answer=turn.text, calls=calls_of(turn)))

    def _say(self, script: openai.Script) -> None:
        """In bytes: by itself this server calls nothing once it has seen a result."""
        stream = openai.stream_of(script)
        self.fake.scripts[self.rig.model] = openai.Script(body=stream, headers={"Content-Type": "text/event-stream"})

    def again(self, turn: Turn, ids: Sequence[str], results: Sequence[str], *, thinks: bool = True) -> list[Any]:
        calls = [
            {"id": call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call_id, call in turn.called(ids)
        ]
        thought = self.thought(turn) if thinks else {}
        said = {"role": "assistant", "content": None, **thought, "tool_calls": calls}
        told = zip(ids, results, strict=True)
        return [said, *({"role": "tool", "tool_call_id": call_id, "content": result} for call_id, result in told)]

    def thought(self, turn: Turn) -> Json:
        return {"reasoning_content": turn.thought}


class OpenRouter(OpenAI):
    """It wants its `reasoning_details` back as they were: here a signed thought, and one that nobody may read."""

    def __init__(self, *, priority: int = 0) -> None:
        super().__init__(openrouter=True, priority=priority)

    def say_turn(self, turn: Turn) -> None:
        self._say(openai.Script(details=tuple(details(turn)), answer=turn.text, calls=calls_of(turn)))

    def thought(self, turn: Turn) -> Json:
        return {"reasoning_details": details(turn)}


def details(turn: Turn) -> list[Json]:
    """In an order of keys that is nobody's."""
    told = {"signature": f"c2ln+/={len(turn.thought)}", "index": 0, "type": "reasoning.text", "text": turn.thought}
    kept = {"id": "rs_1", "data": "Z0FB+/=", "type": "reasoning.encrypted", "format": "openai-responses-v1", "index": 1}
    return [told | {"format": "anthropic-claude-v1", "id": None}, kept]


class Anthropic(behind.Anthropic, Thinker):
    """Its fake refuses a thought that is not as it was given."""

    @property
    def warns(self) -> set[str]:
        return {"reasoning_dropped", "parameter_ignored"}  # in a turn that began without a thought it cannot think

    def say_turn(self, turn: Turn) -> None:
        content = [*self.thought(turn), *self.calls(turn, [call.id for call in turn.calls])]
        if turn.text:
            content.append({"type": "text", "text": turn.text})
        script = anthropic.Script(tuple(content), stop_reason="tool_use" if turn.calls else "end_turn")
        self.fake.scripts[self.rig.model] = deque([script])

    def again(self, turn: Turn, ids: Sequence[str], results: Sequence[str], *, thinks: bool = True) -> list[Any]:
        told = [
            {"type": "tool_result", "tool_use_id": call_id, "content": [{"type": "text", "text": result}]}
            for call_id, result in zip(ids, results, strict=True)
        ]
        thoughts = self.thought(turn) if thinks else []
        said = {"role": "assistant", "content": [*thoughts, *self.calls(turn, ids)]}
        return [said, {"role": "user", "content": told}]

    def thought(self, turn: Turn) -> list[Json]:
        signed = {"type": "thinking", "thinking": turn.thought, "signature": f"EqQB+/={len(turn.thought)}"}
        return [signed, {"type": "redacted_thinking", "data": f"Emw+/={len(turn.thought)}"}]

    def calls(self, turn: Turn, ids: Sequence[str]) -> list[Json]:
        return [
            {"type": "tool_use", "id": call_id, "name": call.name, "input": parsed(call.arguments)}
            for call_id, call in turn.called(ids)
        ]


class Ollama(behind.Ollama, Thinker):
    """An older one, which gives no ids to its calls: the pool does."""

    def say_turn(self, turn: Turn) -> None:
        half = len(turn.thought) // 2
        said: list[Json] = [{"thinking": turn.thought[:half]}, {"thinking": turn.thought[half:]}]
        said += [{"tool_calls": [{"function": made(call)}]} for call in turn.calls]
        said += [{"content": turn.text}] if turn.text else []
        chunks = [{"message": {"role": "assistant", "content": ""} | each, "done": False} for each in said]
        chunks.append({"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"})
        body = b"".join(orjson.dumps(chunk | {"model": self.rig.model}) + b"\n" for chunk in chunks)
        self.fake.scripts[f"{self.rig.model}:latest"] = ollama.Script(body=body)

    def again(self, turn: Turn, ids: Sequence[str], results: Sequence[str], *, thinks: bool = True) -> list[Any]:
        calls = [
            {"id": call_id, "function": {"index": index, **made(call)}}
            for index, (call_id, call) in enumerate(turn.called(ids))
        ]
        told = [
            {"role": "tool", "content": result, "tool_call_id": call_id, "tool_name": call.name}
            for (call_id, call), result in zip(turn.called(ids), results, strict=True)
        ]
        thought = {"thinking": turn.thought} if thinks else {}
        return [{"role": "assistant", "content": "", **thought, "tool_calls": calls}, *told]


def calls_of(turn: Turn) -> tuple[openai.Call, ...]:
    return tuple(openai.Call(call.name, call.arguments, call.id) for call in turn.calls)


def made(call: ToolCall) -> Json:
    return {"name": call.name, "arguments": parsed(call.arguments)}
