"""Server-sent events are the same whatever the chunks they come in."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.client.sse import Frame, Parser, TooLong

ENDS = st.sampled_from(["\n", "\r", "\r\n"])
TEXT = st.text(st.characters(blacklist_characters="\r\n", blacklist_categories=["Cs"]), max_size=12)
NAMES = st.text(st.characters(whitelist_categories=["L", "N"]), min_size=1, max_size=6)
FRAMES = st.lists(st.tuples(NAMES, st.lists(TEXT, min_size=1, max_size=3)), max_size=6)


def parsed(raw: bytes, cuts: list[int]) -> list[Frame]:
    parser, frames = Parser(), []
    edges = [0, *sorted(cut % (len(raw) + 1) for cut in cuts), len(raw)]
    for start, end in pairwise(edges):
        frames += parser.feed(raw[start:end])
    return frames


@given(frames=FRAMES, data=st.data(), end=ENDS, cuts=st.lists(st.integers(min_value=0), max_size=12))
def test_what_was_written_is_read_whatever_the_chunks(
    frames: list[tuple[str, list[str]]], data: st.DataObject, end: str, cuts: list[int]
) -> None:
    """Any of the three line ends, comments between the lines, several `data` lines, chunks down to nothing."""
    lines = []
    for name, parts in frames:
        lines += [f"event: {name}", *(f"data: {part}" for part in parts)]
        if data.draw(st.booleans()):
            lines.append(": ping")
        lines.append("")
    raw = "".join(line + end for line in lines).encode()

    assert parsed(raw, cuts) == [Frame(name, "\n".join(parts)) for name, parts in frames]


@given(raw=st.binary(max_size=200), cuts=st.lists(st.integers(min_value=0), max_size=12))
def test_bytes_of_any_kind_are_read_the_same_in_one_piece_and_in_many(raw: bytes, cuts: list[int]) -> None:
    assert parsed(raw, cuts) == parsed(raw, [])


@given(
    soup=st.lists(st.sampled_from([b"data", b"event", b":", b" ", b"\r", b"\n", b"\r\n", b"x", b"\xef\xbb\xbf"])),
    cuts=st.lists(st.integers(min_value=0), max_size=12),
)
def test_what_looks_like_the_format_is_too(soup: list[bytes], cuts: list[int]) -> None:
    raw = b"".join(soup)
    assert parsed(raw, cuts) == parsed(raw, [])


@pytest.mark.parametrize(
    ("raw", "frames"),
    [
        (b"data: one\n\n", [("message", "one")]),
        (b"data:one\ndata: two\n\n", [("message", "one\ntwo")]),
        (b"data\n\n", [("message", "")]),
        (b": only a comment\n\n", []),
        (b"event: text\n\ndata: x\n\n", [("message", "x")]),
        (b"id: 7\nretry: 10\nevent: text\ndata: x\n\n", [("text", "x")]),
        (b"data: the end is missing\n", []),
        (b"\xef\xbb\xbfdata: x\n\n", [("message", "x")]),
        (b"data:  two spaces\r\n\r\n", [("message", " two spaces")]),
    ],
)
def test_it_reads_as_the_specification_says(raw: bytes, frames: list[tuple[str, str]]) -> None:
    assert Parser().feed(raw) == frames


def test_an_event_without_end_is_refused_however_it_comes() -> None:
    """On one line, or on many."""
    for raw in (b"data: " + b"x" * 200, b"data: x\n" * 100):
        parser = Parser(most_bytes=100)
        with pytest.raises(TooLong):
            for byte in raw:
                parser.feed(bytes([byte]))
