"""Hold an answer to its schema: take it out of what models wrap around it, mend its JSON once, else refuse it. Pure.

An answer is delivered as the model wrote it, without the fence around it. Only one whose JSON had to be mended is
written anew. One that was cut off at `max_tokens` is never mended: what would come out is not what the model meant.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Self, SupportsIndex

import orjson

from llm_pool.core.errors import InvalidOutput
from llm_pool.core.types import Finished, TextDelta

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_pool.core.types import Event, FinishReason, Spec

LONGEST = 256 * 1024  # characters of an answer that is looked at; no honest answer to a schema comes near it
MENDED_AT_MOST = 4 * 1024  # characters; mending is slow Python, 50 ms at worst, and all others wait for it
LOOKS = 4  # how often mending may look at each character: nearly JSON needs 1 to 3, a stammer (`{"{"{"`) thousands
LOOKS_AT_LEAST = 10_000
MOST_BLOCKS = 8  # of code that are looked into

# Where local models that reason in their text end their thoughts. The prompt of some of them has begun these already.
_THOUGHT = "</think>"
_OPENED = re.compile(r"```[A-Za-z0-9_-]*[ \t\r]*\n")
_CLOSED = re.compile(r"^[ \t]*```", re.MULTILINE)


def held(events: Sequence[Event], spec: Spec, *, who: str) -> tuple[list[Event], str]:
    """The events of a whole answer with its text in one piece, and what had to be done to it ("" where nothing).

    Raises InvalidOutput, which names `who` answered and no content.
    """
    text = "".join([event.text for event in events if isinstance(event, TextDelta)])
    reason: FinishReason = next((event.reason for event in events if isinstance(event, Finished)), "stop")
    try:
        answer, done = fitted(text, spec, reason=reason)
    except Unfit as error:
        raise InvalidOutput(f"{who}: {error}") from None
    others = [event for event in events if not isinstance(event, TextDelta)]
    end = len(others) - isinstance(others[-1], Finished)
    return [*others[:end], TextDelta(answer), *others[end:]], done


class Unfit(ValueError):
    """Why an answer is refused."""


def fitted(text: str, spec: Spec, *, reason: FinishReason) -> tuple[str, str]:
    """The JSON text that fits the schema, and what had to be done to get it. Raises Unfit."""
    if len(text) > LONGEST:
        raise Unfit(f"the answer is longer than {LONGEST // 1024} KB")
    bare = text.strip()
    found = _problem(bare, spec)
    if found == "":
        return bare, ""
    likeliest, *others = _unwrapped(bare)
    for inner in (likeliest, *others):
        problem = _problem(inner, spec)
        if problem == "":
            return inner, "unwrapped"
        found = problem if found is None else found
    if reason == "length":
        raise Unfit("the answer was cut off at max_tokens")
    if found is None and (mended := _mended(likeliest)) is not None and (found := _problem(mended, spec)) == "":
        return mended, "mended"
    raise Unfit("the answer is not JSON" if found is None else f"the answer does not fit its schema: {found}")


def _problem(text: str, spec: Spec) -> str | None:
    """What is wrong with the value of this JSON text, "" where nothing is; None where it is no JSON."""
    try:
        return spec.problem(orjson.loads(text))
    except orjson.JSONDecodeError:
        return None


def _unwrapped(text: str) -> list[str]:
    """What may be the answer itself, likeliest first: the last block of code, or what follows the model's thoughts."""
    ends = [end for end in (text.rpartition(_THOUGHT)[2].strip(), text.partition(_THOUGHT)[2].strip()) if end]
    blocks = [block for part in (text, *ends) for block in _blocks(part)]
    return [*reversed(blocks), *ends] or [text]


def _blocks(text: str) -> list[str]:
    """What stands in fences."""
    blocks: list[str] = []
    opened = _OPENED.search(text)
    while opened is not None and len(blocks) < MOST_BLOCKS:
        # JSON has no line breaks in its strings: three backticks that begin a line are not the answer's own.
        closed = _CLOSED.search(text, opened.end())
        if closed is None:
            blocks.append(text[opened.end() :].rstrip().removesuffix("```").strip())
            break
        blocks.append(text[opened.end() : closed.start()].strip())
        opened = _OPENED.search(text, closed.end())
    return blocks


def _mended(text: str) -> str | None:
    """The one value that a text which is nearly JSON means, as JSON; None where it means none."""
    if not text or len(text) > MENDED_AT_MOST or not set("{[").intersection(text):
        return None
    import json_repair  # noqa: PLC0415 - 5 MB that most pools never need

    try:
        looks = [LOOKS * len(text) + LOOKS_AT_LEAST]
        value = json_repair.loads(_Bounded.of(text, looks), skip_json_loads=True)
        if not isinstance(value, dict | list):
            return None
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (ValueError, TypeError, RecursionError):  # what it makes of garbage may be no JSON either
        return None


class _Bounded(str):
    """A text that can be looked at so many times, its pieces included: on some, json_repair takes quadratic time -
    minutes for 64 KB.
    """

    __slots__ = ("_looks",)
    _looks: list[int]

    @classmethod
    def of(cls, text: str, looks: list[int]) -> Self:
        """`looks` holds the one number that this text and its pieces share."""
        bounded = cls(text)
        bounded._looks = looks
        return bounded

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        piece = super().__getitem__(key)
        self._looks[0] -= 1 + len(piece) // 32  # to copy costs something, too
        if self._looks[0] < 0:
            raise ValueError("too much is wrong with it")
        return self.of(piece, self._looks) if isinstance(key, slice) else piece

    def __add__(self, other: str) -> str:
        return self.of(super().__add__(other), self._looks)
