"""Calls of tools in a stream whose arguments are no JSON object, were cut off, or are long."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import anthropic
import pytest

from llm_pool.core.errors import ProviderGarbled
from llm_pool.core.types import Event, Finished, Started, TextDelta, ToolCallDelta
from llm_pool.edges.http.anthropic import answers
from llm_pool.edges.http.anthropic.streams import Telling
from tests.edges.anthropic.asking import ASK, USAGE, client_of, frames, pool_saying, request_for, whole

if TYPE_CHECKING:
    from typing import Any

    from tests.scripted import Step

START = Started("sim/m", "a")
END = Finished("tool_calls", USAGE)
CUT = Finished("length", USAGE)


def call(index: int, arguments: str, *, first: bool = True) -> ToolCallDelta:
    return ToolCallDelta(index, f"call_{index}" if first else "", f"tool{index}" if first else "", arguments)


def streamed(*events: Event) -> list[dict[str, Any]]:
    telling = Telling(request_for())
    return frames(b"".join([telling.tell(event) for event in (START, *events)]))


def pieces(told: list[dict[str, Any]]) -> list[str]:
    return [frame["delta"]["partial_json"] for frame in told if frame["type"] == "content_block_delta"]


GARBLED = ["{", "[]", "nothing", '"{}"', '{"a": NaN}', "{}{}", "{} {", "}{", '{"a":1}]']


@pytest.mark.parametrize("arguments", GARBLED)
@pytest.mark.parametrize("size", [1, 100])
def test_a_call_that_is_no_object_ends_neither_kind_of_answer(arguments: str, size: int) -> None:
    cut = [arguments[at : at + size] for at in range(0, len(arguments), size)]
    said: list[Event] = [call(0, cut[0]), *(call(0, piece, first=False) for piece in cut[1:])]
    answers_: list[list[Event]] = [[*said, END], [*said, TextDelta("x"), END], [*said, call(1, "{}"), END]]
    for events in answers_:
        with pytest.raises(ProviderGarbled):
            whole([START, *events])
        with pytest.raises(ProviderGarbled):
            streamed(*events)


def test_a_call_that_waits_for_its_turn_is_looked_at_too() -> None:
    with pytest.raises(ProviderGarbled):
        streamed(call(0, "{"), call(1, "["), call(0, "}", first=False), END)


@pytest.mark.parametrize("blank", ["", " ", "\n\t"])
def test_a_call_without_arguments_is_sound(blank: str) -> None:
    assert streamed(call(0, blank), END)[-1]["delta"]["stop_reason"] == "tool_use"


def test_what_can_be_no_object_is_not_put_before_a_client_that_would_fail_at_it() -> None:
    telling = Telling(request_for())
    told = [telling.tell(event) for event in (START, call(0, " "), call(0, "no", first=False), call(0, "{}"))]
    assert pieces(frames(b"".join(told))) == [" "]


def test_a_call_that_max_tokens_cut_off_is_told_as_far_as_it_came_with_a_warning() -> None:
    told = streamed(call(0, '{"a":'), CUT)
    assert pieces(told) == ['{"a":']
    assert told[-1]["delta"]["stop_reason"] == "max_tokens"
    assert told[-1]["llm_pool"]["warnings"] == [{"code": answers.CUT.code, "message": answers.CUT.message}]


def test_one_whose_turn_had_not_come_is_left_out_as_it_is_of_a_whole_answer() -> None:
    events: list[Event] = [call(0, "{"), call(1, '{"b"'), call(2, '{"c":1}'), CUT]
    told = streamed(*events)
    begun = [frame["content_block"]["id"] for frame in told if frame["type"] == "content_block_start"]
    assert begun == ["call_0", "call_2"]
    assert [block["id"] for block in whole([START, *events])["content"]] == ["call_2"]
    assert pieces(told) == ["{", '{"c":1}']


@pytest.mark.parametrize("text", ['{"a":"}"}', '{"a":"\\""}', '{"a\\\\":{"b":[{}]}}', '{"a":"\\\\\\"{"}'])
def test_the_end_of_a_call_is_seen_wherever_it_is_cut(text: str) -> None:
    for cut in range(1, len(text)):
        told = streamed(call(0, text[:cut]), call(1, ""), call(0, text[cut:], first=False), call(1, "{}", first=False))
        assert [frame["index"] for frame in told[1:]] == [0, 0, 0, 0, 1, 1]


def test_a_long_call_that_never_ends_is_looked_at_once_while_another_waits() -> None:
    telling = Telling(request_for())
    telling.tell(START)
    telling.tell(call(0, '{"a":{"b":"' + "x" * 500_000 + '"}}'[:-1] + " ,"))
    telling.tell(call(0, '"c":{}', first=False))  # it ends as the end of an object would
    telling.tell(call(1, ""))
    began = time.process_time()
    for _ in range(8000):
        telling.tell(call(1, "a", first=False))
    assert time.process_time() - began < 0.5


def test_nor_is_it_looked_at_again_when_it_grows_by_what_looks_like_its_end() -> None:
    telling = Telling(request_for())
    for event in (START, call(0, '{"a":"' + "x" * 500_000), call(1, "")):
        telling.tell(event)
    began = time.process_time()
    for _ in range(4000):
        telling.tell(call(0, "}}", first=False))
        telling.tell(call(1, "a", first=False))
    assert time.process_time() - began < 0.5


@pytest.mark.real_time
async def test_the_official_client_is_told_that_a_call_is_none() -> None:
    for arguments in ("nothing", "[]", '{"a": ['):
        steps: list[Step] = [START, ToolCallDelta(0, "c", "f", arguments), END]
        async with pool_saying(*steps) as (up, _), client_of(up) as client:
            with pytest.raises(anthropic.APIStatusError) as raised:
                async with client.messages.stream(**ASK) as stream:
                    await stream.get_final_message()
        assert raised.value.type == "api_error"
        assert arguments not in raised.value.message
