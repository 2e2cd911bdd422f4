"""A thought that a client gives back is, byte for byte, the thought that its provider had."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llm_pool.core.types import Reasoning
from llm_pool.edges.http.anthropic import answers, thoughts
from llm_pool.edges.http.anthropic.asked import asked
from llm_pool.edges.http.anthropic.bodies import CountBody, checked

NO_SURROGATES = st.text(st.characters(exclude_categories=["Cs"]))


def coded(value: object) -> str:
    return "lp1." + base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


def given_back(block: dict[str, Any]) -> Reasoning:
    """What the door makes of a block in the history of a conversation."""
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": [block]}]
    body, _ = checked(orjson.dumps({"model": "m", "messages": turns}), CountBody)
    (part,) = asked(body).messages[1].parts
    assert isinstance(part, Reasoning)
    return part


@given(
    text=NO_SURROGATES,
    opaque=NO_SURROGATES | st.just("lp1.") | st.just('{"reasoning": "details"}'),
    provider=st.sampled_from(["anthropic", "openrouter", "ollama", ""]),
    redacted=st.booleans(),
)
@example(text="", opaque="", provider="anthropic", redacted=False)
@example(text="hm", opaque="lp1.e30", provider="anthropic", redacted=False)
def test_a_thought_comes_back_as_it_went_out(text: str, opaque: str, provider: str, redacted: bool) -> None:
    thought = Reasoning("" if redacted else text, opaque, redacted, provider)
    block = orjson.loads(orjson.dumps(answers.thought(thought)))
    assert given_back(block) == thought


def test_what_anthropic_signed_goes_out_as_it_is() -> None:
    """Its own models read it, and a client may take it elsewhere."""
    signed = Reasoning("Let me see.", "EqQBCgIYAhIM+/=", provider="anthropic")
    assert answers.thought(signed) == {"type": "thinking", "thinking": "Let me see.", "signature": "EqQBCgIYAhIM+/="}
    hidden = Reasoning("", "EmwKAhgBEgy", redacted=True, provider="anthropic")
    assert answers.thought(hidden) == {"type": "redacted_thinking", "data": "EmwKAhgBEgy"}


def test_a_thought_without_a_signature_still_knows_whose_it_is() -> None:
    block = answers.thought(Reasoning("hm", provider="ollama"))
    assert block["signature"].startswith("lp1.")
    assert given_back(block).provider == "ollama"


@pytest.mark.parametrize(
    "seal",
    [
        "lp1.",
        "lp1.?",
        "lp1.ü",
        "lp1.bm8",
        coded({}),
        coded([]),
        coded({"provider": 1, "opaque": "", "redacted": False}),
        coded({"provider": "p", "opaque": None, "redacted": False}),
        coded({"provider": "p", "opaque": "", "redacted": True}),  # in a block that shows its text
        coded({"provider": "p", "opaque": ""}),
    ],
)
def test_what_only_looks_like_one_of_ours_is_none(seal: str) -> None:
    with pytest.raises(ValueError, match="none that the pool has made"):
        thoughts.opened(seal, "hm")


def test_a_seal_has_only_characters_that_need_no_escape() -> None:
    seal = thoughts.sealed("openrouter", '{"data": "ÿ>?"}')
    assert orjson.dumps(seal) == f'"{seal}"'.encode()
