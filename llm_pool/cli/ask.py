"""`llm-pool infer`: one question, one answer; the content alone goes to standard output."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from llm_pool.cli import codes
from llm_pool.cli.calling import called
from llm_pool.cli.waiting import Waiting
from llm_pool.client import Answer, ClientError
from llm_pool.core.types import ReasoningDelta, TextDelta

if TYPE_CHECKING:
    from llm_pool.cli.output import Screen
    from llm_pool.client import Client, Stream

MOST_BYTES = 16 * 1024 * 1024  # of standard input; the pool's own limit is far lower


@dataclass(frozen=True, slots=True)
class Question:
    task: str
    model: str | None
    strategy: str | None
    max_tokens: int | None
    temperature: float | None
    deadline: float | None  # seconds

    def fields(self) -> dict[str, Any]:
        """As the client names them."""
        return {
            "task": self.task,
            "model": self.model,
            "strategy": self.strategy,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "deadline_ms": None if self.deadline is None else max(1, round(self.deadline * 1000)),
        }


class How(Protocol):
    """Ask and print. Gives whether the answer is a degraded one."""

    async def __call__(self, client: Client, *, fields: dict[str, Any], screen: Screen) -> bool: ...


class Unfit(ValueError):
    """This is no prompt. The text says why."""


def infer(
    question: Question, prompt: str, screen: Screen, *, url: str, stream: bool, as_json: bool, strict: bool
) -> int:
    """Ask, print, and give the exit code."""
    try:
        fields = {**question.fields(), "prompt": read(prompt, screen)}
    except Unfit as error:
        screen.fail(str(error))
        return codes.REFUSED
    how: How = (_raw if as_json else _said) if stream else partial(_whole, as_json=as_json)
    return called(url, screen, partial(_asked, how=how, fields=fields, screen=screen, strict=strict))


def read(prompt: str, screen: Screen) -> str:
    """The prompt itself, or for `-` what stands on standard input. Raises Unfit."""
    if prompt != "-":
        text, where = prompt, "the prompt"
        try:
            text.encode()
        except UnicodeEncodeError:  # bytes of the command line that are no text
            raise Unfit("the prompt is not UTF-8 text") from None
    else:
        where = "standard input"
        if sys.stdin is None:
            raise Unfit("standard input is closed")
        if sys.stdin.isatty():
            screen.note("reading the prompt from here; Ctrl-D on an empty line ends it")
        try:
            raw = sys.stdin.buffer.read(MOST_BYTES + 1)
        except OSError as error:
            raise Unfit(f"standard input cannot be read: {(error.strerror or '').lower()}") from None
        if len(raw) > MOST_BYTES:
            raise Unfit(f"standard input is larger than {MOST_BYTES // 1024 // 1024} MB")
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise Unfit("standard input is not UTF-8 text") from None
    if "\0" in text:
        raise Unfit(f"{where} is not text: it holds a zero byte")
    if not text.strip():
        raise Unfit(f"{where} is empty")
    return text


async def _asked(client: Client, *, how: How, fields: dict[str, Any], screen: Screen, strict: bool) -> int:
    degraded = await how(client, fields=fields, screen=screen)
    return codes.DEGRADED if degraded and strict else codes.OK


async def _whole(client: Client, *, fields: dict[str, Any], screen: Screen, as_json: bool) -> bool:
    async with _waiting(client, screen, fields):
        answer = await client.infer(**fields)
    if as_json:
        screen.json(answer.raw, indent=2)
    else:
        if answer.content or not answer.tool_calls:
            screen.content(answer.content)
        screen.calls(answer)
        screen.about(answer)
    return answer.decision.degraded


async def _said(client: Client, *, fields: dict[str, Any], screen: Screen) -> bool:
    async with _waiting(client, screen, fields) as waiting, client.stream(**fields) as events:
        answer = await spoken(events, waiting, screen)
    screen.calls(answer)
    screen.about(answer)
    return answer.decision.degraded


async def spoken(events: Stream, waiting: Waiting, screen: Screen, said: list[str] | None = None) -> Answer:
    """Print an answer as it comes; `said` keeps it piece by piece. Ends its line whatever happens.

    Raises ClientError.
    """
    last = ""
    try:
        async for event in events:
            match event:
                case TextDelta(text) if text:
                    await waiting.over()
                    screen.write(text)
                    last = text
                    if said is not None:
                        said.append(text)
                case ReasoningDelta():
                    waiting.thinks()
                case Answer():
                    await waiting.over()
                    return event
                case _:
                    pass
    finally:
        await waiting.over()
        if last and not last.endswith("\n"):
            screen.write("\n")
    raise AssertionError("a stream ends with an answer or an error")


async def _raw(client: Client, *, fields: dict[str, Any], screen: Screen) -> bool:
    """Every event as one JSON object on one line, an error too."""
    degraded = False
    try:
        async with client.stream(**fields) as events:
            while (named := await events.next_raw()) is not None:
                name, data = named
                screen.json({"event": name, **data})
                if name == "finished":
                    decision = data.get("decision")
                    degraded = isinstance(decision, dict) and decision.get("degraded") is True
    except ClientError as error:
        told = {"code": error.code, "message": error.message, "request_id": error.request_id, "details": error.details}
        screen.json({"event": "error", **told})
        raise
    return degraded


def _waiting(client: Client, screen: Screen, fields: dict[str, Any]) -> Waiting:
    return Waiting(client, screen, task=fields["task"], model=fields["model"])
