"""A body of too many values is refused before it is read, and none for what stands in its texts."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.core.errors import InvalidRequest
from llm_pool.edges import marks

texts = st.text(alphabet='a"\\[{:,é\n', max_size=8)
values = st.recursive(
    st.none() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def of(value: object) -> int:
    """How many objects, lists, names and values but the first of each there are."""
    if isinstance(value, dict):
        return 1 + len(value) + max(0, len(value) - 1) + sum(map(of, value.values()))
    if isinstance(value, list):
        return 1 + max(0, len(value) - 1) + sum(map(of, value))
    return 0


@given(values, st.booleans())
def test_what_stands_in_texts_is_not_counted(value: object, ascii_only: bool) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only).encode()
    marks.bearable(raw, most=of(value))
    if of(value):
        with pytest.raises(InvalidRequest, match="too many values"):
            marks.bearable(raw, most=of(value) - 1)


@pytest.mark.parametrize("text", ["[{:,", '"', "\\", '\\"[', "a" * 7 + '"'])
def test_a_long_text_is_one_value_wherever_it_is_cut_to_be_looked_at(text: str) -> None:
    marks.bearable(orjson.dumps({"a": [text * 500_000, text]}), most=4)


def test_a_hundred_thousand_messages_are_not_too_many() -> None:
    marks.bearable(orjson.dumps({"messages": [{"role": "user", "content": "a"}] * 100_000}))
    with pytest.raises(InvalidRequest):
        marks.bearable(b"[" + b"[]," * 500_000 + b"[]]")
