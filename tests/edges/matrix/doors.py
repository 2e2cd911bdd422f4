"""The doors of the matrix: how a caller asks at each, and how its answer is read back into our words.

The official clients ask at the doors of OpenAI and Anthropic, and add the streams up.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anthropic
import openai

from llm_pool.core.types import Usage
from tests.edges.matrix.behind import b64
from tests.edges.matrix.words import MOST_TOKENS, Told
from tests.providers.contract import parsed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping

    from llm_pool.core.types import FinishReason, Tool
    from tests.edges.both import Said
    from tests.edges.matrix.words import Question
    from tests.running import Up

Json = dict[str, Any]


@dataclass
class Callers:
    """Whoever asks: the pool itself for our own doors, and the official clients. `headers`: of the latest answer."""

    up: Up
    openai: openai.AsyncOpenAI
    anthropic: anthropic.AsyncAnthropic
    headers: Mapping[str, str]


@asynccontextmanager
async def callers(up: Up) -> AsyncIterator[Callers]:
    """Clients that try nothing twice."""

    async def note(response: Any) -> None:
        found.headers = response.headers

    async with AsyncExitStack() as stack:
        common: Any = {"api_key": "nobody looks", "max_retries": 0, "timeout": 30}
        hooks: Any = {"event_hooks": {"response": [note]}}
        url = f"http://{up.http_address}"
        one = openai.AsyncOpenAI(base_url=f"{url}/v1", http_client=openai.DefaultAsyncHttpxClient(**hooks), **common)
        two = anthropic.AsyncAnthropic(base_url=url, http_client=anthropic.DefaultAsyncHttpxClient(**hooks), **common)
        found = Callers(up, await stack.enter_async_context(one), await stack.enter_async_context(two), {})
        yield found


@dataclass(frozen=True)
class Heard:
    """An answer. `turn` is what its caller keeps of it, exactly as it came, to go on; `whole` all of it, as JSON."""

    told: Told
    turn: list[Any]
    whole: Json


class Door(ABC):
    name: str

    @abstractmethod
    async def ask(
        self, callers: Callers, model: str, question: Question, since: Iterable[Any] = (), *, stream: bool
    ) -> Heard:
        """Ask, whole or as a stream that is added up. `since` is what was said since the question, turn by turn."""

    def results(self, results: Iterable[tuple[str, str]]) -> list[Any]:
        """What came of calls, by their ids, as the next turn."""
        raise NotImplementedError


# --- Our own ----------------------------------------------------------------------------------------------------


class Own(Door):
    def __init__(
        self, name: str, whole: Callable[[Up, Json], Awaitable[Said]], streamed: Callable[[Up, Json], Awaitable[Said]]
    ) -> None:
        self.name = name
        self._whole = whole
        self._streamed = streamed

    async def ask(
        self, callers: Callers, model: str, question: Question, since: Iterable[Any] = (), *, stream: bool
    ) -> Heard:
        ask = own_words(model, question)
        said = await (self._streamed if stream else self._whole)(callers.up, ask)
        assert said.error is None, said
        answer = own_sum(said.events) if stream else said.answer
        assert answer is not None
        usage = {key.removesuffix("_tokens"): value for key, value in answer["usage"].items()}
        told = Told(
            answer["winner_model"],
            answer["content"],
            answer["reasoning"],
            tuple((call["id"], call["name"], parsed(call["arguments"])) for call in answer["tool_calls"]),
            answer["finish_reason"],
            Usage(**usage),
            tuple(warning["code"] for warning in answer["decision"]["warnings"]),
        )
        return Heard(told, [], answer)


def own_words(model: str, question: Question) -> Json:
    parts: list[Json] = [{"text": question.text}]
    if question.image is not None:
        parts.append({"image": {"media_type": "image/png", "data": b64(question.image)}})
    messages: list[Json] = [{"role": "system", "content": question.system}] if question.system else []
    ask: Json = {"model": model, "max_tokens": MOST_TOKENS, "messages": [*messages, {"role": "user", "parts": parts}]}
    if question.tools:
        ask["tools"] = [
            {"name": tool.name, "description": tool.description, "parameters": tool.parameters, "strict": True}
            for tool in question.tools
        ]
    if question.schema is not None:
        ask["response_schema"] = question.schema
    if question.effort is not None:
        ask["effort"] = question.effort
    return ask


def own_sum(events: Iterable[tuple[str, Json]]) -> Json:
    """The answer that a stream of ours comes to."""
    answer: Json = {"content": "", "reasoning": ""}
    calls: dict[int, Json] = {}
    blocks: list[Json] = []
    thinking = False
    for name, data in events:
        if name == "text":
            answer["content"] += data["text"]
        elif name == "reasoning":
            answer["reasoning"] += data["text"]
            if not thinking:
                blocks.append({**data, "text": ""})
            blocks[-1] |= {**data, "text": blocks[-1]["text"] + data["text"]}
        elif name == "tool_call":
            call = calls.setdefault(data["index"], {"id": "", "name": "", "arguments": ""})
            for key in call:
                call[key] += data[key]
        elif name == "finished":
            answer |= data
        thinking = name == "reasoning" and not data["opaque"]
    sealed = any(block["opaque"] for block in blocks)
    return answer | {"tool_calls": list(calls.values()), "reasoning_parts": blocks if sealed else [], "logprobs": []}


# --- OpenAI -----------------------------------------------------------------------------------------------------


class Chat(Door):
    name = "chat completions"

    async def ask(
        self, callers: Callers, model: str, question: Question, since: Iterable[Any] = (), *, stream: bool
    ) -> Heard:
        ask = self._words(model, question)
        ask["messages"] += since
        completions = callers.openai.chat.completions
        extra: Json = {}
        if stream:
            async with completions.stream(**ask, stream_options={"include_usage": True}) as events:
                async for event in events:
                    if event.type == "chunk":
                        extra |= event.chunk.model_extra or {}
                answer: Any = await events.get_final_completion()
        else:
            answer = await completions.create(**ask)
            extra = answer.model_extra
        [choice] = answer.choices
        message, usage = choice.message, answer.usage
        inside, thought = usage.prompt_tokens_details, usage.completion_tokens_details.reasoning_tokens
        cached, kept = inside.cached_tokens, inside.cache_write_tokens
        told = Told(
            answer.model,
            message.content or "",
            getattr(message, "reasoning_content", ""),
            tuple((call.id, call.function.name, parsed(call.function.arguments)) for call in message.tool_calls or ()),
            choice.finish_reason,
            Usage(usage.prompt_tokens - cached - kept, cached, kept, usage.completion_tokens - thought, thought),
            codes(extra),
        )
        return Heard(
            told, [message], plain(answer, "parsed", "parsed_arguments", "index") | {"llm_pool": extra.get("llm_pool")}
        )

    def results(self, results: Iterable[tuple[str, str]]) -> list[Any]:
        return [{"role": "tool", "tool_call_id": call, "content": said} for call, said in results]

    def _words(self, model: str, question: Question) -> Json:
        content: Any = question.text
        if question.image is not None:
            image = {"type": "image_url", "image_url": {"url": data_url(question.image)}}
            content = [{"type": "text", "text": question.text}, image]
        messages: list[Json] = [{"role": "system", "content": question.system}] if question.system else []
        messages.append({"role": "user", "content": content})
        ask: Json = {"model": model, "messages": messages, "max_completion_tokens": MOST_TOKENS}
        if question.tools:
            ask["tools"] = [{"type": "function", "function": function(tool)} for tool in question.tools]
        if question.schema is not None:
            form = {"name": "answer", "schema": question.schema, "strict": True}
            ask["response_format"] = {"type": "json_schema", "json_schema": form}
        if question.effort is not None:
            ask["reasoning_effort"] = question.effort
        return ask


class Responses(Door):
    name = "responses"

    async def ask(
        self, callers: Callers, model: str, question: Question, since: Iterable[Any] = (), *, stream: bool
    ) -> Heard:
        ask = self._words(model, question)
        ask["input"] += since
        if stream:
            pieces: dict[int, str] = {}
            async with callers.openai.responses.stream(**ask) as events:
                async for event in events:
                    if event.type in PIECES:
                        piece: Any = event
                        pieces[piece.output_index] = pieces.get(piece.output_index, "") + piece.delta
                answer: Any = await events.get_final_response()
            # The client takes the last event's word for what all of it comes to.
            assert pieces == {index: said_in(item) for index, item in enumerate(answer.output) if said_in(item)}
        else:
            answer = await callers.openai.responses.create(**ask)
        thoughts = [item for item in answer.output if item.type == "reasoning"]
        calls = [item for item in answer.output if item.type == "function_call"]
        usage = answer.usage
        cached, kept = usage.input_tokens_details.cached_tokens, usage.input_tokens_details.cache_write_tokens
        thought = usage.output_tokens_details.reasoning_tokens
        reasons: dict[str, FinishReason] = {"completed": "tool_calls" if calls else "stop"}
        told = Told(
            answer.model,
            answer.output_text,
            "".join(part.text for item in thoughts for part in item.summary),
            tuple((call.call_id, call.name, parsed(call.arguments)) for call in calls),
            reasons[answer.status],
            Usage(usage.input_tokens - cached - kept, cached, kept, usage.output_tokens - thought, thought),
            codes(answer.model_extra),
        )
        return Heard(told, answer.output, plain(answer, "parsed", "parsed_arguments"))

    def results(self, results: Iterable[tuple[str, str]]) -> list[Any]:
        return [{"type": "function_call_output", "call_id": call, "output": said} for call, said in results]

    def _words(self, model: str, question: Question) -> Json:
        content: Any = question.text
        if question.image is not None:
            image = {"type": "input_image", "image_url": data_url(question.image)}
            content = [{"type": "input_text", "text": question.text}, image]
        ask: Json = {"model": model, "input": [{"role": "user", "content": content}], "max_output_tokens": MOST_TOKENS}
        ask |= {"store": False, "include": ["reasoning.encrypted_content"]}
        if question.system:
            ask["instructions"] = question.system
        if question.tools:
            ask["tools"] = [{"type": "function", **function(tool)} for tool in question.tools]
        if question.schema is not None:
            form = {"type": "json_schema", "name": "answer", "schema": question.schema, "strict": True}
            ask["text"] = {"format": form}
        if question.effort is not None:
            ask["reasoning"] = {"effort": question.effort, "summary": "auto"}
        return ask


PIECES = {
    "response.output_text.delta",
    "response.reasoning_summary_text.delta",
    "response.function_call_arguments.delta",
}


def said_in(item: Any) -> str:
    if item.type == "function_call":
        return str(item.arguments)
    return "".join(part.text for part in (item.summary if item.type == "reasoning" else item.content))


# --- Anthropic --------------------------------------------------------------------------------------------------

STOPS: dict[str, FinishReason] = {"end_turn": "stop", "tool_use": "tool_calls"}


class Messages(Door):
    name = "messages"

    async def ask(
        self, callers: Callers, model: str, question: Question, since: Iterable[Any] = (), *, stream: bool
    ) -> Heard:
        ask = self._words(model, question)
        ask["messages"] += since
        if stream:
            extra: Json = {}
            async with callers.anthropic.messages.stream(**ask) as events:
                async for event in events:
                    if event.type == "message_delta":
                        extra = event.model_extra or {}
                answer: Any = await events.get_final_message()
        else:
            answer = await callers.anthropic.messages.create(**ask)
            extra = answer.model_extra
        usage = answer.usage
        thought = usage.output_tokens_details.thinking_tokens if usage.output_tokens_details else 0
        told = Told(
            answer.model,
            "".join(block.text for block in answer.content if block.type == "text"),
            "".join(block.thinking for block in answer.content if block.type == "thinking"),
            tuple((block.id, block.name, block.input) for block in answer.content if block.type == "tool_use"),
            STOPS[answer.stop_reason],
            Usage(
                usage.input_tokens,
                usage.cache_read_input_tokens,
                usage.cache_creation_input_tokens,
                usage.output_tokens - thought,
                thought,
            ),
            codes(extra),
        )
        turn = {"role": "assistant", "content": answer.content}
        return Heard(told, [turn], plain(answer, "parsed_output") | {"llm_pool": extra.get("llm_pool")})

    def results(self, results: Iterable[tuple[str, str]]) -> list[Any]:
        content = [{"type": "tool_result", "tool_use_id": call, "content": said} for call, said in results]
        return [{"role": "user", "content": content}]

    def _words(self, model: str, question: Question) -> Json:
        content: Any = question.text
        if question.image is not None:
            source = {"type": "base64", "media_type": "image/png", "data": b64(question.image)}
            content = [{"type": "text", "text": question.text}, {"type": "image", "source": source}]
        ask: Json = {"model": model, "messages": [{"role": "user", "content": content}], "max_tokens": MOST_TOKENS}
        if question.system:
            ask["system"] = question.system
        if question.tools:
            ask["tools"] = [
                {"name": tool.name, "description": tool.description, "input_schema": tool.parameters, "strict": True}
                for tool in question.tools
            ]
        output: Json = {} if question.effort is None else {"effort": question.effort}
        if question.schema is not None:
            output["format"] = {"type": "json_schema", "schema": question.schema}
        return ask | ({"output_config": output} if output else {})


# --- Words they share -------------------------------------------------------------------------------------------


def function(tool: Tool) -> Json:
    return {"name": tool.name, "description": tool.description, "parameters": tool.parameters, "strict": True}


def data_url(png: bytes) -> str:
    return f"data:image/png;base64,{b64(png)}"


def codes(extra: Json | None) -> tuple[str, ...]:
    """Of the warnings that stand beside an answer."""
    return tuple(warning["code"] for warning in (extra or {}).get("llm_pool", {}).get("warnings", ()))


VARIES = ("id", "created", "created_at", "completed_at")


def plain(answer: Any, *unsaid: str) -> Json:
    """All of an answer, without what differs from call to call and what only its client says."""
    told: Json = pruned(answer.to_dict(exclude_none=True), {*VARIES, *unsaid})
    return told


def pruned(value: Any, names: set[str]) -> Any:
    if isinstance(value, dict):
        return {key: pruned(inner, names) for key, inner in value.items() if key not in names}
    return [pruned(inner, names) for inner in value] if isinstance(value, list) else value
