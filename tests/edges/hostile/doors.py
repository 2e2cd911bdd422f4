"""The doors over HTTP: of each the least body, where texts stand in it, and the shape of its errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from tests.edges.hostile import rich
from tests.edges.hostile.rich import CANARY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Json = dict[str, Any]
Path = tuple[str | int, ...]

MODEL = "sim/m"


@dataclass(frozen=True, eq=False)
class Door:
    """`texts`: where a caller's own text may stand in the least body, as long as it likes to be."""

    path: str
    model: str  # of the document
    least: Json
    rich: tuple[Json, ...]
    message: Callable[[Json], str]  # that of an error
    texts: tuple[Path, ...]

    def body(self, **more: Any) -> Json:
        return {"model": MODEL, **self.least, **more}

    def with_text(self, text: str) -> Iterator[Json]:
        """The least body with this in the place of each text."""
        for path in self.texts:
            yield put(self.body(), path, text)


def put(body: Json, path: Path, value: Any) -> Json:
    """The same body, another value at this place."""
    told: Json = orjson.loads(orjson.dumps(body))  # (a deep copy would keep what is shared so)
    *before, last = path
    where: Any = told
    for step in before:
        where = where[step]
    where[last] = value
    return told


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Of everything within a body, members before what they hold."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, each in inner:
        yield (*path, step)
        yield from places(each, (*path, step))


# --- Errors -----------------------------------------------------------------------------------------------------


def _ours(told: Json) -> str:
    assert set(told) == {"error"}
    assert set(told["error"]) == {"code", "message", "request_id", "details"}
    return str(told["error"]["message"])


def _openai(told: Json) -> str:
    assert set(told) == {"error"}
    assert set(told["error"]) == {"message", "type", "param", "code"}
    return str(told["error"]["message"])


def _anthropic(told: Json) -> str:
    assert set(told) == {"type", "error", "request_id"}
    assert told["type"] == "error"
    assert {"type", "message"} <= set(told["error"]) <= {"type", "message", "details"}
    return str(told["error"]["message"])


# --- The table --------------------------------------------------------------------------------------------------

_SAID: Json = {"messages": [{"role": "user", "content": CANARY}]}
_CONTENT: Path = ("messages", 0, "content")

INFER = Door("/v1/infer", "InferBody", _SAID, rich.INFER, _ours, (_CONTENT,))
CHAT = Door("/v1/chat/completions", "ChatBody", _SAID, rich.CHAT, _openai, (_CONTENT,))
RESPONSES = Door(
    "/v1/responses", "ResponsesBody", {"input": CANARY}, rich.RESPONSES, _openai, (("input",), ("instructions",))
)
EMBEDDINGS = Door("/v1/embeddings", "EmbeddingsBody", {"input": CANARY}, rich.EMBEDDINGS, _openai, (("input",),))
MESSAGES = Door(
    "/v1/messages", "MessagesBody", {**_SAID, "max_tokens": 64}, rich.MESSAGES, _anthropic, (_CONTENT, ("system",))
)
COUNT = Door("/v1/messages/count_tokens", "CountBody", _SAID, rich.COUNT, _anthropic, (_CONTENT,))

DOORS = {door.path: door for door in (INFER, CHAT, RESPONSES, EMBEDDINGS, MESSAGES, COUNT)}


def refusal(door: Door, raw: bytes) -> str:
    """The message of an error, which must have the shape of its door."""
    told: Json = orjson.loads(raw)
    return door.message(told)
