"""The splitter gives the same lines however the network cuts the stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.core.errors import ProviderGarbled
from llm_pool.providers.ndjson import LINE_LIMIT, Lines

STREAM = '{"a": "é🙂"}\n\r\n  \n{"b": 2}\r\n{"c": "日本"}\n{"last": true}'.encode()
LINES = ['{"a": "é🙂"}'.encode(), b'{"b": 2}', '{"c": "日本"}'.encode(), b'{"last": true}']


def split(pieces: list[bytes], limit: int = LINE_LIMIT) -> list[bytes]:
    lines = Lines("the server", limit=limit)
    return [line for piece in pieces for line in lines.feed(piece)] + lines.close()


@pytest.mark.parametrize("cut", range(len(STREAM) + 1))
def test_a_stream_cut_at_any_byte_gives_the_same_lines(cut: int) -> None:
    assert split([STREAM[:cut], STREAM[cut:]]) == LINES


def test_a_stream_that_comes_byte_by_byte_gives_the_same_lines() -> None:
    assert split([bytes([byte]) for byte in STREAM]) == LINES


@given(st.lists(st.text(), max_size=8), st.sampled_from(["\n", "\r\n"]), st.data())
def test_any_lines_in_any_chunks_come_out_as_they_went_in(texts: list[str], end: str, data: st.DataObject) -> None:
    wire = end.join(texts).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=12)))
    pieces = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    whole = [line.strip() for line in wire.split(b"\n")]
    assert split(pieces) == [line for line in whole if line]


@given(st.binary(max_size=64), st.data())
def test_an_over_long_line_is_refused_in_every_chunking_or_in_none(wire: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    pieces = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    if any(len(line) > 10 for line in wire.split(b"\n")):
        with pytest.raises(ProviderGarbled):
            split(pieces, limit=10)
    else:
        assert split(pieces, limit=10) == split([wire], limit=10)


def test_a_line_of_just_the_limit_passes_and_one_byte_more_is_refused_before_it_ends() -> None:
    assert split([b"x" * LINE_LIMIT + b"\ny"]) == [b"x" * LINE_LIMIT, b"y"]
    lines = Lines("the server")
    assert lines.feed(b"x" * LINE_LIMIT) == []
    with pytest.raises(ProviderGarbled, match="the server sent a line longer than 1048576 bytes"):
        lines.feed(b"x")


def test_no_bytes_are_no_lines() -> None:
    assert split([]) == split([b""]) == split([b"\r\n\n"]) == []
