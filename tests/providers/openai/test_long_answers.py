"""What is long or many costs no more than its length, and has an end: tool calls of one answer, blanks before it."""

from __future__ import annotations

from itertools import repeat
from typing import Any

import orjson
import pytest

from llm_pool.core.errors import ProviderGarbled
from llm_pool.core.types import ToolCallDelta
from llm_pool.providers.openai.answers import MOST_BLANKS, Decoder
from llm_pool.providers.openai.calls import MOST_CALLS
from tests.fakes.openai import Script, chunk_of, frame, stream_of
from tests.providers.openai.asking import WHO, added_up, decode

WHOLE = orjson.dumps({"choices": [{"message": {"content": "Hi"}}]})


def calls(count: int, *, numbered: bool) -> list[dict[str, Any]]:
    return [
        ({"index": at} if numbered else {}) | {"id": str(at), "function": {"name": "f", "arguments": "{}"}}
        for at in range(count)
    ]


@pytest.mark.parametrize("numbered", [False, True])
def test_an_answer_has_so_many_calls_and_no_more(numbered: bool) -> None:
    most = calls(MOST_CALLS, numbered=numbered)
    events = decode([frame(chunk_of({"tool_calls": most})) + frame(chunk_of({}, finish_reason="stop"))])
    assert len(added_up(events).tool_calls) == MOST_CALLS
    for many in (MOST_CALLS + 1, 15_000):  # the latter nearly fill a line
        body = frame(chunk_of({"tool_calls": calls(many, numbered=numbered)}))
        with pytest.raises(ProviderGarbled, match="more than 1024 tool calls"):
            decode([body])


def test_pieces_that_name_their_call_by_its_id_alone_find_it() -> None:
    pieces = [*calls(MOST_CALLS, numbered=False), *calls(MOST_CALLS, numbered=False)]
    made = decode([frame(chunk_of({"tool_calls": pieces}))])
    assert [event.index for event in made if isinstance(event, ToolCallDelta)] == [*range(MOST_CALLS)] * 2


@pytest.mark.parametrize("sent", [stream_of(Script("Hi")), WHOLE])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_blanks_before_an_answer_say_nothing(sent: bytes, mark: bytes) -> None:
    for blanks in ([mark + b"\n" * 1000], [mark, *repeat(b"\r\n", 500)]):
        assert added_up(decode([*blanks, sent])).content == "Hi"
        assert added_up(decode([*blanks[:-1], blanks[-1] + sent])).content == "Hi"


def test_so_many_blanks_and_no_more_come_before_an_answer() -> None:
    body = [b" " * 1024] * (MOST_BLANKS // 1024)
    assert added_up(decode([*body, WHOLE])).content == "Hi"
    for more in ([*body, b" "], [b"".join(body) + b" "]):
        with pytest.raises(ProviderGarbled, match="blank"):
            decode(more)


def test_what_is_blank_before_an_answer_is_not_kept() -> None:
    decoder = Decoder(WHO)
    for _ in range(60):
        decoder.feed(b" " * 1024)
    assert len(decoder._head) == 0
