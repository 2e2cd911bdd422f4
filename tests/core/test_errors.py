"""The tree of errors: a reason for each, the nearest name for what is unknown, and callers' text made fit to show."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.core.errors import (
    InvalidRequest,
    PoolError,
    ProviderError,
    ProviderOverloaded,
    UnknownModel,
    UnknownTask,
    nearest,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


def tree(kind: type[PoolError]) -> Iterator[type[PoolError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from tree(child)


def test_every_error_has_a_reason_that_clients_may_branch_on() -> None:
    assert all(re.fullmatch(r"[A-Z]+(_[A-Z]+)*", kind.reason) for kind in tree(PoolError))


def test_no_two_errors_share_a_reason() -> None:
    own = [kind.reason for kind in tree(PoolError) if "reason" in vars(kind)]
    assert len(set(own)) == len(own)


def test_an_error_carries_what_the_caller_is_told() -> None:
    error = ProviderOverloaded("busy", details={"a": "b"}, retry_after=2.0)
    assert (str(error), error.message, error.details, error.retry_after) == ("busy", "busy", {"a": "b"}, 2.0)
    assert isinstance(error, ProviderError)
    bare = PoolError("text")
    assert (bare.details, bare.retry_after) == ({}, None)


def test_a_wrong_field_is_named() -> None:
    assert InvalidRequest("text", field="a.b").details == {"field": "a.b"}
    assert InvalidRequest("text").details == {}


def test_an_unknown_name_comes_with_the_nearest() -> None:
    error = UnknownTask("task", "juge", ["judge", "chat"])
    assert error.message == 'unknown task "juge"; did you mean "judge"?'
    assert error.details == {"field": "task", "nearest": "judge"}
    error = UnknownTask("task", "zzz", ["judge", "chat"], field="steps.0.task")
    assert (error.message, error.details) == ('unknown task "zzz"', {"field": "steps.0.task"})


def test_an_unknown_name_is_shown_fit_for_one_line() -> None:
    error = UnknownModel("model", "evil\nline\x1b[31m" + "x" * 500, [])
    assert error.message.isprintable()
    assert len(error.message) < 120


# --- nearest ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "near"),
    [("vote", "voting"), ("FASTEST", "fastest"), ("Conzensus", "Consensus"), ("", ""), ("zzz", ""), ("x" * 10_000, "")],
)
def test_the_nearest_is_spelled_as_it_is_known(name: str, near: str) -> None:
    assert nearest(name, ["voting", "fastest", "Consensus"]) == near


def test_nothing_is_near_to_nothing() -> None:
    assert nearest("voting", []) == ""


@given(st.text(max_size=20), st.lists(st.text(max_size=20), max_size=5))
def test_the_nearest_is_a_known_name_or_none(name: str, known: list[str]) -> None:
    near = nearest(name, iter(known))
    assert near in {*known, ""}
    if name in known and name:
        assert near.casefold() == name.casefold()


# --- shown ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "as_shown"),
    [
        ("phi3:mini", "phi3:mini"),
        ("", ""),
        ("schön", "schön"),
        ("a\nb\tc\x00d", "a?b?c?d"),
        ("\u202eevil", "?evil"),  # a right-to-left override
        ("x" * 80, "x" * 80),
        ("x" * 81, "x" * 79 + "…"),
    ],
)
def test_a_callers_text_is_one_printable_line(text: str, as_shown: str) -> None:
    assert shown(text) == as_shown


def test_a_limit_may_be_given() -> None:
    assert shown("abcdef", 4) == "abc…"


@given(st.text(), st.integers(1, 100))
def test_what_is_shown_is_printable_and_no_longer_than_its_limit(text: str, limit: int) -> None:
    assert shown(text, limit).isprintable()
    assert len(shown(text, limit)) == min(len(text), limit)


def test_a_bare_name_is_near_the_id_that_ends_with_it() -> None:
    assert nearest("o3", ["openai/o3", "ollama/phi3"]) == "openai/o3"
    assert nearest("Phi3", ["openai/o3", "ollama/phi3"]) == "ollama/phi3"
    assert nearest("SIM/small", ["any/SIM/small", "sim/small"]) == "sim/small"
