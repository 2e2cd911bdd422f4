"""Pieces of several tool calls that come in turns: told call by call, without reading any of them again and again."""

from __future__ import annotations

import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.core.trace import Trace
from llm_pool.core.types import Finished, Request, Started, ToolCallDelta, Usage
from llm_pool.edges.http.openai.chat_out import ChatTelling


def told(*pieces: tuple[int, str]) -> list[tuple[int, str]]:
    """The pieces of arguments in the order in which they go out; (-1, "") is the end."""
    request = Request(id="r", messages=(), deadline=0.0, trace=Trace(0.0))
    telling = ChatTelling(request, usage=False, choices=1)
    frames = [telling.tell(Started("sim/m", "sim"))]
    begun: set[int] = set()
    for index, piece in pieces:
        named = ("", "") if index in begun else (f"call_{index}", "f")
        begun.add(index)
        frames.append(telling.tell(ToolCallDelta(index, *named, piece)))
    frames.append(telling.tell(Finished("tool_calls", Usage())))
    said: list[tuple[int, str]] = []
    for frame in b"".join(frames).split(b"\n\n")[1:-1]:
        choice: Any = orjson.loads(frame.removeprefix(b"data: "))["choices"][0]
        said += [(call["index"], call["function"]["arguments"]) for call in choice["delta"].get("tool_calls", ())]
        if choice["finish_reason"]:
            said.append((-1, ""))
    return said


END = (-1, "")
IN_TURNS: dict[str, tuple[list[str], bool]] = {
    "an object": (['{"a":', "1}"], True),
    "one in one piece": (["{}"], True),
    "braces in a text": (['{"a": "}', "{}}", '"}'], True),
    "an escape that is cut": (['{"a": "\\', '"}', '"}'], True),
    "an escape before the end of a text": (['{"a": "\\\\', '"}'], True),
    "an object in an object": (['{"a": {"b": {}', "}", "}"], True),
    "space around it": ([" ", "\n{", "}", " "], True),
    "not yet": (['{"a": {}'], False),
    "an open text": (['{"a": "}'], False),
    "a list": (["[{}", "]"], False),
    "a number": (["7"], False),
    "nothing": ([""], False),
    "no JSON": (["{a}"], False),
    "too many braces": (["}", "{}"], False),
}


@pytest.mark.parametrize(("pieces", "whole"), IN_TURNS.values(), ids=IN_TURNS)
def test_another_call_waits_until_the_open_one_is_an_object(pieces: list[str], whole: bool) -> None:
    """Where it is none, to the end: what still comes of the open one goes before."""
    more = [*((0, piece) for piece in pieces), (1, "{"), (0, " "), (1, "}")]
    own = [(0, piece) for at, piece in enumerate(pieces) if piece or not at]
    if whole:
        assert told(*more) == [*own, (1, "{"), (1, "}"), (0, " "), END]
    else:
        assert told(*more) == [*own, (0, " "), (1, "{"), (1, "}"), END]


objects = st.dictionaries(st.text(max_size=5), st.recursive(st.text(max_size=8), st.lists, max_leaves=5), max_size=4)


@given(objects, st.data())
def test_wherever_an_object_is_cut_it_is_one_with_its_last_brace_and_not_before(said: Any, data: st.DataObject) -> None:
    text = orjson.dumps(said).decode()
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(text) - 1)), max_size=6)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    pieces = [piece for piece in pieces if piece]
    *others, last = pieces
    pieces_of_both = [*((0, piece) for piece in others), (1, "{}"), (0, last)] if others else [(0, last), (1, "{}")]
    assert told(*pieces_of_both) == [*((0, piece) for piece in pieces), (1, "{}"), END]


def test_pieces_of_others_cost_nothing_of_the_open_call() -> None:
    """It ends as an object would, and is none."""
    long = '{"a": "' + "x" * 500_000 + '", "b": {"c": {}}'
    started = time.process_time()
    said = told((0, long), (1, "{"), *[(1, "1")] * 8_000)
    assert time.process_time() - started < 1.0
    assert said[:2] == [(0, long), (1, "{")]
    assert len(said) == 8_003


def test_pieces_of_the_open_call_are_looked_at_once() -> None:
    """Each ends as an object would."""
    started = time.process_time()
    said = told((0, '{"a": "' + "{}" * 100_000), (1, "{"), *[(0, "x}")] * 8_000)
    assert time.process_time() - started < 1.0
    assert len(said) == 8_003
