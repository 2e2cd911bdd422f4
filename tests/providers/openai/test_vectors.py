"""The vectors of an answer: one for each input in its order, or an error."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.core.errors import ProviderError, ProviderGarbled, ProviderLimited, RequestRefused
from llm_pool.core.types import Finished, Usage
from llm_pool.providers.openai.counting import vectors_of


def read(data: Any, *, count: int = 2, dimensions: int | None = None, **more: Any) -> Finished:
    body = orjson.dumps({"object": "list", "data": data} | more)
    return vectors_of(body, count=count, dimensions=dimensions, who="OpenAI (a)", model="m")


def entry(index: int | None, *values: Any) -> dict[str, Any]:
    return {"object": "embedding", "embedding": list(values)} | ({} if index is None else {"index": index})


def test_vectors_come_in_the_order_of_their_inputs() -> None:
    usage = {"prompt_tokens": 5, "total_tokens": 5}
    done = read([entry(1, 0.5, -1), entry(0, 1, 2)], usage=usage, dimensions=2)
    assert done == Finished("stop", Usage(5), vectors=((1.0, 2.0), (0.5, -1.0)))
    assert {type(value) for vector in done.vectors for value in vector} == {float}


def test_without_an_index_they_are_taken_as_they_come_and_usage_that_lacks_is_marked() -> None:
    assert read([entry(None, 1), entry(None, 2)]) == Finished("stop", Usage(estimated=True), vectors=((1.0,), (2.0,)))


@pytest.mark.parametrize(
    "data",
    [
        *(None, [], [entry(0, 1)], [entry(0, 1), entry(1, 1), entry(2, 1)], [entry(0, 1), entry(0, 1)]),
        *([entry(0, 1), entry(2, 1)], [entry(0, 1), entry(1, 1), entry(1, 1)], [entry(0, 1), entry(-1, 1)]),
        *(
            [entry(0, 1), entry(1)],
            [entry(0, 1), entry(1, "x")],
            [entry(0, 1), entry(1, True)],
            [entry(0, 1), entry(1, 1, 2)],
        ),
        *([entry(0, 1), 5], "x", [entry(0, 1), {"index": 1, "embedding": "AAAA"}], [entry(0, 1), entry(True, 1)]),
    ],
)
def test_another_number_or_kind_of_vectors_is_garbled(data: Any) -> None:
    with pytest.raises(ProviderGarbled):
        read(data)


def test_a_length_that_was_not_asked_for_is_refused() -> None:
    with pytest.raises(RequestRefused, match="no vectors of 3 dimensions"):
        read([entry(0, 1, 2), entry(1, 1, 2)], dimensions=3)


def test_an_error_inside_a_200_is_that_error() -> None:
    with pytest.raises(ProviderLimited):
        read([], error={"code": 429, "message": "x"})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(st.sampled_from(["index", "embedding", "data", "prompt_tokens"]), inner)
        ),
        max_leaves=8,
    ),
    st.sampled_from(["data", "usage", "error", "object"]),
)
def test_whatever_stands_there_no_other_exception_comes(value: Any, place: str) -> None:
    try:
        done = read([entry(0, 1), entry(1, 2)], **{place: value}) if place != "data" else read(value)
    except ProviderError:
        return
    assert len(done.vectors) == 2
