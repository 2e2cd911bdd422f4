"""The splitter gives the same events however the network cuts the stream, and however its lines end."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.core.errors import ProviderGarbled
from llm_pool.providers.sse import LINE_LIMIT, Frames

Event = tuple[bytes, bytes]

STREAM = (
    '\ufeff: hello\n\ndata: {"a": "é🙂"}\n\nevent: delta\r\ndata:no space\r\ndata:  two spaces\r\nid: 7\r\n\r\n'
    "retry: 3\rdata\r\r: OPENROUTER PROCESSING\n\nevent: lonely\n\n"
    'data: {"b": "日本"}\r\n\ndataset: x\ndata: [DONE]\n\n'
).encode()
EVENTS = [
    (b"", '{"a": "é🙂"}'.encode()),
    (b"delta", b"no space\n two spaces"),
    (b"", b""),
    (b"", '{"b": "日本"}'.encode()),
    (b"", b"[DONE]"),
]


def cut(pieces: list[bytes], limit: int = LINE_LIMIT) -> list[Event]:
    frames = Frames("the server", limit)
    return [event for piece in pieces for event in frames.feed(piece)]


def as_the_standard_says(stream: bytes) -> list[Event]:
    """The algorithm of the standard, word by word and slowly."""
    events, name, data = [], b"", b""
    lines = re.split(rb"\r\n|\r|\n", stream.removeprefix(b"\xef\xbb\xbf"))[:-1]
    for line in lines:
        if not line:
            if data:
                events.append((name, data.removesuffix(b"\n")))
            name, data = b"", b""
            continue
        field, colon, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        if colon and not field:
            continue
        if field == b"event":
            name = value
        if field == b"data":
            data += value + b"\n"
    return events


@pytest.mark.parametrize("at", range(len(STREAM) + 1))
def test_a_stream_cut_at_any_byte_gives_the_same_events(at: int) -> None:
    assert cut([STREAM[:at], b"", STREAM[at:]]) == EVENTS


def test_a_stream_that_comes_byte_by_byte_gives_the_same_events() -> None:
    assert cut([bytes([byte]) for byte in STREAM]) == EVENTS


@given(
    st.lists(
        st.sampled_from([b"data", b"event", b"id", b":", b" ", b"x", b"\n", b"\r", b"\r\n", b"\n\n", b"\xef\xbb\xbf"]),
        max_size=40,
    ),
    st.data(),
)
def test_whatever_comes_and_however_it_is_cut_is_read_as_the_standard_says(
    words: list[bytes], draw: st.DataObject
) -> None:
    stream = b"".join(words)
    ends = draw.draw(st.lists(st.integers(0, len(stream)), max_size=6).map(sorted))
    pieces = [stream[start:end] for start, end in zip([0, *ends], [*ends, len(stream)], strict=True)]
    assert cut(pieces) == as_the_standard_says(stream)


def test_an_event_is_there_as_soon_as_its_empty_line_is() -> None:
    frames = Frames("the server")
    assert frames.feed(b"data: 1\r") == []
    assert frames.feed(b"\r") == [(b"", b"1")]
    assert frames.feed(b"\ndata: 2\n\n") == [(b"", b"2")]


def test_an_event_without_its_end_is_told_only_when_the_body_has_ended() -> None:
    frames = Frames("the server")
    assert frames.feed(b"event: end\ndata: [DO") == []
    assert frames.feed(b"NE]") == []
    assert frames.close() == [(b"end", b"[DONE]")]
    assert frames.close() == []


def test_a_line_may_be_as_long_as_the_limit_and_no_longer() -> None:
    line = b"data: " + b"x" * 94
    assert cut([line, b"\n\n"], 100) == [(b"", b"x" * 94)]
    for pieces in (
        [line + b"y\n\n"],
        [b"\n" + line + b"y\n\n"],
        [line, b"y"],
        [b":" * 60, b":" * 60],
        [b"\n" + line + b"y"],
    ):
        with pytest.raises(ProviderGarbled, match="the server sent a line longer than 100 bytes"):
            cut(pieces, 100)


def test_a_long_event_of_short_lines_is_no_long_line() -> None:
    assert cut([b"data: 12345\n" * 50 + b"\n"], 100) == [(b"", b"\n".join([b"12345"] * 50))]
